// A decoded instruction as a TypeScript helper sees it: operands read from the record, memory reached through the MMU.

import type { Exit } from '../vcpu/contract.ts';
import type { Cpu } from './cpu.ts';
import type { VariantOperand } from './emit/emitter.ts';
import { EA, REC, SPECIAL_COUNT } from './interpreter/record.ts';
import type { Handler } from './interpreter/variants.ts';
import type { Mmu } from './mmu.ts';
import type { PendingIo } from './pending-io.ts';
import { CODE_MODE, SEG, SEGMENT, STATE } from './state.ts';
import { checkSegment } from './system/segment-check.ts';

const MASKS: Readonly<Record<number, bigint>> = { 1: 0xffn, 2: 0xffffn, 4: 0xffff_ffffn, 8: 0xffff_ffff_ffff_ffffn };

export class HelperContext {
  readonly cpu: Cpu;
  readonly mem: Mmu;
  readonly io: PendingIo;
  readonly exit: Exit;
  readonly #handlers: readonly Handler[];
  /** Address of the record in the shared memory. */
  record = 0;
  #handler: Handler | undefined;

  constructor(cpu: Cpu, mem: Mmu, io: PendingIo, exit: Exit, handlers: readonly Handler[]) {
    this.cpu = cpu;
    this.mem = mem;
    this.io = io;
    this.exit = exit;
    this.#handlers = handlers;
  }

  /** Points the context at a record; cpu.rip becomes the RIP of this instruction. */
  enter(record: number): void {
    this.record = record;
    const { view } = this.cpu.memory;
    this.#handler = this.#handlers[view.getUint16(record + REC.op, true) - SPECIAL_COUNT];
    this.cpu.rip = this.cpu.get64(STATE.ripBase) + BigInt(view.getUint16(record + REC.offset, true));
  }

  get mnemonic(): string {
    return this.handler.mnemonic;
  }
  get handler(): Handler {
    if (this.#handler === undefined) throw new Error('the record is no instruction');
    return this.#handler;
  }
  /** Effective operand size in bytes. */
  get osize(): 2 | 4 | 8 {
    return this.handler.variant.osize;
  }
  get asize(): 2 | 4 | 8 {
    return this.handler.variant.asize;
  }
  get length(): number {
    return this.cpu.memory.u8[this.record + REC.length] as number;
  }
  /** RIP of the next instruction. */
  get next(): bigint {
    const next = this.cpu.rip + BigInt(this.length);
    switch (this.cpu.get32(STATE.codeMode)) {
      case CODE_MODE.code64:
        return next & 0xffff_ffff_ffff_ffffn;
      case CODE_MODE.code32:
        return next & 0xffff_ffffn;
      default:
        return next & 0xffff_ffffn;
    }
  }
  get immediate(): bigint {
    return this.cpu.memory.view.getBigInt64(this.record + REC.immediate, true);
  }
  get immediate2(): number {
    return this.cpu.memory.view.getInt32(this.record + REC.displacement, true);
  }

  operand(n: number): VariantOperand {
    const operand = this.handler.variant.operands[n];
    if (operand === undefined) throw new Error(`${this.mnemonic} has no operand ${n}`);
    return operand;
  }
  /** For segment, control and debug registers: the number. For general registers: the state offset. */
  registerField(n: number): number {
    let nth = 0;
    for (let i = 0; i < n; i++) {
      const { kind, fixed } = this.operand(i);
      if (kind !== 'mem' && kind !== 'imm' && kind !== 'rel' && fixed === undefined) nth++;
    }
    return this.cpu.memory.view.getUint16(this.record + REC.reg0 + nth * 2, true);
  }
  /** Reads operand `n`: register, memory (may throw GuestFault) or immediate; zero-extended to its size. */
  read(n: number): bigint {
    const { kind, size, fixed } = this.operand(n);
    if (kind === 'mem') return this.readMemory(size);
    if (kind === 'imm') return this.immediate & (MASKS[size] as bigint);
    const at = fixed === undefined ? this.registerField(n) : STATE.gpr + fixed * 8;
    const { view } = this.cpu;
    return size === 8
      ? view.getBigUint64(at, true)
      : BigInt(size === 4 ? view.getUint32(at, true) : size === 2 ? view.getUint16(at, true) : view.getUint8(at));
  }
  /** Writes operand `n`; 32-bit registers are zero-extended. */
  write(n: number, value: bigint): void {
    const { kind, size, fixed } = this.operand(n);
    if (kind === 'mem') {
      this.writeMemory(size, value);
      return;
    }
    const at = fixed === undefined ? this.registerField(n) : STATE.gpr + fixed * 8;
    this.writeRegisterAt(at, size, value);
  }
  writeRegisterAt(at: number, size: number, value: bigint): void {
    const { view } = this.cpu;
    if (size >= 4) view.setBigUint64(at, value & (MASKS[size] as bigint), true);
    else if (size === 2) view.setUint16(at, Number(value & 0xffffn), true);
    else view.setUint8(at, Number(value & 0xffn));
  }

  /** Offset part of the memory operand, truncated to the address size. */
  get offset(): bigint {
    const { view } = this.cpu.memory;
    const { record } = this;
    const kind = view.getUint8(record + REC.addressing);
    if (kind === EA.absolute) return view.getBigUint64(record + REC.immediate, true);
    const slot = (field: number) => this.cpu.get64(view.getUint16(record + field, true));
    let sum =
      slot(REC.base) +
      (slot(REC.index) << BigInt(view.getUint8(record + REC.scale))) +
      BigInt(view.getInt32(record + REC.displacement, true));
    if (kind === EA.ripWide) sum += BigInt(view.getUint16(record + REC.offset, true) + this.length);
    return (
      sum & (kind === EA.slow16 ? 0xffffn : kind === EA.slow32 || kind === EA.legacy32 ? 0xffff_ffffn : (MASKS[8] as bigint))
    );
  }
  /** Segment of the memory operand: one of SEGMENT. */
  get segment(): number {
    return this.cpu.memory.u8[this.record + REC.segment] as number;
  }
  /** Linear address of `size` bytes `at` bytes into the memory operand; checks the segment outside 64-bit mode. */
  linear(size: number, write: boolean, at = 0): bigint {
    // The address wraps inside the operand: at its own width, in 64-bit mode too.
    const kind = this.cpu.memory.u8[this.record + REC.addressing];
    const width = kind === EA.slow16 ? 2 : kind === EA.slow32 || kind === EA.legacy32 ? 4 : 8;
    const offset = (this.offset + BigInt(at)) & (MASKS[width] as bigint);
    return this.linearIn(this.segment, offset, size, write);
  }
  linearIn(segment: number, offset: bigint, size: number, write: boolean): bigint {
    const { cpu } = this;
    if (cpu.get32(STATE.codeMode) === CODE_MODE.code64) {
      const base = segment === SEGMENT.fs || segment === SEGMENT.gs ? cpu.segBase(segment) : 0n;
      return (offset + base) & (MASKS[8] as bigint);
    }
    return BigInt(checkSegment(cpu, segment, Number(offset & 0xffff_ffffn), size, write) >>> 0);
  }
  readMemory(size: number, at = 0): bigint {
    return this.mem.read(this.linear(size, false, at), size, false);
  }
  writeMemory(size: number, value: bigint, at = 0): void {
    this.mem.write(this.linear(size, true, at), size, value, false);
  }
  /** The whole memory operand as bytes. */
  readMemoryBytes(into: Uint8Array): void {
    this.mem.readBytes(this.linear(into.length, false), into);
  }
  writeMemoryBytes(from: Uint8Array): void {
    this.mem.writeBytes(this.linear(from.length, true), from);
  }
  /** Base of a segment register, as the state has it. */
  segmentBaseOffset(segment: number): number {
    return STATE.seg + segment * SEG.sizeof + SEG.base;
  }
}

/** A helper's answer: see STATUS. Nothing means "go on with the next instruction". */
// biome-ignore lint/suspicious/noConfusingVoidType: most helpers just return.
export type HelperAnswer = 'next' | 'jump' | 'gate' | 'again' | 'exit' | 'await' | 'poll' | 'blocked' | 'recount' | void;
/**
 * A helper: throws GuestFault for the guest's faults before changing anything. `jump`: cpu.rip was set. `gate`: as jump, and
 * TF was cleared before a single-step trap could follow. `again`: an iteration of a repeated instruction is done, others are
 * left. `exit`: cpu.rip and the exit were set. `await`: the exit was set, the machine completes the instruction (hypercall, MSR). `poll`: go on with the next instruction, but look at interrupts first. `blocked`: the access is
 * in the exit; run the instruction again when the machine has answered. `recount`: nothing was done; run the instruction again
 * when those before it are counted (TIME_GATE).
 */
export type Helper = (x: HelperContext) => HelperAnswer;
