// A file in memory.
import type { RandomAccessFile } from './random-access-file.ts';
import { SparseMemory } from './sparse-memory.ts';

export class RamFile implements RandomAccessFile {
  readonly name: string;
  readonly readOnly = false;
  readonly #memory = new SparseMemory();
  #size = 0;

  constructor(name = 'the file in memory', contents?: Uint8Array) {
    this.name = name;
    if (contents === undefined) return;
    this.#memory.write(0, contents);
    this.#size = contents.length;
  }

  get size(): number {
    return this.#size;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#memory.read(offset, into);
  }

  async readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    for (const part of into) {
      this.#memory.read(at, part);
      at += part.length;
    }
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    this.#memory.write(offset, from);
    this.#size = Math.max(this.#size, offset + from.length);
  }

  async writev(offset: number, from: readonly Uint8Array[]): Promise<void> {
    let at = offset;
    for (const part of from) {
      await this.write(at, part);
      at += part.length;
    }
  }

  async truncate(size: number): Promise<void> {
    this.#memory.truncate(size);
    this.#size = size;
  }

  async datasync(): Promise<void> {}

  async close(): Promise<void> {}

  /** A copy of all its bytes. */
  contents(): Uint8Array {
    const bytes = new Uint8Array(this.#size);
    this.#memory.read(0, bytes);
    return bytes;
  }
}
