// The vCPU's registers in locals of one WebAssembly function: which of them it uses, which it may have changed.
import { Const, type Expr, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import type { FlagStore } from '../emit/flag-emitter.ts';
import { narrowTo } from '../emit/operand-emitter.ts';
import { STATE } from '../state.ts';
import type { FlagSource } from './compared-flags.ts';

interface Slot {
  readonly at: number;
  readonly bytes: 4 | 8 | 16;
}
const TYPES = { 4: 'i32', 8: 'i64', 16: 'v128' } as const;
const FLAG_SLOTS: Readonly<Record<'z' | 's' | 'c', Slot>> = {
  z: { at: STATE.flagZ, bytes: 8 },
  s: { at: STATE.flagS, bytes: 8 },
  c: { at: STATE.flagC, bytes: 4 },
};
const gprSlot = (register: number): Slot => ({ at: STATE.gpr + register * 8, bytes: 8 });
const xmmSlot = (register: number): Slot => ({ at: STATE.xmm + register * 16, bytes: 16 });
const ymmHighSlot = (register: number): Slot => ({ at: STATE.ymmHigh + register * 16, bytes: 16 });

/** Registers as locals of `f`. What is read or written is noted, for what is loaded at the start and written back at the end. */
export class RegisterLocals implements FlagStore {
  readonly #f: FunctionBuilder;
  readonly #state: Expr;
  readonly #slots = new Map<number, Slot>();
  readonly #written = new Set<number>();
  readonly #locals = new Map<number, Local>();
  readonly #expected = new Set<number>();
  readonly #kept = new Map<string, Local>();
  /** What the flags of now are of, as far as it is known: the code that comes next is only reached from the code before. */
  flagSource: FlagSource | undefined;
  /** Whether an instruction that looks at a condition may follow before control goes anywhere else. */
  conditionFollows = false;

  constructor(f: FunctionBuilder, state: Expr) {
    this.#f = f;
    this.#state = state;
  }

  /** Loads what was used until now. */
  load(): void {
    for (const slot of this.#slots.values()) {
      const { at, bytes } = slot;
      this.#f.set(this.#local(slot), bytes === 16 ? this.#state.loadV(at) : this.#state.load(TYPES[bytes], bytes, at));
    }
  }

  /** Writes back what was changed until now. */
  store(): void {
    for (const slot of this.#slots.values()) {
      const { at, bytes } = slot;
      if (!this.#written.has(at)) continue;
      if (bytes === 16) this.#f.storeV(this.#state, this.#local(slot), at);
      else this.#f.store(this.#state, bytes, this.#local(slot), at);
    }
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

  /** Bits 255:128 of a YMM register. */
  ymmHigh(register: number): Expr {
    return this.#f.let(this.#local(ymmHighSlot(register)));
  }
  setYmmHigh(register: number, value: Expr): void {
    const slot = ymmHighSlot(register);
    this.#written.add(slot.at);
    this.#f.set(this.#local(slot), value);
  }

  get z(): Expr {
    return this.#local(FLAG_SLOTS.z);
  }
  get s(): Expr {
    return this.#local(FLAG_SLOTS.s);
  }
  get c(): Expr {
    return this.#local(FLAG_SLOTS.c);
  }
  setZ(value: Expr): void {
    this.#setFlag('z', value);
  }
  setS(value: Expr): void {
    this.#setFlag('s', value);
  }
  setC(value: Expr): void {
    this.#setFlag('c', value);
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

  #setFlag(which: 'z' | 's' | 'c', value: Expr): void {
    this.flagSource = undefined;
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
