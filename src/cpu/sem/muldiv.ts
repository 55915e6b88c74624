// Multiplication and division. SDM vol. 2: MUL, IMUL, DIV, IDIV.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { semantics } from '../emit/semantics.ts';
import { VECTOR } from '../state.ts';
import { signedAt, sized, source } from './value.ts';

const LOW32 = 0xffff_ffffn;
const [AX, DX] = [0, 2];

/** High half of an unsigned 64 × 64 product, from four 32-bit ones. */
export function highUnsigned(e: Emitter, a: Expr, b: Expr): Expr {
  const { f } = e;
  const [a0, a1] = [f.let(a.and(LOW32)), f.let(a.shrU(32))];
  const [b0, b1] = [f.let(b.and(LOW32)), f.let(b.shrU(32))];
  const middle = f.let(a1.mul(b0).add(a0.mul(b0).shrU(32)));
  const carry = a0.mul(b1).add(middle.and(LOW32)).shrU(32);
  return f.let(a1.mul(b1).add(middle.shrU(32)).add(carry));
}

/** High half of a signed product: each negative factor counted 2^64 times the other too much. */
const highSigned = (e: Emitter, a: Expr, b: Expr): Expr =>
  e.f.let(highUnsigned(e, a, b).sub(a.shrS(63).and(b)).sub(b.shrS(63).and(a)));

/** Writes a double-width product to AX, DX:AX, EDX:EAX or RDX:RAX. */
function setProduct(e: Emitter, size: OperandSize, low: Expr, high: Expr): void {
  if (size === 1) e.setGpr(AX, 2, low);
  else {
    e.setGpr(AX, size, low);
    e.setGpr(DX, size, high);
  }
}

/** CF and OF say that the high half is needed. The others are undefined: processors clear ZF and AF. */
function setFlags(e: Emitter, low: Expr, size: OperandSize, overflow: Expr): void {
  e.flags.result(low, size, overflow, overflow);
  e.flags.setZero(i32(0));
}

export const mul = semantics(
  'mul',
  'r',
  (e) => {
    const { f } = e;
    const size = e.size(0);
    const b = e.get(0);
    const a = e.gpr(AX, size);
    let low: Expr;
    let high: Expr;
    if (size === 8) {
      low = f.let(a.mul(b));
      high = highUnsigned(e, a, b);
    } else if (size === 4) {
      const product = f.let(a.extendU().mul(b.extendU()));
      low = f.let(product.wrap());
      high = f.let(product.shrU(32).wrap());
    } else {
      low = f.let(a.mul(b));
      high = f.let(low.shrU(size * 8));
    }
    setProduct(e, size, low, high);
    const overflow = f.let(high.ne(0));
    setFlags(e, low, size, overflow);
  },
  { hot: true },
);

export const imul1 = semantics('imul1', 'r', (e) => {
  const size = e.size(0);
  const b = e.get(0);
  const { low, high, overflow } = signedProduct(e, e.gpr(AX, size), b, size);
  setProduct(e, size, low, high);
  setFlags(e, low, size, overflow);
});

/** `overflow` is 1 when the product does not fit `size`, signed. */
function signedProduct(e: Emitter, a: Expr, b: Expr, size: OperandSize): { low: Expr; high: Expr; overflow: Expr } {
  const { f } = e;
  if (size === 8) {
    const low = f.let(a.mul(b));
    const high = highSigned(e, a, b);
    return { low, high, overflow: f.let(high.ne(low.shrS(63))) };
  }
  if (size === 4) {
    const product = f.let(a.extendS().mul(b.extendS()));
    const low = f.let(product.wrap());
    return { low, high: f.let(product.shrU(32).wrap()), overflow: f.let(product.ne(low.extendS())) };
  }
  const low = f.let(signedAt(a, size).mul(signedAt(b, size)));
  return { low, high: f.let(low.shrU(size * 8)), overflow: f.let(low.ne(signedAt(low, size))) };
}

/** As `signedProduct` where the high half is only wanted for the overflow: rarely, as most factors have 32 bits. */
function lowProduct(e: Emitter, a: Expr, b: Expr, size: OperandSize): { low: Expr; overflow: Expr } {
  if (size !== 8) return signedProduct(e, a, b, size);
  const { f } = e;
  const low = f.let(a.mul(b));
  const overflow = f.local('i32');
  f.set(overflow, low.ltS(0));
  f.if(a.or(b).shrU(32).ne(0), () => f.set(overflow, highSigned(e, a, b).ne(low.shrS(63))));
  return { low, overflow };
}

export const imul2 = semantics(
  'imul2',
  'rw,r',
  (e) => {
    const size = e.size(0);
    const b = e.get(1);
    const { low, overflow } = lowProduct(e, e.get(0), b, size);
    e.set(0, low);
    setFlags(e, low, size, overflow);
  },
  { hot: true },
);

export const imul3 = semantics(
  'imul3',
  'w,r,r',
  (e) => {
    const size = e.size(0);
    const { low, overflow } = lowProduct(e, e.get(1), source(e, 2), size);
    e.set(0, low);
    setFlags(e, low, size, overflow);
  },
  { hot: true },
);

const divideError = (e: Emitter, condition: Expr): void => e.f.if(condition, () => e.raise(VECTOR.de));

/** The dividend of the sizes that fit 64 bits, as i64: AX, DX:AX or EDX:EAX; `signed` extends it. */
function dividend(e: Emitter, size: 1 | 2 | 4, signed: boolean): Expr {
  if (size === 1) {
    const ax = e.gpr(AX, 2);
    return e.f.let(signed ? ax.extend16S().extendS() : ax.extendU());
  }
  if (size === 2) {
    const both = e.gpr(DX, 2).shl(16).or(e.gpr(AX, 2));
    return e.f.let(signed ? both.extendS() : both.extendU());
  }
  return e.f.let(e.gpr(DX, 4).extendU().shl(32).or(e.gpr(AX, 4).extendU()));
}

function setQuotient(e: Emitter, size: OperandSize, quotient: Expr, remainder: Expr): void {
  if (size === 1) e.setGpr(AX, 2, quotient.and(0xff).or(remainder.and(0xff).shl(8)));
  else {
    e.setGpr(AX, size, quotient);
    e.setGpr(DX, size, remainder);
  }
}

export const div = semantics('div', 'r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const d = e.get(0);
  if (size === 8) {
    const high = e.gpr(DX, 8);
    // Also covers d = 0. Otherwise the quotient fits.
    divideError(e, high.geU(d));
    const { quotient, remainder } = divide128(e, high, e.gpr(AX, 8), d);
    setQuotient(e, 8, quotient, remainder);
    return;
  }
  divideError(e, d.eqz());
  const n = dividend(e, size, false);
  const wideDivisor = f.let(d.extendU());
  const quotient = f.let(n.divU(wideDivisor));
  divideError(e, quotient.shrU(size * 8).ne(0));
  setQuotient(e, size, quotient.wrap(), n.remU(wideDivisor).wrap());
});

export const idiv = semantics('idiv', 'r', (e) => {
  const { f } = e;
  const size = e.size(0);
  const d = e.get(0);
  if (size === 8) {
    signedDivide128(e, d);
    return;
  }
  divideError(e, d.eqz());
  const n = dividend(e, size, true);
  const wideDivisor = f.let(signedAt(d, size).extendS());
  // The one quotient that does not fit 64 bits, for which WebAssembly would trap.
  if (size === 4) divideError(e, wideDivisor.eq(-1).and(n.eq(1n << 63n)));
  const quotient = f.let(n.divS(wideDivisor));
  const fits = signedAt(quotient.wrap(), size).extendS();
  divideError(e, quotient.ne(fits));
  setQuotient(e, size, quotient.wrap(), n.remS(wideDivisor).wrap());
});

/** IDIV r/m64 on magnitudes. */
function signedDivide128(e: Emitter, d: Expr): void {
  const { f } = e;
  const low = f.local('i64');
  const high = f.local('i64');
  f.set(low, e.gpr(AX, 8));
  f.set(high, e.gpr(DX, 8));
  const negative = f.let(high.ltS(0));
  const negativeQuotient = f.let(d.ltS(0).ne(negative));
  const divisor = f.let(d.neg().select(d.ltS(0), d));
  f.if(negative, () => {
    f.set(high, high.not().add(low.eqz().extendU()));
    f.set(low, low.neg());
  });
  divideError(e, high.geU(divisor));
  const { quotient, remainder } = divide128(e, high, low, divisor);
  // At most 2^63 − 1, or 2^63 when negative.
  divideError(e, quotient.gtU(i64((1n << 63n) - 1n).add(negativeQuotient.extendU())));
  setQuotient(e, 8, quotient.neg().select(negativeQuotient, quotient), remainder.neg().select(negative, remainder));
}

/**
 * Unsigned 128 / 64 with high < d: long division by 32-bit digits. Knuth, The Art of Computer Programming vol. 2, 4.3.1,
 * algorithm D.
 */
function divide128(e: Emitter, high: Expr, low: Expr, d: Expr): { quotient: Expr; remainder: Expr } {
  const { f } = e;
  const quotient = f.local('i64');
  const remainder = f.local('i64');
  f.if(
    high.eqz(),
    () => {
      f.set(quotient, low.divU(d));
      f.set(remainder, low.remU(d));
    },
    () => {
      const shift = f.let(d.clz());
      const divisor = f.let(d.shl(shift));
      const upper = f.let(divisor.shrU(32));
      const lower = f.let(divisor.and(LOW32));
      const digits = f.let(low.shl(shift));
      const digit = (rest: Expr, next: Expr): { q: Expr; rest: Expr } => {
        const q = f.local('i64');
        const r = f.local('i64');
        f.set(q, rest.divU(upper));
        f.set(r, rest.sub(q.mul(upper)));
        f.block((good) =>
          f.loop((again) => {
            f.brIf(good, q.leU(LOW32).and(q.mul(lower).leU(r.shl(32).or(next))));
            f.set(q, q.sub(1));
            f.set(r, r.add(upper));
            f.brIf(again, r.leU(LOW32));
          }),
        );
        return { q, rest: f.let(rest.shl(32).or(next).sub(q.mul(divisor))) };
      };
      // The bits that the shift moves from the low half into the high one, without a shift by 64.
      const first = digit(f.let(high.shl(shift).or(low.shrU(1).shrU(sized(8, 63).sub(shift)))), f.let(digits.shrU(32)));
      const second = digit(first.rest, f.let(digits.and(LOW32)));
      f.set(quotient, first.q.shl(32).add(second.q));
      f.set(remainder, second.rest.shrU(shift));
    },
  );
  return { quotient, remainder };
}
