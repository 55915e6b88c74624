import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ringEntries } from '../abi/xen/ring.ts';
import { BackendGuest } from './fixtures/backend-guest.ts';
import { FrontRing } from './fixtures/front-ring.ts';
import { BackRing } from './ring.ts';
import { Refusal } from './xenbus/refusal.ts';

const ENTRY = 112;

function setup(pages = 1, startAt = 0, entryBytes = ENTRY) {
  const guest = new BackendGuest();
  // In an order that makes no page the neighbour of the one before it.
  const gfns = Array.from({ length: pages }, () => guest.allocPage()).sort((a, b) => (a % 2) - (b % 2) || a - b);
  const front = new FrontRing(guest, gfns, entryBytes);
  front.startAt(startAt);
  const refs = gfns.map((gfn) => guest.share(gfn));
  const map = () => BackRing.map({ grants: guest.backend, memory: guest.memory }, refs, entryBytes);
  const back = map();
  if (back instanceof Refusal) throw new Error(back.reason);
  return { guest, front, back, refs, map };
}

it.each([
  [1, 112, 32],
  [1, 108, 32],
  [16, 112, 512],
  [1, 12, 256],
  [1, 8, 256],
  [1, 148, 16],
  [4, 112, 128],
])('%i pages of entries of %i bytes hold %i', (pages, bytes, entries) => {
  expect(ringEntries(pages * 4096, bytes)).toBe(entries);
});

it('carries requests and responses of any size of ring, in order, over the end of the indices', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 4, 16),
      fc.constantFrom(8, 12, 108, 112, 148),
      fc.constantFrom(0, 0xffff_fff0, 0x7fff_fff8),
      fc.array(fc.record({ send: fc.nat(40), take: fc.nat(40), answer: fc.nat(40) }), { maxLength: 40 }),
      (pages, entryBytes, startAt, steps) => {
        const { front, back } = setup(pages, startAt, entryBytes);
        const entry = new Uint32Array(entryBytes / 4);
        const open: number[] = [];
        let [sent, taken, answered, received] = [0, 0, 0, 0];
        for (const { send, take, answer } of steps) {
          for (let i = 0; i < send && front.free > 0; i++) {
            const bytes = new Uint8Array(entryBytes).fill(sent & 255);
            new DataView(bytes.buffer).setUint32(entryBytes - 4, sent++, true);
            front.put(bytes);
          }
          front.push();
          expect(back.pending).toBe(sent - taken);
          for (let i = 0; i < take && back.pending > 0; i++) {
            back.take(entry);
            expect([entry.at(-1), entry[0]]).toEqual([taken, ((taken & 255) * 0x0101_0101) >>> 0]);
            open.push(taken++);
          }
          for (let i = 0; i < answer && open.length > 0; i++) {
            back.respond(Uint32Array.of(open.shift() as number, 7));
            answered++;
          }
          back.push();
          expect(back.unanswered).toBe(taken - answered);
          for (const response of front.take(8)) expect(new DataView(response.buffer).getUint32(0, true)).toBe(received++);
          expect(received).toBe(answered);
        }
      },
    ),
    { numRuns: 60 },
  );
});

describe('notifications', () => {
  it('go to the frontend only when it passes rsp_event', () => {
    const { front, back } = setup();
    const entry = new Uint32Array(28);
    const answer = (count: number) => {
      for (let i = 0; i < count; i++) back.respond(Uint32Array.of(0));
      return back.push();
    };
    for (let i = 0; i < 20; i++) front.put(new Uint8Array(ENTRY));
    front.push();
    for (let i = 0; i < 20; i++) back.take(entry);
    front.index('rsp_event', 3);
    expect([answer(1), answer(1), answer(1), answer(1)]).toEqual([false, false, true, false]);
    front.index('rsp_event', 7);
    expect(answer(5)).toBe(true);
    expect(answer(0)).toBe(false);
  });

  it('are asked for when the ring is found empty, and only then', () => {
    const { front, back } = setup();
    front.index('req_event', 1);
    front.put(new Uint8Array(ENTRY));
    front.push();
    expect(back.finalCheck()).toBe(true);
    expect(front.index('req_event')).toBe(1);
    back.take(new Uint32Array(28));
    expect(back.finalCheck()).toBe(false);
    expect(front.index('req_event')).toBe(2);
    front.put(new Uint8Array(ENTRY));
    expect(front.push()).toBe(true);
  });
});

describe('a ring that lies', () => {
  it.each([33, 0x8000_0000, 0xffff_ffff])('has %i requests', (count) => {
    const { front, back } = setup(1, 0x1000);
    front.index('req_prod', 0x1000 + count);
    expect(back.pending).toBe(-1);
    expect(back.finalCheck()).toBe(true);
  });

  it('takes requests back', () => {
    const { front, back } = setup();
    for (let i = 0; i < 4; i++) front.put(new Uint8Array(ENTRY));
    front.push();
    for (let i = 0; i < 4; i++) back.take(new Uint32Array(28));
    front.index('req_prod', 2);
    expect(back.pending).toBe(-1);
  });

  it('has more requests than there is room for answers', () => {
    const { front, back } = setup();
    front.index('req_prod', 32);
    for (let i = 0; i < 32; i++) back.take(new Uint32Array(28));
    front.index('req_prod', 33);
    expect(back.pending).toBe(-1);
    back.respond(Uint32Array.of(0));
    expect(back.pending).toBe(1);
  });

  it('is refused from the start', () => {
    const { guest, front, back, refs, map } = setup();
    back.unmap();
    front.index('req_prod', 33);
    expect(map()).toBeInstanceOf(Refusal);
    expect(guest.inUse(refs[0] as number)).toBe(0);
  });

  it('does not move our own indices', () => {
    const { front, back } = setup();
    front.index('rsp_prod', 1234);
    front.put(new Uint8Array(ENTRY));
    front.push();
    expect(back.pending).toBe(1);
    back.take(new Uint32Array(28));
    back.respond(Uint32Array.of(0));
    back.push();
    expect(front.index('rsp_prod')).toBe(1);
    expect(() => back.respond(Uint32Array.of(0))).toThrow('without a request');
  });
});

it.each([[[]], [[8, 9, 10]], [Array(17).fill(8)], [Array(32).fill(8)]])('refuses a ring of pages %j', (refs) => {
  const { guest } = setup();
  expect(BackRing.map({ grants: guest.backend, memory: guest.memory }, refs, ENTRY)).toBeInstanceOf(Refusal);
});

it('goes on where an earlier backend stopped', () => {
  const { front, back, map } = setup();
  front.put(new Uint8Array(ENTRY));
  front.push();
  back.take(new Uint32Array(28));
  back.respond(Uint32Array.of(0));
  back.push();
  front.put(new Uint8Array(ENTRY));
  front.push();
  back.unmap();
  const next = map() as BackRing;
  expect(next.pending).toBe(1);
});
