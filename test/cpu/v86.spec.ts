// Virtual-8086 mode: what IOPL, the monitor and CR4.VME allow. SDM vol. 3, 20.2 to 20.4.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR4, FLAG, SEGMENT, VECTOR } from '../../src/cpu/state.ts';
import { EXIT, GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, DONE } from './bench-machine.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rsp } = GPR;
const { gp, ud } = VECTOR;
const CS = AT.code >> 4;

describe('the program', () => {
  it('runs 16-bit code at level 3 with paragraphs', () => {
    m.v86(3).code('b83412 a30000 b80020 8ed8 a10000 cd80'); // mov [0],ax; mov ds,2000 again; mov ax,[0]
    expect(m.run()).toMatchObject({ vector: DONE, cs: CS, rip: 16n });
    expect([m.gpr(rax), m.view.getUint16(AT.data, true)]).toEqual([0x1234n, 0x1234]);
  });
  it('the monitor finds ES, DS, FS, GS above the frame and null segments in the registers', () => {
    m.v86(3).code('cd80');
    const stop = m.run();
    expect(stop.flags & FLAG.vm).toBe(FLAG.vm);
    expect([stop.rsp, stop.ss]).toEqual([BigInt(AT.userStack), 0]);
    expect(m.gpr(rsp)).toBe(BigInt(AT.kernelStack - 36));
    const selectors = [0, 4, 8, 12].map((n) => m.view.getUint32(AT.kernelStack - 16 + n, true));
    expect(selectors).toEqual(new Array<number>(4).fill(AT.data >> 4));
    for (const which of [SEGMENT.ds, SEGMENT.es, SEGMENT.fs, SEGMENT.gs]) expect(m.cpu.attributes(which)).toBe(0);
    expect([m.cpu.virtual8086, m.cpu.cpl]).toEqual([false, 0]);
  });
  it('and IRET takes it back there', () => {
    m.v86(3).code('cc 40 cd80');
    expect(m.run().vector).toBe(VECTOR.bp);
    expect(m.run()).toMatchObject({ vector: DONE, cs: CS });
    expect(m.gpr(rax)).toBe(1n);
  });
  it.each([
    ['HLT', 'f4', gp],
    ['MOV from CR0', '0f20c0', gp],
    ['LGDT', '0f01160000', gp],
    ['MOV DR', '0f23c0', gp],
    ['RDMSR', '0f32', gp],
    ['CLTS', '0f06', gp],
    ['LLDT', '0f00d0', ud],
    ['SLDT', '0f00c0', ud],
    ['LAR', '0f02c0', ud],
    ['VERR', '0f00e0', ud],
    ['ARPL', '63c0', ud],
    ['LMSW', '0f01f0', gp],
  ] as const)('%s is refused whatever IOPL', (_name, code, vector) => {
    m.v86(3).code(code);
    expect(m.run()).toMatchObject({ vector, rip: 0n, cs: CS });
  });
  it('limits are 64 KiB', () => {
    m.v86(3).code('a1ffff');
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: 0n });
  });
});

describe('instructions that IOPL rules (20.2.7)', () => {
  const CODES = { CLI: 'fa', STI: 'fb', PUSHF: '9c', POPF: '9d', 'INT n': 'cd80', IRET: 'cf' } as const;
  it.each(Object.entries(CODES))('%s below IOPL 3 is #GP(0), nothing changed', (_name, code) => {
    m.v86(0).code(code);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: 0n, rsp: BigInt(AT.userStack) });
  });
  it('at IOPL 3 CLI, STI, PUSHF, POPF work on IF itself', () => {
    m.v86(3).code('fb 9c 58 fa 9c 5b 50 9d 9c 59 cd80'); // sti; pushf; pop ax; cli; pushf; pop bx; push ax; popf; pushf; pop cx
    expect(m.run().vector).toBe(DONE);
    const flags = [rax, GPR.rbx, GPR.rcx].map((register) => Number(m.gpr(register)) & FLAG.if);
    expect(flags).toEqual([FLAG.if, 0, FLAG.if]);
  });
  it('at IOPL 3 IRET takes three words', () => {
    m.v86(3)
      .code('cf')
      .code('cd80', AT.code + 0x100)
      .set([rsp, BigInt(AT.userStack - 6)]);
    [0x100, CS, FLAG.if | FLAG.cf | 2].forEach((word, n) => void m.view.setUint16(AT.userStack - 6 + 2 * n, word, true));
    const stop = m.run();
    expect(stop).toMatchObject({ vector: DONE, rip: 0x102n, rsp: BigInt(AT.userStack) });
    expect(stop.flags & (FLAG.if | FLAG.cf | FLAG.iopl)).toBe(FLAG.if | FLAG.cf | FLAG.iopl);
  });
  it('INT3 and INTO go through the IDT even below IOPL 3', () => {
    m.v86(0, { flags: FLAG.of }).code('cc');
    expect(m.run()).toMatchObject({ vector: VECTOR.bp, rip: 1n });
    m.v86(0, { flags: FLAG.of }).code('ce');
    expect(m.run()).toMatchObject({ vector: VECTOR.of, rip: 1n });
  });
  it('the handler must be of level 0', () => {
    m.v86(3).code('cd81');
    m.vector(0x81, { access: 0xee, selector: 0x1b });
    expect(m.run()).toMatchObject({ vector: gp, error: 0x18, rip: 0n });
  });
  it('ports are ruled by the map alone', () => {
    m.v86(3).code('e660');
    expect(m.run()).toMatchObject({ vector: gp, error: 0 });
    m.v86(0).code('e660 cc');
    m.load(SEGMENT.tr, 0x38, 0x8b, 0x88, BigInt(AT.tss));
    expect(m.run().exit).toBe(EXIT.pio);
    expect(m.run().vector).toBe(VECTOR.bp);
  });
});

describe('CR4.VME (20.3)', () => {
  const start = (iopl: number, code: string, flags = 0) => {
    m.v86(iopl, { cr4: CR4.vme, flags }).code(code);
    // The redirection map lies below the I/O map.
    m.load(SEGMENT.tr, 0x38, 0x8b, 0xff, BigInt(AT.tss));
    m.view.setUint16(AT.tss + 0x66, 0x88, true);
  };
  it('CLI and STI change VIF, not IF', () => {
    start(0, 'fb cc', FLAG.if);
    expect(m.run().flags & (FLAG.if | FLAG.vif)).toBe(FLAG.if | FLAG.vif);
    start(0, 'fa cc', FLAG.if | FLAG.vif);
    expect(m.run().flags & (FLAG.if | FLAG.vif)).toBe(FLAG.if);
  });
  it('STI with VIP pending is #GP', () => {
    start(0, 'fb', FLAG.vip);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: 0n });
  });
  it('PUSHF shows VIF as IF and IOPL 3; POPF takes it back', () => {
    start(0, '9c 58 fb 9c 5b cc');
    m.run();
    const image = FLAG.if | FLAG.iopl;
    expect([Number(m.gpr(rax)) & image, Number(m.gpr(GPR.rbx)) & image]).toEqual([FLAG.iopl, image]);
    start(0, '9d cc');
    m.view.setUint16(AT.userStack, FLAG.if | 2, true);
    expect(m.run().flags & (FLAG.if | FLAG.vif)).toBe(FLAG.vif);
  });
  it('INT n with a clear bit stays in the program, through the table at 0', () => {
    start(0, 'cd21', FLAG.vif);
    m.view.setUint16(0x21 * 4, 0x200, true);
    m.view.setUint16(0x21 * 4 + 2, CS, true);
    m.code('cc', AT.code + 0x200);
    const stop = m.run();
    expect(stop).toMatchObject({ vector: VECTOR.bp, rip: 0x201n, cs: CS, rsp: BigInt(AT.userStack - 6) });
    expect(stop.flags & FLAG.vif).toBe(0);
    expect([0, 2, 4].map((n) => m.view.getUint16(AT.userStack - 6 + n, true) & ~0xff)).toEqual([0, CS, FLAG.if | FLAG.iopl]);
  });
  it('with a set bit it goes to the monitor: #GP below IOPL 3', () => {
    start(0, 'cd21');
    m.ram[AT.tss + 0x88 - 32 + (0x21 >> 3)] = 1 << (0x21 & 7);
    expect(m.run()).toMatchObject({ vector: gp, error: 0, rip: 0n });
  });
  it('and through the IDT at IOPL 3', () => {
    start(3, 'cd80');
    m.ram[AT.tss + 0x88 - 32 + (0x80 >> 3)] = 1 << (0x80 & 7);
    expect(m.run()).toMatchObject({ vector: DONE, rip: 2n });
  });
});

describe('under paging', () => {
  it('page faults carry the user bit, linear addresses are those of the paragraphs', () => {
    m.v86(3, {}, 'paged').code('a10000 cd80');
    m.tables.setEntry(BigInt(AT.data), 0n);
    expect(m.run()).toMatchObject({ vector: VECTOR.pf, error: 4, rip: 0n, cs: CS });
    expect(m.cr2).toBe(BigInt(AT.data));
    m.tables.setEntry(BigInt(AT.data), BigInt(AT.data) | 7n);
    expect(m.run().vector).toBe(DONE);
  });
});
