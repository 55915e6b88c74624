// Congestion control (RFC 5681), with NewReno's recovery (RFC 6582). The link to a guest loses a frame only when the guest itself
// drops it, so the window starts larger than RFC 6928's ten segments.
import { seqDiff } from './sequence.ts';

const INITIAL_BYTES = 256 * 1024;
const LIMIT_BYTES = 16 * 1024 * 1024;

export class Congestion {
  windowBytes = INITIAL_BYTES;
  #threshold = Number.POSITIVE_INFINITY;
  readonly #mss: number;
  #duplicates = 0;
  /** While recovering: the highest sequence number sent when it began. */
  #recover: number | undefined;

  constructor(mss: number) {
    this.#mss = mss;
  }

  /** `acked` new bytes up to `ack`. True: the segment at `ack` is lost too and is to be sent again (RFC 6582, section 3.2, 3). */
  acknowledged(ack: number, acked: number): boolean {
    this.#duplicates = 0;
    if (this.#recover !== undefined) {
      if (seqDiff(ack, this.#recover) < 0) {
        this.windowBytes = Math.max(this.#mss, this.windowBytes - acked + this.#mss);
        return true;
      }
      this.#recover = undefined;
      this.windowBytes = this.#threshold;
      return false;
    }
    const growth = this.windowBytes < this.#threshold ? acked : Math.max(1, (this.#mss * acked) / this.windowBytes);
    this.windowBytes = Math.min(LIMIT_BYTES, this.windowBytes + growth);
    return false;
  }

  /** A duplicate acknowledgement. True: send the first segment not acknowledged again. */
  duplicate(inFlight: number, highest: number): boolean {
    if (this.#recover !== undefined) {
      this.windowBytes = Math.min(LIMIT_BYTES, this.windowBytes + this.#mss);
      return false;
    }
    if (++this.#duplicates < 3) return false;
    this.#threshold = Math.max(inFlight / 2, 2 * this.#mss);
    this.windowBytes = this.#threshold + 3 * this.#mss;
    this.#recover = highest;
    return true;
  }

  /** The retransmission timer expired (RFC 5681, section 3.1). */
  timeout(inFlight: number): void {
    this.#threshold = Math.max(inFlight / 2, 2 * this.#mss);
    this.windowBytes = this.#mss;
    this.#duplicates = 0;
    this.#recover = undefined;
  }
}
