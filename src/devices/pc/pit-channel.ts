// One of the three counters of an 8254. It does not count: what it would have counted to follows from when it was loaded.
// "Mode Definitions" and "Programming the 82C54" are sections of the datasheet (Intel 231164).

/** The PC's crystal, divided by 12. */
export const PIT_HZ = 1_193_182;
const NS_PER_TICK = 1e9 / PIT_HZ;

/** Control word, bits 5:4: latch the count, or how it is read and written. */
const ACCESS = { latch: 0, low: 1, high: 2, both: 3 } as const;

const fromBcd = (value: number): number =>
  (value & 15) + ((value >> 4) & 15) * 10 + ((value >> 8) & 15) * 100 + ((value >> 12) & 15) * 1000;
const toBcd = (value: number): number =>
  (value % 10) |
  ((Math.floor(value / 10) % 10) << 4) |
  ((Math.floor(value / 100) % 10) << 8) |
  ((Math.floor(value / 1000) % 10) << 12);

export class PitChannel {
  #mode = 0;
  #bcd = false;
  #access: number = ACCESS.both;
  /** The count that was written, 1..65536. */
  #initial = 0x1_0000;
  /** A count has been written since the control word. */
  #loaded = false;
  #startNs = 0;
  /** Ticks counted before the gate stopped it; undefined while it counts. */
  #stoppedAt: number | undefined;
  #gate = true;
  #lowWritten: number | undefined;
  #readHigh = false;
  #latched: number | undefined;
  #status: number | undefined;

  reset(): void {
    this.#mode = 0;
    this.#bcd = this.#loaded = this.#readHigh = false;
    this.#access = ACCESS.both;
    this.#initial = 0x1_0000;
    this.#stoppedAt = this.#lowWritten = this.#latched = this.#status = undefined;
    this.#gate = true;
  }

  /** A control word for this counter. */
  control(word: number, nowNs: number): void {
    const access = (word >> 4) & 3;
    if (access === ACCESS.latch) {
      this.latchCount(nowNs);
      return;
    }
    this.#access = access;
    const mode = (word >> 1) & 7;
    // Modes 6 and 7 are 2 and 3 again.
    this.#mode = mode > 5 ? mode - 4 : mode;
    this.#bcd = (word & 1) !== 0;
    this.#loaded = this.#readHigh = false;
    this.#lowWritten = this.#latched = this.#status = this.#stoppedAt = undefined;
  }

  /** A byte of the count. */
  write(value: number, nowNs: number): void {
    if (this.#access === ACCESS.both) {
      if (this.#lowWritten === undefined) {
        this.#lowWritten = value;
        // The first byte of a new count stops mode 0.
        if (this.#mode === 0) this.#loaded = false;
        return;
      }
      this.#load(this.#lowWritten | (value << 8), nowNs);
      this.#lowWritten = undefined;
    } else this.#load(this.#access === ACCESS.high ? value << 8 : value, nowNs);
  }

  /** A byte of the latched status, the latched count, or the count. */
  read(nowNs: number): number {
    if (this.#status !== undefined) {
      const status = this.#status;
      this.#status = undefined;
      return status;
    }
    const count = this.#latched ?? this.#visible(nowNs);
    if (this.#access === ACCESS.both) {
      const high = this.#readHigh;
      this.#readHigh = !high;
      if (high) this.#latched = undefined;
      return high ? count >> 8 : count & 0xff;
    }
    this.#latched = undefined;
    return this.#access === ACCESS.high ? count >> 8 : count & 0xff;
  }

  latchCount(nowNs: number): void {
    this.#latched ??= this.#visible(nowNs);
  }

  latchStatus(nowNs: number): void {
    const nullCount = this.#loaded ? 0 : 0x40;
    this.#status ??= (this.output(nowNs) ? 0x80 : 0) | nullCount | (this.#access << 4) | (this.#mode << 1) | (this.#bcd ? 1 : 0);
  }

  /** The gate input. A rise triggers modes 1 and 5 and starts 2 and 3 anew; low stops 0, 2, 3 and 4. */
  setGate(gate: boolean, nowNs: number): void {
    if (gate === this.#gate) return;
    const ticks = this.#ticks(nowNs);
    this.#gate = gate;
    const triggered = this.#mode === 1 || this.#mode === 5;
    if (!gate) {
      if (!triggered) this.#stoppedAt = ticks;
      return;
    }
    if (this.#mode === 0 || this.#mode === 4) this.#startNs = nowNs - ticks * NS_PER_TICK;
    else this.#startNs = nowNs;
    this.#stoppedAt = undefined;
  }

  /** OUT. */
  output(nowNs: number): boolean {
    if (!this.#loaded) return this.#mode !== 0;
    const ticks = this.#ticks(nowNs);
    switch (this.#mode) {
      case 0:
        return ticks >= this.#initial;
      case 1:
        return this.#stoppedAt !== undefined || ticks >= this.#initial;
      case 2:
        return this.#stoppedAt !== undefined || ticks % this.#initial !== this.#initial - 1;
      case 3:
        return this.#stoppedAt !== undefined || ticks % this.#initial < Math.ceil(this.#initial / 2);
      default:
        return ticks !== this.#initial;
    }
  }

  /** When OUT rises next, after `nowNs`; Infinity when it does not. */
  nextRiseNs(nowNs: number): number {
    if (!this.#loaded || this.#stoppedAt !== undefined) return Number.POSITIVE_INFINITY;
    const ticks = this.#ticks(nowNs);
    const at = (count: number): number => this.#startNs + Math.ceil(count * NS_PER_TICK);
    switch (this.#mode) {
      case 2:
      case 3: {
        const next = at((Math.floor(ticks / this.#initial) + 1) * this.#initial);
        return next > nowNs ? next : next + Math.ceil(this.#initial * NS_PER_TICK);
      }
      case 0:
      case 1:
        return ticks < this.#initial ? at(this.#initial) : Number.POSITIVE_INFINITY;
      default:
        return ticks <= this.#initial ? at(this.#initial + 1) : Number.POSITIVE_INFINITY;
    }
  }

  #load(written: number, nowNs: number): void {
    const count = this.#bcd ? fromBcd(written) : written;
    this.#initial = count === 0 ? (this.#bcd ? 10_000 : 0x1_0000) : count;
    this.#loaded = true;
    this.#startNs = nowNs;
    // Modes 1 and 5 wait for the gate to rise.
    const waits = this.#mode === 1 || this.#mode === 5 || !this.#gate;
    this.#stoppedAt = waits ? 0 : undefined;
  }

  /** Ticks since the count was loaded or triggered. */
  #ticks(nowNs: number): number {
    if (this.#stoppedAt !== undefined) return this.#stoppedAt;
    return Math.max(0, Math.floor((nowNs - this.#startNs) / NS_PER_TICK));
  }

  /** The counting element, as software sees it. */
  #visible(nowNs: number): number {
    const ticks = this.#loaded ? this.#ticks(nowNs) : 0;
    const modulus = this.#bcd ? 10_000 : 0x1_0000;
    let count: number;
    if (this.#mode === 2) count = this.#initial - (ticks % this.#initial);
    // A square wave counts down by two, twice a period.
    else if (this.#mode === 3) count = this.#initial - ((2 * ticks) % this.#initial);
    else count = (((this.#initial - ticks) % modulus) + modulus) % modulus;
    count %= modulus;
    return this.#bcd ? toBcd(count) : count;
  }
}
