// Unpacks LZMA: keeps the bytes that matches may refer to, and follows the model's packets.
import { corrupt, ImageError } from './image-error.ts';
import { LzmaModel } from './lzma-model.ts';
import { RangeDecoder } from './range-decoder.ts';

/** Four times the dictionary of xz -9. */
const MAX_DICTIONARY = 2 ** 28;
/** The most that `unpack` and `store` take at a time. */
export const MAX_CHUNK: number = 1 << 21;
const LEAST_DICTIONARY = 4096;

export class LzmaDecoder {
  readonly #what: string;
  readonly #dictionary: number;
  readonly #window: Uint8Array;
  readonly #range: RangeDecoder;
  /** Where the next byte goes in the window; all before it can be referred to. */
  #end = 0;
  /** Bytes that have left the window since the last reset of the dictionary. */
  #gone = 0;
  #properties = { lc: 0, lp: 0, pb: 0 };
  #model = new LzmaModel(0, 0, 0);
  /** Bytes of a match that did not fit below the limit. */
  #pending = 0;

  /** @param maximum what the whole will unpack to, if known: no larger window is taken than it can use */
  constructor(dictionary: number, maximum: number, what: string) {
    if (dictionary > MAX_DICTIONARY) {
      const mib = Math.ceil(dictionary / 2 ** 20);
      throw new ImageError(
        'unsupported-compression',
        `${what} needs an LZMA dictionary of ${mib} MiB`,
        'pack it again with a smaller one',
      );
    }
    this.#what = what;
    this.#dictionary = Math.max(dictionary, LEAST_DICTIONARY);
    this.#window = new Uint8Array(Math.min(this.#dictionary * 2 + MAX_CHUNK, Math.max(maximum, MAX_CHUNK)));
    this.#range = new RangeDecoder(what);
  }

  /** Sets how contexts are formed, and resets the state. @param byte (pb × 5 + lp) × 9 + lc. Throws ImageError: 'corrupt'. */
  setProperties(byte: number): void {
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (pb > 4 || lc + lp > 4) throw corrupt(this.#what, `no LZMA properties are ${byte}`);
    this.#properties = { lc, lp, pb };
    this.resetState();
  }

  resetState(): void {
    const { lc, lp, pb } = this.#properties;
    this.#model = new LzmaModel(lc, lp, pb);
  }

  resetDictionary(): void {
    this.#end = 0;
    this.#gone = 0;
  }

  /** Begins to read packed data. Throws ImageError: 'truncated', 'corrupt'. */
  start(input: Uint8Array): void {
    this.#range.start(input);
  }

  /** Whether the data ended as they should: all read, nothing left to copy. */
  get ended(): boolean {
    return this.#range.ended && this.#pending === 0;
  }

  /** Takes bytes that are not packed into the history. */
  store(bytes: Uint8Array): Uint8Array {
    this.#makeRoom(bytes.length);
    const start = this.#end;
    this.#window.set(bytes, start);
    this.#end += bytes.length;
    return this.#window.subarray(start, this.#end);
  }

  /** Unpacks `limit` bytes (at most MAX_CHUNK), or fewer if an end marker comes. Valid until the next call. Throws ImageError: 'corrupt'. */
  unpack(limit: number): Uint8Array {
    this.#makeRoom(limit);
    const window = this.#window;
    const range = this.#range;
    const model = this.#model;
    const start = this.#end;
    const stop = start + limit;
    let at = start;
    at = this.#copy(this.#pending, at, stop);
    while (at < stop) {
      const position = this.#gone + at;
      if (model.isLiteral(range, position)) {
        const before = at > 0 ? (window[at - 1] as number) : 0;
        const expected = model.expectsOther ? (window[this.#source(at)] as number) : 0;
        window[at++] = model.literal(range, position, before, expected);
      } else {
        const length = model.match(range, position);
        if (length === 0) break;
        at = this.#copy(length, at, stop);
      }
    }
    this.#end = at;
    range.refill();
    return window.subarray(start, at);
  }

  /** Where the model's distance leads to from `at`. */
  #source(at: number): number {
    const { distance } = this.#model;
    if (distance >= at || distance >= this.#dictionary) throw corrupt(this.#what, 'a match begins before the data');
    return at - distance - 1;
  }

  /** Copies as much of a match as there is room for, and gives where it ends; the rest is pending. */
  #copy(length: number, at: number, stop: number): number {
    if (length === 0) return at;
    const window = this.#window;
    const end = Math.min(at + length, stop);
    this.#pending = at + length - end;
    // The source may run into what is being written, so the order matters.
    for (let from = this.#source(at); at < end; ) window[at++] = window[from++] as number;
    return end;
  }

  #makeRoom(bytes: number): void {
    if (this.#end + bytes <= this.#window.length) return;
    const kept = Math.min(this.#end, this.#dictionary);
    const gone = this.#end - kept;
    this.#window.copyWithin(0, gone, this.#end);
    this.#gone += gone;
    this.#end = kept;
  }
}
