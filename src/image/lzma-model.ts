// What LZMA knows about the bits to come: which probability belongs to which bit. LZMA specification, "The main loop of decoder"
// and after. Positions count from the last reset of the dictionary.
import { type BitModel, bitModel, type RangeDecoder } from './range-decoder.ts';

/** What kind of packet came last, and before: the twelve states, by the number of literals since the last other packet. */
const STATE = {
  /** Three literals, or nothing yet. */
  literals: 0,
  matchLiteralLiteral: 1,
  repLiteralLiteral: 2,
  shortRepLiteralLiteral: 3,
  matchLiteral: 4,
  repLiteral: 5,
  shortRepLiteral: 6,
  /** With a literal before it. */
  match: 7,
  rep: 8,
  shortRep: 9,
  /** With something else than a literal before it. */
  matchAgain: 10,
  repAgain: 11,
} as const;
const STATES = 12;
/** The state after a literal, by the state before it. A match after another packet than a literal is soon forgotten to be one. */
const AFTER_LITERAL = [
  STATE.literals,
  STATE.literals,
  STATE.literals,
  STATE.literals,
  STATE.matchLiteralLiteral,
  STATE.repLiteralLiteral,
  STATE.shortRepLiteralLiteral,
  STATE.matchLiteral,
  STATE.repLiteral,
  STATE.shortRepLiteral,
  STATE.matchLiteral,
  STATE.repLiteral,
] as const;

/** What the distance of the end marker is, less one. */
const END_MARKER = 0xffff_ffff;
/** As many as 4 bits of a position can choose a probability. */
const POSITIONS = 16;
/** A literal's bits: 256 probabilities by prefix alone, and 256 each by prefix and a 0 or a 1 in the byte expected there. */
const LITERAL = 0x300;
const EXPECTED = 0x100;

/** The lengths of matches: a choice of three ranges; the two short ones have probabilities by position. */
class LengthModel {
  readonly #choice = bitModel(2);
  readonly #low = bitModel(POSITIONS * 8);
  readonly #middle = bitModel(POSITIONS * 8);
  readonly #high = bitModel(256);

  /** 2 to 273. */
  read(from: RangeDecoder, position: number): number {
    if (from.bit(this.#choice, 0) === 0) return 2 + from.number(this.#low, position * 8, 3);
    if (from.bit(this.#choice, 1) === 0) return 10 + from.number(this.#middle, position * 8, 3);
    return 18 + from.number(this.#high, 0, 8);
  }
}

/** The distances of matches: a slot says how many bits the distance has and what the highest two are. */
class DistanceModel {
  readonly #slots = bitModel(4 * 64);
  /** By slot, for those of 4 to 13: their low bits. At most 5, so 32 probabilities each. */
  readonly #low = bitModel(14 * 32);
  readonly #align = bitModel(16);

  /** One less than the distance; 0xffff_ffff is the end marker. */
  read(from: RangeDecoder, matchLength: number): number {
    const slot = from.number(this.#slots, Math.min(matchLength - 2, 3) * 64, 6);
    if (slot < 4) return slot;
    const bits = (slot >> 1) - 1;
    const high = (2 + (slot & 1)) * 2 ** bits;
    if (slot < 14) return high + from.numberFromLow(this.#low, slot * 32, bits);
    return high + from.evenBits(bits - 4) * 16 + from.numberFromLow(this.#align, 0, 4);
  }
}

/** The probabilities, the state and the last distances: all that a reset of the state resets. */
export class LzmaModel {
  readonly #lc: number;
  readonly #literalPositions: number;
  readonly #positions: number;
  #state: number = STATE.literals;
  readonly #literals: BitModel;
  // By state, or by state and position.
  readonly #isMatch = bitModel(STATES * POSITIONS);
  readonly #isRep = bitModel(STATES);
  readonly #isOlder = bitModel(STATES);
  readonly #isMuchOlder = bitModel(STATES);
  readonly #isOldest = bitModel(STATES);
  readonly #isLong = bitModel(STATES * POSITIONS);
  readonly #matchLength = new LengthModel();
  readonly #repLength = new LengthModel();
  readonly #distance = new DistanceModel();
  // The four distances used last, less one, the last first.
  #last = 0;
  #second = 0;
  #third = 0;
  #fourth = 0;

  /**
   * @param lc how many high bits of the byte before choose a literal's probabilities
   * @param lp how many low bits of the position do
   * @param pb how many low bits of the position choose the probabilities of everything else
   */
  constructor(lc: number, lp: number, pb: number) {
    this.#lc = lc;
    this.#literalPositions = 2 ** lp - 1;
    this.#positions = 2 ** pb - 1;
    this.#literals = bitModel(LITERAL << (lc + lp));
  }

  /** The distance to copy from, less one. */
  get distance(): number {
    return this.#last;
  }

  /** Whether the next literal is told from the byte at `distance`, which a match would have gone on with. */
  get expectsOther(): boolean {
    return this.#state >= STATE.match;
  }

  isLiteral(from: RangeDecoder, position: number): boolean {
    return from.bit(this.#isMatch, this.#state * POSITIONS + (position & this.#positions)) === 0;
  }

  /** @param expected the byte at `distance`, if `expectsOther` */
  literal(from: RangeDecoder, position: number, before: number, expected: number): number {
    const set = ((position & this.#literalPositions) << this.#lc) | (before >> (8 - this.#lc));
    const model = this.#literals;
    const base = set * LITERAL;
    let prefix = 1;
    // As long as the byte is the expected one, that decides too.
    let same = this.expectsOther;
    for (let place = 7; same && place >= 0; place--) {
      const ahead = (expected >> place) & 1;
      const bit = from.bit(model, base + EXPECTED * (1 + ahead) + prefix);
      prefix = prefix * 2 + bit;
      same = bit === ahead;
    }
    while (prefix < 0x100) prefix = prefix * 2 + from.bit(model, base + prefix);
    this.#state = AFTER_LITERAL[this.#state] as number;
    return prefix - 0x100;
  }

  /** The length of a match, whose distance is then `distance`; 0 is the end marker. */
  match(from: RangeDecoder, position: number): number {
    const state = this.#state;
    const afterLiteral = state < STATE.match;
    const place = position & this.#positions;
    if (from.bit(this.#isRep, state) === 0) {
      const length = this.#matchLength.read(from, place);
      const distance = this.#distance.read(from, length);
      if (distance === END_MARKER) return 0;
      this.#state = afterLiteral ? STATE.match : STATE.matchAgain;
      this.#fourth = this.#third;
      this.#third = this.#second;
      this.#second = this.#last;
      this.#last = distance;
      return length;
    }
    if (from.bit(this.#isOlder, state) === 1) this.#recall(from, state);
    else if (from.bit(this.#isLong, state * POSITIONS + place) === 0) {
      this.#state = afterLiteral ? STATE.shortRep : STATE.repAgain;
      return 1;
    }
    this.#state = afterLiteral ? STATE.rep : STATE.repAgain;
    return this.#repLength.read(from, place);
  }

  /** Makes one of the older distances the last one. */
  #recall(from: RangeDecoder, state: number): void {
    let distance = this.#second;
    if (from.bit(this.#isMuchOlder, state) === 1) {
      distance = this.#third;
      if (from.bit(this.#isOldest, state) === 1) {
        distance = this.#fourth;
        this.#fourth = this.#third;
      }
      this.#third = this.#second;
    }
    this.#second = this.#last;
    this.#last = distance;
  }
}
