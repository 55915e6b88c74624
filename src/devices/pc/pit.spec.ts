// Intel 231164 (8254).
import { describe, expect, it } from 'vitest';
import { AlarmClock, VirtualClock } from '../../time/clock.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { Pit } from './pit.ts';
import { PIT_HZ } from './pit-channel.ts';

const TICK = 1e9 / PIT_HZ;

function make() {
  const clock = new VirtualClock();
  const line = new ProbeLine();
  const pit = new Pit({ clock, interrupt: line });
  const load = (channel: number, mode: number, count: number, bcd = 0) => {
    pit.ports.write(3, 1, (channel << 6) | 0x30 | (mode << 1) | bcd);
    pit.ports.write(channel, 1, count & 0xff);
    pit.ports.write(channel, 1, count >> 8);
  };
  const count = (channel: number) => pit.ports.read(channel, 1) | (pit.ports.read(channel, 1) << 8);
  return { chip: pit, clock, line, load, count, pit };
}

describe('channel 0', () => {
  it.each([2, 3])('interrupts at its rate in mode %i', (mode) => {
    const { clock, line, load } = make();
    load(0, mode, 11932);
    const before = line.rises;
    clock.advance(1e9);
    expect(line.rises - before).toBeGreaterThanOrEqual(99);
    expect(line.rises - before).toBeLessThanOrEqual(100);
  });

  it('interrupts once in mode 0', () => {
    const { clock, line, load } = make();
    load(0, 0, 1000);
    expect(line.up).toBe(false);
    clock.advance(1000 * TICK + 1);
    expect([line.up, line.rises]).toEqual([true, 1]);
    clock.advance(1e9);
    expect(line.rises).toBe(1);
  });

  it('costs nothing while nobody hears it, and has the right level and rate afterwards', () => {
    const { clock, line, load, pit } = make();
    load(0, 2, 11932);
    pit.heard = false;
    expect(clock.nextDeadlineNs()).toBe(Number.POSITIVE_INFINITY);
    const before = line.rises;
    clock.advance(1e9);
    expect(line.rises).toBe(before);
    pit.heard = true;
    clock.advance(1e9);
    expect(line.rises - before).toBeGreaterThanOrEqual(99);
    expect(line.rises - before).toBeLessThanOrEqual(101);
  });

  it('does not interrupt more often than every 100 µs', () => {
    const { clock, line, load } = make();
    load(0, 2, 2);
    const before = line.rises;
    clock.advance(10e6);
    expect(line.rises - before).toBeLessThanOrEqual(101);
  });

  it('gives a guest that was away what it missed', () => {
    let ns = 0;
    const clock = new AlarmClock(() => ns);
    const line = new ProbeLine();
    const pit = new Pit({ clock, interrupt: line });
    pit.ports.write(3, 1, 0x34);
    for (const byte of [11932 & 0xff, 11932 >> 8]) pit.ports.write(0, 1, byte);
    const before = line.rises;
    ns = 300e6;
    for (; ns < 600e6; ns += 1e6) clock.runDue();
    expect(line.rises - before).toBeGreaterThanOrEqual(59);
  });
});

describe('counting', () => {
  it('goes down, and a latched count stays', () => {
    const { clock, load, count, pit } = make();
    load(0, 0, 0x8000);
    clock.advance(0x100 * TICK + 1);
    pit.ports.write(3, 1, 0x00);
    clock.advance(1e6);
    expect(count(0)).toBe(0x7f00);
    expect(count(0)).toBeLessThan(0x7f00);
  });

  it('wraps in mode 0, starts anew in mode 2, goes by two in mode 3', () => {
    const { clock, load, count } = make();
    load(0, 0, 0x10);
    load(2, 2, 0x10);
    clock.advance(0x11 * TICK + 1);
    expect(count(0)).toBe(0xffff);
    load(0, 3, 0x100);
    clock.advance(0x10 * TICK + 1);
    expect(count(0)).toBe(0x100 - 0x20);
  });

  it('is decimal when asked', () => {
    const { clock, load, count } = make();
    load(0, 0, 0x1000, 1);
    clock.advance(TICK + 1);
    expect(count(0)).toBe(0x0999);
  });

  it('shows mode, access and output in the status', () => {
    const { clock, load, pit } = make();
    load(0, 0, 100);
    pit.ports.write(3, 1, 0xe2);
    expect(pit.ports.read(0, 1)).toBe(0x30);
    clock.advance(1e6);
    pit.ports.write(3, 1, 0xe2);
    expect(pit.ports.read(0, 1)).toBe(0xb0);
  });
});

it('channel 2 is gated by port 0x61, and its output shows there', () => {
  const { clock, load, pit } = make();
  load(2, 0, 1000);
  clock.advance(1e9);
  expect(pit.speakerPort.read(0, 1) & 0x20).toBe(0);
  pit.speakerPort.write(0, 1, 1);
  clock.advance(900 * TICK);
  expect(pit.speakerPort.read(0, 1) & 0x21).toBe(1);
  clock.advance(200 * TICK);
  expect(pit.speakerPort.read(0, 1) & 0x21).toBe(0x21);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return {
        chip: made,
        clock: made.clock,
        ranges: [
          { handler: made.pit.ports, size: 4 },
          { handler: made.pit.speakerPort, size: 1 },
        ],
      };
    },
    ({ clock, line, load, pit }) => {
      pit.reset();
      load(0, 2, 11932);
      const before = line.rises;
      clock.advance(1e9);
      expect(line.rises - before).toBeGreaterThan(90);
    },
  );
});
