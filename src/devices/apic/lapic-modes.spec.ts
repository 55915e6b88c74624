// Section numbers are those of the SDM, vol. 3A.
import { describe, expect, it } from 'vitest';
import { BASE, EN, EXTD, makeApic, makeX2Apic, takeInterrupt } from '../fixtures/probe-apic.ts';
import { APIC_MSR, BROADCAST, DELIVERY, ERROR, REG, SHORTHAND } from './registers.ts';

const DIVIDE_BY_1 = 0b1011;

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
    const { rdmsr, wrmsr } = makeApic();
    for (const step of path[from]) expect(wrmsr(APIC_MSR.base, BASE | step)).toBe(true);
    const ok = allowed.some(([a, b]) => a === from && b === to);
    expect(wrmsr(APIC_MSR.base, BASE | states[to])).toBe(ok);
    expect(rdmsr(APIC_MSR.base)).toBe(BigInt((BASE | states[ok ? to : from]) >>> 0));
  });

  it.each(['disabled', 'xapic', 'x2apic'] as const)('refuses EXTD without EN in state %s', (from) => {
    const { wrmsr } = makeApic();
    for (const step of path[from]) wrmsr(APIC_MSR.base, BASE | step);
    expect(wrmsr(APIC_MSR.base, BASE | EXTD)).toBe(false);
  });

  it('refuses reserved bits', () => {
    const { wrmsr } = makeApic();
    for (const bit of [0, 1, 7, 9]) expect(wrmsr(APIC_MSR.base, BASE | EN | (1 << bit))).toBe(false);
    expect(wrmsr(APIC_MSR.base, (1n << 40n) | BigInt(EN))).toBe(false);
    expect(wrmsr(APIC_MSR.base, (1n << 39n) | BigInt(EN))).toBe(true);
  });

  it('refuses EXTD on a CPU without x2APIC', () => {
    expect(makeApic({ x2apic: false }).wrmsr(APIC_MSR.base, BASE | EN | EXTD)).toBe(false);
  });

  it('is as after power-up when enabled again (11.4.3)', () => {
    const { apic, wrmsr } = makeApic();
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
    const { apic, rdmsr, wrmsr, x2 } = makeApic({ id: 0x26 });
    apic.write(REG.lvtTimer, 0xec);
    wrmsr(APIC_MSR.base, BASE | EN | EXTD);
    expect(rdmsr(x2(REG.lvtTimer))).toBe(0xecn);
    expect(rdmsr(x2(REG.svr))).toBe(0x1ffn);
    expect(rdmsr(x2(REG.id))).toBe(0x26n);
    expect(rdmsr(x2(REG.ldr))).toBe(0x0002_0040n);
  });

  it('has no MSRs in xAPIC mode', () => {
    const { rdmsr, wrmsr, x2 } = makeApic();
    expect(rdmsr(x2(REG.id))).toBeUndefined();
    expect(wrmsr(x2(REG.tpr), 0)).toBe(false);
  });

  it('raises #GP for reading what table 11-6 calls reserved or write-only', () => {
    const { rdmsr, x2 } = makeX2Apic();
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
    const { rdmsr, x2 } = makeX2Apic();
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
    const { wrmsr, x2 } = makeX2Apic();
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
    const { rdmsr, wrmsr, x2, sent } = makeX2Apic();
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
    const { apic, wrmsr, x2 } = makeX2Apic();
    wrmsr(x2(REG.selfIpi), 0x99);
    expect(takeInterrupt(apic)).toBe(0x99);
    expect(wrmsr(x2(REG.eoi), 0)).toBe(true);
    expect(apic.page.highestInService).toBe(-1);
  });

  it('drives the timer', () => {
    const { apic, clock, wrmsr, x2 } = makeX2Apic();
    wrmsr(x2(REG.timerDivide), DIVIDE_BY_1);
    wrmsr(x2(REG.lvtTimer), 0xec);
    wrmsr(x2(REG.timerInitial), 0xffff_ffff);
    clock.advance(42_949_672_949);
    expect(takeInterrupt(apic)).toBe(-1);
    clock.advance(1);
    expect(takeInterrupt(apic)).toBe(0xec);
  });

  it('has no SELF IPI register in xAPIC mode', () => {
    const { apic } = makeApic();
    apic.write(REG.selfIpi, 0x99);
    apic.write(REG.esr, 0);
    expect(apic.read(REG.esr)).toBe(ERROR.illegalRegister);
    expect(takeInterrupt(apic)).toBe(-1);
  });
});
