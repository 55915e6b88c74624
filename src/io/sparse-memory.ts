// Bytes at offsets, in memory; only pieces that were written take room.

const PIECE_BITS = 16;
const PIECE = 1 << PIECE_BITS;

export class SparseMemory {
  readonly #pieces = new Map<number, Uint8Array>();

  /** Bytes of memory that it takes. */
  get allocated(): number {
    return this.#pieces.size * PIECE;
  }

  read(offset: number, into: Uint8Array): void {
    for (let done = 0; done < into.length; ) {
      const start = (offset + done) % PIECE;
      const length = Math.min(PIECE - start, into.length - done);
      const piece = this.#pieces.get(Math.floor((offset + done) / PIECE));
      if (piece === undefined) into.fill(0, done, done + length);
      else into.set(piece.subarray(start, start + length), done);
      done += length;
    }
  }

  write(offset: number, from: Uint8Array): void {
    for (let done = 0; done < from.length; ) {
      const start = (offset + done) % PIECE;
      const length = Math.min(PIECE - start, from.length - done);
      const index = Math.floor((offset + done) / PIECE);
      let piece = this.#pieces.get(index);
      if (piece === undefined) {
        piece = new Uint8Array(PIECE);
        this.#pieces.set(index, piece);
      }
      piece.set(from.subarray(done, done + length), start);
      done += length;
    }
  }

  zero(offset: number, length: number): void {
    for (let done = 0; done < length; ) {
      const start = (offset + done) % PIECE;
      const count = Math.min(PIECE - start, length - done);
      const index = Math.floor((offset + done) / PIECE);
      if (count === PIECE) this.#pieces.delete(index);
      else this.#pieces.get(index)?.fill(0, start, start + count);
      done += count;
    }
  }

  /** Forgets everything from `size` on. */
  truncate(size: number): void {
    const last = Math.ceil(size / PIECE);
    for (const index of this.#pieces.keys()) if (index >= last) this.#pieces.delete(index);
    if (size % PIECE !== 0) this.#pieces.get(last - 1)?.fill(0, size % PIECE);
  }
}
