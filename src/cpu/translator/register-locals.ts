// The vCPU's registers in locals of one WebAssembly function: which of them it uses, which it may have changed.
import { Const, type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import type { FlagStore } from '../emit/flag-emitter.ts';
import { narrowTo } from '../emit/operand-emitter.ts';
import type { Routine, RoutineTable } from '../emit/routine.ts';
import { STATE } from '../state.ts';
import type { FlagSource } from './compared-flags.ts';
import { CARRY_WORD, type CarrySource, carryWord, deferred, type KnownCarry } from './deferred-carry.ts';

interface Slot {
  readonly at: number;
  readonly bytes: 8 | 16;
}
const TYPES = { 8: 'i64', 16: 'v128' } as const;
const FLAG_SLOTS: Readonly<Record<'z' | 's', Slot>> = {
  z: { at: STATE.flagZ, bytes: 8 },
  s: { at: STATE.flagS, bytes: 8 },
};
/** In place of STATE.flagC, see deferred-carry.ts: CF is that x is less than y; `kind` is the word, or stands for it. */
interface CarryLocals {
  readonly kind: Local;
  readonly x: Local;
  readonly y: Local;
}
/** What is known of the flags of now: the code that comes next is only reached from the code before. */
export interface KnownFlags {
  /** What they are of, where a condition can make use of it. */
  readonly source?: FlagSource | undefined;
  readonly carry?: KnownCarry;
}
export const NOTHING_KNOWN: KnownFlags = {};
const gprSlot = (register: number): Slot => ({ at: STATE.gpr + register * 8, bytes: 8 });
const xmmSlot = (register: number): Slot => ({ at: STATE.xmm + register * 16, bytes: 16 });

/** Registers as locals of `f`. What is read or written is noted, for what is loaded at the start and written back at the end. */
export class RegisterLocals implements FlagStore {
  readonly #f: FunctionBuilder;
  readonly #state: Expr;
  readonly #routines: RoutineTable;
  readonly #slots = new Map<number, Slot>();
  readonly #written = new Set<number>();
  readonly #locals = new Map<number, Local>();
  readonly #expected = new Set<number>();
  readonly #kept = new Map<string, Local>();
  #carry: CarryLocals | undefined;
  #carryWritten = false;
  knownFlags: KnownFlags = NOTHING_KNOWN;
  /** Whether an instruction that looks at a condition may follow before control goes anywhere else. */
  conditionFollows = false;

  /** `routines` are those of the function's module. */
  constructor(f: FunctionBuilder, state: Expr, routines: RoutineTable) {
    this.#f = f;
    this.#state = state;
    this.#routines = routines;
  }

  /** Loads what was used until now. */
  load(): void {
    for (const slot of this.#slots.values()) {
      const { at, bytes } = slot;
      this.#f.set(this.#local(slot), bytes === 16 ? this.#state.loadV(at) : this.#state.load('i64', 8, at));
    }
    if (this.#carry !== undefined) this.#setCarryWord(this.#state.load('i32', 4, STATE.flagC));
  }

  /** Writes back what was changed until now. */
  store(): void {
    for (const slot of this.#slots.values()) {
      const { at, bytes } = slot;
      if (!this.#written.has(at)) continue;
      if (bytes === 16) this.#f.storeV(this.#state, this.#local(slot), at);
      else this.#f.store(this.#state, 8, this.#local(slot), at);
    }
    if (this.#carryWritten) this.#f.store(this.#state, 4, this.#carryWord(undefined), STATE.flagC);
  }

  /** A value of its own: later writes do not change it. `high` reads bits 8..15. */
  get(register: number, size: OperandSize, high = false): Expr {
    const whole = this.#local(gprSlot(register));
    if (size === 8) return this.#f.let(whole);
    const shifted = high ? whole.shrU(8) : whole;
    return this.#f.let(narrowTo(shifted.wrap(), size));
  }

  /** A 32-bit result clears the upper half, a shorter one keeps the rest: SDM vol. 1, 3.4.1.1. */
  set(register: number, size: OperandSize, value: Expr, high = false): void {
    const whole = this.#local(gprSlot(register));
    this.#written.add(STATE.gpr + register * 8);
    if (size === 8) this.#f.set(whole, value);
    else if (size === 4) this.#f.set(whole, value.extendU());
    else {
      const mask = size === 2 ? 0xffff : 0xff;
      const shift = high ? 8 : 0;
      const kept = whole.and(~(BigInt(mask) << BigInt(shift)));
      this.#f.set(whole, kept.or(value.and(mask).extendU().shl(shift)));
    }
  }

  /** Not 0 unless all instructions may run that look at STATE.sseBlocked and its like; undefined when none does. */
  get blocked(): Expr | undefined {
    const slots = [...this.#expected].sort((a, b) => a - b).map((at) => this.#state.load('i32', 4, at));
    return slots.reduce<Expr | undefined>((all, slot) => all?.or(slot) ?? slot, undefined);
  }
  /** The u32 at `at` is 0 wherever the function does anything. */
  expectZero(at: number): void {
    this.#expected.add(at);
  }

  /** An XMM register: a value of its own. */
  xmm(register: number): Expr {
    return this.#f.let(this.#local(xmmSlot(register)));
  }
  setXmm(register: number, value: Expr): void {
    const slot = xmmSlot(register);
    this.#written.add(slot.at);
    this.#f.set(this.#local(slot), value);
  }

  /** Bits 255:128 of a YMM register. They stay in memory: VZEROUPPER would have every region that it is in load and store all of them. */
  ymmHigh(register: number): Expr {
    return this.#f.let(this.#state.loadV(STATE.ymmHigh + register * 16));
  }
  setYmmHigh(register: number, value: Expr): void {
    this.#f.storeV(this.#state, value, STATE.ymmHigh + register * 16);
  }

  get z(): Expr {
    return this.#local(FLAG_SLOTS.z);
  }
  get s(): Expr {
    return this.#local(FLAG_SLOTS.s);
  }
  get c(): Expr {
    return this.#carryWord(this.knownFlags.carry);
  }
  /** CF: i32 0 or 1. */
  get carry(): Expr {
    const { x, y } = this.#carryLocals;
    return x.ltU(y);
  }
  setZ(value: Expr): void {
    this.#setFlag('z', value);
  }
  setS(value: Expr): void {
    this.#setFlag('s', value);
  }
  setC(value: Expr): void {
    this.knownFlags = NOTHING_KNOWN;
    this.#carryWritten = true;
    this.#setCarryWord(value);
  }
  /** In place of setC: CF is that x is less than y, and stays without these; OF and AF are as the source says, of the result in `s`. */
  deferCarry(source: CarrySource, operands?: { readonly x: Expr; readonly y: Expr }): void {
    const { kind, x, y } = this.#carryLocals;
    this.#carryWritten = true;
    if (operands !== undefined) {
      this.#f.set(x, operands.x);
      this.#f.set(y, operands.y);
    }
    this.#f.set(kind, i32(deferred(source)));
  }

  get #carryLocals(): CarryLocals {
    const f = this.#f;
    this.#carry ??= { kind: f.variable('i32'), x: f.variable('i64'), y: f.variable('i64') };
    return this.#carry;
  }
  #setCarryWord(value: Expr): void {
    const { kind, x, y } = this.#carryLocals;
    this.#f.set(kind, value.and(CARRY_WORD | 0));
    this.#f.set(x, i64(0));
    this.#f.set(y, kind.shrU(31).extendU());
  }
  #carryWord(known: KnownCarry): Expr {
    const { kind, x, y } = this.#carryLocals;
    const call = (routine: Routine, ...args: Expr[]): Expr => this.#f.callValue(this.#routines(routine), ...args);
    return carryWord(this.#f, call, known, [kind, x, y, this.s]);
  }

  /** The value in a variable of its own, which holds it until the next of this name and type is kept. */
  readonly keep = (name: string, value: Expr): Expr => {
    if (value instanceof Const) return value;
    const key = `${name} ${value.type}`;
    const kept = this.#kept.get(key) ?? this.#f.variable(value.type);
    this.#kept.set(key, kept);
    this.#f.set(kept, value);
    return kept;
  };

  #setFlag(which: 'z' | 's', value: Expr): void {
    this.knownFlags = NOTHING_KNOWN;
    const slot = FLAG_SLOTS[which];
    this.#written.add(slot.at);
    this.#f.set(this.#local(slot), value);
  }

  #local(slot: Slot): Local {
    let local = this.#locals.get(slot.at);
    if (local === undefined) {
      local = this.#f.variable(TYPES[slot.bytes]);
      this.#slots.set(slot.at, slot);
      this.#locals.set(slot.at, local);
    }
    return local;
  }
}
