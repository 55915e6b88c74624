// Shuffles and blends by an immediate or by XMM0. The interpreter finds the immediate in the record and makes a byte
// control from it; a constant becomes a constant shuffle. SDM vol. 2, under each name.
import { Const, type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { dwords, laneBytes, qwords, test, vector, words } from './simd-ops.ts';
import { aligned, simd, sse } from './sse-access.ts';

/** The four two-bit fields of an immediate. */
const fields = (imm: Const): number[] => [0, 2, 4, 6].map((at) => Number(imm.value >> BigInt(at)) & 3);

/** Dwords of `a` by the fields of the immediate. */
function shuffleDwords(a: Expr, imm: Expr): Expr {
  if (imm instanceof Const) return a.shuffle(a, laneBytes(4, fields(imm)));
  // Each lane multiplies its own field to bits 7:6.
  const aligned6 = vector('i32x4.mul', vector('i32x4.splat', imm), dwords(64, 16, 4, 1));
  const lanes = vector('v128.and', vector('i32x4.shr_u', aligned6, i32(6)), dwords(3));
  const control = vector('i32x4.add', vector('i32x4.mul', lanes, dwords(0x04040404)), dwords(0x03020100));
  return vector('i8x16.swizzle', a, control);
}

/** Words of the low or high half of `a` by the fields of the immediate; the other half stays. */
function shuffleWords(a: Expr, imm: Expr, high: boolean): Expr {
  const first = high ? 4 : 0;
  if (imm instanceof Const) {
    const lanes = [0, 1, 2, 3, 4, 5, 6, 7];
    lanes.splice(first, 4, ...fields(imm).map((field) => field + first));
    return a.shuffle(a, laneBytes(2, lanes));
  }
  const factors = high ? words(0, 0, 0, 0, 64, 16, 4, 1) : words(64, 16, 4, 1, 0, 0, 0, 0);
  const own = high
    ? words(0x0100, 0x0302, 0x0504, 0x0706, 0x0908, 0x0908, 0x0908, 0x0908)
    : words(0x0100, 0x0100, 0x0100, 0x0100, 0x0908, 0x0b0a, 0x0d0c, 0x0f0e);
  const aligned6 = vector('i16x8.mul', vector('i16x8.splat', imm), factors);
  const lanes = vector('v128.and', vector('i16x8.shr_u', aligned6, i32(6)), words(3));
  return vector('i8x16.swizzle', a, vector('i16x8.add', vector('i16x8.mul', lanes, words(0x0202)), own));
}

export const pshufd = sse('pshufd', 'w,r,r', (e) => e.setVector(0, shuffleDwords(aligned(e, 1), e.get(2))), { hot: true });
export const pshuflw = simd('pshuflw', 'w,r,r', (e) => e.setVector(0, shuffleWords(aligned(e, 1), e.get(2), false)));
export const pshufhw = sse('pshufhw', 'w,r,r', (e) => e.setVector(0, shuffleWords(aligned(e, 1), e.get(2), true)));

export const shufps = sse('shufps', 'rw,r,r', (e) => {
  const b = aligned(e, 1);
  const imm = e.get(2);
  e.setVector(0, shuffleDwords(e.getVector(0), imm).shuffle(shuffleDwords(b, imm), laneBytes(8, [0, 3])));
});
export const shufpd = sse('shufpd', 'rw,r,r', (e) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const imm = e.get(2);
  const swap = (v: Expr) => v.shuffle(v, laneBytes(8, [1, 0]));
  const low = swap(a).select(imm.and(1), a);
  const high = b.select(imm.and(2), swap(b));
  e.setVector(0, low.shuffle(high, laneBytes(8, [0, 3])));
});

/** Lanes of ones where the immediate has a 1. */
function immediateMask(size: 2 | 4 | 8, imm: Expr): Expr {
  const shape = size === 2 ? 'i16x8' : size === 4 ? 'i32x4' : 'i64x2';
  const bits = size === 2 ? words(1, 2, 4, 8, 16, 32, 64, 128) : size === 4 ? dwords(1, 2, 4, 8) : qwords(1n, 2n);
  const value = vector(`${shape}.splat`, size === 8 ? imm.extendU() : imm);
  return vector(`${shape}.eq`, vector('v128.and', value, bits), bits);
}
const blend = (name: string, size: 2 | 4 | 8) =>
  sse(name, 'rw,r,r', (e) => {
    const b = aligned(e, 1);
    const a = e.getVector(0);
    const imm = e.get(2);
    if (imm instanceof Const) {
      const lanes = Array.from({ length: 16 / size }, (_, i) => i + ((Number(imm.value) >> i) & 1) * (16 / size));
      e.setVector(0, a.shuffle(b, laneBytes(size, lanes)));
    } else e.setVector(0, vector('v128.bitselect', b, a, immediateMask(size, imm)));
  });
export const pblendw = blend('pblendw', 2);
export const blendps = blend('blendps', 4);
export const blendpd = blend('blendpd', 8);

/** By the sign of each lane of XMM0. */
const blendByMask = (name: string, mask: (xmm0: Expr) => Expr) =>
  sse(name, 'rw,r', (e) => {
    const b = aligned(e, 1);
    e.setVector(0, vector('v128.bitselect', b, e.getVector(0), mask(e.xmm(0))));
  });
export const pblendvb = blendByMask('pblendvb', (m) => vector('i8x16.shr_s', m, i32(7)));
export const blendvps = blendByMask('blendvps', (m) => vector('i32x4.shr_s', m, i32(31)));
export const blendvpd = blendByMask('blendvpd', (m) => vector('i64x2.shr_s', m, i32(63)));

/** INSERTPS: imm8[5:4] the lane written, [7:6] the lane taken from a register, [3:0] the lanes cleared. */
export const insertps = sse('insertps', 'rw,r,r', (e) => {
  const b = e.getVector(1);
  const a = e.getVector(0);
  const imm = e.f.let(e.get(2));
  const from = e.variant.operands[1]?.kind === 'mem' ? b : shuffleDwords(b, imm.shrU(6).mul(0x55));
  const value = from.shuffle(from, laneBytes(4, [0, 0, 0, 0]));
  const here = vector('i32x4.eq', vector('i32x4.splat', imm.shrU(4).and(3)), dwords(0, 1, 2, 3));
  const cleared = immediateMask(4, imm);
  e.setVector(0, vector('v128.andnot', vector('v128.bitselect', value, a, here), cleared));
});

/** PTEST: ZF when no bit is common, CF when the source has no bit that the destination lacks. */
export const ptest = sse('ptest', 'r,r', (e: Emitter) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const none = (v: Expr) => test('v128.any_true', v).eqz();
  e.flags.setAll(
    none(vector('v128.and', a, b))
      .shl(6)
      .or(none(vector('v128.andnot', b, a))),
  );
});
