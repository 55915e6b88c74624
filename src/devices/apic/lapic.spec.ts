// Section numbers are those of the SDM, vol. 3A.
import { describe, expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { AlarmClock, VirtualClock } from '../../time/clock.ts';
import { APIC_PAGE_BYTES } from './apic-page.ts';
import { type LapicOptions, LocalApic, lapicTrace } from './lapic.ts';
import { MIN_PERIOD_NS } from './lapic-timer.ts';
import { APIC_MSR, type ApicMessage, BROADCAST, DELIVERY, ERROR, LVT_MASKED, REG, SHORTHAND } from './registers.ts';

const PERIODIC = 1 << 17;
const TSC_DEADLINE = 2 << 17;
const EN = 1 << 11;
const EXTD = 1 << 10;
const BSP = 1 << 8;
const BASE = 0xfee0_0000;
const DIVIDE_BY_1 = 0b1011;

function make(overrides: Partial<LapicOptions> = {}, enable = true) {
  const clock = new VirtualClock();
  const sent: ApicMessage[] = [];
  const ended: number[] = [];
  let woken = 0;
  const region = { at: 4096 as HostAddress, size: APIC_PAGE_BYTES };
  const buffer = new SharedArrayBuffer(8192);
  const sinks = { send: (m: ApicMessage) => sent.push(m), eoi: (vector: number) => ended.push(vector), wake: () => woken++ };
  const apic = new LocalApic(
    buffer,
    region,
    { clock, tscKHz: 1_000_000, id: 2, bootstrap: true, ...overrides },
    sinks,
    lapicTrace(() => {}),
  );
  if (enable) apic.write(REG.svr, 0x1ff);
  /** RDMSR: the value, or undefined for #GP. */
  const rdmsr = (msr: number): bigint | undefined => {
    const data = { dataLow: 0, dataHigh: 0 };
    if (!apic.readMsr(msr, data)) return undefined;
    return (BigInt(data.dataHigh >>> 0) << 32n) | BigInt(data.dataLow >>> 0);
  };
  const wrmsr = (msr: number, value: number | bigint): boolean => {
    const wide = typeof value === 'number' ? BigInt(value >>> 0) : value;
    return apic.writeMsr(msr, Number(wide & 0xffff_ffffn), Number(wide >> 32n));
  };
  const x2 = (register: number): number => 0x800 + (register >> 4);
  return { apic, clock, sent, ended, rdmsr, wrmsr, x2, woken: () => woken };
}

function makeX2(overrides: Partial<LapicOptions> = {}) {
  const all = make(overrides);
  expect(all.wrmsr(APIC_MSR.base, BASE | EN | EXTD | BSP)).toBe(true);
  return all;
}

/** Takes the pending interrupt as a CPU does; -1 when there is none. */
function take(apic: LocalApic): number {
  const vector = apic.hasInterrupt();
  if (vector >= 0) apic.acknowledge(vector);
  return vector;
}

describe('after power-up (11.4.7.1)', () => {
  it('has the register values of the SDM', () => {
    const { apic } = make({}, false);
    expect(apic.read(REG.id)).toBe(0x0200_0000);
    expect(apic.read(REG.version)).toBe(0x0005_0014);
    expect(apic.read(REG.svr)).toBe(0xff);
    expect(apic.read(REG.dfr)).toBe(0xffff_ffff);
    for (const lvt of [REG.lvtTimer, REG.lvtThermal, REG.lvtPerf, REG.lvtLint0, REG.lvtLint1, REG.lvtError]) {
      expect(apic.read(lvt)).toBe(LVT_MASKED);
    }
    for (const zero of [
      REG.tpr,
      REG.ldr,
      REG.icrLow,
      REG.icrHigh,
      REG.timerInitial,
      REG.timerCurrent,
      REG.timerDivide,
      REG.esr,
    ]) {
      expect(apic.read(zero)).toBe(0);
    }
  });

  it('is in xAPIC mode at 0xfee00000, BSP set on the bootstrap processor alone (11.4.4)', () => {
    expect(make().rdmsr(APIC_MSR.base)).toBe(BigInt(BASE | EN | BSP) & 0xffff_ffffn);
    expect(make({ bootstrap: false }).rdmsr(APIC_MSR.base)).toBe(BigInt(BASE | EN) & 0xffff_ffffn);
  });

  it('takes no fixed interrupt until SVR enables it, and keeps LVT entries masked (11.4.7.2)', () => {
    const { apic, woken } = make({}, false);
    apic.postInterrupt(0x40, false);
    expect(apic.hasInterrupt()).toBe(-1);
    expect(woken()).toBe(0);
    apic.write(REG.lvtTimer, 0x40);
    expect(apic.read(REG.lvtTimer)).toBe(LVT_MASKED | 0x40);
  });

  it('masks every LVT entry when SVR disables it (11.4.7.2)', () => {
    const { apic } = make();
    apic.write(REG.lvtLint0, 0x40);
    apic.write(REG.svr, 0xff);
    expect(apic.read(REG.lvtLint0)).toBe(LVT_MASKED | 0x40);
    apic.write(REG.svr, 0x1ff);
    expect(apic.read(REG.lvtLint0)).toBe(LVT_MASKED | 0x40);
  });
});

describe('requests, priorities and EOI (11.8)', () => {
  it('delivers the highest vector first', () => {
    const { apic } = make();
    for (const vector of [0x31, 0xff, 0x80, 0x10]) apic.postInterrupt(vector, false);
    expect(take(apic)).toBe(0xff);
    apic.eoi();
    expect(take(apic)).toBe(0x80);
    apic.eoi();
    expect(take(apic)).toBe(0x31);
    apic.eoi();
    expect(take(apic)).toBe(0x10);
  });

  it('moves a vector from IRR to ISR, and EOI clears it', () => {
    const { apic } = make();
    apic.postInterrupt(0x65, false);
    expect(apic.read(REG.irr + 0x30)).toBe(1 << 5);
    take(apic);
    expect(apic.read(REG.irr + 0x30)).toBe(0);
    expect(apic.read(REG.isr + 0x30)).toBe(1 << 5);
    apic.write(REG.eoi, 0);
    expect(apic.read(REG.isr + 0x30)).toBe(0);
  });

  it('holds back vectors of the class in service and lower, not higher ones (11.8.3.1)', () => {
    const { apic } = make();
    apic.postInterrupt(0x52, false);
    take(apic);
    apic.postInterrupt(0x5f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.postInterrupt(0x60, false);
    expect(apic.hasInterrupt()).toBe(0x60);
    take(apic);
    apic.eoi();
    expect(apic.hasInterrupt()).toBe(-1);
    apic.eoi();
    expect(apic.hasInterrupt()).toBe(0x5f);
  });

  it('holds back vectors up to the class of TPR', () => {
    const { apic } = make();
    apic.write(REG.tpr, 0x57);
    apic.postInterrupt(0x5f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.write(REG.tpr, 0x4f);
    expect(apic.hasInterrupt()).toBe(0x5f);
  });

  it('computes PPR from TPR and ISR (11.8.3.1)', () => {
    const { apic } = make();
    apic.write(REG.tpr, 0x23);
    expect(apic.read(REG.ppr)).toBe(0x23);
    apic.postInterrupt(0x45, false);
    take(apic);
    expect(apic.read(REG.ppr)).toBe(0x40);
    apic.write(REG.tpr, 0x4c);
    expect(apic.read(REG.ppr)).toBe(0x4c);
  });

  it('shows TPR bits 7:4 as CR8 (11.8.6)', () => {
    const { apic } = make();
    apic.write(REG.tpr, 0x37);
    expect(apic.cr8).toBe(3);
    apic.cr8 = 0xa;
    expect(apic.read(REG.tpr)).toBe(0xa0);
  });

  it('broadcasts the EOI of a level-triggered vector alone (11.8.4, 11.8.5)', () => {
    const { apic, ended } = make();
    apic.postInterrupt(0x40, true);
    expect(apic.read(REG.tmr + 0x20)).toBe(1);
    take(apic);
    apic.eoi();
    apic.postInterrupt(0x40, false);
    expect(apic.read(REG.tmr + 0x20)).toBe(0);
    take(apic);
    apic.eoi();
    expect(ended).toEqual([0x40]);
  });

  it('ignores an EOI with nothing in service', () => {
    const { apic, ended } = make();
    apic.eoi();
    expect(ended).toEqual([]);
  });

  it('wakes its vCPU for a new vector, once', () => {
    const { apic, woken } = make();
    apic.postInterrupt(0x40, false);
    apic.postInterrupt(0x40, false);
    expect(woken()).toBe(1);
  });
});

describe('register access (11.4.1)', () => {
  it('gives narrow reads their part, and drops narrow and unaligned writes', () => {
    const { apic } = make();
    expect(apic.read(REG.version, 1)).toBe(0x14);
    expect(apic.read(REG.version + 2, 2)).toBe(0x0005);
    expect(apic.read(REG.version + 4)).toBe(0);
    apic.write(REG.tpr, 0x40, 1);
    apic.write(REG.tpr + 4, 0x40);
    expect(apic.read(REG.tpr)).toBe(0);
  });

  it('leaves read-only registers as they are', () => {
    const { apic } = make();
    for (const register of [REG.id, REG.version, REG.ppr, REG.isr, REG.irr, REG.tmr, REG.timerCurrent]) {
      const before = apic.read(register);
      apic.write(register, 0xffff_ffff);
      expect(apic.read(register)).toBe(before);
    }
  });

  it('keeps only the writable bits of LDR, DFR, SVR, TPR and the LVT (figures 11-8, 11-13, 11-14, 11-18, 11-23)', () => {
    const { apic } = make();
    const written = (register: number, value: number): number => {
      apic.write(register, value);
      return apic.read(register);
    };
    expect(written(REG.ldr, 0xffff_ffff)).toBe(0xff00_0000);
    expect(written(REG.dfr, 0)).toBe(0x0fff_ffff);
    expect(written(REG.tpr, 0xffff_ffff)).toBe(0xff);
    expect(written(REG.svr, 0xffff_ffff)).toBe(0x3ff);
    expect(written(REG.lvtTimer, 0xfff9_ffff)).toBe(0x0001_00ff);
    expect(written(REG.lvtThermal, 0xffff_ffff)).toBe(0x0001_07ff);
    expect(written(REG.lvtLint0, 0xffff_ffff)).toBe(0x0001_a7ff);
    expect(written(REG.lvtError, 0xffff_ffff)).toBe(0x0001_00ff);
  });

  it('claims its page in xAPIC mode only', () => {
    const { apic, wrmsr } = make();
    expect(apic.claims(BASE)).toBe(true);
    expect(apic.claims(BASE + 0xfff)).toBe(true);
    expect(apic.claims(BASE + 0x1000)).toBe(false);
    wrmsr(APIC_MSR.base, BASE | EN | EXTD);
    expect(apic.claims(BASE)).toBe(false);
    wrmsr(APIC_MSR.base, BASE);
    expect(apic.claims(BASE)).toBe(false);
  });

  it('moves with IA32_APIC_BASE (11.4.5)', () => {
    const { apic, wrmsr } = make();
    expect(wrmsr(APIC_MSR.base, 0x12_3456_7000n | BigInt(EN))).toBe(true);
    expect(apic.baseGpa).toBe(0x12_3456_7000);
    expect(apic.claims(BASE)).toBe(false);
    expect(apic.claims(0x12_3456_7020)).toBe(true);
  });
});

describe('errors (11.5.3)', () => {
  it('shows an illegal register address after ESR is written', () => {
    const { apic } = make();
    expect(apic.read(0x2f0)).toBe(0);
    expect(apic.read(REG.esr)).toBe(0);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(0);
  });

  it('refuses to send a vector below 16', () => {
    const { apic, sent } = make();
    apic.write(REG.icrLow, 0x0f);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.sendIllegalVector);
    expect(sent).toEqual([]);
  });

  it('refuses to receive a vector below 16', () => {
    const { apic } = make();
    apic.postInterrupt(0x0f, false);
    expect(apic.hasInterrupt()).toBe(-1);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.receiveIllegalVector);
  });

  it('interrupts through the LVT error entry, once until ESR is written', () => {
    const { apic } = make();
    apic.write(REG.lvtError, 0xfe);
    apic.read(0x2f0);
    expect(take(apic)).toBe(0xfe);
    apic.eoi();
    apic.read(0x2f0);
    expect(take(apic)).toBe(-1);
    apic.write(REG.esr, 0);
    apic.read(0x2f0);
    expect(take(apic)).toBe(0xfe);
  });

  it('collects a second error when the LVT error vector itself is illegal', () => {
    const { apic } = make();
    apic.write(REG.lvtError, 0x05);
    apic.read(0x2f0);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister | ERROR.receiveIllegalVector);
  });
});

describe('interrupt command (11.6.1)', () => {
  it('sends destination, mode and vector', () => {
    const { apic, sent } = make();
    apic.write(REG.icrHigh, 0x0400_0000);
    apic.write(REG.icrLow, 0xfd);
    apic.write(REG.icrHigh, 0x0300_0000);
    apic.write(REG.icrLow, 0x0841);
    expect(sent).toEqual([
      { shorthand: SHORTHAND.none, dest: 4, logical: false, mode: DELIVERY.fixed, vector: 0xfd, level: false },
      { shorthand: SHORTHAND.none, dest: 3, logical: true, mode: DELIVERY.fixed, vector: 0x41, level: false },
    ]);
  });

  it('is idle again at once: delivery status reads 0', () => {
    const { apic } = make();
    apic.write(REG.icrLow, 0x10fd);
    expect(apic.read(REG.icrLow)).toBe(0xfd);
  });

  it('widens the broadcast destination', () => {
    const { apic, sent } = make();
    apic.write(REG.icrHigh, 0xff00_0000);
    apic.write(REG.icrLow, 0x40);
    expect(sent[0]?.dest).toBe(BROADCAST);
  });

  it('delivers to itself by shorthand without the bus', () => {
    const { apic, sent } = make();
    apic.write(REG.icrLow, 0x4_0077);
    expect(take(apic)).toBe(0x77);
    expect(sent).toEqual([]);
  });

  it('sends INIT, STARTUP and NMI, but not the INIT de-assert', () => {
    const { apic, sent } = make();
    apic.write(REG.icrLow, 0xc_4500);
    apic.write(REG.icrLow, 0xc_8500);
    apic.write(REG.icrLow, 0xc_4609);
    apic.write(REG.icrLow, 0xc_4400);
    expect(sent.map((m) => [m.mode, m.shorthand, m.vector])).toEqual([
      [DELIVERY.init, SHORTHAND.others, 0],
      [DELIVERY.startup, SHORTHAND.others, 9],
      [DELIVERY.nmi, SHORTHAND.others, 0],
    ]);
  });

  it('does not send what table 11-3 calls invalid', () => {
    const { apic, sent } = make();
    // NMI to self; INIT to all including self; the reserved mode; ExtINT.
    for (const icr of [0x4_0400, 0x8_0500, 0x0340, 0x0740]) apic.write(REG.icrLow, icr);
    expect(sent).toEqual([]);
    expect(apic.takeNmi()).toBe(false);
  });
});

describe('local sources (11.5.1)', () => {
  it('delivers by the mode of the entry', () => {
    const { apic } = make();
    apic.write(REG.lvtLint0, 0x45);
    apic.signal(REG.lvtLint0);
    expect(take(apic)).toBe(0x45);
    apic.write(REG.lvtLint1, 0x400);
    apic.signal(REG.lvtLint1);
    expect(apic.takeNmi()).toBe(true);
    expect(apic.takeNmi()).toBe(false);
  });

  it('delivers nothing from a masked entry', () => {
    const { apic } = make();
    apic.write(REG.lvtLint1, LVT_MASKED | 0x400);
    apic.signal(REG.lvtLint1);
    expect(apic.takeNmi()).toBe(false);
  });
});

describe('timer, one-shot and periodic (11.5.4)', () => {
  it('counts down at the bus clock and interrupts once at 0', () => {
    const { apic, clock } = make();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 1000);
    clock.advance(4000);
    expect(apic.read(REG.timerCurrent)).toBe(600);
    clock.advance(5999);
    expect(take(apic)).toBe(-1);
    clock.advance(1);
    expect(take(apic)).toBe(0xec);
    expect(apic.read(REG.timerCurrent)).toBe(0);
    apic.eoi();
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
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
    const { apic, clock } = make();
    apic.write(REG.timerDivide, bits);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 100);
    clock.advance(100 * 10 * divisor - 1);
    expect(take(apic)).toBe(-1);
    clock.advance(1);
    expect(take(apic)).toBe(0xec);
  });

  it('repeats in periodic mode, without drift', () => {
    const { apic, clock } = make();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, PERIODIC | 0xec);
    apic.write(REG.timerInitial, 100_000);
    const times: number[] = [];
    for (let i = 0; i < 4000; i++) {
      clock.advance(1000);
      if (take(apic) === 0xec) {
        times.push(clock.nowNs());
        apic.eoi();
      }
    }
    expect(times).toEqual([1_000_000, 2_000_000, 3_000_000, 4_000_000]);
  });

  it('leaves out periods that nobody had time for', () => {
    let now = 0;
    const clock = new AlarmClock(() => now);
    const { apic, woken } = make({ clock });
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
    const { apic, clock, woken } = make();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, PERIODIC | 0xec);
    apic.write(REG.timerInitial, 1);
    for (let ns = 0; ns < 10 * MIN_PERIOD_NS; ns += MIN_PERIOD_NS / 10) {
      clock.advance(MIN_PERIOD_NS / 10);
      if (take(apic) >= 0) apic.eoi();
    }
    expect(woken()).toBe(10);
    expect(apic.read(REG.timerCurrent)).toBe(1);
  });

  it('stops when the initial count is set to 0', () => {
    const { apic, clock } = make();
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 100);
    apic.write(REG.timerInitial, 0);
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
  });

  it('counts while masked, and interrupts nobody', () => {
    const { apic, clock } = make();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.timerInitial, 100_000);
    clock.advance(400_000);
    expect(apic.read(REG.timerCurrent)).toBe(60_000);
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
  });

  it('goes on at the new rate when the divisor changes', () => {
    const { apic, clock } = make();
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 1000);
    clock.advance(5000);
    apic.write(REG.timerDivide, 0b0000);
    expect(apic.read(REG.timerCurrent)).toBe(500);
    clock.advance(9999);
    expect(take(apic)).toBe(-1);
    clock.advance(1);
    expect(take(apic)).toBe(0xec);
  });

  it('takes another bus frequency', () => {
    const { apic, clock } = make({ busHz: 1_000_000_000 });
    apic.write(REG.timerDivide, DIVIDE_BY_1);
    apic.write(REG.timerInitial, 1000);
    clock.advance(400);
    expect(apic.read(REG.timerCurrent)).toBe(600);
  });
});

describe('timer, TSC-deadline (11.5.4.1)', () => {
  it('interrupts when the TSC reaches the deadline, and the MSR then reads 0', () => {
    const { apic, clock, rdmsr, wrmsr } = make({ tscKHz: 2_000_000 });
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    clock.advance(1000);
    wrmsr(APIC_MSR.tscDeadline, 10_001);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(10_001n);
    clock.advance(4000);
    expect(take(apic)).toBe(-1);
    clock.advance(1);
    expect(take(apic)).toBe(0xec);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
  });

  it('interrupts at once for a deadline in the past', () => {
    const { apic, clock, wrmsr } = make();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    clock.advance(1000);
    wrmsr(APIC_MSR.tscDeadline, 1000);
    expect(take(apic)).toBe(0xec);
  });

  it('is disarmed by writing 0', () => {
    const { apic, clock, wrmsr } = make();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 1000);
    wrmsr(APIC_MSR.tscDeadline, 0);
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
  });

  it('ignores the initial count, and reads the current count as 0', () => {
    const { apic, clock, wrmsr } = make();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    apic.write(REG.timerInitial, 10);
    wrmsr(APIC_MSR.tscDeadline, 1_000_000);
    expect(apic.read(REG.timerInitial)).toBe(0);
    expect(apic.read(REG.timerCurrent)).toBe(0);
    clock.advance(10_000);
    expect(take(apic)).toBe(-1);
  });

  it('ignores the MSR in the other modes, and entering or leaving the mode disarms', () => {
    const { apic, clock, rdmsr, wrmsr } = make();
    expect(wrmsr(APIC_MSR.tscDeadline, 1000)).toBe(true);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
    apic.write(REG.lvtTimer, 0xec);
    apic.write(REG.timerInitial, 10);
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 500_000);
    apic.write(REG.lvtTimer, 0xec);
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0n);
  });

  it('counts in the TSC that the guest sees, wherever it set it', () => {
    for (const offset of [5000n, -500n, (1n << 64n) - 500n]) {
      const { apic, clock, wrmsr } = make({ tscOffset: () => offset });
      apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
      clock.advance(1000);
      wrmsr(APIC_MSR.tscDeadline, 3000n + BigInt.asIntN(64, offset));
      clock.advance(1999);
      expect(take(apic)).toBe(-1);
      clock.advance(1);
      expect(take(apic)).toBe(0xec);
    }
  });

  it('takes a deadline beyond any clock', () => {
    const { apic, clock, rdmsr, wrmsr } = make();
    apic.write(REG.lvtTimer, TSC_DEADLINE | 0xec);
    wrmsr(APIC_MSR.tscDeadline, 0xffff_ffff_ffff_fffen);
    clock.advance(1_000_000);
    expect(take(apic)).toBe(-1);
    expect(rdmsr(APIC_MSR.tscDeadline)).toBe(0xffff_ffff_ffff_fffen);
  });

  it('raises #GP on a CPU without it', () => {
    const { rdmsr, wrmsr } = make({ tscDeadline: false });
    expect(rdmsr(APIC_MSR.tscDeadline)).toBeUndefined();
    expect(wrmsr(APIC_MSR.tscDeadline, 1)).toBe(false);
  });
});

describe('IA32_APIC_BASE (11.12.1, 11.12.5)', () => {
  const states = { disabled: 0, xapic: EN, x2apic: EN | EXTD } as const;
  type State = keyof typeof states;
  const path: Record<State, readonly number[]> = { disabled: [0], xapic: [], x2apic: [EN | EXTD] };
  const allowed: readonly (readonly [State, State])[] = [
    ['disabled', 'disabled'],
    ['disabled', 'xapic'],
    ['xapic', 'xapic'],
    ['xapic', 'disabled'],
    ['xapic', 'x2apic'],
    ['x2apic', 'x2apic'],
    ['x2apic', 'disabled'],
  ];
  const every = (['disabled', 'xapic', 'x2apic'] as const).flatMap((from) =>
    (['disabled', 'xapic', 'x2apic'] as const).map((to) => [from, to] as const),
  );

  it.each(every)('from %s to %s: as figure 11-27 has it', (from, to) => {
    const { rdmsr, wrmsr } = make();
    for (const step of path[from]) expect(wrmsr(APIC_MSR.base, BASE | step)).toBe(true);
    const ok = allowed.some(([a, b]) => a === from && b === to);
    expect(wrmsr(APIC_MSR.base, BASE | states[to])).toBe(ok);
    expect(rdmsr(APIC_MSR.base)).toBe(BigInt((BASE | states[ok ? to : from]) >>> 0));
  });

  it.each(['disabled', 'xapic', 'x2apic'] as const)('refuses EXTD without EN in state %s', (from) => {
    const { wrmsr } = make();
    for (const step of path[from]) wrmsr(APIC_MSR.base, BASE | step);
    expect(wrmsr(APIC_MSR.base, BASE | EXTD)).toBe(false);
  });

  it('refuses reserved bits', () => {
    const { wrmsr } = make();
    for (const bit of [0, 1, 7, 9]) expect(wrmsr(APIC_MSR.base, BASE | EN | (1 << bit))).toBe(false);
    expect(wrmsr(APIC_MSR.base, (1n << 40n) | BigInt(EN))).toBe(false);
    expect(wrmsr(APIC_MSR.base, (1n << 39n) | BigInt(EN))).toBe(true);
  });

  it('refuses EXTD on a CPU without x2APIC', () => {
    expect(make({ x2apic: false }).wrmsr(APIC_MSR.base, BASE | EN | EXTD)).toBe(false);
  });

  it('is as after power-up when enabled again (11.4.3)', () => {
    const { apic, wrmsr } = make();
    apic.write(REG.tpr, 0x40);
    apic.postInterrupt(0x50, false);
    wrmsr(APIC_MSR.base, BASE);
    apic.postInterrupt(0x60, false);
    expect(apic.hasInterrupt()).toBe(-1);
    wrmsr(APIC_MSR.base, BASE | EN);
    expect(apic.read(REG.tpr)).toBe(0);
    expect(apic.read(REG.svr)).toBe(0xff);
    expect(apic.page.highestRequested).toBe(-1);
  });
});

describe('x2APIC (11.12)', () => {
  it('keeps the registers on the way from xAPIC, but for id and LDR (11.12.5.1, 11.12.10.2)', () => {
    const { apic, rdmsr, wrmsr, x2 } = make({ id: 0x26 });
    apic.write(REG.lvtTimer, 0xec);
    wrmsr(APIC_MSR.base, BASE | EN | EXTD);
    expect(rdmsr(x2(REG.lvtTimer))).toBe(0xecn);
    expect(rdmsr(x2(REG.svr))).toBe(0x1ffn);
    expect(rdmsr(x2(REG.id))).toBe(0x26n);
    expect(rdmsr(x2(REG.ldr))).toBe(0x0002_0040n);
  });

  it('has no MSRs in xAPIC mode', () => {
    const { rdmsr, wrmsr, x2 } = make();
    expect(rdmsr(x2(REG.id))).toBeUndefined();
    expect(wrmsr(x2(REG.tpr), 0)).toBe(false);
  });

  it('raises #GP for reading what table 11-6 calls reserved or write-only', () => {
    const { rdmsr, x2 } = makeX2();
    for (const msr of [
      x2(REG.apr),
      x2(REG.eoi),
      x2(REG.dfr),
      x2(REG.icrHigh),
      x2(REG.selfIpi),
      0x800,
      0x804,
      0x80c,
      0x82f,
      0x83a,
      0x840,
      0x8ff,
    ]) {
      expect(rdmsr(msr), msr.toString(16)).toBeUndefined();
    }
  });

  it('reads everything else', () => {
    const { rdmsr, x2 } = makeX2();
    const readable = [
      REG.id,
      REG.version,
      REG.tpr,
      REG.ppr,
      REG.ldr,
      REG.svr,
      REG.isr,
      REG.tmr + 0x70,
      REG.irr,
      REG.esr,
      REG.icrLow,
    ];
    for (const register of [...readable, REG.lvtTimer, REG.lvtError, REG.timerInitial, REG.timerCurrent, REG.timerDivide]) {
      expect(rdmsr(x2(register)), register.toString(16)).toBeDefined();
    }
  });

  it('raises #GP for writing read-only registers and reserved bits (11.12.1.3)', () => {
    const { wrmsr, x2 } = makeX2();
    for (const register of [
      REG.id,
      REG.version,
      REG.ppr,
      REG.ldr,
      REG.dfr,
      REG.isr,
      REG.tmr,
      REG.irr,
      REG.icrHigh,
      REG.timerCurrent,
    ]) {
      expect(wrmsr(x2(register), 0), register.toString(16)).toBe(false);
    }
    expect(wrmsr(x2(REG.tpr), 0x100)).toBe(false);
    expect(wrmsr(x2(REG.tpr), 1n << 32n)).toBe(false);
    expect(wrmsr(x2(REG.eoi), 1)).toBe(false);
    expect(wrmsr(x2(REG.esr), 1)).toBe(false);
    expect(wrmsr(x2(REG.svr), 0x400)).toBe(false);
    expect(wrmsr(x2(REG.icrLow), 1 << 12)).toBe(false);
    expect(wrmsr(x2(REG.lvtThermal), 1 << 13)).toBe(false);
    expect(wrmsr(x2(REG.lvtLint0), 1 << 13)).toBe(true);
    expect(wrmsr(x2(REG.timerDivide), 4)).toBe(false);
    expect(wrmsr(x2(REG.selfIpi), 0x100)).toBe(false);
  });

  it('has one 64-bit ICR with a 32-bit destination (11.12.9)', () => {
    const { rdmsr, wrmsr, x2, sent } = makeX2();
    expect(wrmsr(x2(REG.icrLow), 0x1234_5678_0000_08fdn)).toBe(true);
    expect(rdmsr(x2(REG.icrLow))).toBe(0x1234_5678_0000_08fdn);
    expect(sent).toEqual([
      { shorthand: SHORTHAND.none, dest: 0x1234_5678, logical: true, mode: DELIVERY.fixed, vector: 0xfd, level: false },
    ]);
    wrmsr(x2(REG.icrLow), 0xffff_ffff_0000_00fdn);
    expect(sent[1]?.dest).toBe(BROADCAST);
    wrmsr(x2(REG.icrLow), 0x0000_00ff_0000_00fdn);
    expect(sent[2]?.dest).toBe(0xff);
  });

  it('interrupts itself through SELF IPI (11.12.11)', () => {
    const { apic, wrmsr, x2 } = makeX2();
    wrmsr(x2(REG.selfIpi), 0x99);
    expect(take(apic)).toBe(0x99);
    expect(wrmsr(x2(REG.eoi), 0)).toBe(true);
    expect(apic.page.highestInService).toBe(-1);
  });

  it('drives the timer', () => {
    const { apic, clock, wrmsr, x2 } = makeX2();
    wrmsr(x2(REG.timerDivide), DIVIDE_BY_1);
    wrmsr(x2(REG.lvtTimer), 0xec);
    wrmsr(x2(REG.timerInitial), 0xffff_ffff);
    clock.advance(42_949_672_949);
    expect(take(apic)).toBe(-1);
    clock.advance(1);
    expect(take(apic)).toBe(0xec);
  });

  it('has no SELF IPI register in xAPIC mode', () => {
    const { apic } = make();
    apic.write(REG.selfIpi, 0x99);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister);
    expect(take(apic)).toBe(-1);
  });
});

describe('INIT (11.4.7.3)', () => {
  it('resets the registers but not the mode and the id', () => {
    const { apic, rdmsr, wrmsr, x2 } = makeX2({ id: 6 });
    wrmsr(x2(REG.tpr), 0x40);
    apic.page.accept(DELIVERY.init, 0, false);
    expect(apic.takeInit()).toBe(true);
    apic.init();
    expect(rdmsr(x2(REG.tpr))).toBe(0n);
    expect(rdmsr(x2(REG.id))).toBe(6n);
    expect(rdmsr(x2(REG.ldr))).toBe(0x40n);
    expect(apic.takeInit()).toBe(false);
  });

  it('hands out the STARTUP vector once', () => {
    const { apic } = make();
    expect(apic.takeStartup()).toBe(-1);
    apic.page.accept(DELIVERY.startup, 0x9a, false);
    expect(apic.takeStartup()).toBe(0x9a);
    expect(apic.takeStartup()).toBe(-1);
  });
});

describe('saved state', () => {
  it('goes on in another APIC where it was', () => {
    const first = make();
    first.apic.write(REG.timerDivide, DIVIDE_BY_1);
    first.apic.write(REG.lvtTimer, PERIODIC | 0xec);
    first.apic.write(REG.timerInitial, 100_000);
    first.apic.postInterrupt(0x40, true);
    first.clock.advance(300_000);
    const state = structuredClone(first.apic.save());

    const second = make({ id: 9 });
    second.clock.advance(300_000);
    second.apic.load(state);
    expect(second.apic.save()).toEqual(state);
    expect(second.apic.read(REG.timerCurrent)).toBe(70_000);
    expect(take(second.apic)).toBe(0x40);
    second.clock.advance(700_000);
    expect(take(second.apic)).toBe(0xec);
    second.apic.eoi();
    second.apic.eoi();
    expect(second.ended).toEqual([0x40]);
  });
});
