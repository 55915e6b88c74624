// AES: AESENC, AESENCLAST, AESDEC, AESDECLAST, AESIMC, AESKEYGENASSIST. SDM vol. 2, under each name; FIPS 197.
//
// SubBytes is an inversion in GF(2^8), and there is no table to look up: neither its time nor the memory it touches depends on
// the data. The field is taken as pairs k + i·r over its subfield of 16 elements, where r² + a·r + a = 0 (M. Hamburg,
// "Accelerating AES with Vector Permute Instructions", 2009). With N = k² + aik + ai², the norm of the pair, and j = i + k:
//   1/(1/i + a/k) + j = N/(k + ai)    1/(1/j + a/k) + i = N/(k + ai + ak)
// Five look-ups among 16 bytes give both, and a last one of each gives the inverse, which is linear in their reciprocals.
// An element of 16 is 0..15, infinity has bit 7: a look-up beyond the table is zero, its reciprocal.
import { Const, type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Emitter } from '../emit/emitter.ts';
import type { Routine } from '../emit/routine.ts';
import type { Semantics } from '../emit/semantics.ts';
import { allBytes, bytes, dwords, laneBytes, vector, ZERO } from './simd-ops.ts';
import { aligned, sse } from './sse-access.ts';

/** Product in GF(2^8) modulo x^8 + x^4 + x^3 + x + 1. */
function product(a: number, b: number): number {
  let sum = 0;
  for (let x = a, y = b; y !== 0; y >>= 1) {
    if (y & 1) sum ^= x;
    x = (x << 1) ^ (x & 0x80 ? 0x11b : 0);
  }
  return sum;
}
const ALL = Array.from({ length: 256 }, (_, i) => i);
const RECIPROCAL = ALL.map((x) => (x === 0 ? 0 : (ALL.find((y) => product(x, y) === 1) as number)));
const inverse = (x: number): number => RECIPROCAL[x] as number;
/** The affine map behind the inversion, without its constant; FIPS 197, 5.1.1. */
const affine = (x: number): number => {
  const twice = x | (x << 8);
  return (twice ^ (twice >> 4) ^ (twice >> 5) ^ (twice >> 6) ^ (twice >> 7)) & 0xff;
};
const CONSTANT = 0x63;
const unaffine = (x: number): number => ALL.find((y) => affine(y) === x) as number;

/** The subfield by number: an isomorphism of XOR. Element n is the sum of the basis elements of n's bits. */
const SUBFIELD = (() => {
  const members = ALL.filter((x) => power16(x) === x);
  const basis: number[] = [];
  const sum = (n: number, of: readonly number[]) => of.reduce((all, x, i) => (n & (1 << i) ? all ^ x : all), 0);
  for (const x of members) {
    const known = Array.from({ length: 1 << basis.length }, (_, n) => sum(n, basis));
    if (!known.includes(x)) basis.push(x);
  }
  return Array.from({ length: 16 }, (_, n) => sum(n, basis));
})();
function power16(x: number): number {
  let power = x;
  for (let i = 0; i < 4; i++) power = product(power, power);
  return power;
}
const element = (n: number): number => SUBFIELD[n] as number;
const numberOf = (x: number): number => SUBFIELD.indexOf(x);
/** r outside of the subfield with r² + a·r + a = 0, a in it. */
const [A, R] = (() => {
  for (const a of SUBFIELD.slice(1))
    for (const r of ALL) if (!SUBFIELD.includes(r) && (product(r, r) ^ product(a, r) ^ a) === 0) return [a, r] as const;
  throw new Error('no such pair');
})();
const INFINITY = 0x80;

/** 16-byte tables. */
const NUMBERS = Array.from({ length: 16 }, (_, n) => n);
const RECIPROCALS = bytes(...NUMBERS.map((n) => (n === 0 ? INFINITY : numberOf(inverse(element(n))))));
const RECIPROCALS_A = bytes(...NUMBERS.map((n) => (n === 0 ? INFINITY : numberOf(product(A, inverse(element(n)))))));
/** x = k + i·r as the byte i << 4 | k. */
const PAIRS = (() => {
  const pairs = new Array<number>(256);
  for (const i of NUMBERS) for (const k of NUMBERS) pairs[element(k) ^ product(element(i), R)] = (i << 4) | k;
  return pairs;
})();
/** A linear map of bytes as two tables, for the low and the high half. */
const halves = (map: (x: number) => number): readonly [Expr, Expr] => [
  bytes(...NUMBERS.map(map)),
  bytes(...NUMBERS.map((n) => map(n << 4))),
];
const pairOf = (x: number): number => PAIRS[x] as number;
/** From the two quotients to what becomes of 1/x, by `map`: r's conjugate is r + a. */
function outputs(map: (x: number) => number): readonly [Expr, Expr] {
  const a1 = inverse(A);
  const of = (u: number, v: number) => {
    const k = product(u ^ v, a1);
    const i = product(u ^ k, a1);
    return map(k ^ product(i, R ^ A));
  };
  const reciprocal = (n: number) => (n === 0 ? 0 : inverse(element(n)));
  return [bytes(...NUMBERS.map((n) => of(reciprocal(n), 0))), bytes(...NUMBERS.map((n) => of(0, reciprocal(n))))];
}
const ENCRYPT = { input: halves(pairOf), output: outputs(affine) } as const;
const DECRYPT = { input: halves((x) => pairOf(unaffine(x))), output: outputs((x) => x) } as const;

const LOW = allBytes(15);
const look = (table: Expr, at: Expr): Expr => vector('i8x16.swizzle', table, at);
const xor = (a: Expr, b: Expr): Expr => vector('v128.xor', a, b);
const highHalf = (f: FunctionBuilder, x: Expr): Expr => f.let(vector('v128.and', vector('i16x8.shr_u', x, i32(4)), LOW));
const lowHalf = (f: FunctionBuilder, x: Expr): Expr => f.let(vector('v128.and', x, LOW));

/** SubBytes without the constant 63H, or its inverse on bytes that had it taken away. */
function substitute(f: FunctionBuilder, x: Expr, { input, output }: typeof ENCRYPT): Expr {
  const pair = f.let(xor(look(input[0], lowHalf(f, x)), look(input[1], highHalf(f, x))));
  const k = lowHalf(f, pair);
  const i = highHalf(f, pair);
  const j = f.let(xor(i, k));
  const ak = f.let(look(RECIPROCALS_A, k));
  const first = xor(look(RECIPROCALS, xor(look(RECIPROCALS, i), ak)), j);
  const second = xor(look(RECIPROCALS, xor(look(RECIPROCALS, j), ak)), i);
  return f.let(xor(look(output[0], first), look(output[1], second)));
}

/** Row n of the state is byte n of each dword; it moves left by n columns, or right. */
const shiftRows = (x: Expr, by: 1 | -1): Expr =>
  x.shuffle(
    x,
    Array.from({ length: 16 }, (_, i) => (i + by * 4 * (i & 3)) & 15),
  );
const rotated = (x: Expr, by: number): Expr =>
  x.shuffle(
    x,
    Array.from({ length: 16 }, (_, i) => (i & ~3) | ((i + by) & 3)),
  );
/** Each byte times x. */
const doubled = (x: Expr): Expr =>
  xor(vector('i8x16.add', x, x), vector('v128.and', vector('i8x16.gt_s', ZERO, x), allBytes(0x1b)));

function mixColumns(f: FunctionBuilder, x: Expr): Expr {
  const next = f.let(rotated(x, 1));
  const sum = f.let(xor(x, next));
  return f.let(xor(xor(doubled(sum), next), rotated(sum, 2)));
}
/** Four times each byte and the one across from it, then as above. */
function unmixColumns(f: FunctionBuilder, x: Expr): Expr {
  const across = f.let(xor(x, rotated(x, 2)));
  const twice = f.let(doubled(across));
  return mixColumns(f, f.let(xor(x, doubled(twice))));
}

const SUB = allBytes(CONSTANT);
const round = (name: string, emit: (f: FunctionBuilder, state: Expr) => Expr): Routine => ({
  name,
  params: ['v128'],
  result: 'v128',
  emit(f) {
    f.return(emit(f, f.params[0] as Local));
  },
});
const encrypt = (f: FunctionBuilder, x: Expr): Expr => f.let(xor(substitute(f, f.let(shiftRows(x, 1)), ENCRYPT), SUB));
const decrypt = (f: FunctionBuilder, x: Expr): Expr => substitute(f, f.let(shiftRows(vector('v128.xor', x, SUB), -1)), DECRYPT);
const ENCRYPT_LAST = round('aesenclast', encrypt);
const ENCRYPT_ROUND = round('aesenc', (f, x) => mixColumns(f, encrypt(f, x)));
const DECRYPT_LAST = round('aesdeclast', decrypt);
const DECRYPT_ROUND = round('aesdec', (f, x) => unmixColumns(f, decrypt(f, x)));
const UNMIX = round('aesimc', unmixColumns);
const SUBSTITUTE = round('aessub', (f, x) => xor(substitute(f, x, ENCRYPT), SUB));

/** The round key is added last. */
const one = (routine: Routine): Semantics =>
  sse(
    routine.name,
    'rw,r',
    (e) => {
      const key = aligned(e, 1);
      e.setVector(0, xor(e.routine(routine, e.getVector(0)), key));
    },
    { hot: true },
  );
export const aesenc = one(ENCRYPT_ROUND);
export const aesenclast = one(ENCRYPT_LAST);
export const aesdec = one(DECRYPT_ROUND);
export const aesdeclast = one(DECRYPT_LAST);
export const aesimc = sse('aesimc', 'w,r', (e) => e.setVector(0, e.routine(UNMIX, aligned(e, 1))));

/** Dwords 1 and 3 substituted, each followed by itself rotated by a byte and with the immediate added. */
export const aeskeygenassist = sse('aeskeygenassist', 'w,r,r', (e: Emitter) => {
  const { f } = e;
  const words = f.let(e.routine(SUBSTITUTE, aligned(e, 1)));
  const turned = words.shuffle(words, [...laneBytes(4, [1]), 5, 6, 7, 4, ...laneBytes(4, [3]), 13, 14, 15, 12]);
  const imm = e.get(2);
  const added =
    imm instanceof Const
      ? dwords(0, Number(imm.value), 0, Number(imm.value))
      : vector('v128.and', vector('i32x4.splat', imm), dwords(0, -1, 0, -1));
  e.setVector(0, xor(turned, added));
});
