// XEN_GUEST_HANDLE: a guest virtual address, 8 bytes in the 64-bit ABI and 4 in the 32-bit one.
import { type Type, u64 } from '../layout.ts';

export const pointer64: Type<bigint> = u64;
export const pointer32: Type<bigint> = {
  size: 4,
  align: 4,
  at: (o) => ({
    offset: o,
    get: (v, at) => BigInt(v.getUint32(at + o, true)),
    set: (v, at, x) => v.setUint32(at + o, Number(x & 0xffff_ffffn), true),
  }),
};

/** A structure whose layout depends on the caller's width. */
export interface ByWidth<W, N> {
  readonly wide: W;
  readonly narrow: N;
}
