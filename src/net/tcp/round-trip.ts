// The retransmission timeout (RFC 6298).

const INITIAL_NS = 1e9;
/** RFC 6298 asks for 1 s; on a link of microseconds everybody takes 200 ms. */
const MIN_NS = 200e6;
const MAX_NS = 60e9;

export class RoundTrip {
  #smoothed = 0;
  #variation = 0;
  #timeout = INITIAL_NS;

  get timeoutNs(): number {
    return this.#timeout;
  }

  /** A measurement of a segment that was sent once (section 3, Karn's algorithm). */
  sample(ns: number): void {
    if (this.#smoothed === 0) {
      this.#smoothed = ns;
      this.#variation = ns / 2;
    } else {
      this.#variation += (Math.abs(this.#smoothed - ns) - this.#variation) / 4;
      this.#smoothed += (ns - this.#smoothed) / 8;
    }
    this.#timeout = Math.min(MAX_NS, Math.max(MIN_NS, this.#smoothed + 4 * this.#variation));
  }

  /** The timer expired (section 5.5). */
  backOff(): void {
    this.#timeout = Math.min(MAX_NS, this.#timeout * 2);
  }

  /** Something new was acknowledged: the measurements hold again. */
  restore(): void {
    if (this.#smoothed > 0) this.#timeout = Math.min(MAX_NS, Math.max(MIN_NS, this.#smoothed + 4 * this.#variation));
  }
}
