// A disk in memory, for tests and scratch space. It takes room for what was written only.
import type { BlockStore } from './block-store.ts';
import { BlockStoreError, checkRange, isReadOnly } from './block-store-error.ts';
import { ResizeListeners } from './resize-listeners.ts';
import { SparseMemory } from './sparse-memory.ts';

export interface RamStoreOptions {
  readonly sectorSize?: 512 | 4096;
  readonly readOnly?: boolean;
  /** What it holds at first, from offset 0. */
  readonly contents?: Uint8Array;
}

const WHAT = 'the disk in memory';

/** A disk in memory; it takes room for what was written only. */
export class RamStore implements BlockStore {
  readonly sectorSize: 512 | 4096;
  readonly readOnly: boolean;
  readonly #memory = new SparseMemory();
  readonly #resized = new ResizeListeners();
  #sizeBytes: number;

  /** @param sizeBytes a multiple of the sector size @throws BlockStoreError 'out-of-range' */
  constructor(sizeBytes: number, options: RamStoreOptions = {}) {
    this.sectorSize = options.sectorSize ?? 512;
    this.readOnly = options.readOnly ?? false;
    this.#sizeBytes = this.#checkedSize(sizeBytes);
    if (options.contents !== undefined) this.#memory.write(0, options.contents.subarray(0, sizeBytes));
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    checkRange(WHAT, this.#sizeBytes, offset, into.length);
    this.#memory.read(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    this.#checkWrite(offset, from.length);
    this.#memory.write(offset, from);
  }

  async flush(): Promise<void> {}

  async discard(offset: number, length: number): Promise<void> {
    await this.writeZeroes(offset, length);
  }

  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#checkWrite(offset, length);
    this.#memory.zero(offset, length);
  }

  /** @throws BlockStoreError 'out-of-range' when it is no multiple of the sector size */
  async resize(sizeBytes: number): Promise<void> {
    this.#sizeBytes = this.#checkedSize(sizeBytes);
    this.#memory.truncate(sizeBytes);
    this.#resized.notify();
  }

  onResize(listener: () => void): Disposable {
    return this.#resized.add(listener);
  }

  async close(): Promise<void> {}

  #checkWrite(offset: number, length: number): void {
    if (this.readOnly) throw isReadOnly(WHAT);
    checkRange(WHAT, this.#sizeBytes, offset, length);
  }

  #checkedSize(sizeBytes: number): number {
    if (Number.isSafeInteger(sizeBytes) && sizeBytes >= 0 && sizeBytes % this.sectorSize === 0) return sizeBytes;
    throw new BlockStoreError(
      'out-of-range',
      `a disk cannot have ${sizeBytes} bytes`,
      `give a multiple of ${this.sectorSize}, its sector size`,
    );
  }
}
