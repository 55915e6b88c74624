// A TSC that counts instructions is exact at each read, whatever runs the code and however it is interrupted.
import { expect, it } from 'vitest';
import type { Gpa } from '../abi/types.ts';
import { EXIT } from '../vcpu/contract.ts';
import { FLAG, STATE, TIME_GATE } from './state.ts';
import { AT, LongModeEngine } from './translator/fixtures/long-mode-engine.ts';
import { machineCode } from './translator/fixtures/machine-code.ts';

/** Stores the TSC, R15 times: it has run 2 + 9 n instructions before the nth read. */
const READS = machineCode(`
  48 01 d8 ; 00 add rax,rbx
  48 ff c3 ; 03 inc rbx
  0f 31 ; 06 rdtsc
  48 c1 e2 20 ; 08 shl rdx,0x20
  48 09 d0 ; 0c or rax,rdx
  48 89 04 ce ; 0f mov q[rsi+rcx*8],rax
  48 ff c1 ; 13 inc rcx
  4c 39 f9 ; 16 cmp rcx,r15
  72 e5 ; 19 jb 0x0
  f4 ; 1b hlt
`);
/** The same with RDTSCP. */
const READS_P = machineCode(`
  48 01 d8 ; 00 add rax,rbx
  49 89 c8 ; 03 mov r8,rcx
  0f 01 f9 ; 06 rdtscp
  48 c1 e2 20 ; 09 shl rdx,0x20
  48 09 d0 ; 0d or rax,rdx
  4a 89 04 c6 ; 10 mov q[rsi+r8*8],rax
  49 8d 48 01 ; 14 lea rcx,[r8+0x1]
  4c 39 f9 ; 18 cmp rcx,r15
  72 e3 ; 1b jb 0x0
  f4 ; 1d hlt
`);
/** Reads IA32_TSC after its third instruction, sets it to 1000 with its fifth (which is retired by then), and reads it. */
const MSRS = machineCode(`
  b9 10 00 00 00 ; 00 mov ecx,0x10
  31 d2 ; 05 xor edx,edx
  90 ; 07 nop
  0f 32 ; 08 rdmsr
  89 c3 ; 0a mov ebx,eax
  b8 e8 03 00 00 ; 0c mov eax,0x3e8
  0f 30 ; 11 wrmsr
  90 ; 13 nop
  0f 31 ; 14 rdtsc
  f4 ; 16 hlt
`);

const ROUNDS = 40;

function begin(machine: LongModeEngine, code: Uint8Array): number {
  machine.load(code);
  const { engine } = machine;
  engine.setGpr(6, BigInt(AT.data));
  engine.setGpr(15, BigInt(ROUNDS));
  machine.memory.write(AT.data as Gpa, new Uint8Array(ROUNDS * 8));
  return engine.retired;
}

/** What the reads gave, since the start. */
function stored(machine: LongModeEngine, since: number): number[] {
  const bytes = new Uint8Array(ROUNDS * 8);
  machine.memory.read(AT.data as Gpa, bytes);
  return Array.from(new BigUint64Array(bytes.buffer), (value) => Number(value) - since);
}

const exact = Array.from({ length: ROUNDS }, (_, n) => 2 + 9 * n);

it.each([
  ['RDTSC', READS],
  ['RDTSCP', READS_P],
])('%s counts each instruction before it', (_name, code) => {
  const machine = new LongModeEngine(false, { instructionTicks: true });
  const since = begin(machine, code);
  expect(machine.engine.run(1e6)).toBe(EXIT.hlt);
  expect(stored(machine, since)).toEqual(exact);
  expect(machine.engine.retired - since).toBe(9 * ROUNDS + 1);
});

const LOCKSTEP = { lockstep: { isPrivate: () => true, begin: () => false, end: () => {} } };

it.each([
  ['translated code', {}],
  ['translated code that is checked against the interpreter', LOCKSTEP],
])('counts the same in %s', (_name, watched) => {
  const machine = new LongModeEngine(true, { instructionTicks: true, ...watched });
  begin(machine, READS);
  machine.engine.run(1e6);
  const { cpu, mmu, regions } = machine.engine;
  cpu.set64(STATE.slowAddress, BigInt(AT.code));
  expect(regions?.translate(BigInt(AT.code), mmu.codeTable(), 0)).toBe(true);
  // The code stays as it is: only the registers begin anew.
  const since = begin(machine, new Uint8Array());
  cpu.set32(STATE.inRegions, 0);
  expect(machine.engine.run(1e6)).toBe(EXIT.hlt);
  expect(cpu.get32(STATE.inRegions)).toBeGreaterThan(ROUNDS);
  expect(stored(machine, since)).toEqual(exact);
  expect(machine.engine.retired - since).toBe(9 * ROUNDS + 1);
});

it.each([1, 2, 3, 7])('counts the same when it runs %i instructions at a time', (budget) => {
  const machine = new LongModeEngine(false, { instructionTicks: true });
  const since = begin(machine, READS);
  while (machine.engine.run(budget) !== EXIT.hlt);
  expect(stored(machine, since)).toEqual(exact);
});

it('counts the same single-stepped', () => {
  const machine = new LongModeEngine(false, { instructionTicks: true });
  // Vector 1 returns at once: IRETQ.
  machine.memory.write((AT.handlers + 1) as Gpa, Uint8Array.of(0x48, 0xcf));
  const since = begin(machine, READS);
  machine.engine.rflags = BigInt(FLAG.tf | 2);
  for (let exit = machine.engine.run(1e6); exit !== EXIT.hlt; exit = machine.engine.run(1e6));
  const between = stored(machine, since).map((value, n) => value - (exact[n] as number));
  // An IRETQ after each instruction.
  expect(between).toEqual(exact);
});

it('is exact for RDMSR and WRMSR of IA32_TSC', () => {
  const machine = new LongModeEngine(false, { instructionTicks: true });
  const since = begin(machine, MSRS);
  expect(machine.engine.run(1e6)).toBe(EXIT.hlt);
  expect(Number(machine.engine.gpr(3))).toBe(since + 3);
  // From 1000 on: WRMSR itself and NOP.
  expect(machine.engine.gpr(0)).toBe(1002n);
});

it('lets nobody else through when an interrupt comes between the leave and the read', () => {
  const machine = new LongModeEngine(false, { instructionTicks: true });
  const { engine } = machine;
  // The handler reads the TSC itself, after one instruction: NOP, RDTSC, HLT.
  machine.memory.write((AT.handlers + 0x20) as Gpa, Uint8Array.of(0x90, 0x0f, 0x31, 0xf4));
  const since = begin(machine, READS);
  engine.rflags = BigInt(FLAG.if | 2);
  engine.run(2);
  // As if the read had been left just now.
  engine.cpu.set32(STATE.timeGate, TIME_GATE.passing);
  expect(engine.canInterrupt).toBe(true);
  engine.interrupt(0x20);
  expect(engine.cpu.get32(STATE.timeGate)).toBe(TIME_GATE.shut);
  const before = engine.retired;
  expect(engine.run(1e6)).toBe(EXIT.hlt);
  expect(Number(engine.gpr(0))).toBe(before + 1);
  expect(before).toBeGreaterThan(since);
});

it('never leaves where the TSC is a clock', () => {
  const machine = new LongModeEngine(false);
  begin(machine, READS);
  expect(machine.engine.run(1e6)).toBe(EXIT.hlt);
  expect(machine.engine.cpu.get32(STATE.timeGate)).toBe(TIME_GATE.open);
});
