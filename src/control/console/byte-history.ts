// The last bytes of a stream, for those who come later and those who are slow.

export const HISTORY_BYTES = 64 * 1024;

export class ByteHistory {
  readonly #ring: Uint8Array;
  readonly #listeners = new Set<() => void>();
  #end = 0;
  #start = 0;

  constructor(capacity = HISTORY_BYTES) {
    this.#ring = new Uint8Array(capacity);
  }

  /** How many bytes there were, ever. */
  get end(): number {
    return this.#end;
  }

  /** Where the bytes begin that are still there. */
  get start(): number {
    return this.#start;
  }

  append(bytes: Uint8Array): void {
    const size = this.#ring.length;
    const kept = bytes.subarray(Math.max(0, bytes.length - size));
    const at = (this.#end + bytes.length - kept.length) % size;
    const first = kept.subarray(0, size - at);
    this.#ring.set(first, at);
    this.#ring.set(kept.subarray(first.length), 0);
    this.#end += bytes.length;
    this.#start = Math.max(this.#start, this.#end - size);
    for (const listener of this.#listeners) listener();
  }

  /** Bytes from a position on, or from the oldest that are there if that is later; `max` at most. */
  read(from: number, max = Number.POSITIVE_INFINITY): { readonly from: number; readonly bytes: Uint8Array } {
    const begin = Math.min(Math.max(from, this.#start), this.#end);
    const length = Math.min(this.#end - begin, max);
    const bytes = new Uint8Array(length);
    const at = begin % this.#ring.length;
    const first = this.#ring.subarray(at, at + length);
    bytes.set(first);
    bytes.set(this.#ring.subarray(0, length - first.length), first.length);
    return { from: begin, bytes };
  }

  clear(): void {
    this.#start = this.#end;
  }

  /** Calls the listener when there is more. */
  onMore(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }
}
