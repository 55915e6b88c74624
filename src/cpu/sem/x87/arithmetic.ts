// Sums, products, quotients and roots of ordinary numbers. Each routine writes its result to a register and answers PE and
// C1 as bits of FSW, or NOT_ORDINARY before it has changed anything.
import { type Expr, i32, i64, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';
import type { Routine } from '../../emit/routine.ts';
import { BIAS, exponentOf, INTEGER_BIT, isOrdinary, NOT_ORDINARY, requireOrdinary, SIGN } from './number.ts';
import { cancelledSign, returnRounded, returnZero } from './rounding.ts';
import { product, quotient } from './wide.ts';

interface Operands {
  readonly f: FunctionBuilder;
  readonly state: Expr;
  /** Address of the register that gets the result. */
  readonly at: Expr;
  /** Sign and exponent, exponent, significand. */
  readonly a: { readonly se: Local; readonly exponent: Local; readonly m: Local };
  readonly b: { readonly se: Local; readonly exponent: Local; readonly m: Local };
}

/** (register's address, a.se, a.m, b.se, b.m) → raised. The operands are ordinary. */
const binary = (name: string, body: (operands: Operands) => void): Routine => ({
  name,
  params: ['i32', 'i32', 'i64', 'i32', 'i64'],
  result: 'i32',
  emit: (f, state) => {
    const [at, aSe, aM, bSe, bM] = f.params as [Local, Local, Local, Local, Local];
    const a = { se: aSe, exponent: f.local('i32'), m: aM };
    const b = { se: bSe, exponent: f.local('i32'), m: bM };
    f.set(a.exponent, exponentOf(aSe));
    f.set(b.exponent, exponentOf(bSe));
    requireOrdinary(f, a, b);
    body({ f, state, at, a, b });
  },
});

/** a + b. */
export const ADD: Routine = binary('x87 add', ({ f, state, at, a, b }) => {
  const swap = () => {
    for (const [x, y] of [
      [a.se, b.se],
      [a.exponent, b.exponent],
      [a.m, b.m],
    ] as const) {
      const kept = f.let(x);
      f.set(x, y);
      f.set(y, kept);
    }
  };
  // The greater magnitude first.
  const behind = a.exponent.ltU(b.exponent).or(a.exponent.eq(b.exponent).and(a.m.ltU(b.m)));
  f.if(behind, swap);
  const distance = f.let(a.exponent.sub(b.exponent).extendU());
  const { hi: shifted, lo: out } = shiftedRight(f, b.m, distance);
  const hi = f.local('i64');
  const lo = f.local('i64');
  const sign = f.let(a.se.and(SIGN));
  f.if(
    a.se.xor(b.se).and(SIGN).eqz(),
    () => {
      f.set(lo, out);
      f.set(hi, a.m.add(shifted));
      f.if(hi.ltU(a.m), () => {
        f.set(lo, lo.shrU(1).or(lo.and(1)).or(hi.shl(63)));
        f.set(hi, hi.shrU(1).or(INTEGER_BIT));
        f.set(a.exponent, a.exponent.add(1));
      });
      f.if(hi.eqz(), () => returnZero(f, at, sign));
    },
    () => {
      f.set(lo, i64(0).sub(out));
      f.set(hi, a.m.sub(shifted).sub(out.ne(0).extendU()));
      f.if(hi.eqz(), () => {
        f.if(lo.eqz(), () => returnZero(f, at, cancelledSign(f, state)));
        f.set(hi, lo);
        f.set(lo, i64(0));
        f.set(a.exponent, a.exponent.sub(64));
      });
      f.if(hi.geS(0), () => {
        const zeros = f.let(hi.clz());
        f.set(hi, hi.shl(zeros).or(lo.shrU(i64(64).sub(zeros))));
        f.set(lo, lo.shl(zeros));
        f.set(a.exponent, a.exponent.sub(zeros.wrap()));
      });
    },
  );
  returnRounded(f, state, at, { sign, exponent: a.exponent, hi, lo });
});

/** m × 2^64 shifted right by `distance` (i64), as 128 bits; what falls off the end leaves a sticky bit. */
function shiftedRight(f: FunctionBuilder, m: Expr, distance: Expr): { hi: Local; lo: Local } {
  const [hi, lo] = [f.local('i64'), f.local('i64')];
  f.if(
    distance.ltU(64),
    () => {
      f.set(hi, m.shrU(distance));
      f.set(lo, m.shl(i64(63).sub(distance)).shl(1));
    },
    () => {
      f.set(hi, i64(0));
      f.set(lo, m.ne(0).extendU());
      f.if(distance.ltU(128), () => {
        const beyond = m.shl(i64(127).sub(distance)).shl(1);
        f.set(lo, m.shrU(distance.sub(64)).or(beyond.ne(0).extendU()));
      });
    },
  );
  return { hi, lo };
}

const signOfProduct = ({ f, a, b }: Operands): Local => f.let(a.se.xor(b.se).and(SIGN)) as Local;

/** a × b. */
export const MULTIPLY: Routine = binary('x87 multiply', (operands) => {
  const { f, state, at, a, b } = operands;
  const sign = signOfProduct(operands);
  const { hi, lo } = product(f, a.m, b.m);
  const exponent = a.exponent;
  f.set(exponent, a.exponent.add(b.exponent).sub(BIAS - 1));
  f.if(hi.geS(0), () => {
    f.if(hi.eqz(), () => returnZero(f, at, sign));
    f.set(hi, hi.shl(1).or(lo.shrU(63)));
    f.set(lo, lo.shl(1));
    f.set(exponent, exponent.sub(1));
  });
  returnRounded(f, state, at, { sign, exponent, hi, lo });
});

/** What a remainder adds to the quotient, as a fraction of 2^64: on the right side of one half. */
const fraction = (zero: Expr, aboveHalf: Expr, half: Expr): Expr =>
  i64(0).select(zero, i64(3n << 62n).select(aboveHalf, INTEGER_BIT.select(half, i64(1n << 62n))));

/** a ÷ b. A zero divisor is not ordinary. */
export const DIVIDE: Routine = binary('x87 divide', (operands) => {
  const { f, state, at, a, b } = operands;
  f.if(b.m.eqz(), () => f.return(NOT_ORDINARY));
  const sign = signOfProduct(operands);
  f.if(a.m.eqz(), () => returnZero(f, at, sign));
  const exponent = a.exponent;
  const top = f.local('i64');
  f.set(top, i64(0));
  f.set(exponent, a.exponent.sub(b.exponent).add(BIAS - 1));
  f.if(a.m.geU(b.m), () => {
    f.set(top, a.m.and(1).shl(31));
    f.set(a.m, a.m.shrU(1));
    f.set(exponent, exponent.add(1));
  });
  const { quotient: hi, remainder } = quotient(f, a.m, top, b.m);
  const missing = f.let(b.m.sub(remainder));
  const lo = f.let(fraction(remainder.eqz(), remainder.gtU(missing), remainder.eq(missing)));
  returnRounded(f, state, at, { sign, exponent, hi, lo });
});

/** (register's address, se, m) → raised. Negative numbers are not ordinary. */
export const SQUARE_ROOT: Routine = {
  name: 'x87 square root',
  params: ['i32', 'i32', 'i64'],
  result: 'i32',
  emit: (f, state) => {
    const [at, se, m] = f.params as [Local, Local, Local];
    const exponent = f.local('i32');
    f.set(exponent, exponentOf(se));
    f.if(isOrdinary(exponent, m).eqz(), () => f.return(NOT_ORDINARY));
    f.if(m.eqz(), () => returnZero(f, at, se));
    f.if(se.and(SIGN), () => f.return(NOT_ORDINARY));
    // The radicand, of 127 or 128 bits: the root has 64. The bias is odd.
    const [hi, lo] = [f.local('i64'), f.local('i64')];
    f.set(hi, m);
    f.set(lo, i64(0));
    f.if(exponent.and(1), () => {
      f.set(hi, m.shrU(1));
      f.set(lo, m.shl(63));
    });
    f.set(exponent, exponent.add(BIAS).shrU(1));
    const { root, above } = rootOf(f, hi, lo);
    const exact = f.let(above.hi.or(above.lo).eqz());
    const rest = f.let(fraction(exact, above.hi.ne(0).or(above.lo.gtU(root)), i32(0)));
    returnRounded(f, state, at, { sign: i32(0), exponent, hi: root, lo: rest });
  },
};

const double = (value: number): Expr => {
  const bits = new DataView(new ArrayBuffer(8));
  bits.setFloat64(0, value);
  return i64(bits.getBigUint64(0)).convert('f64ReinterpretI64');
};

/** Floor of the root of hi × 2^64 + lo, hi ≥ 2^62, and the radicand less its square. */
function rootOf(f: FunctionBuilder, hi: Expr, lo: Expr): { root: Local; above: { hi: Local; lo: Local } } {
  const root = f.local('i64');
  const above = { hi: f.local('i64'), lo: f.local('i64') };
  const subtractSquare = () => {
    const square = product(f, root, root);
    f.set(above.hi, hi.sub(square.hi).sub(lo.ltU(square.lo).extendU()));
    f.set(above.lo, lo.sub(square.lo));
  };
  // 53 bits of it, then a step of Newton's, then one up or down.
  const estimate = hi
    .convert('f64ConvertI64U')
    .float('sqrt')
    .float('mul', double(2 ** 32));
  f.set(root, estimate.float('min', double(2 ** 64 - 2 ** 11)).convert('i64TruncF64U'));
  subtractSquare();
  const error = above.hi
    .convert('f64ConvertI64S')
    .float('mul', double(2 ** 64))
    .float('add', above.lo.convert('f64ConvertI64U'));
  const slope = root.convert('f64ConvertI64U').float('mul', double(2));
  f.set(root, root.add(error.float('div', slope).convert('i64TruncF64S')));
  subtractSquare();
  f.block((found) => {
    f.loop((again) => {
      const negative = above.hi.ltS(0);
      const tooSmall = above.hi.gtU(root.shrU(63)).or(above.hi.eq(root.shrU(63)).and(above.lo.gtU(root.shl(1))));
      f.if(negative, () => f.set(root, root.sub(1)));
      f.if(negative.eqz(), () => {
        f.brIf(found, tooSmall.eqz());
        f.set(root, root.add(1));
      });
      subtractSquare();
      f.br(again);
    });
  });
  return { root, above };
}
