// Packed shifts: the count is the low quadword of the source, or an immediate. SDM vol. 2, PSLLW etc.
import { Const, type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import type { Semantics } from '../emit/semantics.ts';
import { allBytes, IOTA, lane, type VectorOp, vector, ZERO } from './simd-ops.ts';
import { aligned, simd, sse } from './sse-access.ts';

/** Applies a shift; `count` is an i64 and may be as large as it likes. */
function shifted(e: Emitter, op: VectorOp, bits: number, a: Expr, count: Expr): Expr {
  if (op.endsWith('shr_s'))
    return vector(
      op,
      a,
      i64(bits - 1)
        .select(count.gtU(bits - 1), count)
        .wrap(),
    );
  return e.f.let(vector(op, a, count.wrap())).select(count.ltU(bits), ZERO);
}

/** Names: by a register, and by an immediate. */
function pair(name: string, op: VectorOp, bits: number): readonly [string, { byVector: Semantics; byImmediate: Semantics }] {
  const byVector = simd(name, 'rw,r', (e) => {
    const count = e.f.let(lane('i64x2', aligned(e, 1), 0));
    e.setVector(0, shifted(e, op, bits, e.getVector(0), count));
  });
  const byImmediate = simd(`${name}.i`, 'rw,r', (e) => {
    const count = e.f.let(e.get(1).extendU());
    e.setVector(0, shifted(e, op, bits, e.getVector(0), count));
  });
  return [name, { byVector, byImmediate }];
}

export const SHIFTS = new Map([
  pair('psllw', 'i16x8.shl', 16),
  pair('pslld', 'i32x4.shl', 32),
  pair('psllq', 'i64x2.shl', 64),
  pair('psrlw', 'i16x8.shr_u', 16),
  pair('psrld', 'i32x4.shr_u', 32),
  pair('psrlq', 'i64x2.shr_u', 64),
  pair('psraw', 'i16x8.shr_s', 16),
  pair('psrad', 'i32x4.shr_s', 32),
]);

/** Bytes are picked by number; numbers outside the register give zero. */
const byteShift = (name: string, op: 'i8x16.add' | 'i8x16.sub') =>
  sse(name, 'rw,r', (e) => {
    const count = e.f.let(e.get(1));
    if (count instanceof Const) {
      const by = op === 'i8x16.sub' ? -Number(count.value) : Number(count.value);
      // Bytes 16 to 31 are zeroes.
      const from = Array.from({ length: 16 }, (_, i) => (i + by < 0 || i + by > 15 ? 16 : i + by));
      e.setVector(0, e.getVector(0).shuffle(ZERO, from));
      return;
    }
    const least = vector('i8x16.splat', i32(16).select(count.gtU(16), count));
    e.setVector(0, vector('i8x16.swizzle', e.getVector(0), vector(op, IOTA, least)));
  });
export const pslldq = byteShift('pslldq', 'i8x16.sub');
export const psrldq = byteShift('psrldq', 'i8x16.add');

/** PALIGNR: the destination above the source, shifted right by bytes. */
export const palignr = simd('palignr', 'rw,r,r', (e, width) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const count = e.f.let(e.get(2));
  if (count instanceof Const && width === 16) {
    const by = Number(count.value);
    const [low, high] = by < 16 ? [b, a] : [a, ZERO];
    const from = Array.from({ length: 16 }, (_, i) => Math.min(i + (by & 15), 31));
    e.setVector(0, by < 32 ? low.shuffle(high, from) : ZERO);
    return;
  }
  const amount = e.f.let(i32(32).select(count.gtU(32), count));
  const at = vector('i8x16.add', IOTA, vector('i8x16.splat', amount));
  if (width === 8) {
    const both = b.shuffle(a, [0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23]);
    e.setVector(0, vector('i8x16.swizzle', both, at));
    return;
  }
  const low = vector('i8x16.swizzle', b, at);
  const high = vector('i8x16.swizzle', a, vector('i8x16.sub', at, allBytes(16)));
  e.setVector(0, vector('v128.or', low, high));
});
