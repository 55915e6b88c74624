// Instructions and deliveries that have a short way for what kernels do. An armed breakpoint that nothing meets has the engine take
// the long way: both must leave the same machine behind.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect } from 'vitest';
import { FLAG, STATE } from '../../src/cpu/state.ts';
import { SYSTEM_STATE } from '../../src/cpu/system/system-state.ts';
import { AT, type BenchMachine } from './bench-machine.ts';

const DR7_L0 = 1n;
const NOWHERE = 0xffff_f000_0000_0000n;

/**
 * What one instruction, and the fault that it or the fetch behind it may raise, made of the machine: everywhere is `jmp $` or HLT. RF
 * is followed only with a breakpoint.
 */
function outcome(m: BenchMachine, prepare: () => void, longWay: boolean, interrupt?: number): unknown {
  prepare();
  const { cpu } = m;
  cpu.set64(STATE.dr, NOWHERE);
  cpu.set64(STATE.dr + 7 * 8, longWay ? DR7_L0 : 0n);
  cpu.set32(STATE.stepping, longWay ? 1 : 0);
  if (interrupt !== undefined) m.engine.interrupt(interrupt);
  const exit = m.engine.run(2);
  const slots = (...at: readonly number[]) => at.map((slot) => cpu.get32(slot));
  return {
    exit,
    rip: m.engine.rip,
    rflags: cpu.rflags & ~FLAG.rf,
    registers: Array.from({ length: 16 }, (_, n) => cpu.gpr(n)),
    segments: [...cpu.u8.slice(STATE.seg, STATE.gdtr)],
    mode: slots(STATE.cpl, STATE.codeMode, STATE.codeTag, STATE.mmuIndex, STATE.tlbRead, STATE.tlbWrite, STATE.tlbExec),
    masks: [cpu.get64(STATE.linearMask), cpu.get64(STATE.stackMask), cpu.get64(STATE.codeBase)],
    cr2: cpu.get64(STATE.cr2),
    nmiBlocked: cpu.get32(SYSTEM_STATE.nmiBlocked),
    // Not the page tables: the next instruction's page may be looked up, and marked, before or after a request is seen.
    memory: createHash('sha1').update(m.ram.subarray(0, AT.tables)).digest('hex'),
  };
}
/** The short way with TLBs that have the tables and stacks, and with empty ones. */
export function bothWays(m: BenchMachine, prepare: () => void, interrupt?: number): void {
  const long = outcome(m, prepare, true, interrupt);
  expect(outcome(m, prepare, false, interrupt)).toEqual(long);
  const warm = () => {
    prepare();
    warmUp(m);
  };
  expect(outcome(m, warm, false, interrupt)).toEqual(long);
}

/** The last of making a state ready: the flags that may be random, what waits, and `jmp $` wherever it may lead to. */
export function holdAt(m: BenchMachine, flags: number, nmiBlocked: boolean, interruptPending: boolean): void {
  const { cpu } = m;
  for (const at of [0, AT.code + 0x100, AT.data + 0x10]) m.code('ebfe', at);
  cpu.rflags = flags & ~(FLAG.vm | FLAG.tf | FLAG.rf);
  cpu.set32(SYSTEM_STATE.nmiBlocked, nmiBlocked ? 1 : 0);
  cpu.i32[STATE.interruptPending >> 2] = interruptPending ? 1 : 0;
  cpu.updateMode();
}

/** Has the tables and the stack of level 0 in the TLBs. */
export function warmUp(m: BenchMachine): void {
  const { mmu } = m.engine;
  for (const table of [AT.idt, AT.gdt, AT.tss]) mmu.read(BigInt(table), 8, true);
  mmu.probeWrite(BigInt(AT.kernelStack - 8), 8, true);
  if (m.cpu.cpl === 0) mmu.probeWrite(BigInt(AT.kernelStack - 8), 8, false);
}

export const oneOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
/** Mostly the first, so that most cases come far. */
export const mostly = <T>(usual: fc.Arbitrary<T>, other: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 6, arbitrary: usual }, { weight: 1, arbitrary: other });
const arithmetic = fc.integer({ min: 0, max: 0xff }).map((bits) => (bits & 0x55) | ((bits & 2) << 10) | (bits & 0x80) | 2);
const systemFlags = mostly(
  oneOf(0, FLAG.if, FLAG.if | FLAG.df, FLAG.if | FLAG.id, FLAG.rf | FLAG.if),
  oneOf(FLAG.tf, FLAG.nt, FLAG.ac, FLAG.iopl, FLAG.vm, FLAG.vif | FLAG.vip, FLAG.ac | FLAG.if, FLAG.rf),
);
export const flags = fc.tuple(arithmetic, systemFlags).map(([a, b]) => a | b);
