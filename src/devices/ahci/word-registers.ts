// Registers of 32 bits on a bus that takes 1, 2 or 4 bytes at any offset.
import type { IoHandler } from '../io-bus.ts';

const WORD = 4;

/**
 * A handler over registers that are a multiple of 4 apart from 0.
 * @param read gives 32 bits, signed or not, and changes nothing
 * @param write is given the bytes that were written, in their places; `mask` has ones there
 */
export function wordRegisters(
  read: (register: number) => number,
  write: (register: number, value: number, mask: number) => void,
): IoHandler {
  return {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) {
        const at = offset + i;
        value += ((read(at & -WORD) >>> ((at % WORD) * 8)) & 0xff) * 2 ** (i * 8);
      }
      return value;
    },
    write: (offset, size, value) => {
      if (size === WORD && offset % WORD === 0) write(offset, value >>> 0, 0xffff_ffff);
      else
        for (let first = 0; first < size; ) {
          const shift = (offset + first) % WORD;
          const bytes = Math.min(size - first, WORD - shift);
          const mask = 2 ** (bytes * 8) - 1;
          const part = Math.floor(value / 2 ** (first * 8)) & mask;
          write(offset + first - shift, (part << (shift * 8)) >>> 0, (mask << (shift * 8)) >>> 0);
          first += bytes;
        }
    },
  };
}
