// The x87 unit as generated code works on it: the stack, the status word, the pointers to the last instruction and operand.
// What is emitted here does ordinary instructions only; everything else leaves for `slow` before anything has changed, and
// the helper that has the exact arithmetic does it.
import { Const, type Expr, i32, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder, Label } from '../../../wasm/function-builder.ts';
import type { Emitter } from '../../emit/emitter.ts';
import type { Routine } from '../../emit/routine.ts';
import { SEG, SEGMENT, STATE } from '../../state.ts';
import { choose } from './choose.ts';
import type { X87Number } from './number.ts';

/** Status word (SDM vol. 1, 8.1.3). */
const FSW = { es: 0x80, c1: 0x200, topShift: 11, top: 0x3800 } as const;
/** Bytes of a register in the state. */
const STRIDE_SHIFT = 4;
const REGISTERS = 0x70;

/** Masks of registers by their number in the stack. */
export const TOP: Expr = i32(1);
/** The register that a push makes the top. */
export const NEXT: Expr = i32(0x80);
export const bitOf = (i: Expr): Expr => i32(1).shl(i);

/** A register of the stack: its address, and what is in it. */
export interface Place extends X87Number {
  readonly at: Expr;
}
export interface MemoryPlace {
  /** In its segment. */
  readonly offset: Expr;
  /** Address in the shared memory. */
  readonly host: Expr;
}

export class X87Unit {
  readonly e: Emitter;
  readonly f: FunctionBuilder;
  readonly slow: Label;
  /** FSW before the instruction. */
  readonly fsw: Local;
  /** TOP. */
  readonly #top: Expr;
  /** One bit a register that is in use, by number in the stack. */
  readonly #inUse: Expr;

  constructor(e: Emitter, slow: Label) {
    this.e = e;
    this.f = e.f;
    this.slow = slow;
    const { f } = e;
    this.fsw = f.local('i32');
    f.set(this.fsw, e.state.load('i32', 2, STATE.fsw));
    this.#top = f.let(this.fsw.shrU(FSW.topShift).and(7));
    this.#inUse = f.let(e.state.load('i32', 1, STATE.ftw).mul(0x101).shrU(this.#top));
  }

  /** #NM, for instructions that do not wait. */
  available(): void {
    this.f.brIf(this.slow, this.e.slot32(STATE.mmxBlocked));
  }
  /** #NM, #MF, and the stack's exceptions: some registers must be in use, others empty. */
  ready(inUse: Expr, empty: Expr = i32(0)): void {
    // A register may be in both: FLD ST(7) never succeeds.
    const missing = this.#inUse.and(inUse).xor(inUse);
    const stack = empty instanceof Const && empty.value === 0n ? missing : missing.or(this.#inUse.and(empty));
    this.f.brIf(this.slow, this.e.slot32(STATE.mmxBlocked).or(this.fsw.and(FSW.es)).or(stack));
  }

  /** Address of ST(i). */
  at(i: Expr): Expr {
    const offset = this.fsw
      .shrU(FSW.topShift - STRIDE_SHIFT)
      .add(i.and(7).shl(STRIDE_SHIFT))
      .and(REGISTERS);
    return this.f.let(offset.add(this.e.state).add(STATE.x87));
  }
  /** ST(i). */
  st(i: Expr): Place {
    const at = this.at(i);
    return { at, se: this.f.let(at.load('i32', 2, 8)), m: this.f.let(at.load('i64', 8, 0)) };
  }

  /** Calls a routine that answers NOT_ORDINARY or something else. */
  routine(routine: Routine, ...args: Expr[]): Expr {
    const answer = this.e.routine(routine, ...args);
    this.f.brIf(this.slow, answer.ltS(0));
    return answer;
  }

  /** Emits one of several: see `choose`. */
  choose<Choice extends object>(index: Expr, choices: readonly (Choice | undefined)[], emit: (choice: Choice) => void): void {
    choose(this.f, index, choices, this.slow, (choice) => this.f.scope(() => emit(choice)));
  }

  /** The memory operand, if it is plain RAM. */
  operand(size: number, access: 'r' | 'w'): MemoryPlace {
    return { offset: this.e.offset(0), host: this.e.plainOperand(size, access, () => this.f.br(this.slow)) };
  }

  /** C1 = 0 but for `raised`; TOP moves by −1 to 2. `conditions` are replaced by `raised` too. */
  finish(raised: Expr = i32(0), pops: -1 | 0 | 1 | 2 = 0, conditions = 0): void {
    const kept = this.fsw.and(~(FSW.c1 | conditions | (pops === 0 ? 0 : FSW.top))).or(raised);
    const moved = pops === 0 ? kept : kept.or(this.fsw.add(pops << FSW.topShift).and(FSW.top));
    this.f.store(this.e.state, 2, moved, STATE.fsw);
  }
  /** Registers become used or empty; masks as for `ready`, numbers from before the instruction. */
  tag(used: Expr | undefined, emptied?: Expr): void {
    const byRegister = (mask: Expr) => {
      const turned = this.f.let(mask.shl(this.#top));
      return turned.or(turned.shrU(8));
    };
    let tags = this.e.state.load('i32', 1, STATE.ftw);
    if (used !== undefined) tags = tags.or(byRegister(used));
    if (emptied !== undefined) tags = tags.and(byRegister(emptied).not());
    this.f.store(this.e.state, 1, tags, STATE.ftw);
  }
  /** Ends an instruction that pushes. */
  push({ se, m }: X87Number): void {
    const at = this.at(i32(-1));
    this.f.store(at, 8, m, 0);
    this.f.store(at, 2, se, 8);
    this.tag(NEXT);
    this.finish(undefined, -1);
  }
  /** Ends an instruction that pops `count` registers. */
  pop(raised: Expr, count: 0 | 1 | 2, conditions = 0): void {
    if (count > 0) this.tag(undefined, i32(count === 1 ? 1 : 3));
    this.finish(raised, count, conditions);
  }

  /** FIP and FCS, and with a memory operand FDP and FDS: as the exact arithmetic's unit records them. */
  record(operand?: MemoryPlace): void {
    const { f, e } = this;
    const selectorAt = STATE.seg + SEG.selector;
    const cs = e.state.load('i32', 2, selectorAt + SEGMENT.cs * SEG.sizeof);
    f.store(e.state, 8, e.rip(), STATE.fip);
    f.store(e.state, 2, cs, STATE.fcs);
    if (operand === undefined) return;
    f.store(e.state, 8, operand.offset, STATE.fdp);
    f.store(e.state, 2, e.segment().mul(SEG.sizeof).add(e.state).load('i32', 2, selectorAt), STATE.fds);
  }
}
