// Motorola MC146818.
import { describe, expect, it } from 'vitest';
import { VirtualClock } from '../../time/clock.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { Rtc } from './rtc.ts';

/** 2026-02-28 23:59:58, a Saturday. */
const START = Date.UTC(2026, 1, 28, 23, 59, 58) / 1000;

function make() {
  const clock = new VirtualClock();
  const line = new ProbeLine();
  const rtc = new Rtc({ clock, interrupt: line, startSeconds: START, cmos: new Map([[0x3d, 0x12]]) });
  const read = (at: number) => {
    rtc.ports.write(0, 1, at);
    return rtc.ports.read(1, 1);
  };
  const write = (at: number, value: number) => {
    rtc.ports.write(0, 1, at);
    rtc.ports.write(1, 1, value);
  };
  const time = () => [0x32, 9, 8, 7, 6, 4, 2, 0].map((at) => read(at).toString(16).padStart(2, '0')).join(' ');
  return { clock, line, read, rtc, time, write };
}

describe('time', () => {
  it('is BCD, and goes over the end of a month', () => {
    const { clock, time } = make();
    expect(time()).toBe('20 26 02 28 07 23 59 58');
    clock.advance(2e9);
    expect(time()).toBe('20 26 03 01 01 00 00 00');
  });

  it('is binary or of 12 hours when register B says so', () => {
    const { read, write } = make();
    write(11, 0x06);
    expect([read(4), read(2)]).toEqual([23, 59]);
    write(11, 0x00);
    expect(read(4)).toBe(0x91);
  });

  it('stands still while SET is on, and goes on from what was written', () => {
    const { clock, time, write } = make();
    write(11, 0x82);
    for (const [at, value] of [
      [0, 0x30],
      [2, 0x15],
      [4, 0x08],
      [7, 0x11],
    ] as const)
      write(at, value);
    clock.advance(10e9);
    write(11, 0x02);
    expect(time()).toBe('20 26 02 11 04 08 15 30');
    clock.advance(1e9);
    expect(time()).toBe('20 26 02 11 04 08 15 31');
  });

  it('shows an update that is about to come', () => {
    const { clock, read } = make();
    expect(read(10)).toBe(0x26);
    clock.advance(999_800_000);
    expect(read(10)).toBe(0xa6);
  });
});

describe('interrupts', () => {
  it('come at the periodic rate until register C is read', () => {
    const { clock, line, read, write } = make();
    write(11, 0x42);
    clock.advance(1e6);
    expect([line.up, read(12), line.up]).toEqual([true, 0xc0, false]);
    let count = 0;
    for (let i = 0; i < 2000; i++) {
      clock.advance(500_000);
      if (line.up && read(12) & 0x40) count++;
    }
    expect(count).toBeGreaterThan(1000);
    expect(count).toBeLessThan(1030);
  });

  it('come with each update, and with the alarm', () => {
    const { clock, line, read, write } = make();
    write(11, 0x12);
    clock.advance(1e9);
    expect([line.up, read(12) & 0xb0]).toEqual([true, 0x90]);
    write(11, 0x22);
    write(1, 0x00);
    write(3, 0x00);
    write(5, 0xff);
    clock.advance(1e9);
    expect([line.up, read(12) & 0xa0]).toEqual([true, 0xa0]);
    clock.advance(60e9);
    expect(line.up).toBe(false);
  });

  it('leave their flags without being enabled', () => {
    const { clock, line, read } = make();
    read(12);
    clock.advance(2e9);
    expect([line.up, read(12), read(12)]).toEqual([false, 0x50, 0]);
  });
});

it('keeps 256 bytes behind two index ports', () => {
  const { read, rtc, write } = make();
  expect([read(0x3d), read(13)]).toEqual([0x12, 0x80]);
  write(0x40, 0x77);
  rtc.ports.write(2, 1, 0xc0);
  rtc.ports.write(3, 1, 0x99);
  rtc.ports.write(2, 1, 0x40);
  expect([rtc.ports.read(3, 1), read(0x40)]).toEqual([0x77, 0x77]);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made, clock: made.clock, ranges: [{ handler: made.rtc.ports, size: 4 }] };
    },
    ({ clock, line, read, rtc, write }) => {
      rtc.reset();
      write(10, 0x26);
      write(11, 0x12);
      clock.advance(1e9);
      expect([line.up, read(12) & 0x90]).toEqual([true, 0x90]);
    },
  );
});
