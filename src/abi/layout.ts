// C struct layouts over DataView. Each accessor compiles down to a single DataView call (two for `uint53`).

/** One member of a structure: where it lies and how it is read and written. */
export interface Field<T> {
  /** Byte offset from the start of the structure. */
  readonly offset: number;
  get(view: DataView, at: number): T;
  set(view: DataView, at: number, value: T): void;
}

/** A C type: its size and alignment in bytes, and its accessors once placed at an offset. */
export interface Type<T> {
  readonly size: number;
  readonly align: number;
  at(offset: number): Field<T>;
}

export const u8: Type<number> = {
  size: 1,
  align: 1,
  at: (o) => ({ offset: o, get: (v, at) => v.getUint8(at + o), set: (v, at, x) => v.setUint8(at + o, x) }),
};
export const s8: Type<number> = {
  size: 1,
  align: 1,
  at: (o) => ({ offset: o, get: (v, at) => v.getInt8(at + o), set: (v, at, x) => v.setInt8(at + o, x) }),
};
export const u16: Type<number> = {
  size: 2,
  align: 2,
  at: (o) => ({ offset: o, get: (v, at) => v.getUint16(at + o, true), set: (v, at, x) => v.setUint16(at + o, x, true) }),
};
export const s16: Type<number> = {
  size: 2,
  align: 2,
  at: (o) => ({ offset: o, get: (v, at) => v.getInt16(at + o, true), set: (v, at, x) => v.setInt16(at + o, x, true) }),
};
export const u32: Type<number> = {
  size: 4,
  align: 4,
  at: (o) => ({ offset: o, get: (v, at) => v.getUint32(at + o, true), set: (v, at, x) => v.setUint32(at + o, x, true) }),
};
export const s32: Type<number> = {
  size: 4,
  align: 4,
  at: (o) => ({ offset: o, get: (v, at) => v.getInt32(at + o, true), set: (v, at, x) => v.setInt32(at + o, x, true) }),
};
export const u64: Type<bigint> = {
  size: 8,
  align: 8,
  at: (o) => ({
    offset: o,
    get: (v, at) => v.getBigUint64(at + o, true),
    set: (v, at, x) => v.setBigUint64(at + o, x, true),
  }),
};
const TWO32 = 0x1_0000_0000;
/** A u64 whose values stay below 2^53 (addresses, frames, nanoseconds): a Number, so no BigInt is allocated. */
export const uint53: Type<number> = {
  size: 8,
  align: 8,
  at: (o) => ({
    offset: o,
    get: (v, at) => v.getUint32(at + o, true) + v.getUint32(at + o + 4, true) * TWO32,
    set: (v, at, x) => {
      v.setUint32(at + o, x >>> 0, true);
      v.setUint32(at + o + 4, Math.floor(x / TWO32), true);
    },
  }),
};
/** `type`, but aligned to `align` bytes: the i386 ABI aligns a plain u64 to 4. */
export const aligned = <T>(type: Type<T>, align: number): Type<T> => ({ ...type, align });

// biome-ignore lint/suspicious/noExplicitAny: a layout mixes number and bigint fields; ValueOf recovers each one's type.
type Layout = Readonly<Record<string, Type<any>>>;
type ValueOf<T> = T extends Type<infer V> ? V : never;
export type Struct<L extends Layout> = { readonly [K in keyof L]: Field<ValueOf<L[K]>> } & {
  /** Size in bytes, as the C header has it. */
  readonly sizeof: number;
  /** Copies every field out. For inspectors and tests; allocates, so never on a ring's path. */
  read(view: DataView, at: number): { [K in keyof L]: ValueOf<L[K]> };
};

/**
 * Declares a C structure. Padding is declared like any other field, so that a wrong transcription fails at load time.
 * @throws Error when a field is misaligned or the total differs from `sizeof`.
 */
export function struct<const L extends Layout>(sizeof: number, layout: L): Struct<L> {
  const fields: Record<string, Field<unknown>> = {};
  let offset = 0;
  let align = 1;
  for (const [name, type] of Object.entries(layout)) {
    if (offset % type.align !== 0) throw new Error(`${name}: declare the padding before offset ${offset}`);
    fields[name] = type.at(offset);
    offset += type.size;
    align = Math.max(align, type.align);
  }
  if (offset !== sizeof || offset % align !== 0) throw new Error(`layout is ${offset} bytes, header says ${sizeof}`);
  const entries = Object.entries(fields);
  const read = (view: DataView, at: number) => Object.fromEntries(entries.map(([n, f]) => [n, f.get(view, at)]));
  return Object.freeze({ ...fields, sizeof, read }) as unknown as Struct<L>;
}
