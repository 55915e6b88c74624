// Single lanes to and from general registers and memory: PINSR, PEXTR, EXTRACTPS; and MPSADBW. SDM vol. 2, under each name.
import { Const, type Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { STATE } from '../state.ts';
import { allBytes, dwords, IOTA, type LaneShape, lane, qwords, vector, withLane, words } from './simd-ops.ts';
import { aligned, simd, sse } from './sse-access.ts';

type IntegerShape = Extract<LaneShape, `i${string}`>;
const SIZE: Readonly<Record<IntegerShape, number>> = { i8x16: 1, i16x8: 2, i32x4: 4, i64x2: 8 };
const NUMBERS: Readonly<Record<IntegerShape, Expr>> = {
  i8x16: IOTA,
  i16x8: words(0, 1, 2, 3, 4, 5, 6, 7),
  i32x4: dwords(0, 1, 2, 3),
  i64x2: qwords(0n, 1n),
};

function insert(shape: IntegerShape, into: Expr, imm: Expr, lanes: number, value: Expr): Expr {
  if (imm instanceof Const) return withLane(shape, into, Number(imm.value) & (lanes - 1), value);
  const index = imm.and(lanes - 1);
  const here = vector(`${shape}.eq`, NUMBERS[shape], vector(`${shape}.splat`, shape === 'i64x2' ? index.extendU() : index));
  return vector('v128.bitselect', vector(`${shape}.splat`, value), into, here);
}

function extract(e: Emitter, shape: IntegerShape, from: Expr, imm: Expr, lanes: number): Expr {
  if (imm instanceof Const) return lane(shape, from, Number(imm.value) & (lanes - 1));
  const size = SIZE[shape];
  e.f.storeV(e.state, from, STATE.vectorScratch);
  const at = e.state.add(imm.and(lanes - 1).mul(size));
  return at.load(size === 8 ? 'i64' : 'i32', size as 1 | 2 | 4 | 8, STATE.vectorScratch);
}

const dwordOrQword = (size: number): IntegerShape => (size === 8 ? 'i64x2' : 'i32x4');

export const pinsrb = sse('pinsrb', 'rw,r,r', (e) => {
  const value = e.get(1);
  e.setVector(0, insert('i8x16', e.getVector(0), e.get(2), 16, value));
});
export const pinsrw = simd('pinsrw', 'rw,r,r', (e, width) => {
  const value = e.get(1);
  e.setVector(0, insert('i16x8', e.getVector(0), e.get(2), width / 2, value));
});
/** PINSRD and PINSRQ. */
export const pinsrd = sse('pinsrd', 'rw,r,r', (e) => {
  const value = e.get(1);
  const size = e.size(1);
  e.setVector(0, insert(dwordOrQword(size), e.getVector(0), e.get(2), 16 / size, value));
});

export const pextrb = sse('pextrb', 'w,r,r', (e) => e.set(0, extract(e, 'i8x16', e.getVector(1), e.get(2), 16)));
export const pextrw = simd('pextrw', 'w,r,r', (e, width) => e.set(0, extract(e, 'i16x8', e.getVector(1), e.get(2), width / 2)));
/** PEXTRD, PEXTRQ and EXTRACTPS. */
export const pextrd = sse('pextrd', 'w,r,r', (e) => {
  const size = e.size(0);
  e.set(0, extract(e, dwordOrQword(size), e.getVector(1), e.get(2), 16 / size));
});

/** MPSADBW: sums of absolute differences of four bytes of the source, imm8[1:0], along the destination from imm8[2]. */
export const mpsadbw = sse('mpsadbw', 'rw,r,r', (e) => {
  const { f } = e;
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const imm = f.let(e.get(2));
  const first = f.let(vector('i8x16.add', IOTA, vector('i8x16.splat', imm.and(4))));
  f.storeV(e.state, b, STATE.vectorScratch);
  const block = f.let(e.state.add(imm.and(3).shl(2)));
  const terms = [0, 1, 2, 3].map((j) => {
    const at = vector('i8x16.add', first, allBytes(j));
    const along = vector('i16x8.extend_low_i8x16_u', vector('i8x16.swizzle', a, at));
    const byte = vector('i16x8.splat', block.load('i32', 1, STATE.vectorScratch + j));
    return vector('i16x8.abs', vector('i16x8.sub', along, byte));
  });
  e.setVector(
    0,
    terms.reduce((sum, term) => vector('i16x8.add', sum, term)),
  );
});
