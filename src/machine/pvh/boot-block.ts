// What a kernel is told at its entry: one block of memory right behind it, put together from structures, tables and strings.
import { PAGE_SIZE } from '../../abi/types.ts';
import type { GpaRange, MemmapEntry } from './memory-map.ts';

/** A file beside the kernel, where it lies in memory. */
export interface PlacedModule extends GpaRange {
  /** With the NUL at its end. */
  readonly commandLine: Uint8Array;
}

/** What there is to tell. */
export interface BootFacts {
  /** With the NUL at its end. */
  readonly commandLine: Uint8Array;
  readonly modules: readonly PlacedModule[];
  readonly memmap: readonly MemmapEntry[];
  readonly rsdpGpa: number;
}

/** Pieces of a block that lies at `base`, one after the other. */
export class BootBlock {
  readonly base: number;
  #bytes: Uint8Array = new Uint8Array(PAGE_SIZE);
  #used = 0;

  constructor(base: number) {
    this.base = base;
  }

  /** Room for `size` bytes, zero and aligned to 8: its address. */
  reserve(size: number): number {
    const at = Math.ceil(this.#used / 8) * 8;
    this.#used = at + size;
    if (this.#used > this.#bytes.length) {
      const larger = new Uint8Array(Math.ceil(this.#used / PAGE_SIZE) * PAGE_SIZE);
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    return this.base + at;
  }

  put(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at - this.base);
    return at;
  }

  /** Of the whole block, for offsets from `base`; the next `reserve` may make it stale. */
  get view(): DataView {
    return new DataView(this.#bytes.buffer);
  }

  /** Whole pages. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }
}
