// WebAssembly's vector operators by name. Core specification 2.0, section 5.4.7 (all follow the prefix byte 0xfd).
import { type Expr, VectorConst } from '../../wasm/expr.ts';
import type { ValueType } from '../../wasm/opcodes.ts';

/** Operators whose result is a vector; operands are vectors, except the count of a shift and the scalar of a splat. */
// biome-ignore format: a table reads best by its columns.
const VECTOR = {
  'i8x16.swizzle': 0x0e,
  'i8x16.splat': 0x0f, 'i16x8.splat': 0x10, 'i32x4.splat': 0x11, 'i64x2.splat': 0x12, 'f32x4.splat': 0x13, 'f64x2.splat': 0x14,
  'i8x16.eq': 0x23, 'i8x16.ne': 0x24, 'i8x16.gt_s': 0x27,
  'i16x8.eq': 0x2d, 'i16x8.ne': 0x2e, 'i16x8.gt_s': 0x31,
  'i32x4.eq': 0x37, 'i32x4.ne': 0x38, 'i32x4.gt_s': 0x3b,
  'f32x4.eq': 0x41, 'f32x4.ne': 0x42, 'f32x4.lt': 0x43, 'f32x4.gt': 0x44, 'f32x4.le': 0x45, 'f32x4.ge': 0x46,
  'f64x2.eq': 0x47, 'f64x2.ne': 0x48, 'f64x2.lt': 0x49, 'f64x2.gt': 0x4a, 'f64x2.le': 0x4b, 'f64x2.ge': 0x4c,
  'v128.not': 0x4d, 'v128.and': 0x4e, 'v128.andnot': 0x4f, 'v128.or': 0x50, 'v128.xor': 0x51, 'v128.bitselect': 0x52,
  'f32x4.demote_f64x2_zero': 0x5e, 'f64x2.promote_low_f32x4': 0x5f,
  'i8x16.abs': 0x60, 'i8x16.neg': 0x61, 'i8x16.narrow_i16x8_s': 0x65, 'i8x16.narrow_i16x8_u': 0x66,
  'f32x4.ceil': 0x67, 'f32x4.floor': 0x68, 'f32x4.trunc': 0x69, 'f32x4.nearest': 0x6a,
  'i8x16.shr_s': 0x6c,
  'i8x16.add': 0x6e, 'i8x16.add_sat_s': 0x6f, 'i8x16.add_sat_u': 0x70,
  'i8x16.sub': 0x71, 'i8x16.sub_sat_s': 0x72, 'i8x16.sub_sat_u': 0x73,
  'f64x2.ceil': 0x74, 'f64x2.floor': 0x75,
  'i8x16.min_s': 0x76, 'i8x16.min_u': 0x77, 'i8x16.max_s': 0x78, 'i8x16.max_u': 0x79,
  'f64x2.trunc': 0x7a,
  'i8x16.avgr_u': 0x7b, 'i16x8.extadd_pairwise_i8x16_u': 0x7d, 'i32x4.extadd_pairwise_i16x8_u': 0x7f,
  'i16x8.abs': 0x80, 'i16x8.neg': 0x81, 'i16x8.q15mulr_sat_s': 0x82, 'i16x8.narrow_i32x4_s': 0x85, 'i16x8.narrow_i32x4_u': 0x86,
  'i16x8.extend_low_i8x16_s': 0x87, 'i16x8.extend_low_i8x16_u': 0x89,
  'i16x8.shl': 0x8b, 'i16x8.shr_s': 0x8c, 'i16x8.shr_u': 0x8d,
  'i16x8.add': 0x8e, 'i16x8.add_sat_s': 0x8f, 'i16x8.add_sat_u': 0x90,
  'i16x8.sub': 0x91, 'i16x8.sub_sat_s': 0x92, 'i16x8.sub_sat_u': 0x93,
  'f64x2.nearest': 0x94,
  'i16x8.mul': 0x95, 'i16x8.min_s': 0x96, 'i16x8.min_u': 0x97, 'i16x8.max_s': 0x98, 'i16x8.max_u': 0x99, 'i16x8.avgr_u': 0x9b,
  'i32x4.abs': 0xa0, 'i32x4.neg': 0xa1,
  'i32x4.extend_low_i16x8_s': 0xa7, 'i32x4.extend_low_i16x8_u': 0xa9, 'i32x4.extend_high_i16x8_u': 0xaa,
  'i32x4.shl': 0xab, 'i32x4.shr_s': 0xac, 'i32x4.shr_u': 0xad,
  'i32x4.add': 0xae, 'i32x4.sub': 0xb1, 'i32x4.mul': 0xb5,
  'i32x4.min_s': 0xb6, 'i32x4.min_u': 0xb7, 'i32x4.max_s': 0xb8, 'i32x4.max_u': 0xb9, 'i32x4.dot_i16x8_s': 0xba,
  'i32x4.extmul_low_i16x8_s': 0xbc, 'i32x4.extmul_high_i16x8_s': 0xbd, 'i32x4.extmul_low_i16x8_u': 0xbe, 'i32x4.extmul_high_i16x8_u': 0xbf,
  'i64x2.extend_low_i32x4_s': 0xc7, 'i64x2.extend_low_i32x4_u': 0xc9,
  'i64x2.shl': 0xcb, 'i64x2.shr_s': 0xcc, 'i64x2.shr_u': 0xcd, 'i64x2.add': 0xce, 'i64x2.sub': 0xd1,
  'i64x2.eq': 0xd6, 'i64x2.gt_s': 0xd9, 'i64x2.extmul_low_i32x4_s': 0xdc, 'i64x2.extmul_low_i32x4_u': 0xde,
  'f32x4.abs': 0xe0, 'f32x4.sqrt': 0xe3, 'f32x4.add': 0xe4, 'f32x4.sub': 0xe5, 'f32x4.mul': 0xe6, 'f32x4.div': 0xe7,
  'f32x4.pmin': 0xea, 'f32x4.pmax': 0xeb,
  'f64x2.abs': 0xec, 'f64x2.sqrt': 0xef, 'f64x2.add': 0xf0, 'f64x2.sub': 0xf1, 'f64x2.mul': 0xf2, 'f64x2.div': 0xf3,
  'f64x2.pmin': 0xf6, 'f64x2.pmax': 0xf7,
  'i32x4.trunc_sat_f32x4_s': 0xf8, 'f32x4.convert_i32x4_s': 0xfa,
  'i32x4.trunc_sat_f64x2_s_zero': 0xfc, 'f64x2.convert_low_i32x4_s': 0xfe,
} as const;

/** Operators from a vector to an i32. */
// biome-ignore format: a table reads best by its columns.
const SCALAR = {
  'v128.any_true': 0x53,
  'i8x16.bitmask': 0x64, 'i32x4.all_true': 0xa3, 'i32x4.bitmask': 0xa4, 'i64x2.all_true': 0xc3, 'i64x2.bitmask': 0xc4,
} as const;

/** Lane access: extract, replace, type of the scalar. */
const LANE = {
  i8x16: [0x16, 0x17, 'i32'],
  i16x8: [0x19, 0x1a, 'i32'],
  i32x4: [0x1b, 0x1c, 'i32'],
  i64x2: [0x1d, 0x1e, 'i64'],
  f32x4: [0x1f, 0x20, 'f32'],
  f64x2: [0x21, 0x22, 'f64'],
} as const satisfies Record<string, readonly [number, number, ValueType]>;

export type VectorOp = keyof typeof VECTOR;
export type ScalarOp = keyof typeof SCALAR;
export type LaneShape = keyof typeof LANE;
export const VECTOR_OPS: readonly VectorOp[] = Object.keys(VECTOR) as VectorOp[];
export const SCALAR_OPS: readonly ScalarOp[] = Object.keys(SCALAR) as ScalarOp[];
export const LANE_SHAPES: readonly LaneShape[] = Object.keys(LANE) as LaneShape[];

/** Applies a vector operator; operands in the order of the specification. */
export const vector = (name: VectorOp, first: Expr, ...rest: Expr[]): Expr => first.simd(VECTOR[name], 'v128', rest);
/** Applies an operator that answers an i32. */
export const test = (name: ScalarOp, operand: Expr): Expr => operand.simd(SCALAR[name], 'i32');
/** The scalar in a lane; bytes and words are zero-extended. */
export const lane = (shape: LaneShape, from: Expr, index: number): Expr => from.simd(LANE[shape][0], LANE[shape][2], [], index);
/** The vector with one lane replaced. */
export const withLane = (shape: LaneShape, into: Expr, index: number, value: Expr): Expr =>
  into.simd(LANE[shape][1], 'v128', [value], index);

export const bytes = (...values: readonly number[]): Expr => new VectorConst(values);
/** 8, 4 or 2 equal or different lanes, written as numbers. */
export function words(...values: readonly number[]): Expr {
  return new VectorConst(spread(values, 8, 2));
}
export function dwords(...values: readonly number[]): Expr {
  return new VectorConst(spread(values, 4, 4));
}
export function qwords(...values: readonly bigint[]): Expr {
  const all = values.length === 1 ? [values[0] as bigint, values[0] as bigint] : values;
  return new VectorConst(all.flatMap((value) => Array.from({ length: 8 }, (_, i) => Number((value >> BigInt(8 * i)) & 0xffn))));
}
/** 16 equal bytes. */
export const allBytes = (value: number): Expr => new VectorConst(Array<number>(16).fill(value));
export const ZERO: Expr = new VectorConst(Array<number>(16).fill(0));
export const ONES: Expr = new VectorConst(Array<number>(16).fill(0xff));
/** Bytes 0, 1, … 15. */
export const IOTA: Expr = new VectorConst(Array.from({ length: 16 }, (_, i) => i));

function spread(values: readonly number[], count: number, size: number): number[] {
  const all = values.length === 1 ? Array<number>(count).fill(values[0] as number) : values;
  return all.flatMap((value) => Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff));
}

/** Byte numbers for a shuffle from lane numbers of `size` bytes; lanes of the second operand follow those of the first. */
export const laneBytes = (size: number, lanes: readonly number[]): number[] =>
  lanes.flatMap((index) => Array.from({ length: size }, (_, i) => index * size + i));
