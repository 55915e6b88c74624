// Section numbers are those of the SDM, vol. 3A.
import { describe, expect, it } from 'vitest';
import { AlarmClock } from '../../time/clock.ts';
import { makeApic, takeInterrupt } from '../fixtures/probe-apic.ts';
import { MIN_PERIOD_NS } from './lapic-timer.ts';
import { APIC_MSR, REG } from './registers.ts';

const PERIODIC = 1 << 17;
const TSC_DEADLINE = 2 << 17;
const DIVIDE_BY_1 = 0b1011;

describe('timer, one-shot and periodic (11.5.4)', () => {
  it('counts down at the bus clock and interrupts once at 0', () => {
    const { apic, clock } = makeApic();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 1000);
    clock.advance(4000);
    expect(apic.read(REG.timerCurrent)).toBe(600);
    clock.advance(5999);
    expect(takeInterrupt(apic)).toBe(-1);
    clock.advance(1);
    expect(takeInterrupt(apic)).toBe(0xec);
    expect(apic.read(REG.timerCurrent)).toBe(0);
    apic.eoi();
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
  });

  it.each([
    [0b0000, 2],
    [0b0001, 4],
    [0b0010, 8],
    [0b0011, 16],
    [0b1000, 32],
    [0b1001, 64],
    [0b1010, 128],
    [0b1011, 1],
  ])('divides by figure 11-10: %i by %i', (bits, divisor) => {
    const { apic, clock } = makeApic();
    apic.write(REG.timerDivide, bits);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 100);
    clock.advance(100 * 10 * divisor - 1);
    expect(takeInterrupt(apic)).toBe(-1);
    clock.advance(1);
    expect(takeInterrupt(apic)).toBe(0xec);
  });

  it('repeats in periodic mode, without drift', () => {
    const { apic, clock } = makeApic();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, PERIODIC | 0xec);
    apic.write(REG.timerInitial, 100_000);
    const times: number[] = [];
    for (let i = 0; i < 4000; i++) {
      clock.advance(1000);
      if (takeInterrupt(apic) === 0xec) {
        times.push(clock.nowNs());
        apic.eoi();
      }
    }
    expect(times).toEqual([1_000_000, 2_000_000, 3_000_000, 4_000_000]);
  });

  it('leaves out periods that nobody had time for', () => {
    let now = 0;
    const clock = new AlarmClock(() => now);
    const { apic, woken } = makeApic({ clock });
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, PERIODIC | 0xec);
    apic.write(REG.timerInitial, 100_000);
    now = 10_300_000;
    expect(apic.read(REG.timerCurrent)).toBe(70_000);
    clock.runDue();
    expect(woken()).toBe(1);
    expect(clock.nextDeadlineNs()).toBe(11_000_000);
    expect(apic.read(REG.timerCurrent)).toBe(70_000);
  });

  it('does not let a guest ask for a flood', () => {
    const { apic, clock, woken } = makeApic();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, PERIODIC | 0xec);
    apic.write(REG.timerInitial, 1);
    for (let ns = 0; ns < 10 * MIN_PERIOD_NS; ns += MIN_PERIOD_NS / 10) {
      clock.advance(MIN_PERIOD_NS / 10);
      if (takeInterrupt(apic) >= 0) apic.eoi();
    }
    expect(woken()).toBe(10);
    expect(apic.read(REG.timerCurrent)).toBe(1);
  });

  it('stops when the initial count is set to 0', () => {
    const { apic, clock } = makeApic();
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 100);
    apic.write(REG.timerInitial, 0);
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
  });

  it('counts while masked, and interrupts nobody', () => {
    const { apic, clock } = makeApic();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.timerInitial, 100_000);
    clock.advance(400_000);
    expect(apic.read(REG.timerCurrent)).toBe(60_000);
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
  });

  it('goes on at the new rate when the divisor changes', () => {
    const { apic, clock } = makeApic();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 1000);
    clock.advance(5000);
    apic.write(REG.timerDivide, 0b0000);
    expect(apic.read(REG.timerCurrent)).toBe(500);
    clock.advance(9999);
    expect(takeInterrupt(apic)).toBe(-1);
    clock.advance(1);
    expect(takeInterrupt(apic)).toBe(0xec);
  });

  it('takes another bus frequency', () => {
    const { apic, clock } = makeApic({ busHz: 1_000_000_000 });
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.timerInitial, 1000);
    clock.advance(400);
    expect(apic.read(REG.timerCurrent)).toBe(600);
  });
});

describe('timer, TSC-deadline (11.5.4.1)', () => {
  it('interrupts when the TSC reaches the deadline, and the MSR then reads 0', () => {
    const { apic, clock, rdmsr, wrmsr } = makeApic({ tscKHz: 2_000_000 });
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    clock.advance(1000);
    wrmsr(APIC_MSR.tscDeadline, 10_001);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(10_001n);
    clock.advance(4000);
    expect(takeInterrupt(apic)).toBe(-1);
    clock.advance(1);
    expect(takeInterrupt(apic)).toBe(0xec);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
  });

  it('interrupts at once for a deadline in the past', () => {
    const { apic, clock, wrmsr } = makeApic();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    clock.advance(1000);
    wrmsr(APIC_MSR.tscDeadline, 1000);
    expect(takeInterrupt(apic)).toBe(0xec);
  });

  it('is disarmed by writing 0', () => {
    const { apic, clock, wrmsr } = makeApic();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 1000);
    wrmsr(APIC_MSR.tscDeadline, 0);
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
  });

  it('ignores the initial count, and reads the current count as 0', () => {
    const { apic, clock, wrmsr } = makeApic();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    apic.write(REG.timerInitial, 10);
    wrmsr(APIC_MSR.tscDeadline, 1_000_000);
    expect(apic.read(REG.timerInitial)).toBe(0);
    expect(apic.read(REG.timerCurrent)).toBe(0);
    clock.advance(10_000);
    expect(takeInterrupt(apic)).toBe(-1);
  });

  it('ignores the MSR in the other modes, and entering or leaving the mode disarms', () => {
    const { apic, clock, rdmsr, wrmsr } = makeApic();
    expect(wrmsr(APIC_MSR.tscDeadline, 1000)).toBe(true);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 10);
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 500_000);
    apic.write(REG.lvtTimer, 0xec);
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
  });

  it('counts in the TSC that the guest sees, wherever it set it', () => {
    for (const offset of [5000n, -500n, (1n << 64n) - 500n]) {
      const { apic, clock, wrmsr } = makeApic({ tscOffset: () => offset });
      apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
      clock.advance(1000);
      wrmsr(APIC_MSR.tscDeadline, 3000n + BigInt.asIntN(64, offset));
      clock.advance(1999);
      expect(takeInterrupt(apic)).toBe(-1);
      clock.advance(1);
      expect(takeInterrupt(apic)).toBe(0xec);
    }
  });

  it('takes a deadline beyond any clock', () => {
    const { apic, clock, rdmsr, wrmsr } = makeApic();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 0xffff_ffff_ffff_fffen);
    clock.advance(1_000_000);
    expect(takeInterrupt(apic)).toBe(-1);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0xffff_ffff_ffff_fffen);
  });

  it('raises #GP on a CPU without it', () => {
    const { rdmsr, wrmsr } = makeApic({ tscDeadline: false });
    expect(rdmsr(APIC_MSR.tscDeadline)).toBeUndefined();
    expect(wrmsr(APIC_MSR.tscDeadline, 1)).toBe(false);
  });
});
