// Segments that came before those in front of them (RFC 9293, section 3.10.7.4, last step). Copies, bounded in number; the window
// bounds their bytes.
import { seqDiff } from './sequence.ts';

/** So many gaps at once are an attack, or a link so bad that it does not matter. */
const MAX_PIECES = 256;

interface Piece {
  readonly seq: number;
  readonly bytes: Uint8Array;
}

export class Reassembly {
  /** By sequence number; they may overlap. */
  readonly #pieces: Piece[] = [];
  #length = 0;

  /** Bytes held, overlaps counted twice. */
  get length(): number {
    return this.#length;
  }

  /** Keeps a copy, or drops it when there are too many pieces or more than `limit` bytes. */
  insert(seq: number, bytes: Uint8Array, limit: number): void {
    let index = this.#pieces.length;
    while (index > 0 && seqDiff((this.#pieces[index - 1] as Piece).seq, seq) > 0) index--;
    const before = this.#pieces[index - 1];
    if (before !== undefined && seqDiff(before.seq, seq) + before.bytes.length >= bytes.length) return; // a duplicate
    if (this.#pieces.length >= MAX_PIECES || this.#length + bytes.length > limit) return;
    this.#pieces.splice(index, 0, { seq, bytes: bytes.slice() });
    this.#length += bytes.length;
  }

  /** Takes the bytes that begin at `next`, if they are there; call again for what follows them. */
  take(next: number): Uint8Array | undefined {
    for (let first = this.#pieces[0]; first !== undefined && seqDiff(first.seq, next) <= 0; first = this.#pieces[0]) {
      this.#pieces.shift();
      this.#length -= first.bytes.length;
      const old = seqDiff(next, first.seq);
      if (old < first.bytes.length) return first.bytes.subarray(old);
    }
    return undefined;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#length = 0;
  }
}
