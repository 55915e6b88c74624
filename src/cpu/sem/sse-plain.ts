// Which operands and results are so ordinary that WebAssembly's arithmetic gives the same bits as SSE and no exception
// flag but PE can be due. Everything else takes the exact path. SDM vol. 1, 11.5.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { STATE } from '../state.ts';
import { dwords, lane, laneBytes, qwords, test, vector } from './simd-ops.ts';
import type { FormName } from './sse-operation.ts';

export interface Shape {
  readonly name: FormName;
  readonly floats: 'f32x4' | 'f64x2';
  readonly integers: 'i32x4' | 'i64x2';
  readonly scalar: boolean;
}
export const SHAPE: Readonly<Record<FormName, Shape>> = {
  ps: { name: 'ps', floats: 'f32x4', integers: 'i32x4', scalar: false },
  pd: { name: 'pd', floats: 'f64x2', integers: 'i64x2', scalar: false },
  ss: { name: 'ss', floats: 'f32x4', integers: 'i32x4', scalar: true },
  sd: { name: 'sd', floats: 'f64x2', integers: 'i64x2', scalar: true },
};

/** Lanes of the least normal number, twice that, and the greatest finite number. */
const LIMITS = {
  f32x4: { least: dwords(0x0080_0000), twice: dwords(0x0100_0000), most: dwords(0x7f7f_ffff) },
  f64x2: { least: qwords(0x0010n << 48n), twice: qwords(0x0020n << 48n), most: qwords(0x7fef_ffff_ffff_ffffn) },
} as const;
const ZEROS = dwords(0);

/** The same bounds on the bits of a scalar shifted left by one: least normal number and infinity. */
const bounds = (shape: Shape): { least: Expr; infinity: Expr; safe: Expr; range: Expr; ordered: Expr } =>
  shape.floats === 'f32x4'
    ? {
        least: i32(0x0100_0000 - 1),
        infinity: i32(0xff00_0000),
        safe: i32(0x0200_0000),
        range: i32(0xfd00_0000),
        ordered: i32(0xfe00_0000),
      }
    : {
        least: i64((1n << 53n) - 1n),
        infinity: i64(0xffe0n << 48n),
        safe: i64(1n << 54n),
        range: i64(0xffa0n << 48n),
        ordered: i64(0xffc0n << 48n),
      };
/** A scalar's bits without the sign, in a local. */
const magnitude = (e: Emitter, shape: Shape, v: Expr): Expr => e.f.let(lane(shape.integers, v, 0).shl(1));

const all = (shape: Shape, mask: Expr): Expr => test(`${shape.integers}.all_true`, mask);
const absolute = (shape: Shape, v: Expr): Expr => vector(`${shape.floats}.abs`, v);
const isZero = (shape: Shape, v: Expr): Expr => vector(`${shape.floats}.eq`, v, ZEROS);
const orderedLanes = (shape: Shape, v: Expr): Expr =>
  vector('v128.or', vector(`${shape.floats}.ge`, absolute(shape, v), LIMITS[shape.floats].least), isZero(shape, v));

/** The lanes of one or two operands that count, side by side, and the mask of their signs. */
function beside(shape: Shape, a: Expr, b: Expr | undefined): { lanes: Expr; signs: number } {
  if (!shape.scalar || b === undefined) return { lanes: a, signs: shape.scalar ? 1 : shape.floats === 'f32x4' ? 15 : 3 };
  return { lanes: a.shuffle(b, shape.floats === 'f32x4' ? laneBytes(4, [0, 4, 1, 5]) : laneBytes(8, [0, 2])), signs: 3 };
}

/**
 * Every operand is neither huge nor tiny, in the lanes that count: the two highest bits of its exponent differ (2^-511 to
 * 2^513 for doubles, 2^-63 to 2^65 for singles); `narrow`: and the third is as the second (2^-255 to 2^257, 2^-31 to 2^33);
 * `positive`: and its sign is clear.
 * Sums of these are finite, and normal or zero; products and quotients of narrow ones are normal. Zero is not among them. i32.
 */
export function middling(e: Emitter, shape: Shape, range: 'wide' | 'narrow' | 'positive', a: Expr, b?: Expr): Expr {
  const { integers } = shape;
  const double = (v: Expr) => vector(`${integers}.add`, v, v);
  const differing = (v: Expr): Expr => {
    const exponent = e.f.let(double(v));
    const first = vector('v128.xor', exponent, double(exponent));
    if (range === 'wide') return first;
    if (range === 'positive') return vector('v128.andnot', first, v);
    const kept = e.f.let(first);
    return vector('v128.andnot', kept, double(kept));
  };
  const { lanes, signs } = beside(shape, a, b);
  const both = !shape.scalar && b !== undefined ? vector('v128.and', differing(a), differing(b)) : differing(lanes);
  const mask = test(`${integers}.bitmask`, both);
  return (integers === 'i32x4' && shape.scalar ? mask.and(signs) : signs === 1 ? mask.and(1) : mask).eq(signs);
}

/** No operand is a NaN or denormal, in the lanes that count. i32. */
export function ordered(e: Emitter, shape: Shape, ...operands: readonly Expr[]): Expr {
  if (!shape.scalar)
    return all(
      shape,
      operands.map((v) => orderedLanes(shape, v)).reduce((x, y) => vector('v128.and', x, y)),
    );
  const { least, ordered: range } = bounds(shape);
  return operands
    .map((v) => {
      const m = magnitude(e, shape, v);
      return m.eqz().or(m.sub(least.add(1)).leU(range));
    })
    .reduce((x, y) => x.and(y));
}

/** After a sum, difference or root: no operand is denormal, and the result is finite. A tiny sum is always exact. */
export function finiteResult(e: Emitter, shape: Shape, result: Expr, ...operands: readonly Expr[]): Expr {
  if (!shape.scalar) {
    const finite = vector(`${shape.floats}.le`, absolute(shape, result), LIMITS[shape.floats].most);
    return all(
      shape,
      operands.map((v) => orderedLanes(shape, v)).reduce((x, y) => vector('v128.and', x, y), finite),
    );
  }
  const { least, infinity } = bounds(shape);
  return operands
    .map((v) => magnitude(e, shape, v).sub(1).geU(least))
    .reduce((x, y) => x.and(y), magnitude(e, shape, result).ltU(infinity));
}

/** After a product or quotient: as finiteResult, and the result is not near underflow unless an operand is zero. */
export function safeResult(e: Emitter, shape: Shape, result: Expr, a: Expr, b: Expr): Expr {
  if (!shape.scalar) {
    const { twice, most } = LIMITS[shape.floats];
    const size = e.f.let(absolute(shape, result));
    const zero = vector('v128.or', isZero(shape, a), isZero(shape, b));
    const large = vector('v128.or', vector(`${shape.floats}.ge`, size, twice), zero);
    const good = vector('v128.and', vector(`${shape.floats}.le`, size, most), large);
    return all(shape, vector('v128.and', good, vector('v128.and', orderedLanes(shape, a), orderedLanes(shape, b))));
  }
  const { least, infinity, safe, range } = bounds(shape);
  const [x, y, r] = [magnitude(e, shape, a), magnitude(e, shape, b), magnitude(e, shape, result)];
  const inputs = x.sub(1).geU(least).and(y.sub(1).geU(least));
  const zero = x.eqz().or(y.eqz()).and(r.ltU(infinity));
  return inputs.and(r.sub(safe).ltU(range).or(zero));
}

/** Whether a scalar result is exact: always right when it answers yes. */
export function exactResult(shape: Shape, op: 'add' | 'sub' | 'mul' | 'div', result: Expr, a: Expr, b: Expr): Expr {
  const [x, y, r] = [lane(shape.floats, a, 0), lane(shape.floats, b, 0), lane(shape.floats, result, 0)];
  if (op === 'add' || op === 'sub') {
    // The rounding error of a sum is what neither part accounts for (Knuth).
    const second = r.float('sub', x);
    const firstError = x.float('sub', r.float('sub', second));
    const secondError = op === 'add' ? y.float('sub', second) : second.float('add', y).float('neg');
    return firstError.float('eq', secondError.float('neg'));
  }
  // Factors whose significant bits fit together have an exact product; a quotient is checked by multiplying back.
  const trailing = (v: Expr): Expr =>
    shape.floats === 'f32x4'
      ? lane('i32x4', v, 0)
          .or(i32(1 << 23))
          .ctz()
      : lane('i64x2', v, 0)
          .or(i64(1n << 52n))
          .ctz()
          .wrap();
  const bits = shape.floats === 'f32x4' ? 24 : 53;
  if (op === 'mul') return trailing(a).add(trailing(b)).geU(bits);
  return trailing(result).add(trailing(b)).geU(bits).and(r.float('mul', y).float('eq', x));
}

const mxcsr = (e: Emitter): Expr => e.slot32(STATE.mxcsr);
/** MXCSR bits: PE, DAZ, UM, PM, RC, FTZ. SDM vol. 1, figure 10-3. */
const MX = { pe: 0x20, daz: 0x40, um: 0x800, pm: 0x1000, rc: 0x6000, ftz: 0x8000 } as const;

/**
 * PE is masked and already set, rounding is to nearest, tiny results stay and do not trap (UM: even an exact one would):
 * an inexact or exact tiny result changes nothing in MXCSR.
 */
export const inexactIsQuiet = (e: Emitter): Expr =>
  mxcsr(e)
    .and(MX.pe | MX.um | MX.pm | MX.rc | MX.ftz)
    .eq(MX.pe | MX.um | MX.pm);
/** An exact result, tiny or not, changes nothing in MXCSR, and a zero difference is positive. */
export const exactIsQuiet = (e: Emitter): Expr =>
  mxcsr(e)
    .and(MX.um | MX.rc | MX.ftz)
    .eq(MX.um);
/** The same for a conversion to integers to nearest, and by truncation. */
export const roundingIsQuiet = (e: Emitter): Expr =>
  mxcsr(e)
    .and(MX.pe | MX.pm | MX.rc | MX.daz)
    .eq(MX.pe | MX.pm);
export const truncationIsQuiet = (e: Emitter): Expr =>
  mxcsr(e)
    .and(MX.pe | MX.pm | MX.daz)
    .eq(MX.pe | MX.pm);
/** PE is masked and already set. */
export const precisionIsQuiet = (e: Emitter): Expr =>
  mxcsr(e)
    .and(MX.pe | MX.pm)
    .eq(MX.pe | MX.pm);
/** MXCSR.RC, 0..3. */
export const roundingControl = (e: Emitter): Expr => mxcsr(e).shrU(13).and(3);
