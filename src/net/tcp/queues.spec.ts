import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../time/clock.ts';
import { Deadline, Deadlines } from '../deadlines.ts';
import { Reassembly } from './reassembly.ts';
import { RoundTrip } from './round-trip.ts';
import { SendQueue } from './send-queue.ts';
import { seqAdd } from './sequence.ts';

describe('a send queue', () => {
  it('is the bytes written less those discarded, wherever it is read', () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant('append' as const), bytes: fc.uint8Array({ maxLength: 40 }) }),
      fc.record({ kind: fc.constant('discard' as const), part: fc.double({ min: 0, max: 1, noNaN: true }) }),
      fc.record({
        kind: fc.constant('copy' as const),
        from: fc.double({ min: 0, max: 1, noNaN: true }),
        to: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const queue = new SendQueue();
        let model: number[] = [];
        for (const one of steps) {
          if (one.kind === 'append') {
            queue.append(one.bytes);
            model.push(...one.bytes);
          } else if (one.kind === 'discard') {
            const n = Math.floor(one.part * model.length);
            queue.discard(n);
            model = model.slice(n);
          } else {
            const from = Math.floor(one.from * model.length);
            const length = Math.floor(one.to * (model.length - from));
            const target = new Uint8Array(length + 2);
            queue.copy(from, length, target, 1);
            expect([...target]).toEqual([0, ...model.slice(from, from + length), 0]);
          }
          expect(queue.length).toBe(model.length);
        }
      }),
    );
  });
});

describe('reassembly of early segments', () => {
  it('gives every byte once and in order, from overlapping pieces in any order', () => {
    const data = Uint8Array.from({ length: 600 }, (_, i) => i * 7);
    const piece = fc.tuple(fc.nat(599), fc.integer({ min: 1, max: 80 }));
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 60 }), fc.nat(0xffff_ffff), (pieces, start) => {
        const early = new Reassembly();
        const covered = new Uint8Array(600);
        for (const [at, length] of pieces) {
          early.insert(seqAdd(start, at), data.subarray(at, at + length), 1e6);
          covered.fill(1, at, at + length);
        }
        let next = 0;
        for (let part = early.take(start); part !== undefined; part = early.take(seqAdd(start, next))) {
          expect([...part]).toEqual([...data.subarray(next, next + part.length)]);
          next += part.length;
        }
        expect(next).toBe(covered.indexOf(0) < 0 ? 600 : covered.indexOf(0));
      }),
    );
  });

  it('has a bound in pieces and in bytes', () => {
    const early = new Reassembly();
    for (let i = 0; i < 1000; i++) early.insert(i * 10, new Uint8Array(5), 2000);
    expect(early.length).toBe(5 * 256);
    early.insert(20_000, new Uint8Array(1000), 2000);
    expect(early.length).toBe(5 * 256);
  });
});

describe('deadlines', () => {
  it('fire once each, in order of time, also when moved and cancelled', () => {
    const action = fc.tuple(fc.nat(9), fc.option(fc.nat(1000), { freq: 4 }));
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const clock = new VirtualClock();
        const deadlines = new Deadlines(clock, 'test');
        const fired: number[] = [];
        const all = Array.from({ length: 10 }, (_, i) => new Deadline(() => fired.push(i)));
        const model = new Map<number, number>();
        for (const [i, at] of actions) {
          if (at === null) deadlines.cancel(all[i]!);
          else deadlines.arm(all[i]!, at);
          if (at === null) model.delete(i);
          else model.set(i, at);
        }
        clock.advance(2000);
        const times = fired.map((i) => model.get(i)!);
        expect([...fired].sort()).toEqual([...model.keys()].sort());
        expect(times).toEqual([...times].sort((a, b) => a - b));
        expect(clock.nextDeadlineNs()).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });
});

describe('the retransmission timeout (RFC 6298)', () => {
  it('begins at a second, follows measurements, doubles, and comes back', () => {
    const roundTrip = new RoundTrip();
    expect(roundTrip.timeoutNs).toBe(1e9);
    roundTrip.sample(500e6); // 2.2: SRTT = R, RTTVAR = R/2, RTO = SRTT + 4 RTTVAR
    expect(roundTrip.timeoutNs).toBe(1500e6);
    roundTrip.sample(500e6); // 2.3: RTTVAR = 3/4 RTTVAR
    expect(roundTrip.timeoutNs).toBe(500e6 + 4 * 187.5e6);
    roundTrip.backOff();
    expect(roundTrip.timeoutNs).toBe(2 * (500e6 + 4 * 187.5e6));
    roundTrip.restore();
    expect(roundTrip.timeoutNs).toBe(500e6 + 4 * 187.5e6);
    for (let i = 0; i < 50; i++) roundTrip.sample(20e3);
    expect(roundTrip.timeoutNs).toBe(200e6);
    for (let i = 0; i < 20; i++) roundTrip.backOff();
    expect(roundTrip.timeoutNs).toBe(60e9);
  });
});
