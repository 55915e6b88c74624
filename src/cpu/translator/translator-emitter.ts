// Semantics over "this local, this constant": the emitter of the translating tier, for one instruction of 64-bit code.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { FlagEmitter, OperandSize } from '../emit/emitter.ts';
import { WordFlags } from '../emit/flag-emitter.ts';
import { type MemoryRuntime, narrowTo, OperandEmitter } from '../emit/operand-emitter.ts';
import type { Routine, RoutineTable } from '../emit/routine.ts';
import { dwords, qwords, vector } from '../sem/simd-ops.ts';
import { SEG, SEGMENT, STATE, TLB } from '../state.ts';
import { BASE_RIP, NO_REGISTER } from '../x86/decoder.ts';
import type { RegionInstruction } from './region.ts';
import type { RegisterLocals } from './register-locals.ts';
import { Untranslatable } from './untranslatable.ts';

/** Where control goes; the translation of the whole region knows. */
export interface RegionEnds {
  /** The interpreter must run this instruction, from its start: nothing of it has happened that may not happen twice. */
  interpret(): void;
  /** The instruction raises the exception in the fault slots. */
  fault(): void;
  /** The instruction is complete. */
  jump(rip: Expr): void;
  /** The relative branch is taken; the instruction is complete. */
  branch(): void;
}

/** What a region calls. */
export interface RegionRuntime extends MemoryRuntime {
  readonly routines: RoutineTable;
  /** (number, argument) → not 0 on a fault. */
  readonly compute: FunctionRef;
  computeNumber(name: string): number;
}

/** Computations over the slots of their operands and MXCSR; doing one twice is doing it once. */
const PURE: ReadonlySet<string> = new Set(['fp', 'pcmpxstrx']);

const LOW8 = qwords(0xffff_ffff_ffff_ffffn, 0n);
const LOW4 = dwords(-1, 0, 0, 0);

/** Slots that decide what a translation may assume. */
const ASSUMED: ReadonlySet<number> = new Set([STATE.mmuIndex, STATE.tlbRead, STATE.tlbWrite, STATE.codeMode, STATE.cpl]);

const RSP = 4;

export class TranslatorEmitter extends OperandEmitter {
  readonly flags: FlagEmitter;
  readonly #at: RegionInstruction;
  /** Linear address of the page that places count from. */
  readonly #origin: Expr;
  readonly #registers: RegisterLocals;
  readonly #tlbs: number;
  readonly #runtime: RegionRuntime;
  readonly #ends: RegionEnds;
  /** Nesting of the code before the instruction: what is emitted at this depth always runs. */
  readonly #depth: number;

  /** `tlbs` is the address of the read TLB of the privilege the code runs with; the write TLB follows it. */
  constructor(
    f: FunctionBuilder,
    at: RegionInstruction,
    origin: Expr,
    base: number,
    tlbs: number,
    registers: RegisterLocals,
    runtime: RegionRuntime,
    ends: RegionEnds,
  ) {
    super(f, base, at.handler.semantics, at.handler.variant, runtime);
    this.#at = at;
    this.#runtime = runtime;
    this.#origin = origin;
    this.#registers = registers;
    this.#tlbs = tlbs;
    this.#ends = ends;
    this.#depth = f.depth;
    this.flags = new WordFlags(f, registers);
  }

  // ---- addresses -------------------------------------------------------------------------------------------------------

  offset(_n: number): Expr {
    const { insn } = this.#at;
    if (insn.displacementHigh !== (insn.displacement < 0 ? -1 : 0)) {
      return i64(BigInt(insn.displacement >>> 0) | (BigInt(insn.displacementHigh >>> 0) << 32n));
    }
    let sum: Expr = i64(insn.displacement);
    if (insn.base === BASE_RIP) sum = this.#rip(insn.length + insn.displacement);
    else if (insn.base !== NO_REGISTER) sum = this.#registers.get(insn.base, 8).add(sum);
    if (insn.index !== NO_REGISTER) sum = sum.add(this.#registers.get(insn.index, 8).shl(insn.scale));
    return this.f.let(insn.asize === 8 ? sum : sum.and(0xffff_ffff));
  }
  linear(n: number): Expr {
    return this.linearAt('operand', this.offset(n));
  }
  protected operandLinear(): Expr {
    return this.linear(0);
  }
  linearAt(segment: number | 'operand', offset: Expr): Expr {
    const which = segment === 'operand' ? this.#at.insn.segment : segment;
    const based = which === SEGMENT.fs || which === SEGMENT.gs;
    return this.f.let(based ? offset.add(this.slot64(STATE.seg + which * SEG.sizeof + SEG.base)) : offset);
  }
  protected tlb(access: 'r' | 'w'): Expr {
    return i32(this.#tlbs + (access === 'r' ? 0 : TLB.bytes));
  }

  // ---- registers -------------------------------------------------------------------------------------------------------

  gpr(register: number, size: OperandSize): Expr {
    return this.#registers.get(register, size);
  }
  setGpr(register: number, size: OperandSize, value: Expr): void {
    this.#registers.set(register, size, value);
  }
  stackPointer(): Expr {
    return this.#registers.get(RSP, 8);
  }
  setStackPointer(value: Expr): void {
    this.#registers.set(RSP, 8, value);
  }
  protected stackBelow(by: number): Expr {
    return this.#registers.get(RSP, 8).sub(by);
  }
  protected readRegister(n: number): Expr {
    const { register, high } = this.#general(n);
    return this.#registers.get(register, this.size(n), high);
  }
  protected writeRegister(n: number, value: Expr): void {
    const { register, high } = this.#general(n);
    this.#registers.set(register, this.size(n), value, high);
  }
  protected readVector(n: number, low: boolean): Expr {
    const { size } = this.operand(n);
    const whole = this.#registers.xmm(this.#number(n));
    if (low || (size !== 8 && size !== 4)) return whole;
    return this.f.let(vector('v128.and', whole, size === 8 ? LOW8 : LOW4));
  }
  protected writeVector(n: number, value: Expr): void {
    this.#registers.setXmm(this.#number(n), value);
  }
  xmm(register: number): Expr {
    return this.#registers.xmm(register);
  }
  setXmm(register: number, value: Expr): void {
    this.#registers.setXmm(register, value);
  }
  protected mmxRegister(n: number): { at: Expr; offset: number } {
    return { at: this.state, offset: STATE.x87 + (this.#number(n) & 7) * 16 };
  }
  protected immediate(n: number): Expr {
    const { insn } = this.#at;
    const size = this.size(n);
    if (this.isSecondImmediate(n)) return size === 8 ? i64(insn.immediate2) : narrowTo(i32(insn.immediate2), size);
    if (size !== 8) return narrowTo(i32(insn.immediate), size);
    return i64(BigInt(insn.immediate >>> 0) | (BigInt(insn.immediateHigh) << 32n));
  }
  /** Whether SSE may be used is looked at once for the whole region. */
  override slot32(at: number): Expr {
    if (at !== STATE.sseBlocked) return super.slot32(at);
    this.#registers.expectSse();
    return i32(0);
  }
  override setSlot32(at: number, value: Expr): void {
    if (ASSUMED.has(at)) throw new Untranslatable(`${this.#at.row.mnemonic} changes what the translation assumes`);
    super.setSlot32(at, value);
  }

  // ---- ends ------------------------------------------------------------------------------------------------------------

  modrm(): Expr {
    return i32(this.#at.insn.modrm);
  }
  segment(): Expr {
    return i32(this.#at.insn.segment);
  }
  rip(): Expr {
    return this.#rip(0);
  }
  ripNext(): Expr {
    return this.f.let(this.#rip(this.#at.insn.length));
  }
  jump(rip: Expr): void {
    this.#ends.jump(rip);
  }
  jumpRelative(): void {
    this.#ends.branch();
  }
  /** 64-bit code has no segment limit, and a target in reach of its page is canonical. */
  checkRelative(): void {}
  /** Of memory: the interpreter finds the same one, and leaves it as it should be. */
  fault(): void {
    this.#ends.interpret();
  }
  override raise(vector: number, errorCode?: number): void {
    this.setSlot32(STATE.faultVector, i32(vector));
    this.setSlot32(STATE.faultError, i32(errorCode ?? -1));
    this.#ends.fault();
  }
  /** Writes reach nothing but RAM here: what must be put somewhere else afterwards is the interpreter's. */
  override commit(): void {}
  /**
   * A helper does its instruction whole, so where it is only for a rare case the interpreter can run the instruction again.
   */
  helper(name: string): void {
    if (this.f.depth === this.#depth) throw new Untranslatable(`${this.#at.row.mnemonic} calls the helper '${name}'`);
    this.#ends.interpret();
  }
  /**
   * What touches nothing but the slots of its operands and MXCSR is called from here. Where that fails, the interpreter does
   * it again and finds the same failure. For others a hot handler is run again from its start, as in the interpreter.
   */
  compute(name: string, argument = 0): void {
    if (PURE.has(name)) {
      const failed = this.f.callValue(this.#runtime.compute, i32(this.#runtime.computeNumber(name)), i32(argument));
      this.f.if(failed, () => this.#ends.interpret());
      return;
    }
    if (this.semantics.hot && this.f.depth > this.#depth) {
      this.#ends.interpret();
      return;
    }
    throw new Untranslatable(`${this.#at.row.mnemonic} calls the computation '${name}'`);
  }

  routine(routine: Routine, ...args: Expr[]): Local {
    return this.f.callValue(this.#runtime.routines(routine), ...args);
  }

  /** RIP of the instruction, and `more`. */
  #rip(more: number): Expr {
    return this.#origin.add(this.#at.place + more);
  }

  /** Register number of operand `n`. */
  #number(n: number): number {
    const { insn, row } = this.#at;
    const spec = row.operands[n];
    switch (spec?.source) {
      case 'G':
      case 'V':
      case 'P':
        return insn.reg;
      case 'Z':
        return insn.opcodeRegister;
      case 'fixed':
        return spec.register;
      default:
        return insn.rm;
    }
  }
  /** Byte registers 4..7 without REX are AH, CH, DH, BH. */
  #general(n: number): { register: number; high: boolean } {
    const register = this.#number(n);
    const high = this.size(n) === 1 && this.#at.insn.rex === 0 && register >= 4 && this.#at.row.operands[n]?.source !== 'fixed';
    return high ? { register: register - 4, high } : { register, high };
  }
}
