// The arithmetic flags over the three state words flagZ, flagS, flagC (see STATE.flagZ): no flag is computed before it is
// needed, yet no table of operations has to be consulted when it is.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import { FLAG, STATE } from '../state.ts';
import type { FlagEmitter, OperandSize } from './emitter.ts';

/** How flags reach the state; the translator may keep the three words in locals. */
export interface FlagStore {
  setZ(value: Expr): void;
  setS(value: Expr): void;
  setC(value: Expr): void;
  readonly z: Expr;
  readonly s: Expr;
  readonly c: Expr;
}

/** The three words in the vCPU state. */
export function stateFlagStore(f: FunctionBuilder, state: Expr): FlagStore {
  return {
    setZ: (value) => f.store(state, 8, value, STATE.flagZ),
    setS: (value) => f.store(state, 8, value, STATE.flagS),
    setC: (value) => f.store(state, 4, value, STATE.flagC),
    get z() {
      return state.load('i64', 8, STATE.flagZ);
    },
    get s() {
      return state.load('i64', 8, STATE.flagS);
    },
    get c() {
      return state.load('i32', 4, STATE.flagC);
    },
  };
}

export class WordFlags implements FlagEmitter {
  readonly #f: FunctionBuilder;
  readonly #store: FlagStore;

  constructor(f: FunctionBuilder, store: FlagStore) {
    this.#f = f;
    this.#store = store;
  }

  add(a: Expr, b: Expr, r: Expr, size: OperandSize): void {
    this.signZero(r, size);
    // Carries out of each bit position.
    this.#carries(a.and(b).or(a.or(b).and(r.not())), size);
  }

  sub(a: Expr, b: Expr, r: Expr, size: OperandSize): void {
    this.signZero(r, size);
    // Borrows into each bit position.
    this.#carries(a.not().and(b).or(a.not().or(b).and(r)), size);
  }

  logic(r: Expr, size: OperandSize): void {
    this.signZero(r, size);
    this.#store.setC(i32(0));
  }

  inc(a: Expr, r: Expr, size: OperandSize): void {
    this.#keepingCarry(a, r, size, true);
  }

  dec(a: Expr, r: Expr, size: OperandSize): void {
    this.#keepingCarry(a, r, size, false);
  }

  result(r: Expr, size: OperandSize, cf: Expr, of: Expr): void {
    this.#store.setC(carryWord(this.#f.let(cf), this.#f.let(of)));
    this.signZero(r, size);
  }

  carryOverflow(cf: Expr, of: Expr): void {
    this.#store.setC(this.#store.c.and(8).or(carryWord(this.#f.let(cf), this.#f.let(of))));
  }

  setCarry(cf: Expr): void {
    const overflow = this.#f.let(this.#overflow());
    this.#store.setC(this.#store.c.and(8).or(carryWord(this.#f.let(cf), overflow)));
  }

  setZero(zf: Expr): void {
    this.#store.setZ(zf.eqz().extendU());
  }

  setAll(image: Expr): void {
    const e = this.#f.let(image);
    this.#store.setZ(e.and(FLAG.zf).eqz().extendU());
    // Sign in bit 63; an odd low byte (1) when PF is clear.
    this.#store.setS(e.and(FLAG.sf).extendU().shl(56).or(e.and(FLAG.pf).eqz().extendU()));
    const cf = this.#f.let(e.and(1));
    const of = this.#f.let(e.shrU(11).and(1));
    this.#store.setC(carryWord(cf, of).or(e.and(FLAG.af).shrU(1)));
  }

  image(): Expr {
    const c = this.#f.let(this.#store.c);
    const s = this.#f.let(this.#store.s);
    return c
      .shrU(31)
      .or(this.#parity(s).shl(2))
      .or(c.and(8).shl(1))
      .or(this.#store.z.eqz().shl(6))
      .or(s.shrU(56).wrap().and(0x80))
      .or(c.xor(c.shl(1)).shrU(31).shl(11));
  }

  carry(): Expr {
    return this.#store.c.shrU(31);
  }

  condition(code: number): Expr {
    const positive = this.#positive(code >> 1);
    return code & 1 ? positive.eqz() : positive;
  }

  #positive(pair: number): Expr {
    const { z, s, c } = this.#store;
    switch (pair) {
      case 0: // O
        return this.#overflow();
      case 1: // B
        return c.ltS(0);
      case 2: // Z
        return z.eqz();
      case 3: // BE
        return c.ltS(0).or(z.eqz());
      case 4: // S
        return s.ltS(0);
      case 5: // P
        return this.#parity(s);
      case 6: // L
        return this.#less();
      default: // LE
        return this.#less().or(z.eqz());
    }
  }

  #overflow(): Expr {
    const c = this.#f.let(this.#store.c);
    return c.xor(c.shl(1)).shrU(31);
  }
  #less(): Expr {
    const c = this.#f.let(this.#store.c);
    return this.#store.s.shrU(32).wrap().xor(c).xor(c.shl(1)).shrU(31);
  }
  /** 1 when the low byte has an even number of ones. */
  #parity(s: Expr): Expr {
    return s.wrap().and(0xff).popcnt().and(1).xor(1);
  }

  /** ZF, SF and PF of a result. */
  protected signZero(r: Expr, size: OperandSize): void {
    const wide = size === 8 ? r : size === 4 ? r.extendS() : (size === 2 ? r.extend16S() : r.extend8S()).extendS();
    const kept = this.#f.let(wide);
    this.#store.setZ(kept);
    this.#store.setS(kept);
  }

  #carries(vector: Expr, size: OperandSize): void {
    this.#store.setC(this.#normalise(vector, size));
  }

  /** The carry vector with the operand's top bits at 31 and 30, and bit 3 in place. */
  #normalise(vector: Expr, size: OperandSize): Expr {
    if (size === 4) return vector;
    const v = this.#f.let(vector);
    if (size === 8) return v.shrU(32).wrap().and(~8).or(v.wrap().and(8));
    return v.shl(size === 2 ? 16 : 24).or(v.and(8));
  }

  #keepingCarry(a: Expr, r: Expr, size: OperandSize, up: boolean): void {
    // OF is where the sign changes the wrong way; AF is the carry through bit 3.
    const vector = up ? a.and(r.not()) : a.not().and(r);
    const c = this.#f.let(this.#normalise(vector, size));
    const old = this.#f.let(this.#store.c.shrU(31));
    // With b = ±1 the top two carries differ exactly when the sign overflows.
    const of = this.#f.let(c.xor(c.shl(1)).shrU(31));
    this.#store.setC(old.shl(31).or(old.xor(of).shl(30)).or(c.and(8)));
    this.signZero(r, size);
  }
}

/** flagC from CF and OF as 0/1. */
function carryWord(cf: Expr, of: Expr): Expr {
  return cf.shl(31).or(cf.xor(of).and(1).shl(30));
}
