// Entries of a refcount block: unsigned numbers of 1 to 64 bits.
import { getU64, setU64 } from './layout.ts';

/** @param order the entry has 2^order bits */
export function getRefcount(view: DataView, index: number, order: number): number {
  switch (order) {
    case 4:
      return view.getUint16(index * 2);
    case 3:
      return view.getUint8(index);
    case 5:
      return view.getUint32(index * 4);
    case 6:
      return getU64(view, index * 8);
    default: {
      const bit = index << order;
      return (view.getUint8(bit >> 3) >> (bit & 7)) & ((1 << (1 << order)) - 1);
    }
  }
}

export function setRefcount(view: DataView, index: number, order: number, value: number): void {
  switch (order) {
    case 4:
      return view.setUint16(index * 2, value);
    case 3:
      return view.setUint8(index, value);
    case 5:
      return view.setUint32(index * 4, value);
    case 6:
      return setU64(view, index * 8, value);
    default: {
      const bit = index << order;
      const mask = ((1 << (1 << order)) - 1) << (bit & 7);
      view.setUint8(bit >> 3, (view.getUint8(bit >> 3) & ~mask) | ((value << (bit & 7)) & mask));
    }
  }
}

/** The byte in which an entry begins, and how many bytes hold it. */
export const refcountByte = (index: number, order: number): number => Math.floor((index * 2 ** order) / 8);
export const refcountBytes = (order: number): number => (order < 3 ? 1 : 2 ** order / 8);

/** The largest count an entry can hold, or 2^53 - 1. */
export const maxRefcount = (order: number): number => (order === 6 ? Number.MAX_SAFE_INTEGER : 2 ** (2 ** order) - 1);
