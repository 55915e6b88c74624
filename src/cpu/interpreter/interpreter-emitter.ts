// Semantics over "fields of the decoded record": the emitter that turns each variant into one handler of the interpreter.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { FlagEmitter, OperandSize, Variant } from '../emit/emitter.ts';
import { type FlagStore, stateFlagStore, WordFlags } from '../emit/flag-emitter.ts';
import { isFlat } from '../emit/flat-segment.ts';
import { type MemoryRuntime, narrowTo, OperandEmitter } from '../emit/operand-emitter.ts';
import type { Routine, RoutineTable } from '../emit/routine.ts';
import type { Semantics } from '../emit/semantics.ts';
import { SEG, SEGMENT, STATE } from '../state.ts';
import { EA, REC } from './record.ts';

/** What handlers call. */
export interface Runtime extends MemoryRuntime {
  /** (record, size | write << 8) → linear address of the memory operand, −1 on a fault. */
  readonly addressSlow: FunctionRef;
  /** (segment, offset i64, size | write << 8) → linear address outside 64-bit mode, −1 on a fault. */
  readonly segmentSlow: FunctionRef;
  /** (record, helper number) → STATUS. */
  readonly helper: FunctionRef;
  /** (number, argument) → not 0 on a fault. */
  readonly compute: FunctionRef;
  /** () → f64: TickSource.ticks. */
  readonly ticks: FunctionRef;
  /** Numbers of helpers and computes by name; asking registers the name. */
  helperNumber(name: string): number;
  computeNumber(name: string): number;
  readonly routines: RoutineTable;
}

/** How a handler ends; differs between handlers inside the loop and those in functions of their own. */
export interface Ends {
  fault(): void;
  /** RIP is the expression; the instruction is complete. */
  jump(rip: Expr): void;
  /** Continue at a record of the same page; the instruction is complete. */
  take(record: Expr): void;
  /** A STATUS value from a helper. */
  status(status: Expr): void;
  /**
   * Runs the instruction again in the function of its own. Where this is given, the handler calls nothing: whatever lives
   * across a call is spilled to the stack.
   */
  readonly cold?: () => void;
}

/** What a helper, or a handler in a function of its own, answers. */
export const STATUS = {
  next: 0,
  /** The fault slots are set; nothing of the instruction has happened. */
  fault: 1,
  /** The instruction is complete and `STATE.rip` is set. */
  jump: 2,
  /** As jump, and the exit slots are set. */
  exit: 3,
} as const;

/** From an XMM register to bits 255:128. */
const TO_HIGH = STATE.ymmHigh - STATE.xmm;

export class InterpreterEmitter extends OperandEmitter {
  readonly flags: FlagEmitter;
  readonly #rec: Expr;
  readonly #base: number;
  readonly #runtime: Runtime;
  readonly #ends: Ends;
  /** Record fields of register operands that are in locals on every path. */
  readonly #slots = new Map<number, Expr>();
  readonly #depth: number;

  /** `flags` is where the flag words go if not just to the state. */
  constructor(
    f: FunctionBuilder,
    rec: Expr,
    base: number,
    semantics: Semantics,
    variant: Variant,
    runtime: Runtime,
    ends: Ends,
    flags?: FlagStore,
  ) {
    super(f, base, semantics, variant, ends.cold === undefined ? runtime : undefined);
    this.#rec = rec;
    this.#base = base;
    this.#runtime = runtime;
    this.#ends = ends;
    this.#depth = f.depth;
    this.flags = new WordFlags(f, flags ?? stateFlagStore(f, this.state));
  }

  linear(n: number, aligned = false): Expr {
    const access = this.semantics.access[n];
    const write = access !== 'r' && access !== 'a';
    const how = this.operand(n).size | (write ? 0x100 : 0) | (aligned ? 0x200 : 0);
    return this.#linear(how, access === 'a' ? undefined : () => this.fault());
  }
  protected operandLinear(size: number, write: boolean, missed: () => void): Expr {
    return this.#linear(size | (write ? 0x100 : 0), missed);
  }
  /** `how` is what addressSlow takes. */
  #linear(how: number, failed: (() => void) | undefined): Expr {
    const { f } = this;
    const linear = f.local('i64');
    f.block((done) => {
      f.block((slow) => {
        f.block((full) => {
          const kind = f.let(this.#rec.load('i32', 1, REC.addressing));
          f.brIf(full, kind);
          f.set(linear, this.#stateAt(REC.base).add(this.#rec.loadS('i64', 4, REC.displacement)));
          f.br(done);
        });
        const kind = f.let(this.#rec.load('i32', 1, REC.addressing));
        const index = this.#stateAt(REC.index).shl(this.#rec.load('i64', 1, REC.scale));
        const offset = this.#stateAt(REC.base)
          .add(index)
          .add(this.#rec.loadS('i64', 4, REC.displacement));
        if (this.#ends.cold === undefined) f.brIf(slow, kind.ne(EA.full));
        else {
          f.if(kind.ne(EA.full), () => {
            f.brIf(slow, kind.ne(EA.legacy32));
            const segment = f.let(this.#rec.load('i32', 2, REC.segmentBase));
            f.brIf(slow, isFlat(segment, this.#base).eqz());
            f.set(linear, offset.add(segment.load('i64', 8, this.#base)).and(0xffff_ffff));
            f.br(done);
          });
        }
        f.set(linear, offset.add(this.#stateAt(REC.segmentBase)));
        f.br(done);
      });
      if (this.#ends.cold !== undefined) {
        this.giveUp();
        return;
      }
      const found = f.callValue(this.#runtime.addressSlow, this.#rec, i32(how));
      f.set(linear, found);
      if (failed !== undefined) f.if(found.eq(-1), failed);
    });
    return linear;
  }

  offset(_n: number): Expr {
    const { f } = this;
    // Register numbers are the same in every mode; only the truncation differs.
    const offset = f.local('i64');
    f.set(
      offset,
      this.#stateAt(REC.base)
        .add(this.#stateAt(REC.index).shl(this.#rec.load('i64', 1, REC.scale)))
        .add(this.#rec.loadS('i64', 4, REC.displacement)),
    );
    const kind = f.let(this.#rec.load('i32', 1, REC.addressing));
    f.if(kind.gtU(EA.full), () => {
      const inPage = this.#rec.load('i64', 2, REC.offset).add(this.#rec.load('i64', 1, REC.length));
      f.if(
        kind.eq(EA.ripWide),
        () => f.set(offset, offset.add(inPage)),
        () => f.set(offset, offset.and(i64(0xffff).select(kind.eq(EA.slow16), i64(0xffff_ffff)))),
      );
    });
    return offset;
  }

  linearAt(segment: number | 'operand', offset: Expr, size: number, write: boolean): Expr {
    const { f } = this;
    if (this.variant.long) {
      if (segment === 'operand') return f.let(offset.add(this.#stateAt(REC.segmentBase)));
      const based = segment === SEGMENT.fs || segment === SEGMENT.gs;
      return f.let(based ? offset.add(this.slot64(STATE.seg + segment * SEG.sizeof + SEG.base)) : offset);
    }
    if (this.#ends.cold !== undefined) {
      const base = this.#baseOf(segment);
      f.if(isFlat(base, this.#base).eqz(), () => this.giveUp());
      return f.let(offset.add(base.load('i64', 8, this.#base)).and(0xffff_ffff));
    }
    const which = segment === 'operand' ? this.#rec.load('i32', 1, REC.segment) : i32(segment);
    const linear = f.callValue(this.#runtime.segmentSlow, which, offset, i32(size | (write ? 0x100 : 0)));
    f.if(linear.eq(-1), () => this.fault());
    return linear;
  }
  isFlat(segment: number | 'operand'): Expr {
    return this.variant.long ? i32(1) : isFlat(this.#baseOf(segment), this.#base);
  }
  /** State offset of a segment's base, outside 64-bit mode. */
  #baseOf(segment: number | 'operand'): Expr {
    const base =
      segment === 'operand' ? this.#rec.load('i32', 2, REC.segmentBase) : i32(STATE.seg + segment * SEG.sizeof + SEG.base);
    return this.f.let(base);
  }

  // ---- registers -------------------------------------------------------------------------------------------------------

  gpr(register: number, size: OperandSize): Expr {
    return this.f.let(this.state.load(size === 8 ? 'i64' : 'i32', size, STATE.gpr + register * 8));
  }
  setGpr(register: number, size: OperandSize, value: Expr): void {
    this.#store(this.state, size, value, STATE.gpr + register * 8);
  }
  stackPointer(): Expr {
    return this.f.let(this.stackBelow(0));
  }
  setStackPointer(value: Expr): void {
    if (this.variant.long) {
      this.f.store(this.state, 8, value, STATE.gpr + 32);
      return;
    }
    const mask = this.f.let(this.slot64(STATE.stackMask));
    const old = this.state.load('i64', 8, STATE.gpr + 32);
    // A 32-bit stack pointer is zero-extended, a 16-bit one leaves the rest of ESP alone.
    const kept = old.and(mask.not()).and(0xffff_ffff);
    this.f.store(this.state, 8, kept.or(value.and(mask)), STATE.gpr + 32);
  }
  protected stackBelow(by: number): Expr {
    const pointer = this.state.load('i64', 8, STATE.gpr + 32).sub(by);
    return this.variant.long ? pointer : pointer.and(this.slot64(STATE.stackMask));
  }

  protected readRegister(n: number): Expr {
    const size = this.size(n);
    return this.f.let(this.#register(n).load(size === 8 ? 'i64' : 'i32', size, this.#registerBase(n)));
  }
  protected writeRegister(n: number, value: Expr): void {
    this.#store(this.#register(n), this.size(n), value, this.#registerBase(n));
  }
  protected readVector(n: number): Expr {
    const at = this.#register(n);
    const base = this.#registerBase(n);
    const { size } = this.operand(n);
    return this.f.let(size === 8 || size === 4 ? at.loadZero(size, base) : at.loadV(base));
  }
  protected writeVector(n: number, value: Expr): void {
    this.f.storeV(this.#register(n), value, this.#registerBase(n));
  }
  protected readHigh(n: number): Expr {
    return this.f.let(this.#register(n).loadV(this.#registerBase(n) + TO_HIGH));
  }
  protected writeHigh(n: number, value: Expr): void {
    this.f.storeV(this.#register(n), value, this.#registerBase(n) + TO_HIGH);
  }
  setYmmHigh(register: number, value: Expr): void {
    this.f.storeV(this.state, value, STATE.ymmHigh + register * 16);
  }
  xmm(register: number): Expr {
    return this.f.let(this.state.loadV(STATE.xmm + register * 16));
  }
  setXmm(register: number, value: Expr): void {
    this.f.storeV(this.state, value, STATE.xmm + register * 16);
  }
  protected mmxRegister(n: number): { at: Expr; offset: number } {
    return { at: this.#register(n), offset: this.#registerBase(n) };
  }
  protected immediate(n: number): Expr {
    const size = this.size(n);
    if (this.isSecondImmediate(n)) {
      const value = this.#rec.load('i32', 4, REC.displacement);
      return this.f.let(size === 8 ? value.extendS() : narrowTo(value, size));
    }
    if (size === 8) return this.f.let(this.#rec.load('i64', 8, REC.immediate));
    return this.f.let(narrowTo(this.#rec.load('i32', 4, REC.immediate), size));
  }
  protected tlb(access: 'r' | 'w'): Expr {
    return this.slot32(access === 'r' ? STATE.tlbRead : STATE.tlbWrite);
  }

  // ---- ends ------------------------------------------------------------------------------------------------------------

  registerNumber(n: number): Expr {
    return this.#register(n);
  }
  modrm(): Expr {
    return this.f.let(this.#rec.load('i32', 1, REC.reg2));
  }
  segment(): Expr {
    return this.#rec.load('i32', 1, REC.segment);
  }
  rip(): Expr {
    return this.slot64(STATE.ripBase).add(this.#rec.load('i64', 2, REC.offset));
  }
  ripNext(): Expr {
    const next = this.slot64(STATE.ripBase)
      .add(this.#rec.load('i64', 2, REC.offset))
      .add(this.#rec.load('i64', 1, REC.length));
    return this.f.let(this.variant.long ? next : next.and(0xffff_ffff));
  }
  jump(rip: Expr): void {
    this.#ends.jump(rip);
  }
  jumpRelative(): void {
    const { f } = this;
    const target = f.let(this.#rec.load('i32', 4, REC.immediate).load('i32', 4, 0));
    f.if(target, () => this.#ends.take(target));
    const rip = f.let(
      this.slot64(STATE.ripBase)
        .add(this.#rec.load('i64', 2, REC.offset))
        .add(this.#rec.load('i64', 1, REC.length))
        .add(this.#rec.loadS('i64', 4, REC.displacement)),
    );
    const width = f.let(this.#rec.load('i32', 1, REC.segment));
    f.if(width, () => {
      const narrow = f.let(rip.and(i64(0xffff).select(width.eq(2), i64(0xffff_ffff))));
      this.#checkLimit(narrow);
      this.#ends.jump(narrow);
    });
    this.#ends.jump(rip);
  }
  checkRelative(): void {
    const { f } = this;
    const width = f.let(this.#rec.load('i32', 1, REC.segment));
    f.if(width, () => {
      const rip = this.ripNext().add(this.#rec.loadS('i64', 4, REC.displacement));
      this.#checkLimit(f.let(rip.and(i64(0xffff).select(width.eq(2), i64(0xffff_ffff)))));
    });
  }
  #checkLimit(rip: Expr): void {
    const limit = this.slot32(STATE.seg + SEGMENT.cs * SEG.sizeof + SEG.limit);
    this.f.if(rip.wrap().gtU(limit), () => this.raise(13, 0));
  }
  fault(): void {
    this.#ends.fault();
  }
  protected override giveUp(): void {
    if (this.#ends.cold === undefined) super.giveUp();
    else this.#ends.cold();
  }
  helper(name: string): void {
    if (this.#ends.cold !== undefined) {
      this.giveUp();
      return;
    }
    this.#ends.status(this.f.callValue(this.#runtime.helper, this.#rec, i32(this.#runtime.helperNumber(name))));
  }
  compute(name: string, argument: number | Expr = 0, otherwise?: () => void): void {
    if (this.#ends.cold !== undefined) {
      this.giveUp();
      return;
    }
    const number = i32(this.#runtime.computeNumber(name));
    const failed = this.f.callValue(this.#runtime.compute, number, typeof argument === 'number' ? i32(argument) : argument);
    this.f.if(failed, otherwise ?? (() => this.fault()));
  }

  ticks(): Expr {
    return this.f.callValue(this.#runtime.ticks).convert('i64TruncF64U');
  }

  routine(routine: Routine, ...args: Expr[]): Local {
    return this.f.callValue(this.#runtime.routines(routine), ...args);
  }

  /** A 32-bit result clears the upper half: SDM vol. 1, 3.4.1.1. */
  #store(at: Expr, size: OperandSize, value: Expr, offset: number): void {
    if (size === 4) this.f.store(at, 8, value.extendU(), offset);
    else this.f.store(at, size, value, offset);
  }
  /** Which of reg0, reg1, reg2 holds operand `n`: register operands are numbered in order of appearance. */
  #register(n: number): Expr {
    if (this.operand(n).fixed !== undefined) return this.state;
    const known = this.#slots.get(n);
    if (known !== undefined) return known;
    let nth = 0;
    for (let i = 0; i < n; i++) {
      const { kind, fixed } = this.operand(i);
      if (kind !== 'mem' && kind !== 'imm' && kind !== 'rel' && fixed === undefined) nth++;
    }
    const slot = this.f.let(this.#rec.load('i32', 2, REC.reg0 + nth * 2));
    if (this.f.depth === this.#depth) this.#slots.set(n, slot);
    return slot;
  }
  #registerBase(n: number): number {
    const { fixed } = this.operand(n);
    return fixed === undefined ? this.#base : STATE.gpr + fixed * 8;
  }
  /** The i64 in the state slot a record field names. */
  #stateAt(field: number): Expr {
    return this.#rec.load('i32', 2, field).load('i64', 8, this.#base);
  }
}
