// A raw disk: a file, a block device or a web server's file, byte for byte.
import type { BlockStore } from './block-store.ts';
import { BlockStoreError, checkRange, isReadOnly } from './block-store-error.ts';
import type { RandomAccessFile } from './random-access-file.ts';
import { ResizeListeners } from './resize-listeners.ts';

export interface RawStoreOptions {
  readonly readOnly?: boolean;
  /** Default: 512. */
  readonly sectorSize?: 512 | 4096;
  /** The format was guessed: a guest must not turn its disk into an image of another format, which names a backing file. */
  readonly guessed?: boolean;
}

/** "QFI\xfb" */
const QCOW2_MAGIC = [0x51, 0x46, 0x49, 0xfb];
const ZERO_PIECE = 2 ** 20;

export class RawStore implements BlockStore {
  readonly sectorSize: 512 | 4096;
  readonly readOnly: boolean;
  readonly #file: RandomAccessFile;
  readonly #guessed: boolean;
  readonly #resized = new ResizeListeners();
  #sizeBytes: number;

  /** Takes the file over. The rest of a sector that the file does not have whole cannot be reached. */
  constructor(file: RandomAccessFile, options: RawStoreOptions = {}) {
    this.#file = file;
    this.sectorSize = options.sectorSize ?? 512;
    this.readOnly = options.readOnly === true || file.readOnly;
    this.#guessed = options.guessed === true;
    this.#sizeBytes = Math.floor(file.size / this.sectorSize) * this.sectorSize;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  async read(offset: number, into: Uint8Array): Promise<void> {
    this.#check(offset, into.length);
    return this.#file.read(offset, into);
  }

  async readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    this.#check(offset, totalLength(into));
    return this.#file.readv(offset, into);
  }

  async write(offset: number, from: Uint8Array): Promise<void> {
    this.#checkWrite(offset, from.length);
    if (offset < 4) this.#checkStart(offset, [from]);
    return this.#file.write(offset, from);
  }

  async writev(offset: number, from: readonly Uint8Array[]): Promise<void> {
    this.#checkWrite(offset, totalLength(from));
    if (offset < 4) this.#checkStart(offset, from);
    return this.#file.writev(offset, from);
  }

  async flush(): Promise<void> {
    await this.#file.datasync();
  }

  /** Writes zeroes: Node cannot make holes in files. There is no `discard`, for the same reason. */
  async writeZeroes(offset: number, length: number): Promise<void> {
    this.#checkWrite(offset, length);
    const zeroes = new Uint8Array(Math.min(length, ZERO_PIECE));
    for (let done = 0; done < length; done += zeroes.length)
      await this.#file.write(offset + done, zeroes.subarray(0, Math.min(zeroes.length, length - done)));
  }

  /** Makes the disk larger, or smaller: what lay behind the new end is lost then. @param sizeBytes a multiple of the sector size */
  async resize(sizeBytes: number): Promise<void> {
    if (this.readOnly) throw isReadOnly(this.#file.name);
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0 || sizeBytes % this.sectorSize !== 0) {
      const hint = `give a multiple of ${this.sectorSize}`;
      throw new BlockStoreError('out-of-range', `${this.#file.name} cannot have ${sizeBytes} bytes`, hint);
    }
    await this.#file.truncate(sizeBytes);
    await this.#file.datasync();
    this.#sizeBytes = sizeBytes;
    this.#resized.notify();
  }

  onResize(listener: () => void): Disposable {
    return this.#resized.add(listener);
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  #check(offset: number, length: number): void {
    checkRange(this.#file.name, this.#sizeBytes, offset, length);
  }

  #checkWrite(offset: number, length: number): void {
    if (this.readOnly) throw isReadOnly(this.#file.name);
    this.#check(offset, length);
  }

  #checkStart(offset: number, from: readonly Uint8Array[]): void {
    if (!this.#guessed || offset !== 0) return;
    let at = 0;
    for (const part of from) {
      for (const byte of part) {
        if (byte !== QCOW2_MAGIC[at]) return;
        if (++at < 4) continue;
        const hint = "say that the disk's format is raw";
        throw new BlockStoreError('permission', `${this.#file.name} is raw, and must not begin like qcow2`, hint);
      }
    }
  }
}

function totalLength(parts: readonly Uint8Array[]): number {
  let total = 0;
  for (const part of parts) total += part.length;
  return total;
}
