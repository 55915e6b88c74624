// Packed integer arithmetic, comparison and logic; the MMX form of each is the same on 8 bytes. SDM vol. 2, under each name.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Semantics } from '../emit/semantics.ts';
import { allBytes, dwords, lane, laneBytes, qwords, type VectorOp, vector, withLane, words, ZERO } from './simd-ops.ts';
import { binary, type Combine, unary } from './sse-access.ts';

/** Instructions that are one operator, operands in order. */
// biome-ignore format: a table reads best by its columns.
const DIRECT = {
  paddb: 'i8x16.add', paddw: 'i16x8.add', paddd: 'i32x4.add', paddq: 'i64x2.add',
  psubb: 'i8x16.sub', psubw: 'i16x8.sub', psubd: 'i32x4.sub', psubq: 'i64x2.sub',
  paddsb: 'i8x16.add_sat_s', paddsw: 'i16x8.add_sat_s', paddusb: 'i8x16.add_sat_u', paddusw: 'i16x8.add_sat_u',
  psubsb: 'i8x16.sub_sat_s', psubsw: 'i16x8.sub_sat_s', psubusb: 'i8x16.sub_sat_u', psubusw: 'i16x8.sub_sat_u',
  pavgb: 'i8x16.avgr_u', pavgw: 'i16x8.avgr_u',
  pminub: 'i8x16.min_u', pminsb: 'i8x16.min_s', pmaxub: 'i8x16.max_u', pmaxsb: 'i8x16.max_s',
  pminuw: 'i16x8.min_u', pminsw: 'i16x8.min_s', pmaxuw: 'i16x8.max_u', pmaxsw: 'i16x8.max_s',
  pminud: 'i32x4.min_u', pminsd: 'i32x4.min_s', pmaxud: 'i32x4.max_u', pmaxsd: 'i32x4.max_s',
  pcmpeqb: 'i8x16.eq', pcmpeqw: 'i16x8.eq', pcmpeqd: 'i32x4.eq', pcmpeqq: 'i64x2.eq',
  pcmpgtb: 'i8x16.gt_s', pcmpgtw: 'i16x8.gt_s', pcmpgtd: 'i32x4.gt_s', pcmpgtq: 'i64x2.gt_s',
  pmullw: 'i16x8.mul', pmulld: 'i32x4.mul', pmaddwd: 'i32x4.dot_i16x8_s',
  pand: 'v128.and', por: 'v128.or', pxor: 'v128.xor',
} as const satisfies Record<string, VectorOp>;

const shift = (count: number): Expr => i32(count);
const HIGH_WORDS = laneBytes(2, [1, 3, 5, 7, 9, 11, 13, 15]);
const EVEN_DWORDS = laneBytes(4, [0, 2, 0, 2]);
const even = (a: Expr): Expr => a.shuffle(a, EVEN_DWORDS);

/** The high words of the products. */
const highProducts =
  (sign: 's' | 'u'): Combine =>
  (a, b) =>
    vector(`i32x4.extmul_low_i16x8_${sign}`, a, b).shuffle(vector(`i32x4.extmul_high_i16x8_${sign}`, a, b), HIGH_WORDS);

/** The lanes of both operands that a horizontal operation pairs: even ones and odd ones of the concatenation. */
function pairs(a: Expr, b: Expr, width: 8 | 16, size: 2 | 4): { even: Expr; odd: Expr } {
  const half = width / size;
  const other = 16 / size;
  const index = (odd: number) => {
    const own = Array.from({ length: half / 2 }, (_, i) => 2 * i + odd);
    const lanes = [...own, ...own.map((i) => i + other)];
    return laneBytes(size, width === 16 ? lanes : [...lanes, ...lanes]);
  };
  return { even: a.shuffle(b, index(0)), odd: a.shuffle(b, index(1)) };
}
const horizontal =
  (op: VectorOp, size: 2 | 4): Combine =>
  (a, b, width) => {
    const p = pairs(a, b, width, size);
    return vector(op, p.even, p.odd);
  };

/** a negated, zeroed or kept by the sign of b. */
const sign =
  (shape: 'i8x16' | 'i16x8' | 'i32x4', bits: number): Combine =>
  (a, b, _width, e) => {
    const negative = e.f.let(vector(`${shape}.shr_s`, b, shift(bits - 1)));
    const flipped = vector(`${shape}.sub`, vector('v128.xor', a, negative), negative);
    return vector('v128.and', flipped, vector(`${shape}.ne`, b, ZERO));
  };

/** The operands of a pack side by side: MMX packs 4 + 4 words, not 8 + 8. */
const pack =
  (op: VectorOp): Combine =>
  (a, b, width, e) => {
    if (width === 16) return vector(op, a, b);
    const both = e.f.let(a.shuffle(b, laneBytes(8, [0, 2])));
    return vector(op, both, both);
  };

/** Interleaves the low or high halves. */
const unpack =
  (size: 1 | 2 | 4 | 8, high: boolean): Combine =>
  (a, b, width) => {
    const count = width / size;
    const first = high ? count / 2 : 0;
    const lanes = Array.from({ length: 16 / size }, (_, i) => ((first + (i >> 1)) % (16 / size)) + (i & 1) * (16 / size));
    return a.shuffle(b, laneBytes(size, lanes));
  };

const COMPOSED: Readonly<Record<string, Combine>> = {
  pandn: (a, b) => vector('v128.andnot', b, a),
  pmulhw: highProducts('s'),
  pmulhuw: highProducts('u'),
  pmuludq: (a, b) => vector('i64x2.extmul_low_i32x4_u', even(a), even(b)),
  pmuldq: (a, b) => vector('i64x2.extmul_low_i32x4_s', even(a), even(b)),
  // Only 8000h × 8000h differs: it wraps, where WebAssembly saturates.
  pmulhrsw: (a, b) => {
    const low = words(0x8000);
    const both = vector('v128.and', vector('i16x8.eq', a, low), vector('i16x8.eq', b, low));
    return vector('v128.xor', vector('i16x8.q15mulr_sat_s', a, b), both);
  },
  // Unsigned bytes of the destination times signed bytes of the source.
  pmaddubsw: (a, b) => {
    const low = vector(
      'i16x8.mul',
      vector('v128.and', a, words(0xff)),
      vector('i16x8.shr_s', vector('i16x8.shl', b, shift(8)), shift(8)),
    );
    const high = vector('i16x8.mul', vector('i16x8.shr_u', a, shift(8)), vector('i16x8.shr_s', b, shift(8)));
    return vector('i16x8.add_sat_s', low, high);
  },
  psadbw: (a, b, _width, e) => {
    const distance = vector('i8x16.sub', vector('i8x16.max_u', a, b), vector('i8x16.min_u', a, b));
    const sums = e.f.let(vector('i32x4.extadd_pairwise_i16x8_u', vector('i16x8.extadd_pairwise_i8x16_u', distance)));
    return vector('i64x2.add', vector('v128.and', sums, qwords(0xffff_ffffn)), vector('i64x2.shr_u', sums, shift(32)));
  },
  phaddw: horizontal('i16x8.add', 2),
  phaddd: horizontal('i32x4.add', 4),
  phaddsw: horizontal('i16x8.add_sat_s', 2),
  phsubw: horizontal('i16x8.sub', 2),
  phsubd: horizontal('i32x4.sub', 4),
  phsubsw: horizontal('i16x8.sub_sat_s', 2),
  psignb: sign('i8x16', 8),
  psignw: sign('i16x8', 16),
  psignd: sign('i32x4', 32),
  packsswb: pack('i8x16.narrow_i16x8_s'),
  packuswb: pack('i8x16.narrow_i16x8_u'),
  packssdw: pack('i16x8.narrow_i32x4_s'),
  packusdw: pack('i16x8.narrow_i32x4_u'),
  punpcklbw: unpack(1, false),
  punpcklwd: unpack(2, false),
  punpckldq: unpack(4, false),
  punpcklqdq: unpack(8, false),
  punpckhbw: unpack(1, true),
  punpckhwd: unpack(2, true),
  punpckhdq: unpack(4, true),
  punpckhqdq: unpack(8, true),
  // Bit 7 clears the byte; otherwise the index is taken modulo the width.
  pshufb: (a, b, width) => vector('i8x16.swizzle', a, vector('v128.and', b, allBytes(width === 16 ? 0x8f : 0x87))),
};

/** Library code runs these all the time on XMM registers. */
const HOT = new Set(['pxor', 'por', 'pand', 'pcmpeqb', 'paddd', 'paddq', 'pminub', 'punpcklqdq']);

const SHAPES: Readonly<Record<string, Combine>> = {
  ...Object.fromEntries(Object.entries(DIRECT).map(([name, op]): [string, Combine] => [name, (a, b) => vector(op, a, b)])),
  ...COMPOSED,
};
const table = (hot: ReadonlySet<string>): ReadonlyMap<string, Semantics> =>
  new Map(Object.entries(SHAPES).map(([name, combine]) => [name, binary(name, combine, { hot: hot.has(name) })]));
const XMM = table(HOT);
const MMX = table(new Set());

function find(semantics: ReadonlyMap<string, Semantics>, name: string): Semantics {
  const found = semantics.get(name);
  if (found === undefined) throw new Error(`no packed instruction ${name}`);
  return found;
}
/** Semantics of a packed integer instruction `destination = f(destination, source)` by its mnemonic: the XMM form. */
export const packed = (name: string): Semantics => find(XMM, name);
/** The MMX form. */
export const packedMmx = (name: string): Semantics => find(MMX, name);

export const pabsb = unary('pabsb', (a) => vector('i8x16.abs', a));
export const pabsw = unary('pabsw', (a) => vector('i16x8.abs', a));
export const pabsd = unary('pabsd', (a) => vector('i32x4.abs', a));

/** PMOVSX, PMOVZX: widens the low lanes step by step. */
function extension(name: string, ...steps: readonly VectorOp[]): Semantics {
  return unary(name, (a) => steps.reduce((value, op) => vector(op, value), a));
}
export const EXTENSIONS: Readonly<Record<string, Semantics>> = Object.fromEntries(
  (['s', 'u'] as const).flatMap((kind): [string, Semantics][] => {
    const bw = `i16x8.extend_low_i8x16_${kind}` as const;
    const wd = `i32x4.extend_low_i16x8_${kind}` as const;
    const dq = `i64x2.extend_low_i32x4_${kind}` as const;
    const name = kind === 's' ? 'pmovsx' : 'pmovzx';
    return [
      [`${name}bw`, extension(`${name}bw`, bw)],
      [`${name}bd`, extension(`${name}bd`, bw, wd)],
      [`${name}bq`, extension(`${name}bq`, bw, wd, dq)],
      [`${name}wd`, extension(`${name}wd`, wd)],
      [`${name}wq`, extension(`${name}wq`, wd, dq)],
      [`${name}dq`, extension(`${name}dq`, dq)],
    ];
  }),
);

/** PHMINPOSUW: each word with its index below it; the least of all. */
export const phminposuw = unary('phminposuw', (a, e) => {
  const low = vector('v128.or', vector('i32x4.shl', vector('i32x4.extend_low_i16x8_u', a), shift(16)), dwords(0, 1, 2, 3));
  const high = vector('v128.or', vector('i32x4.shl', vector('i32x4.extend_high_i16x8_u', a), shift(16)), dwords(4, 5, 6, 7));
  const four = e.f.let(vector('i32x4.min_u', low, high));
  const two = e.f.let(vector('i32x4.min_u', four, four.shuffle(four, laneBytes(4, [2, 3, 0, 1]))));
  const one = vector('i32x4.min_u', two, two.shuffle(two, laneBytes(4, [1, 0, 1, 0])));
  return withLane('i32x4', ZERO, 0, lane('i32x4', one, 0).rotl(16));
});
