// AVX's and AVX2's own ways of moving lanes: broadcasts, 128-bit halves, permutations, blends. SDM vol. 2, under each name.
import { Const, type Expr, i32 } from '../../../wasm/expr.ts';
import type { Emitter } from '../../emit/emitter.ts';
import type { Semantics } from '../../emit/semantics.ts';
import { allBytes, bytes, dwords, laneBytes, qwords, type VectorOp, vector, ZERO } from '../simd-ops.ts';
import { avx, halves, isWide, setEach } from './avx-access.ts';

const swizzle = (v: Expr, control: Expr): Expr => vector('i8x16.swizzle', v, control);

// Broadcasts. One byte more in the control of a swizzle for each byte of the element.

const ELEMENTS = { 1: 'b', 2: 'w', 4: 'd', 8: 'q' } as const;
function broadcast(size: keyof typeof ELEMENTS): Semantics {
  const first = Array.from({ length: 16 }, (_, i) => i & (size - 1));
  return avx(`vbroadcast${ELEMENTS[size]}`, 'w,r', (e) => {
    const v = e.getVector(1, { low: true });
    const all = e.f.let(v.shuffle(v, first));
    e.setWide(0, all, isWide(e) ? all : ZERO);
  });
}
export const vbroadcastb = broadcast(1);
export const vbroadcastw = broadcast(2);
export const vbroadcastd = broadcast(4);
export const vbroadcastq = broadcast(8);
/** VBROADCASTF128, VBROADCASTI128. */
export const vbroadcasto = avx('vbroadcasto', 'w,r', (e) => {
  const v = e.getVector(1);
  e.setWide(0, v, v);
});

// Halves of 128 bits.

/** VEXTRACTF128, VEXTRACTI128. */
export const vextract128 = avx('vextract128', 'w,r,r', (e) => {
  const [low, high] = halves(e, 1);
  e.setWide(0, high.select(e.get(2).and(1), low), ZERO);
});
/** VINSERTF128, VINSERTI128. */
export const vinsert128 = avx('vinsert128', 'w,r,r,r', (e) => {
  const v = e.getVector(2);
  const [low, high] = halves(e, 1);
  const upper = e.f.let(e.get(3).and(1));
  e.setWide(0, low.select(upper, v), v.select(upper, high));
});
/** VPERM2F128, VPERM2I128: two bits choose among four halves, a third one clears. */
export const vperm2x128 = avx('vperm2x128', 'w,r,r,r', (e) => {
  const second = halves(e, 2);
  const first = halves(e, 1);
  const imm = e.f.let(e.get(3));
  const pick = (shift: number): Expr => {
    const at = (bit: number) => imm.and(bit << shift);
    const of = (pair: readonly [Expr, Expr]) => e.f.let(pair[1].select(at(1), pair[0]));
    return e.f.let(ZERO.select(at(8), e.f.let(of(second).select(at(2), of(first)))));
  };
  e.setWide(0, pick(0), pick(4));
});

// Permutations within halves.

/** Dwords 0 to 3 of a lane by the low bits of each dword of `control`. */
const byDwords = (v: Expr, control: Expr): Expr =>
  swizzle(
    v,
    vector('i32x4.add', vector('i32x4.mul', vector('v128.and', control, dwords(3)), dwords(0x0404_0404)), dwords(0x0302_0100)),
  );
/** Quadwords 0 and 1 by bit 1 of each. */
const byQuadwords = (v: Expr, control: Expr): Expr => {
  const chosen = vector('i64x2.shr_u', vector('i64x2.shl', control, i32(62)), i32(63));
  const bytewise = vector('v128.or', vector('i64x2.shl', chosen, i32(3)), vector('i64x2.shl', chosen, i32(35)));
  const spread = swizzle(bytewise, bytes(0, 0, 0, 0, 0, 0, 0, 0, 8, 8, 8, 8, 8, 8, 8, 8));
  return swizzle(v, vector('i8x16.add', spread, bytes(0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7)));
};
const byVector = (name: string, permute: (v: Expr, control: Expr) => Expr): Semantics =>
  avx(name, 'w,r,r', (e) => {
    const control = halves(e, 2);
    const from = halves(e, 1);
    setEach(e, (half) => permute(from[half], e.f.let(control[half])));
  });
export const vpermilps = byVector('vpermilps', byDwords);
export const vpermilpd = byVector('vpermilpd', byQuadwords);

/** Quadwords of a lane by bits of the immediate. */
export const vpermilpdImmediate = avx('vpermilpd.i', 'w,r,r', (e) => {
  const from = halves(e, 1);
  const imm = e.f.let(e.get(2));
  setEach(e, (half) => {
    const v = from[half];
    const pick = (bit: number): Expr =>
      e.f.let(v.shuffle(v, laneBytes(8, [1, 1]))).select(imm.and(bit << (2 * half)), e.f.let(v.shuffle(v, laneBytes(8, [0, 0]))));
    return e.f.let(pick(1)).shuffle(e.f.let(pick(2)), laneBytes(8, [0, 3]));
  });
});

// Permutations of all 256 bits.

/** Bytes 0 to 31 of the two halves by a control with numbers below 32. */
const across = (from: readonly [Expr, Expr], control: Expr): Expr =>
  vector('v128.or', swizzle(from[0], control), swizzle(from[1], vector('i8x16.sub', control, allBytes(16))));
/** VPERMD, VPERMPS: the second operand holds the numbers. */
export const vpermd = avx('vpermd', 'w,r,r', (e) => {
  const from = halves(e, 2);
  const control = halves(e, 1);
  setEach(e, (half) => {
    const numbers = vector('v128.and', control[half], dwords(7));
    return across(from, e.f.let(vector('i32x4.add', vector('i32x4.mul', numbers, dwords(0x0404_0404)), dwords(0x0302_0100))));
  });
});
/** VPERMQ, VPERMPD: four fields of two bits. */
export const vpermq = avx('vpermq', 'w,r,r', (e) => {
  const from = halves(e, 1);
  const imm = e.f.let(e.get(2));
  setEach(e, (half) => {
    if (imm instanceof Const) {
      const field = (n: number) => Number(imm.value >> BigInt(2 * n)) & 3;
      return from[0].shuffle(from[1], laneBytes(8, [field(2 * half), field(2 * half + 1)]));
    }
    const field = (n: number) =>
      imm
        .shrU(2 * n)
        .and(3)
        .mul(0x0808_0808)
        .add(0x0302_0100);
    const four = (n: number) => {
      const numbers = e.f.let(vector('i32x4.splat', field(n)));
      return vector('i32x4.add', numbers, dwords(0, 0x0404_0404, 0, 0x0404_0404));
    };
    return across(from, e.f.let(four(2 * half).shuffle(four(2 * half + 1), laneBytes(8, [0, 2]))));
  });
});

// Blends.

/** VPBLENDD. */
export const vpblendd = avx('vpblendd', 'w,r,r,r', (e) => {
  const b = halves(e, 2);
  const a = halves(e, 1);
  const imm = e.f.let(e.get(3));
  setEach(e, (half) => {
    const bits = dwords(...[1, 2, 4, 8].map((bit) => bit << (4 * half)));
    const mask = vector('i32x4.eq', vector('v128.and', vector('i32x4.splat', imm), bits), bits);
    return vector('v128.bitselect', b[half], a[half], mask);
  });
});

// Shifts by a count for each element.

/** Each lane by its own count; counts beyond the width leave nothing, or the sign. */
const shiftEach = (name: string, op: VectorOp, size: 4 | 8): Semantics =>
  avx(name, 'w,r,r', (e) => {
    const counts = halves(e, 2);
    const from = halves(e, 1);
    setEach(e, (half) => shiftLanes(e, op, size, from[half], counts[half]));
  });
function shiftLanes(e: Emitter, op: VectorOp, size: 4 | 8, v: Expr, counts: Expr): Expr {
  const { f } = e;
  const bits = size * 8;
  const shape = size === 4 ? 'i32x4' : 'i64x2';
  const lanes = 16 / size;
  const most = size === 4 ? dwords(bits - 1) : qwords(BigInt(bits - 1));
  // Unsigned: everything that has a bit above those of a count.
  const excess = f.let(vector(`${shape}.eq`, vector('v128.and', counts, vector('v128.not', most)), ZERO));
  const arithmetic = op.endsWith('shr_s');
  const limited = arithmetic ? f.let(vector('v128.bitselect', counts, most, excess)) : counts;
  const shifted = Array.from({ length: lanes }, (_, n) => {
    const count = limited.simd(size === 4 ? 0x1b : 0x1d, size === 4 ? 'i32' : 'i64', [], n);
    return f.let(vector(op, v, size === 4 ? count : count.wrap()));
  });
  const merged = shifted.reduce((all, one, n) =>
    all.shuffle(
      one,
      laneBytes(
        size,
        Array.from({ length: lanes }, (_, i) => (i === n ? i + lanes : i)),
      ),
    ),
  );
  return arithmetic ? merged : vector('v128.and', merged, excess);
}
export const vpsllvd = shiftEach('vpsllvd', 'i32x4.shl', 4);
export const vpsllvq = shiftEach('vpsllvq', 'i64x2.shl', 8);
export const vpsrlvd = shiftEach('vpsrlvd', 'i32x4.shr_u', 4);
export const vpsrlvq = shiftEach('vpsrlvq', 'i64x2.shr_u', 8);
export const vpsravd = shiftEach('vpsravd', 'i32x4.shr_s', 4);
