// One 8259A interrupt controller. Names and sections are those of its datasheet (Intel 231468): initialisation command words ICW1
// to ICW4, operation command words OCW1 to OCW3. The 8080 mode (ICW4 without uPM) and buffered mode make no difference to a PC.

/** ICW1. */
const ICW1 = { icw4: 1 << 0, single: 1 << 1, init: 1 << 4 } as const;
/** ICW4. */
const ICW4 = { autoEoi: 1 << 1, specialFullyNested: 1 << 4 } as const;
/** OCW3. */
const OCW3 = {
  readIsr: 1 << 0,
  readRegister: 1 << 1,
  poll: 1 << 2,
  marker: 1 << 3,
  special: 1 << 5,
  setSpecial: 1 << 6,
} as const;
const NO_LEVEL = 8;
/** Delivered when the request has gone before it is acknowledged (Interrupt Sequence). */
const SPURIOUS = 7;

export class Pic {
  /** Inputs whose slave is another controller; special fully nested mode lets further requests of it through. */
  readonly #cascade: number;
  readonly #levelBits: number;
  readonly #changed: () => void;
  #lines = 0;
  #irr = 0;
  #isr = 0;
  #imr = 0;
  #elcr = 0;
  #base = 0;
  /** The input of the lowest priority. */
  #lowest = 7;
  /** The next ICW that port 1 takes; 1: none. */
  #icw = 1;
  #icw1 = 0;
  #autoEoi = false;
  #rotateOnAutoEoi = false;
  #specialMask = false;
  #specialNested = false;
  #readIsr = false;
  #poll = false;

  /** `levelBits`: which inputs may be level-triggered. `changed` is called when `requesting` may have changed. */
  constructor(options: { readonly cascade?: number; readonly levelBits: number; readonly changed: () => void }) {
    this.#cascade = options.cascade ?? 0;
    this.#levelBits = options.levelBits;
    this.#changed = options.changed;
  }

  /** INT: a request is there that no more important one in service holds back. */
  get requesting(): boolean {
    return this.#best() !== NO_LEVEL;
  }

  reset(): void {
    this.#irr = this.#isr = this.#imr = this.#elcr = this.#base = 0;
    this.#lowest = 7;
    this.#icw = 1;
    this.#autoEoi = this.#rotateOnAutoEoi = this.#specialMask = this.#specialNested = this.#readIsr = this.#poll = false;
    this.#changed();
  }

  /** A device drives input 0..7. */
  setLine(input: number, level: boolean): void {
    const bit = 1 << input;
    if (level) {
      if ((this.#lines & bit) === 0 || this.#elcr & bit) this.#irr |= bit;
      this.#lines |= bit;
    } else {
      this.#lines &= ~bit;
      // The request latch is transparent: what goes before it is acknowledged is no request any more.
      this.#irr &= ~bit;
    }
    this.#changed();
  }

  /** The first INTA pulse: which input is acknowledged. */
  acknowledge(): number {
    const input = this.#best();
    if (input === NO_LEVEL) return SPURIOUS;
    const bit = 1 << input;
    if ((this.#elcr & bit) === 0) this.#irr &= ~bit;
    if (!this.#autoEoi) this.#isr |= bit;
    else if (this.#rotateOnAutoEoi) this.#lowest = input;
    this.#changed();
    return input;
  }

  /** The vector of an input, as of the second INTA pulse. */
  vector(input: number): number {
    return this.#base | input;
  }

  read(offset: number): number {
    if (this.#poll) {
      this.#poll = false;
      const input = this.#best();
      return input === NO_LEVEL ? 0 : 0x80 | this.acknowledge();
    }
    if (offset !== 0) return this.#imr;
    return this.#readIsr ? this.#isr : this.#irr;
  }

  write(offset: number, value: number): void {
    if (offset !== 0) this.#writeData(value);
    else if (value & ICW1.init) this.#initialise(value);
    else if (value & OCW3.marker) this.#writeOcw3(value);
    else this.#endOfInterrupt(value >> 5, value & 7);
    this.#changed();
  }

  /** The edge/level control register of the PCI-ISA bridge (82371SB, 2.5.3.6). */
  get elcr(): number {
    return this.#elcr;
  }

  set elcr(value: number) {
    this.#elcr = value & this.#levelBits;
    this.#irr |= this.#lines & this.#elcr;
    this.#changed();
  }

  #initialise(icw1: number): void {
    this.#icw1 = icw1;
    this.#icw = 2;
    this.#imr = this.#isr = 0;
    // Edges must come anew; levels are still there.
    this.#irr = this.#lines & this.#elcr;
    this.#lowest = 7;
    this.#specialMask = this.#readIsr = this.#poll = false;
    if ((icw1 & ICW1.icw4) === 0) this.#writeIcw4(0);
  }

  #writeData(value: number): void {
    const icw4 = (this.#icw1 & ICW1.icw4) !== 0;
    switch (this.#icw) {
      case 2:
        this.#base = value & 0xf8;
        this.#icw = (this.#icw1 & ICW1.single) === 0 ? 3 : icw4 ? 4 : 1;
        break;
      case 3:
        // How a PC's two are wired is known.
        this.#icw = icw4 ? 4 : 1;
        break;
      case 4:
        this.#writeIcw4(value);
        this.#icw = 1;
        break;
      default:
        this.#imr = value;
    }
  }

  #writeIcw4(value: number): void {
    this.#autoEoi = (value & ICW4.autoEoi) !== 0;
    this.#specialNested = (value & ICW4.specialFullyNested) !== 0;
    if (!this.#autoEoi) this.#rotateOnAutoEoi = false;
  }

  #writeOcw3(value: number): void {
    if (value & OCW3.poll) this.#poll = true;
    if (value & OCW3.readRegister) this.#readIsr = (value & OCW3.readIsr) !== 0;
    if (value & OCW3.setSpecial) this.#specialMask = (value & OCW3.special) !== 0;
  }

  /** OCW2: bits 7:5 are R, SL and EOI. */
  #endOfInterrupt(command: number, level: number): void {
    const rotate = (command & 4) !== 0;
    const specific = (command & 2) !== 0;
    if ((command & 1) === 0) {
      if (specific) {
        // Set priority, or nothing.
        if (rotate) this.#lowest = level;
      } else this.#rotateOnAutoEoi = rotate;
      return;
    }
    const input = specific ? level : this.#highest(this.#specialMask ? this.#isr & ~this.#imr : this.#isr);
    if (input === NO_LEVEL) return;
    this.#isr &= ~(1 << input);
    if (rotate) this.#lowest = input;
  }

  /** The most important of a set of inputs. */
  #highest(set: number): number {
    for (let i = 1; i <= 8; i++) {
      const input = (this.#lowest + i) & 7;
      if (set & (1 << input)) return input;
    }
    return NO_LEVEL;
  }

  #best(): number {
    const input = this.#highest(this.#irr & ~this.#imr);
    if (input === NO_LEVEL) return NO_LEVEL;
    const serving = this.#isr & ~(this.#specialMask ? this.#imr : 0) & ~(this.#specialNested ? this.#cascade : 0);
    // In special mask mode only what is in service itself holds its own level back.
    if (this.#specialMask) return serving & (1 << input) ? NO_LEVEL : input;
    const holding = this.#highest(serving);
    return holding !== NO_LEVEL && this.#rank(holding) <= this.#rank(input) ? NO_LEVEL : input;
  }

  #rank(input: number): number {
    return (input - this.#lowest - 1) & 7;
  }
}
