// ACPI specification 5.0, 4.8.
import { expect, it } from 'vitest';
import { VirtualClock } from '../../time/clock.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { ProbeLine } from '../fixtures/probe-line.ts';
import { AcpiPm, PM_TIMER_HZ } from './acpi-pm.ts';

function make() {
  const clock = new VirtualClock();
  const sci = new ProbeLine();
  const slept: number[] = [];
  const pm = new AcpiPm({ clock, sci, sleep: (type) => slept.push(type) });
  return { clock, pm, sci, slept };
}

it('counts at 3.58 MHz in 32 bits (4.8.3.3)', () => {
  const { clock, pm } = make();
  clock.advance(1e9);
  expect(pm.ports.read(8, 4)).toBe(PM_TIMER_HZ);
  clock.advance(2000e9);
  expect(pm.ports.read(8, 4)).toBe((PM_TIMER_HZ * 2001) % 2 ** 32);
});

it('tells of the power button until the guest acknowledges (4.8.3.1)', () => {
  const { pm, sci } = make();
  pm.pressPower();
  expect([sci.up, pm.ports.read(0, 2)]).toEqual([false, 0x100]);
  pm.ports.write(2, 2, 0x100);
  expect(sci.up).toBe(true);
  pm.ports.write(0, 2, 0x100);
  expect([sci.up, pm.ports.read(0, 2)]).toEqual([false, 0]);
});

it('interrupts when the top bit of the timer changes', () => {
  const { clock, pm, sci } = make();
  pm.ports.write(2, 2, 1);
  clock.advance(599e9);
  expect(sci.up).toBe(false);
  clock.advance(2e9);
  expect([sci.up, pm.ports.read(0, 2)]).toEqual([true, 1]);
});

it('is in ACPI mode, and sleeps when SLP_EN is written (4.8.3.2)', () => {
  const { pm, slept } = make();
  expect(pm.ports.read(4, 2)).toBe(1);
  pm.ports.write(4, 2, 6 << 10);
  expect(slept).toEqual([]);
  pm.ports.write(4, 2, (5 << 10) | 0x2000);
  expect(slept).toEqual([5]);
  pm.ports.write(4, 1, 0);
  pm.ports.write(5, 1, 0x20 | (6 << 2));
  expect(slept).toEqual([5, 6]);
});

it('has general purpose events (4.8.4.1)', () => {
  const { pm, sci } = make();
  pm.gpePorts.write(2, 2, 0x0008);
  pm.raiseGpe(3);
  expect([sci.up, pm.gpePorts.read(0, 4)]).toEqual([true, 0x0008_0008]);
  pm.gpePorts.write(0, 2, 0x0008);
  expect(sci.up).toBe(false);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      const ranges = [
        { handler: made.pm.ports, size: 12 },
        { handler: made.pm.gpePorts, size: 4 },
      ];
      return { chip: made, clock: made.clock, ranges };
    },
    ({ pm, sci }) => {
      pm.reset();
      expect(sci.up).toBe(false);
      pm.ports.write(2, 2, 0x100);
      pm.pressPower();
      expect(sci.up).toBe(true);
    },
  );
});
