import { describe, expect, it } from 'vitest';
import { GPR } from '../../vcpu/contract.ts';
import { CODE_MODE, CR0, FLAG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { farReturn } from './far-return.ts';
import { farCall, farJump } from './far-transfer.ts';
import { AT, FlatMachine, gate, SELECTOR, SIZE, segment } from './fixtures/flat-machine.ts';

const NEXT = 0x5007n;

describe('JMP far (SDM vol. 2A, JMP)', () => {
  it('reloads CS:IP in real mode', () => {
    const m = new FlatMachine().real();
    farJump(m.cpu, m.mem, 0xf000, 0xfff0n, 2, NEXT);
    expect([m.cpu.segBase(SEGMENT.cs), m.cpu.rip]).toEqual([0xf0000n, 0xfff0n]);
    expect(m.fault(() => farJump(m.cpu, m.mem, 0, 0x10000n, 4, NEXT))).toEqual([VECTOR.gp, 0]);
  });

  it('goes from compatibility mode to 64-bit code: the last step into long mode', () => {
    const m = new FlatMachine().long();
    farJump(m.cpu, m.mem, SELECTOR.kernelCode, 0x5000n, 4, NEXT);
    expect(m.cpu.get32(STATE.codeMode)).toBe(CODE_MODE.code32);
    farJump(m.cpu, m.mem, SELECTOR.kernelCode64, 0x6000n, 4, NEXT);
    expect([m.cpu.get32(STATE.codeMode), m.cpu.rip, m.cpu.selector(SEGMENT.cs)]).toEqual([
      CODE_MODE.code64,
      0x6000n,
      SELECTOR.kernelCode64,
    ]);
  });

  it.each([
    ['null', 0, 0n, [VECTOR.gp, 0]],
    ['a data segment', SELECTOR.kernelData, 0n, [VECTOR.gp, SELECTOR.kernelData]],
    ['an outer code segment', SELECTOR.userCode & ~3, 0n, [VECTOR.gp, SELECTOR.userCode & ~3]],
    ['RPL above CPL', SELECTOR.kernelCode | 1, 0n, [VECTOR.gp, SELECTOR.kernelCode]],
    ['beyond the limit', SELECTOR.kernelCode16, 0x10000n, [VECTOR.gp, 0]],
    ['not present', SELECTOR.free, 0n, [VECTOR.np, SELECTOR.free]],
  ] as const)('refuses %s', (_name, selector, offset, result) => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.free, segment(0, 0xfffff, 0x1a, SIZE.g | SIZE.d));
    expect(m.fault(() => farJump(m.cpu, m.mem, selector, offset, 4, NEXT))).toEqual(result);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.cs)]).toEqual([0x5000n, SELECTOR.kernelCode]);
  });

  it('enters a conforming segment of an inner level without changing CPL', () => {
    const m = new FlatMachine().protected32(3);
    farJump(m.cpu, m.mem, SELECTOR.conforming, 0x6000n, 4, NEXT);
    expect([m.cpu.cpl, m.cpu.selector(SEGMENT.cs)]).toEqual([3, SELECTOR.conforming | 3]);
  });

  it('refuses CS.L with CS.D, and non-canonical targets, in long mode', () => {
    const m = new FlatMachine().long();
    m.describe(SELECTOR.free, segment(0, 0xfffff, 0x9a, SIZE.g | SIZE.d | SIZE.l));
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.free, 0n, 4, NEXT))).toEqual([VECTOR.gp, SELECTOR.free]);
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.kernelCode64, 1n << 47n, 8, NEXT))).toEqual([VECTOR.gp, 0]);
  });
});

describe('CALL and RET far (SDM vol. 2A, CALL; vol. 2B, RET)', () => {
  it.each([2, 4] as const)('same level, operand size %i', (size) => {
    const m = new FlatMachine().protected32();
    farCall(m.cpu, m.mem, SELECTOR.conforming, 0x6000n, size, NEXT);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rsp)]).toEqual([0x6000n, BigInt(AT.kernelStack - 2 * size)]);
    farReturn(m.cpu, m.mem, size, 12);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rsp), m.cpu.selector(SEGMENT.cs)]).toEqual([
      NEXT,
      BigInt(AT.kernelStack + 12),
      SELECTOR.kernelCode,
    ]);
  });

  it('pushes and pops eight bytes with REX.W', () => {
    const m = new FlatMachine().long();
    farCall(m.cpu, m.mem, SELECTOR.kernelCode64, 0x6000n, 8, 0xffff_8000_0000_0001n);
    expect(m.get64(AT.kernelStack - 16)).toBe(0xffff_8000_0000_0001n);
    farReturn(m.cpu, m.mem, 8, 0);
    expect(m.cpu.rip).toBe(0xffff_8000_0000_0001n);
  });

  it('real mode', () => {
    const m = new FlatMachine().real();
    farCall(m.cpu, m.mem, 0x1000, 0x10n, 2, 0x505n);
    expect([m.cpu.segBase(SEGMENT.cs), m.cpu.rip, m.cpu.gpr(GPR.rsp)]).toEqual([0x10000n, 0x10n, 0x7ffcn]);
    farReturn(m.cpu, m.mem, 2, 0);
    expect([m.cpu.segBase(SEGMENT.cs), m.cpu.rip, m.cpu.gpr(GPR.rsp)]).toEqual([0n, 0x505n, 0x8000n]);
  });

  it('a push that faults changes nothing: #SS(0)', () => {
    const m = new FlatMachine().protected32();
    m.cpu.setGpr(GPR.rsp, 0n);
    m.cpu.setSegment(SEGMENT.ss, SELECTOR.kernelData, 0x4093, 0xffff, 0n);
    expect(m.fault(() => farCall(m.cpu, m.mem, SELECTOR.conforming, 0x6000n, 4, NEXT))).toEqual([VECTOR.ss, 0]);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rsp)]).toEqual([0x5000n, 0n]);
  });
});

describe('call gates (SDM vol. 3, 5.8)', () => {
  it('32-bit: switches to the inner stack with the parameters copied, and RET imm16 gives both back', () => {
    const m = new FlatMachine().protected32(3);
    m.describe(SELECTOR.gate, gate(SELECTOR.kernelCode, 0x6000n, 0xec, 2));
    m.tss32(AT.userStack, { 0: 0x11111111, 4: 0x22222222 });
    farCall(m.cpu, m.mem, SELECTOR.gate | 3, 0xdeadn, 4, NEXT);
    const top = AT.kernelStack;
    expect([1, 2, 3, 4, 5, 6].map((i) => m.get32(top - i * 4))).toEqual([
      SELECTOR.userData,
      AT.userStack,
      0x22222222,
      0x11111111,
      SELECTOR.userCode,
      Number(NEXT),
    ]);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.selector(SEGMENT.ss)]).toEqual([0x6000n, 0, SELECTOR.kernelData]);
    m.cpu.setSegment(SEGMENT.ds, SELECTOR.kernelData, 0xc093, 0xffff_ffff, 0n);
    farReturn(m.cpu, m.mem, 4, 8);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp), m.cpu.selector(SEGMENT.ss)]).toEqual([
      NEXT,
      3,
      BigInt(AT.userStack + 8),
      SELECTOR.userData,
    ]);
    expect([m.cpu.selector(SEGMENT.ds), m.cpu.selector(SEGMENT.es)]).toEqual([0, SELECTOR.userData]);
  });

  it('64-bit: pushes SS:RSP on RSP0 and leaves a null SS', () => {
    const m = new FlatMachine().long(3);
    m.describe(SELECTOR.gate, gate(SELECTOR.kernelCode64, 0xffff_8000_0000_6000n, 0xec), 0xffff_8000n);
    farCall(m.cpu, m.mem, SELECTOR.gate | 3, 0n, 4, NEXT);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.selector(SEGMENT.ss)]).toEqual([0xffff_8000_0000_6000n, 0, 0]);
    expect([1, 2, 3, 4].map((i) => m.get64(AT.kernelStack - i * 8))).toEqual([
      BigInt(SELECTOR.userData),
      BigInt(AT.userStack),
      BigInt(SELECTOR.userCode64),
      NEXT,
    ]);
    farReturn(m.cpu, m.mem, 8, 0);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rsp)]).toEqual([NEXT, 3, BigInt(AT.userStack)]);
  });

  it.each([
    ['gate DPL below CPL', 0x8c, SELECTOR.kernelCode, 'call', [VECTOR.gp, SELECTOR.gate]],
    ['not present', 0x6c, SELECTOR.kernelCode, 'call', [VECTOR.np, SELECTOR.gate]],
    ['JMP inwards', 0xec, SELECTOR.kernelCode, 'jump', [VECTOR.gp, SELECTOR.kernelCode]],
    ['null code selector', 0xec, 0, 'call', [VECTOR.gp, 0]],
    ['data behind the gate', 0xec, SELECTOR.kernelData, 'call', [VECTOR.gp, SELECTOR.kernelData]],
  ] as const)('%s', (_name, access, target, transfer, result) => {
    const m = new FlatMachine().protected32(3);
    m.describe(SELECTOR.gate, gate(target, 0x6000n, access));
    const run = transfer === 'call' ? farCall : farJump;
    expect(m.fault(() => run(m.cpu, m.mem, SELECTOR.gate | 3, 0n, 4, NEXT))).toEqual(result);
  });
});

describe('RET far to an outer level (SDM vol. 3, 5.8.6)', () => {
  const bench = (code: number, stack: number) => {
    const m = new FlatMachine().protected32();
    const at = AT.kernelStack - 16;
    m.tss32(at, { 0: 0x6000, 4: code, 8: AT.userStack, 12: stack });
    m.cpu.setGpr(GPR.rsp, BigInt(at));
    return m;
  };
  it.each([
    ['null SS', SELECTOR.userCode, 0, [VECTOR.gp, 0]],
    ['SS of another RPL', SELECTOR.userCode, SELECTOR.kernelData, [VECTOR.gp, SELECTOR.kernelData]],
    ['null CS', 0, SELECTOR.userData, [VECTOR.gp, 0]],
    ['CS.DPL other than RPL', SELECTOR.kernelCode | 3, SELECTOR.userData, [VECTOR.gp, SELECTOR.kernelCode]],
    ['good selectors', SELECTOR.userCode, SELECTOR.userData, undefined],
  ] as const)('%s', (_name, code, stack, result) => {
    const m = bench(code, stack);
    expect(m.fault(() => farReturn(m.cpu, m.mem, 4, 0))).toEqual(result);
    expect(m.cpu.cpl).toBe(result === undefined ? 3 : 0);
  });

  it('never returns inwards', () => {
    const m = new FlatMachine().protected32(3);
    m.tss32(AT.userStack, { 0: 0x6000, 4: SELECTOR.kernelCode });
    expect(m.fault(() => farReturn(m.cpu, m.mem, 4, 0))).toEqual([VECTOR.gp, SELECTOR.kernelCode]);
  });
});

describe('task switches by JMP and CALL (SDM vol. 3, 7.3)', () => {
  const bench = () => {
    const m = new FlatMachine().protected32();
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x67, 0x89, 0));
    m.tss32(AT.tss2, {
      32: 0x6000,
      36: 2,
      40: 0xaaaa,
      56: AT.ist1,
      72: SELECTOR.userData,
      76: SELECTOR.userCode,
      80: SELECTOR.userData,
      84: 0,
      96: SELECTOR.ldt,
    });
    m.cpu.setGpr(GPR.rax, 0x1234n);
    return m;
  };

  it('JMP saves the old task and loads the new one', () => {
    const m = bench();
    farJump(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, NEXT);
    expect([m.cpu.rip, m.cpu.cpl, m.cpu.gpr(GPR.rax), m.cpu.gpr(GPR.rsp)]).toEqual([0x6000n, 3, 0xaaaan, BigInt(AT.ist1)]);
    expect([m.cpu.selector(SEGMENT.tr), m.cpu.selector(SEGMENT.ldtr), m.cpu.segBase(SEGMENT.ldtr)]).toEqual([
      SELECTOR.tss2,
      SELECTOR.ldt,
      BigInt(AT.ldt),
    ]);
    expect([m.get32(AT.tss + 32), m.get32(AT.tss + 40), m.get16(AT.tss + 76)]).toEqual([
      Number(NEXT),
      0x1234,
      SELECTOR.kernelCode,
    ]);
    expect([m.ram.getUint8(AT.gdt + SELECTOR.tss + 5), m.ram.getUint8(AT.gdt + SELECTOR.tss2 + 5)]).toEqual([0x89, 0x8b]);
    expect(m.cpu.cr0 & CR0.ts).toBe(CR0.ts);
    expect(m.cpu.rflags & FLAG.nt).toBe(0);
  });

  it('CALL links back, sets NT and leaves the old task busy', () => {
    const m = bench();
    farCall(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, NEXT);
    expect([m.get16(AT.tss2), m.cpu.rflags & FLAG.nt, m.ram.getUint8(AT.gdt + SELECTOR.tss + 5)]).toEqual([
      SELECTOR.tss,
      FLAG.nt,
      0x8b,
    ]);
  });

  it('faults of the new segments come in the new task: #TS for its null SS', () => {
    const m = bench();
    m.tss32(AT.tss2, { 80: 0 });
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, NEXT))).toEqual([VECTOR.ts, 0]);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.tr)]).toEqual([0x6000n, SELECTOR.tss2]);
  });

  it('a TSS too short changes nothing: #TS(TSS)', () => {
    const m = bench();
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x66, 0x89, 0));
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, NEXT))).toEqual([VECTOR.ts, SELECTOR.tss2]);
    expect([m.cpu.rip, m.cpu.selector(SEGMENT.tr)]).toEqual([0x5000n, SELECTOR.tss]);
  });

  it('refuses a busy TSS: #GP(TSS)', () => {
    const m = bench();
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.tss, 0n, 4, NEXT))).toEqual([VECTOR.gp, SELECTOR.tss]);
  });

  it('the T bit raises #DB with DR6.BT in the new task', () => {
    const m = bench();
    m.tss32(AT.tss2, { 100: 1 });
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.tss2, 0n, 4, NEXT))).toEqual([VECTOR.db, undefined]);
    expect([m.cpu.get32(STATE.dr + 48) & 0x8000, m.cpu.rip]).toEqual([0x8000, 0x6000n]);
  });

  it('goes through a task gate, and to a 16-bit TSS', () => {
    const m = bench();
    m.describe(SELECTOR.tss2, segment(AT.tss2, 0x2b, 0x81, 0));
    const words = {
      14: 0x6000,
      16: 2,
      18: 0xbbbb,
      26: 0x9000,
      34: 0,
      36: SELECTOR.kernelCode16,
      38: SELECTOR.kernelData16,
      40: 0,
      42: 0,
    };
    for (const [at, value] of Object.entries(words)) m.ram.setUint16(AT.tss2 + Number(at), value, true);
    m.describe(SELECTOR.gate, gate(SELECTOR.tss2, 0n, 0x85));
    farCall(m.cpu, m.mem, SELECTOR.gate, 0n, 4, NEXT);
    expect([m.cpu.rip, m.cpu.gpr(GPR.rax), m.cpu.gpr(GPR.rsp), m.cpu.selector(SEGMENT.ss)]).toEqual([
      0x6000n,
      0xbbbbn,
      0x9000n,
      SELECTOR.kernelData16,
    ]);
    expect(m.cpu.attributes(SEGMENT.fs)).toBe(0);
  });

  it('does not exist in long mode: #GP(selector)', () => {
    const m = new FlatMachine().long();
    expect(m.fault(() => farJump(m.cpu, m.mem, SELECTOR.tss, 0n, 4, NEXT))).toEqual([VECTOR.gp, SELECTOR.tss]);
  });
});
