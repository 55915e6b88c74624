// Hardware tasks: JMP, CALL, interrupts and IRET through TSSs. SDM vol. 3, chapter 7.
import { beforeAll, describe, expect, it } from 'vitest';
import { CR0, FLAG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { gate, SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { GPR } from '../../src/vcpu/contract.ts';
import { AT, BenchMachine, type BenchMode, type BenchOptions, le, SELECTOR as S } from './bench-machine.ts';
import { PageTables, PTE } from './page-tables.ts';

let m: BenchMachine;
beforeAll(() => {
  m = new BenchMachine();
});
const { rax, rbx, rsp } = GPR;
const { db, gp, np, pf, ts } = VECTOR;
const HERE = BigInt(AT.code);
const TASK = AT.code + 0x200;
const TSS = {
  link: 0,
  cr3: 28,
  eip: 32,
  eflags: 36,
  eax: 40,
  esp: 56,
  es: 72,
  cs: 76,
  ss: 80,
  ds: 84,
  fs: 88,
  gs: 92,
  ldt: 96,
  trap: 100,
} as const;
const put = (field: number, value: number): void => m.view.setUint32(AT.tss2 + field, value, true);
const old = (field: number): number => m.view.getUint32(AT.tss + field, true);
const busy = (selector: number): boolean => ((m.ram[AT.gdt + selector + 5] as number) & 2) !== 0;
const jmpf = (selector: number): string => `ea00000000${le(selector, 2)}`;
const callf = (selector: number): string => `9a00000000${le(selector, 2)}`;

/** A machine with a second task, ready to run at TASK on the other stack. */
function start(mode: BenchMode, code: string, task = 'f4', options: BenchOptions = {}): void {
  m.start(mode, options).code(code).code(task, TASK);
  m.describe(S.tss2, segment(AT.tss2, 0x67, 0x89, 0));
  // CR3 is not saved by a switch: both tasks must have it beforehand.
  put(TSS.cr3, Number(m.cpu.get64(STATE.cr3)));
  m.view.setUint32(AT.tss + TSS.cr3, Number(m.cpu.get64(STATE.cr3)), true);
  put(TSS.eip, TASK);
  put(TSS.eflags, 2);
  put(TSS.eax, 0x5555);
  put(TSS.esp, AT.otherStack);
  put(TSS.cs, S.code);
  for (const field of [TSS.es, TSS.ss, TSS.ds, TSS.fs, TSS.gs]) put(field, S.data);
  m.set([rax, 0x1111n], [rbx, 0x2222n]);
}

describe.each(['flat', 'paged', 'pae'] as const)('%s', (mode) => {
  it('JMP saves all, loads all, marks the new task busy and the old one free', () => {
    start(mode, jmpf(S.tss2), 'f4', { flags: FLAG.cf });
    expect(m.run()).toMatchObject({ rip: BigInt(TASK + 1), cs: S.code, flags: 2, rsp: BigInt(AT.otherStack) });
    expect([m.gpr(rax), m.gpr(rbx)]).toEqual([0x5555n, 0n]);
    expect([old(TSS.eip), old(TSS.eflags), old(TSS.eax), old(TSS.esp), old(TSS.cs)]).toEqual([
      AT.code + 7,
      FLAG.cf | 2,
      0x1111,
      AT.kernelStack,
      S.code,
    ]);
    expect([busy(S.tss), busy(S.tss2), m.cpu.selector(SEGMENT.tr)]).toEqual([false, true, S.tss2]);
    expect(m.cpu.cr0 & CR0.ts).toBe(CR0.ts);
  });
  it('CALL nests, IRET comes back', () => {
    start(mode, `${callf(S.tss2)} f4`, 'f4 cf');
    expect(m.run()).toMatchObject({ rip: BigInt(TASK + 1), flags: FLAG.nt | 2 });
    expect([m.view.getUint16(AT.tss2, true), busy(S.tss), busy(S.tss2)]).toEqual([S.tss, true, true]);
    expect(m.run()).toMatchObject({ rip: HERE + 8n, flags: 2, rsp: BigInt(AT.kernelStack) });
    expect([m.gpr(rax), m.gpr(rbx), busy(S.tss), busy(S.tss2)]).toEqual([0x1111n, 0x2222n, true, false]);
    // The inner task went on behind its IRET.
    expect(m.view.getUint32(AT.tss2 + TSS.eip, true)).toBe(TASK + 2);
  });
  it('an exception through a task gate has its error code on the new stack, EIP at the fault', () => {
    start(mode, `b8${le(S.free)} 8ed8`); // mov eax,free; mov ds,eax
    m.describe(S.free, segment(0, 0xfffff, 0x12, SIZE.g | SIZE.d));
    m.put64(AT.idt + np * 8, gate(S.tss2, 0n, 0x85));
    expect(m.run()).toMatchObject({ rip: BigInt(TASK + 1), rsp: BigInt(AT.otherStack - 4) });
    expect(m.view.getUint32(AT.otherStack - 4, true)).toBe(S.free);
    expect([old(TSS.eip), old(TSS.eflags) & FLAG.rf]).toEqual([AT.code + 5, FLAG.rf]);
  });
  it('an interrupt through a task gate, and back', () => {
    start(mode, 'cd30 f4', 'f4 cf');
    m.put64(AT.idt + 0x30 * 8, gate(S.tss2, 0n, 0x85));
    expect(m.run()).toMatchObject({ rip: BigInt(TASK + 1), rsp: BigInt(AT.otherStack) });
    expect(m.run()).toMatchObject({ rip: HERE + 3n });
  });
});

describe('a task of level 3, and a 16-bit one', () => {
  it('loads CPL with CS', () => {
    start('flat', jmpf(S.tss2), 'cd80');
    put(TSS.cs, S.userCode);
    for (const field of [TSS.es, TSS.ss, TSS.ds, TSS.fs, TSS.gs]) put(field, S.userData);
    m.view.setUint32(AT.tss2 + 4, AT.kernelStack, true);
    m.view.setUint32(AT.tss2 + 8, S.data, true);
    expect(m.run()).toMatchObject({ vector: 0x80, cs: S.userCode, rsp: BigInt(AT.otherStack) });
  });
  it('16-bit TSS', () => {
    start('flat', jmpf(S.tss2));
    m.describe(S.tss2, segment(AT.tss2, 0x2b, 0x81, 0));
    m.describe(S.free, segment(AT.code, 0xffff, 0x9a, 0));
    const word = (at: number, value: number) => m.view.setUint16(AT.tss2 + at, value, true);
    m.ram.fill(0, AT.tss2, AT.tss2 + 0x68);
    word(14, 0x200);
    word(16, FLAG.zf | 2);
    word(18, 0xabcd);
    word(26, 0x800);
    [S.data, S.free, S.data, S.data].forEach((selector, n) => {
      word(34 + 2 * n, selector);
    });
    expect(m.run()).toMatchObject({ cs: S.free, rip: 0x201n, flags: FLAG.zf | 2 });
    expect(m.gpr(rax) & 0xffffn).toBe(0xabcdn);
  });
});

describe('refusals before the switch', () => {
  it.each([
    ['a busy TSS', 0x8b, 0x67, gp, S.tss2],
    ['a TSS that is not present', 0x09, 0x67, np, S.tss2],
    ['a TSS that is too short', 0x89, 0x66, ts, S.tss2],
  ] as const)('%s', (_name, access, limit, vector, error) => {
    start('flat', jmpf(S.tss2));
    m.describe(S.tss2, segment(AT.tss2, limit, access, 0));
    expect(m.run()).toMatchObject({ vector, error, rip: HERE });
    expect(m.cpu.selector(SEGMENT.tr)).toBe(S.tss);
  });
  it('from level 3 to a TSS of level 0', () => {
    start('flat', jmpf(S.tss2), 'f4', { level: 3 });
    expect(m.run()).toMatchObject({ vector: gp, error: S.tss2, rip: HERE });
  });
  it('a page missing under the new TSS', () => {
    start('paged', jmpf(S.tss2));
    m.tables.setEntry(BigInt(AT.tss2), 0n);
    expect(m.run()).toMatchObject({ vector: pf, error: 0, rip: HERE });
    expect(Number(m.cr2) & ~0xfff).toBe(AT.tss2);
  });
});

describe('faults in the new task', () => {
  it.each([
    ['a null CS', TSS.cs, 0, ts, 0],
    ['CS that is data', TSS.cs, S.data, ts, S.data],
    ['CS not present', TSS.cs, S.free, np, S.free],
    ['SS of another level', TSS.ss, S.userData, ts, S.userData & ~3],
    ['DS beyond the table', TSS.ds, 0x200, ts, 0x200],
    ['an LDT that is none', TSS.ldt, S.data, ts, S.data],
  ] as const)('%s', (_name, field, selector, vector, error) => {
    start('flat', jmpf(S.tss2));
    m.describe(S.free, segment(0, 0xfffff, 0x1a, SIZE.g | SIZE.d));
    put(field, selector);
    // Whatever segments the new task has, the handler's task brings its own.
    m.put64(AT.idt + vector * 8, gate(S.free2, 0n, 0x85));
    const third = AT.ldt + 0x800;
    m.describe(S.free2, segment(third, 0x67, 0x89, 0));
    const word = (at: number, value: number) => m.view.setUint32(third + at, value, true);
    word(TSS.eip, TASK + 0x10);
    word(TSS.esp, AT.userStack);
    word(TSS.cs, S.code);
    for (const at of [TSS.es, TSS.ss, TSS.ds, TSS.fs, TSS.gs]) word(at, S.data);
    m.code('f4', TASK + 0x10);
    expect(m.run()).toMatchObject({ rip: BigInt(TASK + 0x11) });
    expect(m.view.getUint32(AT.userStack - 4, true)).toBe(error);
    // The task that failed is the second one, at its first instruction.
    expect(m.view.getUint16(third, true)).toBe(S.tss2);
    expect(m.view.getUint32(AT.tss2 + TSS.eip, true)).toBe(TASK);
  });
  it('the T bit traps before the first instruction, with DR6.BT', () => {
    start('flat', jmpf(S.tss2), '40 f4');
    m.view.setUint16(AT.tss2 + TSS.trap, 1, true);
    expect(m.run()).toMatchObject({ vector: db, rip: BigInt(TASK) });
    expect([m.cpu.get32(STATE.dr + 48) & 0xe00f, m.gpr(rax)]).toEqual([0x8000, 0x5555n]);
  });
});

describe('address spaces', () => {
  it('the task has the CR3 of its TSS', () => {
    start('paged', jmpf(S.tss2), 'a100004000 f4'); // mov eax,[400000]
    m.tables.map(0x40_0000n, AT.data, PTE.p | PTE.w);
    const other = new PageTables(m.view, 'legacy', 0x60000);
    for (let page = 0; page < AT.end; page += 0x1000) other.map(BigInt(page), page, PTE.p | PTE.w);
    other.map(0x40_0000n, AT.data + 0x1000, PTE.p | PTE.w);
    m.put64(AT.data + 0x1000, 0x7777n);
    put(TSS.cr3, other.root);
    m.run();
    expect(m.gpr(rax)).toBe(0x7777n);
    expect(m.cpu.get64(STATE.cr3)).toBe(BigInt(other.root));
    expect(m.gpr(rsp)).toBe(BigInt(AT.otherStack));
  });
});
