import { describe, expect, it } from 'vitest';
import { GPR } from '../../vcpu/contract.ts';
import { CR4, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { deliver } from './exceptions.ts';
import { farCall } from './far-transfer.ts';
import { AT, FlatMachine, gate, SELECTOR, segment } from './fixtures/flat-machine.ts';
import { interruptReturn } from './interrupt-return.ts';
import { nmiBlocked, SYSTEM_STATE } from './system-state.ts';

const NEXT = 0x5002n;

describe('IRETQ (SDM vol. 2A, IRET)', () => {
  const bench = (frame: readonly [rip: bigint, cs: number, flags: number, rsp: bigint, ss: number]) => {
    const m = new FlatMachine().long();
    const at = AT.kernelStack - 40;
    for (const [i, value] of frame.entries()) m.put64(at + i * 8, BigInt(value));
    m.cpu.setGpr(GPR.rsp, BigInt(at));
    m.cpu.set32(SYSTEM_STATE.nmiBlocked, 1);
    return m;
  };
  const USER_RIP = 0x7fff_ffff_f000n;

  it('returns to user code, drops kernel data segments, keeps the bases of null FS and GS', () => {
    const m = bench([USER_RIP, SELECTOR.userCode64, FLAG.if | FLAG.ac | FLAG.rf | 2, 0x7fff_0000_0000n, SELECTOR.userData]);
    m.cpu.setSegment(SEGMENT.gs, 0, 0, 0, 0xffff_8880_0000_0000n);
    interruptReturn(m.cpu, m.mem, 8, NEXT);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp), m.cpu.selector(SEGMENT.ss)]).toEqual([
      USER_RIP,
      3,
      0x7fff_0000_0000n,
      SELECTOR.userData,
    ]);
    expect(m.cpu.rflags).toBe(FLAG.if | FLAG.ac | FLAG.rf | 2);
    expect([m.cpu.selector(SEGMENT.ds), m.cpu.segBase(SEGMENT.gs)]).toEqual([0, 0xffff_8880_0000_0000n]);
    expect(nmiBlocked(m.cpu)).toBe(false);
    expect(m.cpu.get32(STATE.mmuIndex)).toBe(2);
  });

  it('pops SS:RSP even at the same level; SS may be null there', () => {
    const m = bench([0x6000n, SELECTOR.kernelCode64, 2, 0x7000n, 0]);
    interruptReturn(m.cpu, m.mem, 8, NEXT);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rsp), m.cpu.selector(SEGMENT.ss), m.cpu.cpl]).toEqual([0x6000n, 0x7000n, 0, 0]);
  });

  it('returns to compatibility mode, which takes the low half of RIP', () => {
    const m = bench([(1n << 32n) | 0x6000n, SELECTOR.userCode, 2, 0x7000n, SELECTOR.userData]);
    interruptReturn(m.cpu, m.mem, 8, NEXT);
    expect([m.cpu.get32(STATE.codeMode), m.cpu.get64(STATE.stackMask), m.cpu.rip]).toEqual([1, 0xffff_ffffn, 0x6000n]);
  });

  it('to a 16-bit stack leaves the upper half of ESP as it was: what Linux has "espfix" for', () => {
    const m = new FlatMachine().long();
    const at = 0x1_a000;
    for (const [i, value] of [0x6000n, SELECTOR.kernelCode, 2, 0x1234_5678n, SELECTOR.kernelData16].entries())
      m.put64(at + i * 8, BigInt(value));
    m.cpu.setGpr(GPR.rsp, BigInt(at));
    interruptReturn(m.cpu, m.mem, 8, NEXT);
    expect([m.cpu.gpr(GPR.rsp), m.cpu.get64(STATE.stackMask)]).toEqual([0x1_5678n, 0xffffn]);
  });

  it.each([
    ['non-canonical RIP', [1n << 47n, SELECTOR.userCode64, 2, 0n, SELECTOR.userData], [VECTOR.gp, 0]],
    ['null SS at CPL 3', [0n, SELECTOR.userCode64, 2, 0n, 3], [VECTOR.gp, 0]],
    ['null CS', [0n, 0, 2, 0n, 0], [VECTOR.gp, 0]],
    ['SS of another level', [0n, SELECTOR.userCode64, 2, 0n, SELECTOR.kernelData], [VECTOR.gp, SELECTOR.kernelData]],
  ] as const)('refuses %s, and unblocks NMIs all the same', (_name, frame, result) => {
    const m = bench(frame);
    expect(m.fault(() => interruptReturn(m.cpu, m.mem, 8, NEXT))).toEqual(result);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp), nmiBlocked(m.cpu)]).toEqual([
      0x5000n,
      0,
      BigInt(AT.kernelStack - 40),
      false,
    ]);
  });

  it('is #GP(0) with NT in long mode', () => {
    const m = bench([0x6000n, SELECTOR.kernelCode64, 2, 0x7000n, 0]);
    m.cpu.rflags = FLAG.nt | 2;
    expect(m.fault(() => interruptReturn(m.cpu, m.mem, 8, NEXT))).toEqual([VECTOR.gp, 0]);
  });

  it('undoes a delivery', () => {
    const m = new FlatMachine().long(3);
    m.vector(0x80, gate(SELECTOR.kernelCode64, 0x6000n, 0x8e));
    m.cpu.rflags = FLAG.if | FLAG.cf | FLAG.zf | FLAG.of | 2;
    deliver(m.cpu, m.mem, { vector: 0x80, kind: 'interrupt' });
    m.cpu.rflags = 2;
    interruptReturn(m.cpu, m.mem, 8, NEXT);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp)]).toEqual([0x5000n, 3, BigInt(AT.userStack)]);
    expect(m.cpu.rflags).toBe(FLAG.if | FLAG.cf | FLAG.zf | FLAG.of | 2);
    expect(m.cpu.selector(SEGMENT.ds)).toBe(SELECTOR.userData);
  });
});

describe('IRET in protected mode', () => {
  it('at CPL 3 changes neither IF nor IOPL', () => {
    const m = new FlatMachine().protected32(3);
    m.tss32(AT.userStack, { 0: 0x6000, 4: SELECTOR.userCode, 8: FLAG.iopl | FLAG.cf | FLAG.vif | 2 });
    interruptReturn(m.cpu, m.mem, 4, NEXT);
    expect([m.cpu.rip, m.cpu.rflags, m.cpu.gpr(GPR.rsp)]).toEqual([0x6000n, FLAG.if | FLAG.cf | 2, BigInt(AT.userStack + 12)]);
  });

  it('with 16 bits leaves the upper half of EFLAGS', () => {
    const m = new FlatMachine().protected32(0);
    m.cpu.rflags = FLAG.ac | FLAG.id | 2;
    const words = [0x6000, SELECTOR.kernelCode, FLAG.cf | FLAG.iopl | 2];
    for (const [i, word] of words.entries()) m.ram.setUint16(AT.kernelStack + i * 2, word, true);
    interruptReturn(m.cpu, m.mem, 2, NEXT);
    expect([m.cpu.rip, m.cpu.rflags]).toEqual([0x6000n, FLAG.ac | FLAG.id | FLAG.cf | FLAG.iopl | 2]);
  });

  it('enters virtual-8086 mode from CPL 0 (SDM vol. 3, 20.2.5)', () => {
    const m = new FlatMachine().protected32(0);
    m.tss32(AT.kernelStack, { 0: 0x20, 4: 0x100, 8: FLAG.vm | FLAG.if | 2, 12: 0xffe, 16: 0x800, 20: 1, 24: 2, 28: 3, 32: 4 });
    interruptReturn(m.cpu, m.mem, 4, NEXT);
    expect([m.cpu.virtual8086, m.cpu.cpl, m.cpu.rip, m.cpu.gpr(GPR.rsp)]).toEqual([true, 3, 0x20n, 0xffen]);
    expect([SEGMENT.cs, SEGMENT.ss, SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs].map((s) => m.cpu.segBase(s))).toEqual([
      0x1000n,
      0x8000n,
      0x10n,
      0x20n,
      0x30n,
      0x40n,
    ]);
    expect(m.cpu.get32(STATE.codeMode)).toBe(0);
  });

  it('returns to the linked task with NT, whose TSS must be busy (SDM vol. 3, 7.4)', () => {
    const m = new FlatMachine().protected32(0);
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x67, 0x89, 0));
    m.tss32(AT.tss2, { 32: 0x6000, 36: 2, 56: AT.ist1, 76: SELECTOR.kernelCode, 80: SELECTOR.kernelData });
    farCall(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, 0x5007n);
    interruptReturn(m.cpu, m.mem, 4, 0x6001n);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.tr), m.cpu.rflags & FLAG.nt]).toEqual([0x5007n, SELECTOR.tss, 0]);
    expect([m.get32(AT.tss2 + 32), m.get32(AT.tss2 + 36) & FLAG.nt]).toEqual([0x6001, 0]);
    expect(m.ram.getUint8(AT.gdt + SELECTOR.tss2 + 5)).toBe(0x89);
    m.cpu.rflags = FLAG.nt | 2;
    m.ram.setUint16(AT.tss, SELECTOR.tss2, true);
    expect(m.fault(() => interruptReturn(m.cpu, m.mem, 4, NEXT))).toEqual([VECTOR.ts, SELECTOR.tss2]);
  });
});

describe('IRET in virtual-8086 and real mode', () => {
  const frame = (m: FlatMachine, at: number, flags: number) => {
    for (const [i, word] of [0x40, 0x200, flags].entries()) m.ram.setUint16(at + i * 2, word, true);
  };

  it('is #GP(0) below IOPL 3', () => {
    const m = new FlatMachine().v86(0);
    expect(m.fault(() => interruptReturn(m.cpu, m.mem, 2, NEXT))).toEqual([VECTOR.gp, 0]);
  });

  it('keeps IOPL and VM at IOPL 3', () => {
    const m = new FlatMachine().v86(3);
    frame(m, 0x9000, FLAG.cf | 2);
    interruptReturn(m.cpu, m.mem, 2, NEXT);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.cs), m.cpu.rflags]).toEqual([0x40n, 0x200, FLAG.vm | FLAG.iopl | FLAG.cf | 2]);
  });

  it('with VME loads VIF, and faults when an interrupt is pending (SDM vol. 3, 20.3.3)', () => {
    const m = new FlatMachine().v86(0);
    m.cpu.set64(STATE.cr4, BigInt(CR4.vme));
    frame(m, 0x9000, FLAG.if | 2);
    m.cpu.rflags |= FLAG.vip;
    expect(m.fault(() => interruptReturn(m.cpu, m.mem, 2, NEXT))).toEqual([VECTOR.gp, 0]);
    m.cpu.rflags &= ~FLAG.vip;
    interruptReturn(m.cpu, m.mem, 2, NEXT);
    expect([m.cpu.rip, m.cpu.rflags & (FLAG.vif | FLAG.if | FLAG.vm)]).toEqual([0x40n, FLAG.vif | FLAG.if | FLAG.vm]);
  });

  it('real mode', () => {
    const m = new FlatMachine().real();
    frame(m, 0x8000, FLAG.if | FLAG.iopl | 2);
    interruptReturn(m.cpu, m.mem, 2, NEXT);
    expect([m.cpu.rip, m.cpu.segBase(SEGMENT.cs), m.cpu.rflags, m.cpu.gpr(GPR.rsp)]).toEqual([
      0x40n,
      0x2000n,
      FLAG.if | FLAG.iopl | 2,
      0x8006n,
    ]);
  });
});
