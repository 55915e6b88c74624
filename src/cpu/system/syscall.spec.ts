import { describe, expect, it } from 'vitest';
import { GPR } from '../../vcpu/contract.ts';
import { EFER, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { FlatMachine, SELECTOR } from './fixtures/flat-machine.ts';
import { swapgs, syscall, sysenter, sysexit, sysret } from './syscall.ts';

const GP0 = [VECTOR.gp, 0];
const UD = [VECTOR.ud, undefined];
const ENTRY = 0xffff_ffff_8100_0000n;

const bench = (level: 0 | 3) => {
  const m = new FlatMachine().long(level);
  m.cpu.set64(STATE.star, (0x1bn << 48n) | (0x28n << 32n));
  m.cpu.set64(STATE.lstar, ENTRY);
  m.cpu.set64(STATE.fmask, BigInt(FLAG.if | FLAG.tf | FLAG.df | FLAG.cf));
  return m;
};

describe('SYSCALL and SYSRET (SDM vol. 2B)', () => {
  it('there and back', () => {
    const m = bench(3);
    m.cpu.rflags = FLAG.if | FLAG.cf | FLAG.zf | FLAG.rf | 2;
    syscall(m.cpu, 0x5002n);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rcx), m.cpu.gpr(GPR.r11)]).toEqual([
      ENTRY,
      0x5002n,
      BigInt(FLAG.if | FLAG.cf | FLAG.zf | 2),
    ]);
    expect([m.cpu.rflags, m.cpu.cpl]).toEqual([FLAG.zf | 2, 0]);
    expect([
      m.cpu.selector(SEGMENT.cs),
      m.cpu.attributes(SEGMENT.cs),
      m.cpu.selector(SEGMENT.ss),
      m.cpu.attributes(SEGMENT.ss),
    ]).toEqual([0x28, 0xa09b, 0x30, 0xc093]);
    sysret(m.cpu, 8);
    expect([m.cpu.rip, m.cpu.rflags, m.cpu.cpl]).toEqual([0x5002n, FLAG.if | FLAG.cf | FLAG.zf | 2, 3]);
    expect([
      m.cpu.selector(SEGMENT.cs),
      m.cpu.attributes(SEGMENT.cs),
      m.cpu.selector(SEGMENT.ss),
      m.cpu.attributes(SEGMENT.ss),
    ]).toEqual([0x2b, 0xa0fb, 0x23, 0xc0f3]);
  });

  it('SYSRET without REX.W returns to compatibility mode', () => {
    const m = bench(0);
    m.cpu.setGpr(GPR.rcx, 0x1_0000_5000n);
    m.cpu.setGpr(GPR.r11, 0xffff_ffffn);
    sysret(m.cpu, 4);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.cs), m.cpu.attributes(SEGMENT.cs), m.cpu.get32(STATE.codeMode)]).toEqual([
      0x5000n,
      0x1b,
      0xc0fb,
      1,
    ]);
    expect(m.cpu.rflags).toBe(0x3c7fd7);
  });

  it('SYSRET with a non-canonical RCX is #GP(0) at CPL 0, nothing changed', () => {
    const m = bench(0);
    m.cpu.setGpr(GPR.rcx, 1n << 47n);
    expect(m.fault(() => sysret(m.cpu, 8))).toEqual(GP0);
    expect(m.cpu.cpl).toBe(0);
  });

  it('are #UD without EFER.SCE and outside 64-bit mode; SYSRET belongs to CPL 0', () => {
    const m = bench(3);
    expect(m.fault(() => sysret(m.cpu, 8))).toEqual(GP0);
    m.cpu.set64(STATE.efer, BigInt(EFER.lme | EFER.lma));
    expect(m.fault(() => syscall(m.cpu, 0n))).toEqual(UD);
    const legacy = new FlatMachine().protected32();
    expect(legacy.fault(() => syscall(legacy.cpu, 0n))).toEqual(UD);
  });
});

describe('SYSENTER and SYSEXIT (SDM vol. 2B)', () => {
  it('there and back in 64-bit mode', () => {
    const m = bench(3);
    m.cpu.set64(STATE.sysenterCs, 0x28n);
    m.cpu.set64(STATE.sysenterEsp, 0xffff_8000_0000_8000n);
    m.cpu.set64(STATE.sysenterEip, ENTRY);
    sysenter(m.cpu);
    expect([
      m.cpu.rip,
      m.cpu.gpr(GPR.rsp),
      m.cpu.cpl,
      m.cpu.selector(SEGMENT.cs),
      m.cpu.selector(SEGMENT.ss),
      m.cpu.rflags & FLAG.if,
    ]).toEqual([ENTRY, 0xffff_8000_0000_8000n, 0, 0x28, 0x30, 0]);
    m.cpu.setGpr(GPR.rcx, 0x7000n);
    m.cpu.setGpr(GPR.rdx, 0x6000n);
    sysexit(m.cpu, 8);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rsp), m.cpu.cpl, m.cpu.selector(SEGMENT.cs), m.cpu.selector(SEGMENT.ss)]).toEqual([
      0x6000n,
      0x7000n,
      3,
      0x4b,
      0x53,
    ]);
  });

  it('32-bit', () => {
    const m = new FlatMachine().protected32(3);
    expect(m.fault(() => sysenter(m.cpu))).toEqual(GP0);
    m.cpu.set64(STATE.sysenterCs, 8n);
    m.cpu.set64(STATE.sysenterEip, 0x1_0000_6000n);
    sysenter(m.cpu);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.get32(STATE.codeMode)]).toEqual([0x6000n, 0, 1]);
    sysexit(m.cpu, 4);
    expect([m.cpu.cpl, m.cpu.selector(SEGMENT.cs), m.cpu.selector(SEGMENT.ss)]).toEqual([
      3,
      SELECTOR.userCode,
      SELECTOR.userData,
    ]);
    expect(m.fault(() => sysexit(m.cpu, 4))).toEqual(GP0);
  });
});

describe('SWAPGS (SDM vol. 2B)', () => {
  it('exchanges GS.base with the MSR at CPL 0 of 64-bit mode', () => {
    const m = bench(0);
    m.cpu.set64(STATE.kernelGsBase, 0x1234n);
    m.cpu.setSegBase(SEGMENT.gs, 0x5678n);
    swapgs(m.cpu);
    expect([m.cpu.segBase(SEGMENT.gs), m.cpu.get64(STATE.kernelGsBase)]).toEqual([0x1234n, 0x5678n]);
    const user = bench(3);
    expect(user.fault(() => swapgs(user.cpu))).toEqual(GP0);
    const legacy = new FlatMachine().protected32();
    expect(legacy.fault(() => swapgs(legacy.cpu))).toEqual(UD);
  });
});
