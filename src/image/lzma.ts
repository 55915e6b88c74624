// The LZMA decoder, and the two ways its data are wrapped: LZMA2 chunks (in .xz) and .lzma files. Formats: lzma-specification.txt
// of the LZMA SDK; xz-file-format.txt 1.2, section 5.3.1.
import { BoundedReader } from './bounded-reader.ts';
import { corrupt, ImageError, truncated } from './image-error.ts';

/** Where each kind of probability begins in the one array; the literal coders come last, their number depends on lc and lp. */
const STATES = 12;
const POSITIONS = 16;
const LENGTH_CODER = 2 + POSITIONS * 8 * 2 + 256;
const P_MATCH = 0;
const P_REP = P_MATCH + STATES * POSITIONS;
const P_REP0 = P_REP + STATES;
const P_REP1 = P_REP0 + STATES;
const P_REP2 = P_REP1 + STATES;
const P_REP0_LONG = P_REP2 + STATES;
const P_SLOT = P_REP0_LONG + STATES * POSITIONS;
const P_DISTANCE = P_SLOT + 4 * 64;
const P_ALIGN = P_DISTANCE + 128;
const P_LENGTH = P_ALIGN + 16;
const P_REP_LENGTH = P_LENGTH + LENGTH_CODER;
const P_LITERAL = P_REP_LENGTH + LENGTH_CODER;
const LITERAL_CODER = 0x300;

/** A probability is of 2^11; a half to begin with. */
const HALF = 1 << 10;
const MIN_MATCH = 2;
/** The first state that follows something other than a literal. */
const AFTER_MATCH = 7;
const END_MARKER = 0xffff_ffff;
/** Four times the dictionary of xz -9. */
const MAX_DICTIONARY = 2 ** 28;
const MAX_CHUNK = 1 << 21;

class LzmaDecoder {
  readonly #what: string;
  readonly #dictionary: number;
  readonly #window: Uint8Array;
  #position = 0; // in the window; history is all that lies before it
  #probabilities = new Uint16Array(P_LITERAL);
  #lc = 0;
  #lpMask = 0;
  #pbMask = 0;
  #state = 0;
  readonly #rep = new Uint32Array(4);
  #pending = 0; // bytes of a match that did not fit below the limit
  #total = 0; // bytes unpacked since the last reset of the dictionary: positions are counted from there
  // The range coder. Its 32-bit unsigned values sit in a typed array, since V8 boxes such values in fields.
  readonly #coder = new Uint32Array(2);
  #input: Uint8Array = new Uint8Array(0);
  #at = 0;

  /** @param maximum what the whole will unpack to, if known: no larger window is taken than it can use */
  constructor(dictionary: number, maximum: number, what: string) {
    if (dictionary > MAX_DICTIONARY) throw new ImageError('unsupported-compression', `${what} needs an LZMA dictionary of ${Math.ceil(dictionary / 2 ** 20)} MiB`, 'pack it again with a smaller one');
    this.#what = what;
    this.#dictionary = Math.max(dictionary, 4096);
    this.#window = new Uint8Array(Math.min(this.#dictionary * 2 + MAX_CHUNK, Math.max(maximum, MAX_CHUNK)));
  }

  setProperties(byte: number): void {
    const lc = byte % 9;
    const lp = Math.floor(byte / 9) % 5;
    const pb = Math.floor(byte / 45);
    if (pb > 4 || lc + lp > 4) throw corrupt(this.#what, `no LZMA properties are ${byte}`);
    this.#lc = lc;
    this.#lpMask = (1 << lp) - 1;
    this.#pbMask = (1 << pb) - 1;
    this.#probabilities = new Uint16Array(P_LITERAL + (LITERAL_CODER << (lc + lp)));
    this.resetState();
  }

  resetState(): void {
    this.#probabilities.fill(HALF);
    this.#rep.fill(0);
    this.#state = 0;
  }

  resetDictionary(): void {
    this.#position = 0;
    this.#total = 0;
  }

  /** Begins to read packed data; the range coder's first five bytes are there. */
  start(input: Uint8Array): void {
    if (input.length < 5) throw truncated(this.#what, 5, input.length);
    if (input[0] !== 0) throw corrupt(this.#what, 'LZMA data do not begin with 0');
    this.#input = input;
    this.#coder[0] = 0xffff_ffff;
    this.#coder[1] = new DataView(input.buffer, input.byteOffset).getUint32(1);
    this.#at = 5;
  }

  /** Whether the data ended as they should: all read, nothing left to copy. */
  get ended(): boolean {
    return this.#coder[1] === 0 && this.#at === this.#input.length && this.#pending === 0;
  }

  /** Takes bytes that are not packed into the history. */
  store(bytes: Uint8Array): Uint8Array {
    this.#makeRoom(bytes.length);
    this.#window.set(bytes, this.#position);
    this.#position += bytes.length;
    this.#total += bytes.length;
    return this.#window.subarray(this.#position - bytes.length, this.#position);
  }

  /** Unpacks `limit` bytes (at most 2 MiB), or fewer if an end marker comes. Valid until the next call. */
  unpack(limit: number): Uint8Array {
    this.#makeRoom(limit);
    const window = this.#window;
    const rep = this.#rep;
    const from = this.#position;
    const end = from + limit;
    const shift = this.#total - from;
    let to = from;
    let length = this.#pending;
    let state = this.#state;
    for (;;) {
      if (length > 0) {
        const distance = (rep[0] as number) + 1;
        if (distance > to || distance > this.#dictionary) throw corrupt(this.#what, 'a match begins before the data');
        const stop = Math.min(end, to + length);
        length -= stop - to;
        for (; to < stop; to++) window[to] = window[to - distance] as number;
      }
      if (to === end) break;
      const position = to + shift;
      const context = position & this.#pbMask;
      if (this.#bit(P_MATCH + state * POSITIONS + context) === 0) {
        const before = to > 0 ? (window[to - 1] as number) : 0;
        const coder = P_LITERAL + LITERAL_CODER * (((position & this.#lpMask) << this.#lc) + (before >> (8 - this.#lc)));
        let symbol = 1;
        if (state >= AFTER_MATCH) {
          const distance = (rep[0] as number) + 1;
          if (distance > to) throw corrupt(this.#what, 'a match begins before the data');
          let expected = window[to - distance] as number;
          do {
            const expectedBit = (expected >> 7) & 1;
            expected <<= 1;
            const bit = this.#bit(coder + ((1 + expectedBit) << 8) + symbol);
            symbol = (symbol << 1) | bit;
            if (bit !== expectedBit) break;
          } while (symbol < 0x100);
        }
        while (symbol < 0x100) symbol = (symbol << 1) | this.#bit(coder + symbol);
        window[to++] = symbol;
        state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
        continue;
      }
      if (this.#bit(P_REP + state) === 0) {
        length = MIN_MATCH + this.#length(P_LENGTH, context);
        const distance = this.#distance(Math.min(length - MIN_MATCH, 3));
        if (distance === END_MARKER) {
          length = 0;
          break;
        }
        rep.copyWithin(1, 0, 3);
        rep[0] = distance;
        state = state < AFTER_MATCH ? 7 : 10;
        continue;
      }
      if (this.#bit(P_REP0 + state) === 0) {
        if (this.#bit(P_REP0_LONG + state * POSITIONS + context) === 0) {
          state = state < AFTER_MATCH ? 9 : 11;
          length = 1;
          continue;
        }
      } else {
        const which = this.#bit(P_REP1 + state) === 0 ? 1 : this.#bit(P_REP2 + state) === 0 ? 2 : 3;
        const distance = rep[which] as number;
        rep.copyWithin(1, 0, which);
        rep[0] = distance;
      }
      length = MIN_MATCH + this.#length(P_REP_LENGTH, context);
      state = state < AFTER_MATCH ? 8 : 11;
    }
    this.#state = state;
    this.#pending = length;
    this.#position = to;
    this.#total += to - from;
    this.#normalize();
    return window.subarray(from, to);
  }

  #makeRoom(bytes: number): void {
    if (this.#position + bytes <= this.#window.length) return;
    const keep = Math.min(this.#position, this.#dictionary);
    this.#window.copyWithin(0, this.#position - keep, this.#position);
    this.#position = keep;
  }

  #normalize(): void {
    const coder = this.#coder;
    if ((coder[0] as number) >= 0x100_0000) return;
    if (this.#at >= this.#input.length) throw corrupt(this.#what, 'LZMA data end too early');
    coder[0] = (coder[0] as number) << 8;
    coder[1] = ((coder[1] as number) << 8) | (this.#input[this.#at++] as number);
  }

  #bit(index: number): 0 | 1 {
    this.#normalize();
    const coder = this.#coder;
    const range = coder[0] as number;
    const probability = this.#probabilities[index] as number;
    const bound = (range >>> 11) * probability;
    if ((coder[1] as number) < bound) {
      coder[0] = bound;
      this.#probabilities[index] = probability + ((2048 - probability) >> 5);
      return 0;
    }
    coder[0] = range - bound;
    coder[1] = (coder[1] as number) - bound;
    this.#probabilities[index] = probability - (probability >> 5);
    return 1;
  }

  /** A number of `bits` bits, the highest first. */
  #tree(base: number, bits: number): number {
    let node = 1;
    for (let i = 0; i < bits; i++) node = (node << 1) | this.#bit(base + node);
    return node - (1 << bits);
  }

  /** The same, the lowest first. */
  #reverseTree(base: number, bits: number): number {
    let node = 1;
    let value = 0;
    for (let i = 0; i < bits; i++) {
      const bit = this.#bit(base + node);
      node = (node << 1) | bit;
      value |= bit << i;
    }
    return value;
  }

  #length(coder: number, context: number): number {
    if (this.#bit(coder) === 0) return this.#tree(coder + 2 + context * 8, 3);
    if (this.#bit(coder + 1) === 0) return 8 + this.#tree(coder + 2 + (POSITIONS + context) * 8, 3);
    return 16 + this.#tree(coder + 2 + POSITIONS * 16, 8);
  }

  #distance(lengthContext: number): number {
    const slot = this.#tree(P_SLOT + lengthContext * 64, 6);
    if (slot < 4) return slot;
    const low = (slot >> 1) - 1;
    const base = (2 | (slot & 1)) << low;
    if (slot < 14) return base + this.#reverseTree(P_DISTANCE + base - slot, low);
    let middle = 0;
    for (let i = low; i > 4; i--) {
      this.#normalize();
      const half = (this.#coder[0] as number) >>> 1;
      this.#coder[0] = half;
      const one = (this.#coder[1] as number) >= half;
      if (one) this.#coder[1] = (this.#coder[1] as number) - half;
      middle = (middle << 1) | (one ? 1 : 0);
    }
    return (base >>> 0) + (middle >>> 0) * 16 + this.#reverseTree(P_ALIGN, 4);
  }
}

export interface Lzma2Extent {
  /** Bytes of the chunks, with the end marker. */
  readonly packed: number;
  readonly unpacked: number;
}

/** Walks the chunk headers of LZMA2 data. Throws ImageError: 'truncated', 'corrupt'. */
export function measureLzma2(file: BoundedReader, start: number): Lzma2Extent {
  let unpacked = 0;
  for (let at = start; ; ) {
    const control = file.u8(at);
    if (control === 0) return { packed: at + 1 - start, unpacked };
    if (control < 0x80 && control > 2) throw corrupt(file.what, `LZMA2 has no chunk type ${control}`);
    unpacked += unpackedSize(file, at, control);
    at += headerSize(control) + packedSize(file, at, control);
    file.slice(at, 0);
  }
}

const u16be = (file: BoundedReader, at: number): number => (file.u8(at) << 8) | file.u8(at + 1);
const headerSize = (control: number): number => (control >= 0xc0 ? 6 : control >= 0x80 ? 5 : 3);
const unpackedSize = (file: BoundedReader, at: number, control: number): number => (control >= 0x80 ? (control & 0x1f) << 16 : 0) + u16be(file, at + 1) + 1;
const packedSize = (file: BoundedReader, at: number, control: number): number => u16be(file, control >= 0x80 ? at + 3 : at + 1) + 1;

/** The dictionary size that LZMA2's one property byte stands for. */
export const lzma2Dictionary = (property: number): number => (property >= 40 ? 2 ** 32 - 1 : (2 | (property & 1)) * 2 ** ((property >> 1) + 11));

/** Unpacks LZMA2 data, chunk by chunk. A chunk is valid until the next is asked for. */
export function* unpackLzma2(data: Uint8Array, dictionary: number, unpacked: number, what: string): Generator<Uint8Array> {
  const file = new BoundedReader(data, what);
  const decoder = new LzmaDecoder(dictionary, unpacked, what);
  let hasProperties = false;
  for (let at = 0; ; ) {
    const control = file.u8(at);
    if (control === 0) return;
    if (control === 1 || control >= 0xe0) decoder.resetDictionary();
    else if (at === 0) throw corrupt(what, 'the first LZMA2 chunk does not reset the dictionary');
    const [header, packed, size] = [headerSize(control), packedSize(file, at, control), unpackedSize(file, at, control)];
    const chunk = file.slice(at + header, packed);
    if (control < 0x80) yield decoder.store(chunk);
    else {
      if (control >= 0xc0) {
        decoder.setProperties(file.u8(at + 5));
        hasProperties = true;
      } else if (!hasProperties) throw corrupt(what, 'the first LZMA2 chunk has no properties');
      else if (control >= 0xa0) decoder.resetState();
      decoder.start(chunk);
      const out = decoder.unpack(size);
      if (out.length !== size || !decoder.ended) throw corrupt(what, 'an LZMA2 chunk does not end where it should');
      yield out;
    }
    at += header + packed;
  }
}

/** A .lzma file has no magic: these are the usual properties (lc 3, lp 0, pb 2) and a dictionary of whole 64 KiB. */
export const LZMA_MAGIC = [0x5d, 0x00, 0x00] as const;
const LZMA_HEADER = 13;
const UNKNOWN_SIZE = 0xffff_ffff_ffff_ffff;

/** Unpacks a .lzma file, in pieces. A piece is valid until the next is asked for. Throws ImageError. */
export function* unpackLzma(bytes: Uint8Array, what: string): Generator<Uint8Array> {
  const file = new BoundedReader(bytes, what);
  const size = file.u64(5);
  const known = size < UNKNOWN_SIZE;
  const decoder = new LzmaDecoder(file.u32(1), known ? size : Number.POSITIVE_INFINITY, what);
  decoder.setProperties(file.u8(0));
  decoder.start(file.slice(LZMA_HEADER, file.length - LZMA_HEADER));
  for (let left = known ? size : Number.POSITIVE_INFINITY; left > 0; ) {
    const wanted = Math.min(left, MAX_CHUNK);
    const out = decoder.unpack(wanted);
    yield out;
    left -= out.length;
    if (out.length === wanted) continue;
    if (known) throw corrupt(what, `its LZMA data end ${left} bytes too early`);
    return;
  }
}
