// The vCPU's registers in locals of one WebAssembly function: which of them it uses, which it may have changed.
import type { Expr, Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import type { FlagStore } from '../emit/flag-emitter.ts';
import { narrowTo } from '../emit/operand-emitter.ts';
import { STATE } from '../state.ts';

interface Slot {
  readonly at: number;
  readonly bytes: 4 | 8;
}
const FLAG_SLOTS: Readonly<Record<'z' | 's' | 'c', Slot>> = {
  z: { at: STATE.flagZ, bytes: 8 },
  s: { at: STATE.flagS, bytes: 8 },
  c: { at: STATE.flagC, bytes: 4 },
};
const gprSlot = (register: number): Slot => ({ at: STATE.gpr + register * 8, bytes: 8 });

/** Registers as locals of `f`. What is read or written is noted, for what is loaded at the start and written back at the end. */
export class RegisterLocals implements FlagStore {
  readonly #f: FunctionBuilder;
  readonly #state: Expr;
  readonly #slots = new Map<number, Slot>();
  readonly #written = new Set<number>();
  readonly #locals = new Map<number, Local>();

  constructor(f: FunctionBuilder, state: Expr) {
    this.#f = f;
    this.#state = state;
  }

  /** Loads what was used until now. */
  load(): void {
    for (const slot of this.#slots.values()) {
      this.#f.set(this.#local(slot), this.#state.load(slot.bytes === 8 ? 'i64' : 'i32', slot.bytes, slot.at));
    }
  }

  /** Writes back what was changed until now. */
  store(): void {
    for (const slot of this.#slots.values())
      if (this.#written.has(slot.at)) this.#f.store(this.#state, slot.bytes, this.#local(slot), slot.at);
  }

  /** From now on all of them count as changed: what is emitted later may run before, in a loop. */
  useAll(): void {
    for (const slot of [...Array.from({ length: 16 }, (_, register) => gprSlot(register)), ...Object.values(FLAG_SLOTS)]) {
      this.#local(slot);
      this.#written.add(slot.at);
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

  #setFlag(which: 'z' | 's' | 'c', value: Expr): void {
    const slot = FLAG_SLOTS[which];
    this.#written.add(slot.at);
    this.#f.set(this.#local(slot), value);
  }

  #local(slot: Slot): Local {
    let local = this.#locals.get(slot.at);
    if (local === undefined) {
      local = this.#f.variable(slot.bytes === 8 ? 'i64' : 'i32');
      this.#slots.set(slot.at, slot);
      this.#locals.set(slot.at, local);
    }
    return local;
  }
}
