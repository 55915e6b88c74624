// Reading and writing the bytes of messages: little-endian, unaligned. A reader never throws for what it is given.

/** Reads within its bytes. What is not there reads as nothing, and `ok` is false from then on. */
export class WireReader {
  ok = true;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at: number;

  constructor(bytes: Uint8Array, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#at = at;
  }

  get left(): number {
    return this.#bytes.length - this.#at;
  }

  u8(): number {
    const at = this.#take(1);
    return this.ok ? this.#view.getUint8(at) : 0;
  }

  u16(): number {
    const at = this.#take(2);
    return this.ok ? this.#view.getUint16(at, true) : 0;
  }

  u32(): number {
    const at = this.#take(4);
    return this.ok ? this.#view.getUint32(at, true) : 0;
  }

  u64(): bigint {
    const at = this.#take(8);
    return this.ok ? this.#view.getBigUint64(at, true) : 0n;
  }

  /** A view, not a copy. */
  bytes(count: number): Uint8Array {
    const at = this.#take(count);
    return this.ok ? this.#bytes.subarray(at, at + count) : new Uint8Array();
  }

  #take(count: number): number {
    const at = this.#at;
    if (count > this.left) this.ok = false;
    else this.#at += count;
    return at;
  }
}

export class WireWriter {
  #bytes: Uint8Array;
  #view: DataView;
  #length = 0;

  constructor(capacity = 64) {
    this.#bytes = new Uint8Array(capacity);
    this.#view = new DataView(this.#bytes.buffer);
  }

  get length(): number {
    return this.#length;
  }

  u8(value: number): void {
    const at = this.#grow(1);
    this.#view.setUint8(at, value);
  }

  u16(value: number): void {
    const at = this.#grow(2);
    this.#view.setUint16(at, value, true);
  }

  u32(value: number): void {
    const at = this.#grow(4);
    this.#view.setUint32(at, value, true);
  }

  u64(value: bigint): void {
    const at = this.#grow(8);
    this.#view.setBigUint64(at, value, true);
  }

  bytes(value: Uint8Array): void {
    const at = this.#grow(value.length);
    this.#bytes.set(value, at);
  }

  /** What was written, with its length in the first four bytes. */
  finish(): Uint8Array {
    this.#view.setUint32(0, this.#length, true);
    return this.#bytes.subarray(0, this.#length);
  }

  #grow(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return at;
  }
}
