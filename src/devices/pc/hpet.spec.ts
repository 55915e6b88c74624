// IA-PC HPET Specification 1.0a.
import { describe, expect, it } from 'vitest';
import { AlarmClock, VirtualClock } from '../../time/clock.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { Hpet } from './hpet.ts';

const make = () => makeOn(new VirtualClock());

function makeOn<C extends AlarmClock>(clock: C) {
  const lines = new Map<string, ProbeLine>();
  const line = (name: string) => {
    const made = lines.get(name) ?? new ProbeLine();
    lines.set(name, made);
    return made;
  };
  const legacy: boolean[] = [];
  const hpet = new Hpet({
    clock,
    gsi: (gsi) => line(`gsi ${gsi}`),
    isa: (irq) => line(`isa ${irq}`),
    legacy: (on) => legacy.push(on),
  });
  const read = (at: number) => hpet.read(at, 4);
  const write = (at: number, value: number) => hpet.write(at, 4, value);
  return { clock, hpet, legacy, line, read, write };
}

it('says what it is, and counts every 16 ns while it is enabled', () => {
  const { clock, read, write } = make();
  expect([read(0), read(4)]).toEqual([0x8086_a201, 16_000_000]);
  clock.advance(1e6);
  expect(read(0xf0)).toBe(0);
  write(0x10, 1);
  clock.advance(1600);
  expect(read(0xf0)).toBe(100);
  write(0x10, 0);
  clock.advance(1600);
  expect(read(0xf0)).toBe(100);
  write(0xf0, 0xffff_ffff);
  write(0x10, 1);
  clock.advance(16);
  expect([read(0xf0), read(0xf4)]).toEqual([0, 1]);
});

describe('comparators', () => {
  it('interrupt once, at the edge or as a level', () => {
    const { clock, line, read, write } = make();
    write(0x140, (20 << 9) | 0x104);
    write(0x148, 1000);
    write(0x120, (21 << 9) | 0x106);
    write(0x128, 2000);
    write(0x10, 1);
    clock.advance(16_000);
    expect([line('gsi 20').rises, read(0x20)]).toEqual([1, 0]);
    clock.advance(16_000);
    expect([line('gsi 21').up, read(0x20)]).toEqual([true, 2]);
    write(0x20, 2);
    expect([line('gsi 21').up, read(0x20)]).toEqual([false, 0]);
    clock.advance(1e9);
    expect(line('gsi 20').rises).toBe(1);
  });

  it('repeat, over the lines of the timer while legacy routing is on', () => {
    const { clock, legacy, line, write } = make();
    write(0x10, 3);
    write(0x100, 0x14c);
    write(0x108, 62_500);
    write(0x108, 62_500);
    clock.advance(100e6);
    expect([legacy, line('isa 0').rises]).toEqual([[true], 100]);
  });

  it('do not interrupt more often than every 100 µs', () => {
    const { clock, line, write } = make();
    write(0x100, (20 << 9) | 0x14c);
    write(0x108, 1);
    write(0x108, 1);
    write(0x10, 1);
    clock.advance(10e6);
    expect(line('gsi 20').rises).toBeLessThanOrEqual(101);
  });

  it('compare 32 bits when told to', () => {
    const { clock, line, write } = make();
    write(0xf0, 0xffff_fff0);
    write(0x100, (22 << 9) | 0x104);
    write(0x108, 0x10);
    write(0x10, 1);
    clock.advance(0x20 * 16);
    expect(line('gsi 22').rises).toBe(1);
  });
});

describe('a periodic comparator', () => {
  // The host's scheduler takes the processor away between any two instructions of ours.
  it.each([1, 2, 3, 4])('repeats though a period ends just before the clock is read for the %ith time', (reading) => {
    let ns = 0;
    let readings = Number.POSITIVE_INFINITY;
    const clock = new AlarmClock(() => {
      if (--readings === 0) ns += 20_000;
      return ns;
    });
    const { line, write } = makeOn(clock);
    write(0x100, (20 << 9) | 0x14c);
    write(0x108, 62_500);
    write(0x108, 62_500);
    write(0x10, 1);
    ns = 1_990_000;
    readings = reading;
    clock.runDue();
    for (; ns < 20e6; ns += 100_000) clock.runDue();
    expect(line('gsi 20').rises).toBeGreaterThanOrEqual(19);
  });

  it('repeats though the guest stops the counter just when a period has ended', () => {
    let ns = 0;
    const clock = new AlarmClock(() => ns);
    const { line, write } = makeOn(clock);
    write(0x100, (20 << 9) | 0x14c);
    write(0x108, 62_500);
    write(0x108, 62_500);
    write(0x10, 1);
    ns = 1_010_000;
    write(0x10, 0);
    write(0x10, 1);
    for (; ns < 20e6; ns += 100_000) clock.runDue();
    expect(line('gsi 20').rises).toBeGreaterThanOrEqual(19);
  });
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made, clock: made.clock, ranges: [{ handler: made.hpet, size: 0x180 }] };
    },
    ({ clock, hpet, line, write }) => {
      hpet.reset();
      const probe = line('gsi 23');
      const before = probe.rises;
      write(0x140, (23 << 9) | 0x104);
      write(0x148, 1000);
      write(0x10, 1);
      clock.advance(16_000);
      expect(probe.rises).toBe(before + 1);
    },
  );
});
