// PCLMULQDQ: the product of two polynomials over GF(2) of 64 bits. SDM vol. 2, PCLMULQDQ.
import { Const, type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Emitter } from '../emit/emitter.ts';
import type { Routine } from '../emit/routine.ts';
import { dwords, laneBytes, vector, ZERO } from './simd-ops.ts';
import { aligned, sse } from './sse-access.ts';

const xor = (a: Expr, b: Expr): Expr => vector('v128.xor', a, b);
/** Every fourth bit, from bit n. */
const every = (n: number): Expr => dwords(0x1111_1111 << n);

/**
 * Two products of 32 bits at once, of dwords 0 and 1. Of a number with three zeroes between its bits an ordinary product has
 * digits of four bits that are the counts of what meets there: eight at most, so that none runs over, and their low bits are
 * the product without carries.
 */
function products(f: FunctionBuilder, a: Expr, b: Expr): Expr {
  const as = [0, 1, 2, 3].map((n) => f.let(vector('v128.and', a, every(n))));
  const bs = [0, 1, 2, 3].map((n) => f.let(vector('v128.and', b, every(n))));
  const classes = [0, 1, 2, 3].map((n) => {
    const terms = [0, 1, 2, 3].map((i) => vector('i64x2.extmul_low_i32x4_u', as[i] as Expr, bs[(n - i) & 3] as Expr));
    return vector('v128.and', terms.reduce(xor), every(n));
  });
  return f.let(classes.reduce((sum, term) => vector('v128.or', sum, term)));
}

/** Of the low quadwords, by Karatsuba's method. */
const CARRYLESS: Routine = {
  name: 'clmul',
  params: ['v128', 'v128'],
  result: 'v128',
  emit(f) {
    const [a, b] = f.params as [Local, Local];
    const outer = products(f, a, b);
    const folded = (x: Expr) => f.let(xor(x, x.shuffle(x, laneBytes(4, [1, 0, 2, 3]))));
    const middle = f.let(xor(products(f, folded(a), folded(b)), xor(outer, outer.shuffle(outer, laneBytes(8, [1, 0])))));
    // Quadword 0 of the middle, 32 bits up.
    f.return(xor(outer, ZERO.shuffle(middle, laneBytes(4, [0, 4, 5, 1]))));
  },
};

/** The quadword that a bit of the immediate chooses, as quadword 0. */
function chosen(e: Emitter, from: Expr, imm: Expr, bit: number): Expr {
  const high = from.shuffle(from, laneBytes(8, [1, 1]));
  if (imm instanceof Const) return Number(imm.value) & bit ? high : from;
  return e.f.let(high).select(imm.and(i32(bit)), from);
}

export const pclmulqdq = sse('pclmulqdq', 'rw,r,r', (e) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const imm = e.f.let(e.get(2));
  e.setVector(0, e.routine(CARRYLESS, chosen(e, a, imm, 1), chosen(e, b, imm, 16)));
});
