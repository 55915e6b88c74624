// Bytes on their way to the peer, from the first one not acknowledged on: kept as the chunks they came in, copied once, into the
// frame.

export class SendQueue {
  readonly #chunks: Uint8Array[] = [];
  /** Bytes of the first chunk that are acknowledged. */
  #skip = 0;
  /** The chunk where the last `copy` began, so that the next need not walk there: its index, and its offset from the first. */
  #cursor = 0;
  #cursorOffset = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The queue keeps `chunk`. */
  append(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Copies `length` bytes from `offset` on; both must be within the queue. */
  copy(offset: number, length: number, target: Uint8Array, at: number): void {
    let from = offset + this.#skip;
    if (from < this.#cursorOffset) [this.#cursor, this.#cursorOffset] = [0, 0];
    let chunk = this.#chunks[this.#cursor];
    while (chunk !== undefined && from - this.#cursorOffset >= chunk.length) {
      this.#cursorOffset += chunk.length;
      chunk = this.#chunks[++this.#cursor];
    }
    from -= this.#cursorOffset;
    let index = this.#cursor;
    for (let done = 0; done < length && chunk !== undefined; chunk = this.#chunks[++index]) {
      const part = Math.min(length - done, chunk.length - from);
      target.set(from === 0 && part === chunk.length ? chunk : chunk.subarray(from, from + part), at + done);
      done += part;
      from = 0;
    }
  }

  /** Forgets the first `n` bytes. */
  discard(n: number): void {
    this.#length -= n;
    this.#skip += n;
    let whole = 0;
    for (let first = this.#chunks[0]; first !== undefined && this.#skip >= first.length; first = this.#chunks[whole]) {
      this.#skip -= first.length;
      this.#cursorOffset -= first.length;
      whole++;
    }
    if (whole === 0) return;
    this.#chunks.splice(0, whole);
    this.#cursor -= whole;
    if (this.#cursor < 0) [this.#cursor, this.#cursorOffset] = [0, 0];
  }

  clear(): void {
    this.#chunks.length = 0;
    this.#skip = this.#cursor = this.#cursorOffset = this.#length = 0;
  }
}
