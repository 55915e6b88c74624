// The physical region descriptors of one command: where in memory its data goes to, or comes from (AHCI 4.2.3.3).
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import { PRD } from './registers.ts';

/** How moving a part ended: `short` when the regions are too small, `fault` when some of it is no memory. */
export type Moved = 'all' | 'short' | 'fault';

/** Descriptors are read so many at a time. */
const AT_ONCE = 64;

export class PrdTable {
  readonly #memory: DmaMemory;
  readonly #at: number;
  /** How many there are; 65,535 at most. */
  readonly #count: number;
  #next = 0;
  #chunk = new DataView(new ArrayBuffer(0));
  /** Of the descriptor that is being used. */
  #address = 0;
  #left = 0;
  #tells = false;
  /** Bytes that were moved. */
  bytes = 0;
  /** A descriptor that wants an interrupt has been used up. */
  interrupt = false;

  constructor(memory: DmaMemory, at: number, count: number) {
    this.#memory = memory;
    this.#at = at;
    this.#count = count;
  }

  /** Moves bytes from where the part before has ended. */
  move(toMemory: boolean, bytes: Uint8Array): Moved {
    for (let at = 0; at < bytes.length; ) {
      if (this.#left === 0) {
        if (this.#next === this.#count) return 'short';
        if (!this.#fetch()) return 'fault';
      }
      const part = bytes.subarray(at, at + Math.min(this.#left, bytes.length - at));
      const gpa = this.#address as Gpa;
      if (!(toMemory ? this.#memory.write(gpa, part) : this.#memory.read(gpa, part))) return 'fault';
      at += part.length;
      this.bytes += part.length;
      this.#address += part.length;
      this.#left -= part.length;
      if (this.#left === 0 && this.#tells) this.interrupt = true;
    }
    return 'all';
  }

  #fetch(): boolean {
    const place = (this.#next % AT_ONCE) * PRD.bytes;
    if (place === 0) {
      const bytes = new Uint8Array(Math.min(AT_ONCE, this.#count - this.#next) * PRD.bytes);
      if (!this.#memory.read((this.#at + this.#next * PRD.bytes) as Gpa, bytes)) return false;
      this.#chunk = new DataView(bytes.buffer);
    }
    this.#next++;
    const word = (offset: number): number => this.#chunk.getUint32(place + offset, true);
    // Addresses are even, and the count is that of the last byte, which is odd.
    this.#address = word(PRD.addressHigh) * 0x1_0000_0000 + ((word(0) & ~1) >>> 0);
    this.#left = ((word(PRD.count) & PRD.countMask) | 1) + 1;
    this.#tells = (word(PRD.count) & PRD.interrupt) !== 0;
    return true;
  }
}
