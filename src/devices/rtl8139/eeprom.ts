// A 93C46 serial EEPROM of 64 words as the RTL8139 has one beside it (Microchip 93C46B datasheet): it can be read. What is written to it is
// the card's maker's business, and is not kept.

const WORDS = 64;
const ADDRESS_BITS = 6;
const READ = 0b10;
/** Pins, as bits of the card's register 0x50. */
export const PIN = { output: 1 << 0, input: 1 << 1, clock: 1 << 2, select: 1 << 3 } as const;

export class Eeprom {
  readonly #words: Uint16Array;
  #clock = false;
  /** Bits since the start bit; -1 before it. */
  #count = -1;
  #shift = 0;
  /** The word that is being read, and how many of its bits are out; undefined while a command comes. */
  #reading: { address: number; bits: number } | undefined;
  #output = false;

  constructor(words: ReadonlyMap<number, number>) {
    this.#words = new Uint16Array(WORDS);
    for (const [at, value] of words) this.#words[at] = value;
  }

  get output(): boolean {
    return this.#output;
  }

  /** The pins change. */
  drive(pins: number): void {
    if ((pins & PIN.select) === 0) {
      this.#count = -1;
      this.#shift = 0;
      this.#reading = undefined;
      this.#clock = false;
      // High impedance, which the card reads as a one: ready.
      this.#output = true;
      return;
    }
    const clock = (pins & PIN.clock) !== 0;
    const rises = clock && !this.#clock;
    this.#clock = clock;
    if (rises) this.#rise((pins & PIN.input) !== 0);
  }

  #rise(input: boolean): void {
    const reading = this.#reading;
    if (reading !== undefined) {
      this.#output = (((this.#words[reading.address] as number) >> (15 - reading.bits)) & 1) !== 0;
      if (++reading.bits === 16) this.#reading = { address: (reading.address + 1) % WORDS, bits: 0 };
      return;
    }
    if (this.#count < 0) {
      if (input) this.#count = 0;
      return;
    }
    this.#shift = ((this.#shift << 1) | (input ? 1 : 0)) & 0xff;
    if (++this.#count < 2 + ADDRESS_BITS) return;
    if (this.#shift >> ADDRESS_BITS === READ) {
      this.#reading = { address: this.#shift & (WORDS - 1), bits: 0 };
      // A zero goes before the data.
      this.#output = false;
    } else this.#count = 2 + ADDRESS_BITS;
  }
}

/** What Realtek's cards keep there: an identifier, PCI identity and the address. */
export function cardWords(mac: Uint8Array): ReadonlyMap<number, number> {
  const word = (i: number): number => (mac[i] as number) | ((mac[i + 1] as number) << 8);
  return new Map([
    [0, 0x8129],
    [1, 0x10ec],
    [2, 0x8139],
    [7, word(0)],
    [8, word(2)],
    [9, word(4)],
  ]);
}
