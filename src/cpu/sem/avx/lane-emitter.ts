// What the semantics of an SSE instruction see when they mean 128 bits of an AVX instruction: SSE's operands, of which the
// first one is written elsewhere than it is read, and no alignment. What they write is kept until all lanes are done.
import { type Expr, i32, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';
import type { Emitter, FlagEmitter, OperandSize, Variant } from '../../emit/emitter.ts';
import type { Routine } from '../../emit/routine.ts';
import { STATE } from '../../state.ts';
import { ZERO } from '../simd-ops.ts';
import { HALF } from '../sse-operation.ts';

export interface LaneOptions {
  /** There is an operand more, which the first one is read from. */
  readonly threeOperands: boolean;
  /** Operands in memory must be aligned. */
  readonly aligned: boolean;
  /** What stands for XMM0: the number of an operand. */
  readonly xmm0: number | undefined;
  /** By how much the immediate is shifted right for the high lane. */
  readonly immediateShift: number;
  /** Bytes of the source that each lane takes, if they are not all of its own lane. */
  readonly part: number | undefined;
}

/** What both lanes know. */
export interface LaneSharing {
  readonly count: 1 | 2;
  /** Operands that both lanes take alike. */
  readonly same: Map<number, Expr>;
  /** Set when an exception is due, after both lanes; and when the first one has been computed exactly. */
  readonly failed: Local;
  readonly computed: Local;
  /** Either of them is used. */
  used: boolean;
}

export class LaneEmitter implements Emitter {
  readonly f: FunctionBuilder;
  readonly variant: Variant;
  readonly state: Expr;
  /** What was written to operand 0. */
  result: Expr | undefined;
  readonly #e: Emitter;
  readonly #lane: 0 | 1;
  readonly #options: LaneOptions;
  readonly #sharing: LaneSharing;

  constructor(e: Emitter, lane: 0 | 1, options: LaneOptions, sharing: LaneSharing) {
    this.#e = e;
    this.#lane = lane;
    this.#options = options;
    this.#sharing = sharing;
    this.f = e.f;
    this.state = e.state;
    const operands = e.variant.operands
      .filter((_, n) => !(options.threeOperands && n === 1))
      .map((operand) => (operand.size === 32 ? { ...operand, size: 16 } : operand));
    this.variant = { ...e.variant, operands };
  }

  get flags(): FlagEmitter {
    return this.#e.flags;
  }
  size(n: number): OperandSize {
    return this.#e.size(this.#source(n));
  }

  get(n: number): Expr {
    const value = this.#e.get(this.#source(n));
    const { immediateShift } = this.#options;
    return this.#lane === 1 && immediateShift > 0 ? this.f.let(value.shrU(immediateShift)) : value;
  }
  set(n: number, value: Expr): void {
    if (n !== 0) throw new Error('an SSE instruction that writes another operand than its first');
    this.result = this.f.let(value);
  }
  getVector(n: number, options: { aligned?: boolean; low?: boolean } = {}): Expr {
    const from = this.#source(n);
    const aligned = this.#options.aligned && options.aligned === true;
    const low = options.low === true;
    const { count, same } = this.#sharing;
    const { part } = this.#options;
    if (part !== undefined && count === 2) {
      const whole = same.get(from) ?? this.#e.getVector(from);
      same.set(from, whole);
      const lanes = Array.from({ length: 16 }, (_, i) => (i + part) & 15);
      return this.#lane === 0 ? whole : this.f.let(whole.shuffle(whole, lanes));
    }
    if (this.#lane === 0) {
      const value = this.#e.getVector(from, { aligned, low });
      if (count === 2 && !this.#isWide(from)) same.set(from, value);
      return value;
    }
    return same.get(from) ?? this.#e.getVector(from, { high: true });
  }
  setVector(n: number, value: Expr): void {
    this.set(n, value);
  }
  setWide(): void {
    throw new Error('an SSE instruction has no wide operand');
  }
  xmm(register: number): Expr {
    const { xmm0 } = this.#options;
    if (xmm0 === undefined || register !== 0) return this.#e.xmm(register);
    return this.#e.getVector(xmm0, { high: this.#lane === 1 });
  }
  setXmm(register: number, value: Expr): void {
    this.#e.setXmm(register, value);
    this.#e.setYmmHigh(register, ZERO);
  }
  setYmmHigh(register: number, value: Expr): void {
    this.#e.setYmmHigh(register, value);
  }

  linear(n: number): Expr {
    return this.#e.linear(this.#source(n));
  }
  offset(n: number): Expr {
    return this.#e.offset(this.#source(n));
  }
  gpr(register: number, size: OperandSize): Expr {
    return this.#e.gpr(register, size);
  }
  setGpr(register: number, size: OperandSize, value: Expr): void {
    this.#e.setGpr(register, size, value);
  }
  /** AVX is looked at in place of SSE, once. */
  slot32(at: number): Expr {
    if (at !== STATE.sseBlocked) return this.#e.slot32(at);
    return this.#lane === 0 ? this.#e.slot32(STATE.avxBlocked) : i32(0);
  }
  setSlot32(at: number, value: Expr): void {
    this.#e.setSlot32(at, value);
  }
  slot64(at: number): Expr {
    return this.#e.slot64(at);
  }
  setSlot64(at: number, value: Expr): void {
    this.#e.setSlot64(at, value);
  }
  loadAt(segment: number | 'operand', offset: Expr, size: OperandSize): Expr {
    return this.#e.loadAt(segment, offset, size);
  }
  storeAt(segment: number | 'operand', offset: Expr, size: OperandSize, value: Expr): void {
    this.#e.storeAt(segment, offset, size, value);
  }
  isFlat(segment: number | 'operand'): Expr {
    return this.#e.isFlat(segment);
  }
  linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr {
    return this.#e.linearAt(segment, offset, size, write);
  }
  hostAddress(linear: Expr, size: number, access: 'r' | 'w'): Expr {
    return this.#e.hostAddress(linear, size, access);
  }
  commit(host: Expr): void {
    this.#e.commit(host);
  }
  plainOperand(size: number, access: 'r' | 'w', missed: () => void): Expr {
    return this.#e.plainOperand(size, access, missed);
  }
  plainArea(size: number, access: 'r' | 'w', missed: () => void): (offset: number) => Expr {
    return this.#e.plainArea(size, access, missed);
  }
  push(value: Expr, size: 2 | 4 | 8): void {
    this.#e.push(value, size);
  }
  peek(depth: number, size: 2 | 4 | 8): Expr {
    return this.#e.peek(depth, size);
  }
  stackPointer(): Expr {
    return this.#e.stackPointer();
  }
  setStackPointer(value: Expr): void {
    this.#e.setStackPointer(value);
  }
  registerNumber(n: number): Expr {
    return this.#e.registerNumber(this.#source(n));
  }
  modrm(): Expr {
    return this.#e.modrm();
  }
  segment(): Expr {
    return this.#e.segment();
  }
  rip(): Expr {
    return this.#e.rip();
  }
  ripNext(): Expr {
    return this.#e.ripNext();
  }
  jump(rip: Expr): void {
    this.#e.jump(rip);
  }
  jumpRelative(): void {
    this.#e.jumpRelative();
  }
  checkRelative(): void {
    this.#e.checkRelative();
  }
  endAndPoll(): void {
    this.#e.endAndPoll();
  }
  raise(vector: number, errorCode?: number): void {
    this.#e.raise(vector, errorCode);
  }
  fault(): void {
    this.#e.fault();
  }
  helper(name: string): void {
    this.#e.helper(name === 'simdBlocked' ? 'avxBlocked' : name);
  }
  /** An exception in the low lane waits for those of the high one: all their flags come together. */
  compute(name: string, argument: number | Expr = 0): void {
    const { count, failed, computed } = this.#sharing;
    if (count === 1 || name !== 'fp') {
      this.#e.compute(name, argument);
      return;
    }
    this.#sharing.used = true;
    const fail = () => this.f.set(failed, i32(1));
    const number = typeof argument === 'number' ? i32(argument) : argument;
    if (this.#lane === 0) {
      this.f.set(computed, i32(1));
      this.#e.compute(name, number.or(HALF.first), fail);
    } else this.#e.compute(name, number.or(i32(HALF.second).select(computed, HALF.first)), fail);
  }
  ticks(): Expr {
    return this.#e.ticks();
  }
  routine(routine: Routine, ...args: Expr[]): Local {
    return this.#e.routine(routine, ...args);
  }
  local(type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128'): Local {
    return this.#e.local(type);
  }

  /** Operand of the AVX instruction that operand `n` is read from. */
  #source(n: number): number {
    return this.#options.threeOperands ? n + 1 : n;
  }
  #isWide(n: number): boolean {
    return this.#e.variant.operands[n]?.size === 32;
  }
}

/** Quadword 0 of each, side by side. */
export const lowHalves = (a: Expr, b: Expr): Expr => a.shuffle(b, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
