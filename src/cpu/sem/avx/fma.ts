// FMA: ± a · b ± c, rounded once. SDM vol. 1, 14.5; vol. 2, VFMADD132PD and on.
//
// WebAssembly has no such operation. Where nothing can overflow, underflow or be invalid, and rounding is to nearest, the same
// comes out of ordinary ones: a double's rounding errors are doubles themselves. A sum that is rounded to odd, that is, away
// from a last bit of 0 whenever it is inexact, can be rounded once more to fewer bits as if it had not been rounded before
// (S. Boldo, G. Melquiond, "Emulation of a FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008).
// Singles: their product is exact in a double. All else is computed in TypeScript.
import { type Expr, i32, i64, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';
import type { Emitter } from '../../emit/emitter.ts';
import type { Routine } from '../../emit/routine.ts';
import type { Semantics } from '../../emit/semantics.ts';
import { lane, withLane, ZERO } from '../simd-ops.ts';
import { sse } from '../sse-access.ts';
import { computeSlow, FMA_SIGN, type FormName, FP_SLOT } from '../sse-operation.ts';
import { inexactIsQuiet, SHAPE } from '../sse-plain.ts';

type Pair = readonly [sum: Expr, error: Expr];

/** D. E. Knuth's exact sum. */
function twoSum(f: FunctionBuilder, a: Expr, b: Expr): Pair {
  const s = f.let(a.float('add', b));
  const bb = f.let(s.float('sub', a));
  const error = a.float('sub', s.float('sub', bb)).float('add', b.float('sub', bb));
  return [s, f.let(error)];
}

/** T. J. Dekker's exact product: each factor as two numbers of 26 bits. */
function twoProduct(f: FunctionBuilder, a: Expr, b: Expr): Pair {
  const splitter = i64(0x41a0_0000_0200_0000n).convert('f64ReinterpretI64'); // 2^27 + 1
  const split = (x: Expr): Pair => {
    const t = f.let(x.float('mul', splitter));
    const high = f.let(t.float('sub', t.float('sub', x)));
    return [high, f.let(x.float('sub', high))];
  };
  const p = f.let(a.float('mul', b));
  const [ah, al] = split(a);
  const [bh, bl] = split(b);
  const error = ah.float('mul', bh).float('sub', p).float('add', ah.float('mul', bl)).float('add', al.float('mul', bh));
  return [p, f.let(error.float('add', al.float('mul', bl)))];
}

/** a + b, rounded to odd. */
function oddSum(f: FunctionBuilder, a: Expr, b: Expr): Expr {
  const [s, error] = twoSum(f, a, b);
  const bits = f.let(s.convert('i64ReinterpretF64'));
  const errorBits = f.let(error.convert('i64ReinterpretF64'));
  const even = bits.and(1).eqz().extendU();
  const inexact = errorBits.shl(1).ne(0).extendU();
  // One up or down: by whether the error has the sum's sign.
  const step = i64(1).sub(bits.xor(errorBits).shrU(63).shl(1));
  return f.let(bits.add(step.mul(even.and(inexact))).convert('f64ReinterpretI64'));
}

export const FUSED64: Routine = {
  name: 'fma64',
  params: ['f64', 'f64', 'f64'],
  result: 'f64',
  emit(f) {
    const [a, b, c] = f.params as [Local, Local, Local];
    const [uh, ul] = twoProduct(f, a, b);
    const [th, tl] = twoSum(f, c, ul);
    const [vh, vl] = twoSum(f, uh, th);
    f.return(vh.float('add', oddSum(f, tl, vl)));
  },
};
export const FUSED32: Routine = {
  name: 'fma32',
  params: ['f32', 'f32', 'f32'],
  result: 'f32',
  emit(f) {
    const [a, b, c] = (f.params as [Local, Local, Local]).map((x) => f.let(x.convert('f64PromoteF32'))) as [Expr, Expr, Expr];
    f.return(oddSum(f, f.let(a.float('mul', b)), c).convert('f32DemoteF64'));
  },
};

/** Bits of a lane without the sign, at the top: whether its exponent is within `range` of 0. */
function within(bits: Expr, single: boolean, range: number): Expr {
  const unsigned = bits.shl(1);
  const [bias, shift] = single ? [127, 24] : [1023, 53];
  return single
    ? unsigned.sub(i32((bias - range) * 2 ** shift)).ltU(i32(2 * range * 2 ** shift))
    : unsigned.sub(i64(BigInt(bias - range) << BigInt(shift))).ltU(i64(BigInt(2 * range) << BigInt(shift)));
}

/** The exponents of the factors, and of an addend that is not zero, with which every result is zero or normal. */
const RANGE = { single: [30, 60], double: [250, 500] } as const;

interface Form {
  /** Operands of the instruction that are a, b and c. */
  readonly order: readonly [number, number, number];
  readonly signs: number;
}

function fused(e: Emitter, form: FormName, { order, signs }: Form): void {
  const { f } = e;
  const shape = SHAPE[form];
  const single = shape.floats === 'f32x4';
  const third = e.getVector(2, { low: shape.scalar });
  const operands = [e.getVector(0), e.getVector(1), third] as const;
  const [a, b, c] = order.map((n) => operands[n as 0]) as [Expr, Expr, Expr];
  const count = shape.scalar ? 1 : single ? 4 : 2;
  const lanes = Array.from({ length: count }, (_, n) => n);
  const [factors, addend] = single ? RANGE.single : RANGE.double;
  const bits = (v: Expr, n: number): Expr => f.let(lane(shape.integers, v, n));
  const plain = lanes.reduce((all: Expr, n) => {
    const addendBits = bits(c, n);
    const fine = within(addendBits, single, addend).or(addendBits.shl(1).eqz());
    return all
      .and(within(bits(a, n), single, factors))
      .and(within(bits(b, n), single, factors))
      .and(fine);
  }, inexactIsQuiet(e));
  const result = e.local('v128');
  f.if(
    plain,
    () => {
      let all: Expr = shape.scalar ? operands[0] : ZERO;
      for (const n of lanes) {
        const [x, y, z] = [a, b, c].map((v) => lane(shape.floats, v, n)) as [Expr, Expr, Expr];
        const negative = ((signs & FMA_SIGN.addend) !== 0) !== ((signs & FMA_SIGN.even) !== 0 && (n & 1) === 0);
        const value = e.routine(
          single ? FUSED32 : FUSED64,
          signs & FMA_SIGN.product ? x.float('neg') : x,
          y,
          negative ? z.float('neg') : z,
        );
        all = f.let(withLane(shape.floats, all, n, value));
      }
      f.set(result, all);
    },
    () => {
      f.storeV(e.state, c, FP_SLOT.c);
      computeSlow(e, 'fma', form, a, b, i32(signs));
      const answer = e.state.loadV(FP_SLOT.result);
      f.set(result, shape.scalar ? withLane(shape.floats, operands[0], 0, lane(shape.floats, answer, 0)) : answer);
    },
  );
  e.setVector(0, result);
}

const ORDERS = { 132: [0, 2, 1], 213: [1, 0, 2], 231: [1, 2, 0] } as const;
export type FmaOrder = keyof typeof ORDERS;
export const FMA_ORDERS: readonly FmaOrder[] = [132, 213, 231];
const { product, addend, even } = FMA_SIGN;
/** By name: what is subtracted. */
export const FMA_SIGNS = {
  fmaddsub: even,
  fmsubadd: addend | even,
  fmadd: 0,
  fmsub: addend,
  fnmadd: product,
  fnmsub: product | addend,
} as const;
export type FmaName = keyof typeof FMA_SIGNS;

/** 128 bits of one of them, or a scalar: for `avxOf`. */
export const fma = (name: FmaName, order: FmaOrder, form: FormName): Semantics =>
  sse(`${name}${order}${form}`, 'rw,r,r', (e) => fused(e, form, { order: ORDERS[order], signs: FMA_SIGNS[name] }));
