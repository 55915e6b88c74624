// The range decoder under LZMA: it reads bits whose probabilities adapt as they are read. LZMA specification, "Range Decoder".
import { corrupt, truncated } from './image-error.ts';

/** The adaptive probabilities of a set of bits: of being 0, in 2048ths. */
export type BitModel = Uint16Array;

const PROBABILITY_BITS = 11;
const ONE = 1 << PROBABILITY_BITS;
/** How slowly a probability follows what is read: by a 32nd of the way. */
const INERTIA = 5;
const HEADER = 5;
/** The top byte of the range has become 0: the next byte of the input is wanted. */
const LEAST_RANGE = 1 << 24;
/** Where the two 32-bit unsigned values of the coder sit. In a typed array, since V8 boxes such values in fields. */
const WIDTH = 0;
const OFFSET = 1;

/** `count` probabilities of one half. */
export const bitModel = (count: number): BitModel => new Uint16Array(count).fill(ONE / 2);

export class RangeDecoder {
  /** The width of the interval, and how far into it the encoded number lies. */
  readonly #interval = new Uint32Array(2);
  readonly #what: string;
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** @param what names the file in errors */
  constructor(what: string) {
    this.#what = what;
  }

  /** Begins to read. Throws ImageError: 'truncated', 'corrupt'. */
  start(input: Uint8Array): void {
    if (input.length < HEADER) throw truncated(this.#what, HEADER, input.length);
    if (input[0] !== 0) throw corrupt(this.#what, 'LZMA data do not begin with 0');
    this.#interval[WIDTH] = 0xffff_ffff;
    this.#interval[OFFSET] = new DataView(input.buffer, input.byteOffset).getUint32(1);
    this.#input = input;
    this.#at = HEADER;
  }

  /** Whether the input ended as it should: all of it is read, and the encoded number is used up. */
  get ended(): boolean {
    return this.#interval[OFFSET] === 0 && this.#at === this.#input.length;
  }

  /** Makes the interval wide enough for the next bit. Must also be done after the last one. */
  refill(): void {
    const interval = this.#interval;
    if ((interval[WIDTH] as number) >= LEAST_RANGE) return;
    if (this.#at === this.#input.length) throw corrupt(this.#what, 'LZMA data end too early');
    interval[WIDTH] = (interval[WIDTH] as number) << 8;
    interval[OFFSET] = ((interval[OFFSET] as number) << 8) | (this.#input[this.#at++] as number);
  }

  /** A bit with the probability at `index`, which it adapts. */
  bit(model: BitModel, index: number): 0 | 1 {
    this.refill();
    const interval = this.#interval;
    const width = interval[WIDTH] as number;
    const offset = interval[OFFSET] as number;
    const probability = model[index] as number;
    const zeroes = (width >>> PROBABILITY_BITS) * probability;
    if (offset < zeroes) {
      interval[WIDTH] = zeroes;
      model[index] = probability + ((ONE - probability) >> INERTIA);
      return 0;
    }
    interval[WIDTH] = width - zeroes;
    interval[OFFSET] = offset - zeroes;
    model[index] = probability - (probability >> INERTIA);
    return 1;
  }

  /** A number of `bits` bits (at most 26) that are all as likely 0 as 1, the highest first. */
  evenBits(bits: number): number {
    const interval = this.#interval;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      this.refill();
      const half = (interval[WIDTH] as number) >>> 1;
      const offset = interval[OFFSET] as number;
      interval[WIDTH] = half;
      value *= 2;
      if (offset < half) continue;
      interval[OFFSET] = offset - half;
      value++;
    }
    return value;
  }

  /**
   * A number of `bits` bits, the highest first. Each prefix of it has a probability of its own: the prefix, with a 1 before it, is
   * the probability's index after `base`.
   */
  number(model: BitModel, base: number, bits: number): number {
    const end = 1 << bits;
    let prefix = 1;
    while (prefix < end) prefix = prefix * 2 + this.bit(model, base + prefix);
    return prefix - end;
  }

  /** The same, the lowest bit first. */
  numberFromLow(model: BitModel, base: number, bits: number): number {
    let prefix = 1;
    let value = 0;
    for (let weight = 1; weight < 1 << bits; weight *= 2) {
      const bit = this.bit(model, base + prefix);
      prefix = prefix * 2 + bit;
      if (bit === 1) value += weight;
    }
    return value;
  }
}
