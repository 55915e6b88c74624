// Chips of 8 bits on a wider bus: an access of 2 or 4 bytes is as many accesses of one, lowest address first.
import type { IoHandler } from '../io-bus.ts';

/** A handler over registers of 8 bits each. */
export function bytePorts(read: (offset: number) => number, write: (offset: number, value: number) => void): IoHandler {
  return {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value += (read(offset + i) & 0xff) * 2 ** (i * 8);
      return value;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) write(offset + i, (value >>> (i * 8)) & 0xff);
    },
  };
}
