// Little-endian reads that never leave the file: every read past the end is an ImageError('truncated') that names the file.
import { truncated } from './image-error.ts';

export class BoundedReader {
  readonly bytes: Uint8Array;
  /** Names the file in errors: "ELF kernel", "xz stream". */
  readonly what: string;
  readonly #view: DataView;

  constructor(bytes: Uint8Array, what: string) {
    this.bytes = bytes;
    this.what = what;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get length(): number {
    return this.bytes.length;
  }

  u8(at: number): number {
    this.#need(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    this.#need(at, 2);
    return this.#view.getUint16(at, true);
  }

  u32(at: number): number {
    this.#need(at, 4);
    return this.#view.getUint32(at, true);
  }

  /** A 64-bit field as a Number. Values of 2^53 and more lose low bits, but stay too large for any file: bounds checks still refuse them. */
  u64(at: number): number {
    return this.u32(at) + this.u32(at + 4) * 0x1_0000_0000;
  }

  /** A view (no copy) of `length` bytes at `at`. */
  slice(at: number, length: number): Uint8Array {
    this.#need(at, length);
    return this.bytes.subarray(at, at + length);
  }

  /** `length` bytes as ASCII, up to the first NUL. */
  ascii(at: number, length: number): string {
    const field = this.slice(at, length);
    const end = field.indexOf(0);
    return latin1(end < 0 ? field : field.subarray(0, end));
  }

  #need(at: number, length: number): void {
    if (!(at >= 0 && length >= 0 && at + length <= this.bytes.length)) throw truncated(this.what, at + length, this.bytes.length);
  }
}

/** Bytes to a string, one character a byte. For short fields only. */
export const latin1 = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** Whether `bytes` has `magic` at `at`. */
export const startsWith = (bytes: Uint8Array, magic: readonly number[], at = 0): boolean =>
  bytes.length >= at + magic.length && magic.every((byte, i) => bytes[at + i] === byte);
