// Semantics over "this local, this constant": the emitter of the translating tier, for one instruction.
import { Const, type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { FlagEmitter, OperandSize } from '../emit/emitter.ts';
import { type MemoryRuntime, narrowTo, OperandEmitter } from '../emit/operand-emitter.ts';
import type { Routine, RoutineTable } from '../emit/routine.ts';
import type { StackWindow } from '../emit/stack-window.ts';
import { dwords, qwords, vector } from '../sem/simd-ops.ts';
import { CODE_MODE, SEG, SEGMENT, STATE, TLB } from '../state.ts';
import { BASE_RIP, NO_REGISTER } from '../x86/decoder.ts';
import type { AssumedSegments } from './assumed-segments.ts';
import { SWITCH_TLBS } from './assumed-tlbs.ts';
import { ComparedFlags } from './compared-flags.ts';
import type { RegionInstruction } from './region.ts';
import type { RegisterLocals } from './register-locals.ts';
import { RSP } from './stack-pointers.ts';
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
  /** () → f64: TickSource.ticks. */
  readonly ticks: FunctionRef;
  computeNumber(name: string): number;
}

/** Computations over the slots of their operands and MXCSR; doing one twice is doing it once. */
const PURE: ReadonlySet<string> = new Set(['fp', 'pcmpxstrx']);

const LOW8 = qwords(0xffff_ffff_ffff_ffffn, 0n);
const LOW4 = dwords(-1, 0, 0, 0);

/** Those that stand for what is not as usual, before anything has changed. */
const RARE: ReadonlySet<string> = new Set(['loadSegment']);

/** Slots that decide what a translation may assume: only what ends the region changes them, after its last access to memory. */
const ASSUMED: ReadonlySet<number> = new Set([STATE.mmuIndex, STATE.tlbRead, STATE.tlbWrite, STATE.codeMode, STATE.cpl]);

export class TranslatorEmitter extends OperandEmitter {
  readonly flags: FlagEmitter;
  readonly #at: RegionInstruction;
  /** Linear address of the page that places count from. */
  readonly #origin: Expr;
  readonly #registers: RegisterLocals;
  readonly #segments: AssumedSegments;
  readonly #stack: StackWindow;
  readonly #tlbs: Expr;
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
    tlbs: Expr,
    registers: RegisterLocals,
    segments: AssumedSegments,
    stack: StackWindow,
    runtime: RegionRuntime,
    ends: RegionEnds,
  ) {
    super(f, base, at.handler.semantics, at.handler.variant, runtime);
    this.#at = at;
    this.#runtime = runtime;
    this.#origin = origin;
    this.#registers = registers;
    this.#segments = segments;
    this.#stack = stack;
    this.#tlbs = tlbs;
    this.#ends = ends;
    this.#depth = f.depth;
    this.flags = new ComparedFlags(f, registers, at.handler.semantics.name);
  }

  // ---- addresses -------------------------------------------------------------------------------------------------------

  offset(_n: number): Expr {
    const { insn } = this.#at;
    if (insn.displacementHigh !== (insn.displacement < 0 ? -1 : 0)) {
      return i64(BigInt(insn.displacement >>> 0) | (BigInt(insn.displacementHigh >>> 0) << 32n));
    }
    if (insn.asize !== 8 && insn.base !== BASE_RIP) {
      let sum: Expr = i32(insn.displacement);
      if (insn.base !== NO_REGISTER) sum = this.#registers.get(insn.base, 4).add(sum);
      if (insn.index !== NO_REGISTER) sum = sum.add(this.#registers.get(insn.index, 4).shl(insn.scale));
      return this.f.let((insn.asize === 2 ? sum.and(0xffff) : sum).extendU());
    }
    let sum: Expr = i64(insn.displacement);
    if (insn.base === BASE_RIP) sum = this.#rip(insn.length + insn.displacement);
    else if (insn.base !== NO_REGISTER) sum = this.#registers.get(insn.base, 8).add(sum);
    if (insn.index !== NO_REGISTER) sum = sum.add(this.#registers.get(insn.index, 8).shl(insn.scale));
    return this.f.let(insn.asize === 8 ? sum : sum.and(0xffff_ffff));
  }
  linear(n: number): Expr {
    const access = this.semantics.access[n];
    return this.linearAt('operand', this.offset(n), this.operand(n).size, access !== 'r' && access !== 'a');
  }
  protected operandLinear(size: number, write: boolean): Expr {
    return this.linearAt('operand', this.offset(0), size, write);
  }
  linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr {
    const which = segment === 'operand' ? this.#at.insn.segment : segment;
    const based = (): Expr => offset.add(this.slot64(STATE.seg + which * SEG.sizeof + SEG.base));
    if (this.#isWide) return this.f.let(which === SEGMENT.fs || which === SEGMENT.gs ? based() : offset);
    const segments = this.#segments;
    if (!segments.allows(which, write)) this.#ends.interpret();
    else if (!segments.isUnlimited(which)) {
      const limit = this.slot32(STATE.seg + which * SEG.sizeof + SEG.limit).extendU();
      this.f.if(offset.add(size - 1).gtU(limit), () => this.#ends.interpret());
    }
    return this.f.let(segments.isAtZero(which) ? offset : based().and(0xffff_ffff));
  }
  protected override window(segment: number | 'operand'): StackWindow | undefined {
    const isNear = segment === 'operand' ? this.#stack.isNear(this.#at.insn.base) : segment === SEGMENT.ss;
    return isNear ? this.#stack : undefined;
  }
  isFlat(segment: number | 'operand'): Expr {
    const which = segment === 'operand' ? this.#at.insn.segment : segment;
    return i32(this.#isWide || (this.#segments.allows(which, true) && this.#segments.isUnlimited(which)) ? 1 : 0);
  }
  /** In 64-bit mode: there are no limits, and only FS and GS have bases. */
  get #isWide(): boolean {
    return this.#segments.mode === CODE_MODE.code64;
  }
  protected tlb(access: 'r' | 'w'): Expr {
    const tlbs = this.#tlbs;
    const offset = access === 'r' ? 0 : TLB.bytes;
    return tlbs instanceof Const ? i32(Number(tlbs.value) + offset) : tlbs.add(offset);
  }

  // ---- registers -------------------------------------------------------------------------------------------------------

  gpr(register: number, size: OperandSize): Expr {
    return this.#registers.get(register, size);
  }
  setGpr(register: number, size: OperandSize, value: Expr): void {
    this.#registers.set(register, size, value);
  }
  stackPointer(): Expr {
    return this.#isWide ? this.#registers.get(RSP, 8) : this.f.let(this.stackBelow(0));
  }
  setStackPointer(value: Expr): void {
    const mask = this.#segments.stackMask;
    if (mask === 0xffffn) {
      // The rest of ESP stays, and the upper half of RSP goes, as in the interpreter.
      const kept = this.#registers.get(RSP, 8).and(0xffff_0000);
      this.#registers.set(RSP, 8, kept.or(value.and(mask)));
    } else if (this.#isWide) this.#registers.set(RSP, 8, value);
    else this.#registers.set(RSP, 4, value.wrap());
  }
  protected stackBelow(by: number): Expr {
    if (this.#isWide) return this.#registers.get(RSP, 8).sub(by);
    const pointer = this.#registers.get(RSP, 4).sub(by);
    return (this.#segments.stackMask === 0xffffn ? pointer.and(0xffff) : pointer).extendU();
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
  protected readHigh(n: number): Expr {
    return this.#registers.ymmHigh(this.#number(n));
  }
  protected writeHigh(n: number, value: Expr): void {
    this.#registers.setYmmHigh(this.#number(n), value);
  }
  setYmmHigh(register: number, value: Expr): void {
    this.#registers.setYmmHigh(register, value);
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
  /** Whether SSE and AVX may be used is looked at once for the whole region. */
  override slot32(at: number): Expr {
    if (at === STATE.seg + SEGMENT.cs * SEG.sizeof + SEG.limit && !this.#isWide && !this.#segments.codeIsLimited) return i32(-1);
    if (at !== STATE.sseBlocked && at !== STATE.avxBlocked) return super.slot32(at);
    this.#registers.expectZero(at);
    return i32(0);
  }
  override slot64(at: number): Expr {
    return at === STATE.stackMask ? i64(this.#segments.stackMask) : super.slot64(at);
  }
  override setSlot32(at: number, value: Expr): void {
    if (ASSUMED.has(at) && !this.semantics.endsBlock && !SWITCH_TLBS.has(this.semantics.name))
      throw new Untranslatable(`${this.#at.row.mnemonic} changes what the translation assumes`);
    super.setSlot32(at, value);
  }

  // ---- ends ------------------------------------------------------------------------------------------------------------

  registerNumber(n: number): Expr {
    return i32(this.#number(n));
  }
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
    const next = this.#rip(this.#at.insn.length);
    return this.f.let(this.variant.long ? next : next.and(0xffff_ffff));
  }
  jump(rip: Expr): void {
    this.#ends.jump(rip);
  }
  jumpRelative(): void {
    this.checkRelative();
    this.#ends.branch();
  }
  /** 64-bit code has no segment limit, and a target in reach of its page is canonical. */
  checkRelative(): void {
    if (!this.#segments.codeIsLimited) return;
    const { insn } = this.#at;
    const target = this.#rip(insn.length + insn.immediate).and(insn.osize === 2 ? 0xffff : 0xffff_ffff);
    const limit = this.slot32(STATE.seg + SEGMENT.cs * SEG.sizeof + SEG.limit).extendU();
    this.f.if(target.gtU(limit), () => this.#ends.interpret());
  }
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
  compute(name: string, argument: number | Expr = 0): void {
    if (PURE.has(name)) {
      const number = i32(this.#runtime.computeNumber(name));
      const failed = this.f.callValue(this.#runtime.compute, number, typeof argument === 'number' ? i32(argument) : argument);
      this.f.if(failed, () => this.#ends.interpret());
      return;
    }
    if ((this.semantics.hot || RARE.has(name)) && this.f.depth > this.#depth) {
      this.#ends.interpret();
      return;
    }
    throw new Untranslatable(`${this.#at.row.mnemonic} calls the computation '${name}'`);
  }

  ticks(): Expr {
    return this.f.callValue(this.#runtime.ticks).convert('i64TruncF64U');
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
      case 'C':
        return insn.reg;
      case 'Z':
        return insn.opcodeRegister;
      case 'B':
      case 'H':
        return insn.vvvv;
      case 'L':
        return insn.register4;
      case 'K':
        return insn.vectorIndex;
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
