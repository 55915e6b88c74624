// Bytes that lie in several pieces, looked at as one row.

export class ByteVector {
  readonly length: number;
  readonly #parts: readonly Uint8Array[];

  constructor(parts: readonly Uint8Array[]) {
    this.#parts = parts;
    let length = 0;
    for (const part of parts) length += part.length;
    this.length = length;
  }

  /** Views of `length` bytes from `start`, one after another. */
  slice(start: number, length: number): readonly Uint8Array[] {
    if (start === 0 && length === this.length) return this.#parts;
    const out: Uint8Array[] = [];
    let at = 0;
    for (const part of this.#parts) {
      const from = Math.max(start - at, 0);
      const to = Math.min(start + length - at, part.length);
      if (from < to) out.push(part.subarray(from, to));
      at += part.length;
      if (at >= start + length) break;
    }
    return out;
  }

  /** All of it but the first `start` bytes. */
  from(start: number): ByteVector {
    return new ByteVector(this.slice(start, this.length - start));
  }

  fill(value: number, start: number, length: number): void {
    for (const part of this.slice(start, length)) part.fill(value);
  }

  /** Copies `bytes` to `start`. */
  set(bytes: Uint8Array, start: number): void {
    let done = 0;
    for (const part of this.slice(start, bytes.length)) {
      part.set(bytes.subarray(done, done + part.length));
      done += part.length;
    }
  }
}
