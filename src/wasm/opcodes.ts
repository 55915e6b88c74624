// WebAssembly opcodes by operand type. Core specification 2.0, section 5.4; threads proposal for the atomics.

export type ValueType = 'i32' | 'i64' | 'f32' | 'f64' | 'v128';
export const TYPE_CODE: Readonly<Record<ValueType, number>> = { i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b };

/** Operators that exist for both integer types, as [i32, i64]. */
export const INTEGER = {
  eqz: [0x45, 0x50],
  eq: [0x46, 0x51],
  ne: [0x47, 0x52],
  ltS: [0x48, 0x53],
  ltU: [0x49, 0x54],
  gtS: [0x4a, 0x55],
  gtU: [0x4b, 0x56],
  leS: [0x4c, 0x57],
  leU: [0x4d, 0x58],
  geS: [0x4e, 0x59],
  geU: [0x4f, 0x5a],
  clz: [0x67, 0x79],
  ctz: [0x68, 0x7a],
  popcnt: [0x69, 0x7b],
  add: [0x6a, 0x7c],
  sub: [0x6b, 0x7d],
  mul: [0x6c, 0x7e],
  divS: [0x6d, 0x7f],
  divU: [0x6e, 0x80],
  remS: [0x6f, 0x81],
  remU: [0x70, 0x82],
  and: [0x71, 0x83],
  or: [0x72, 0x84],
  xor: [0x73, 0x85],
  shl: [0x74, 0x86],
  shrS: [0x75, 0x87],
  shrU: [0x76, 0x88],
  rotl: [0x77, 0x89],
  rotr: [0x78, 0x8a],
  extend8S: [0xc0, 0xc2],
  extend16S: [0xc1, 0xc3],
} as const satisfies Record<string, readonly [number, number]>;

/** Operators that exist for both float types, as [f32, f64]. */
export const FLOAT = {
  eq: [0x5b, 0x61],
  ne: [0x5c, 0x62],
  lt: [0x5d, 0x63],
  gt: [0x5e, 0x64],
  le: [0x5f, 0x65],
  ge: [0x60, 0x66],
  abs: [0x8b, 0x99],
  neg: [0x8c, 0x9a],
  ceil: [0x8d, 0x9b],
  floor: [0x8e, 0x9c],
  trunc: [0x8f, 0x9d],
  nearest: [0x90, 0x9e],
  sqrt: [0x91, 0x9f],
  add: [0x92, 0xa0],
  sub: [0x93, 0xa1],
  mul: [0x94, 0xa2],
  div: [0x95, 0xa3],
  min: [0x96, 0xa4],
  max: [0x97, 0xa5],
  copysign: [0x98, 0xa6],
} as const satisfies Record<string, readonly [number, number]>;

/** Conversions: name → [opcode, result type, operand type]. */
export const CONVERT = {
  wrap: [0xa7, 'i32', 'i64'],
  extendS: [0xac, 'i64', 'i32'],
  extendU: [0xad, 'i64', 'i32'],
  extend32S: [0xc4, 'i64', 'i64'],
  i32TruncF32S: [0xa8, 'i32', 'f32'],
  i32TruncF64S: [0xaa, 'i32', 'f64'],
  i64TruncF32S: [0xae, 'i64', 'f32'],
  i64TruncF64S: [0xb0, 'i64', 'f64'],
  i64TruncF64U: [0xb1, 'i64', 'f64'],
  f32ConvertI32S: [0xb2, 'f32', 'i32'],
  f32ConvertI64S: [0xb4, 'f32', 'i64'],
  f32DemoteF64: [0xb6, 'f32', 'f64'],
  f64ConvertI32S: [0xb7, 'f64', 'i32'],
  f64ConvertI64S: [0xb9, 'f64', 'i64'],
  f64ConvertI64U: [0xba, 'f64', 'i64'],
  f64PromoteF32: [0xbb, 'f64', 'f32'],
  i32ReinterpretF32: [0xbc, 'i32', 'f32'],
  i64ReinterpretF64: [0xbd, 'i64', 'f64'],
  f32ReinterpretI32: [0xbe, 'f32', 'i32'],
  f64ReinterpretI64: [0xbf, 'f64', 'i64'],
} as const satisfies Record<string, readonly [number, ValueType, ValueType]>;

/** Loads by result type and bytes read: opcode. `S` sign-extends. */
export const LOAD = {
  i32: { 1: 0x2d, 2: 0x2f, 4: 0x28 },
  i64: { 1: 0x31, 2: 0x33, 4: 0x35, 8: 0x29 },
  i32S: { 1: 0x2c, 2: 0x2e, 4: 0x28 },
  i64S: { 1: 0x30, 2: 0x32, 4: 0x34, 8: 0x29 },
} as const;
export const STORE = {
  i32: { 1: 0x3a, 2: 0x3b, 4: 0x36 },
  i64: { 1: 0x3c, 2: 0x3d, 4: 0x3e, 8: 0x37 },
} as const;

/** 0xfe-prefixed: compare-exchange by type and bytes; the narrow ones zero-extend. */
export const ATOMIC = {
  cmpxchg: { i32: { 1: 0x4a, 2: 0x4b, 4: 0x48 }, i64: { 1: 0x4c, 2: 0x4d, 4: 0x4e, 8: 0x49 } },
  xchg: { i32: { 1: 0x43, 2: 0x44, 4: 0x41 }, i64: { 1: 0x45, 2: 0x46, 4: 0x47, 8: 0x42 } },
} as const;
