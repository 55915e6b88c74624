// The receiving half of a connection: what is wanted next, how much there is room for, and when to acknowledge (RFC 9293,
// sections 3.8.6.2.2 and 3.8.6.3).
import { Reassembly } from './reassembly.ts';
import { segmentLength, TCP_FLAG, type TcpSegment } from './segment.ts';
import { seqAdd, seqDiff } from './sequence.ts';

/** As Linux; RFC 9293 allows up to 500 ms. */
const DELAYED_ACK_NS = 40e6;

export interface ReceiverUser {
  /** How many more bytes `deliver` may be given now. */
  room(): number;
  /** Bytes in order, valid only during the call. */
  deliver(bytes: Uint8Array): void;
}

export class TcpReceiver {
  /** RCV.NXT. */
  nxt: number;
  finReceived = false;
  /** An acknowledgement is to be sent at once. */
  ackNow = false;
  /** When one is due at the latest, or Infinity. */
  ackNs = Number.POSITIVE_INFINITY;

  readonly #user: ReceiverUser;
  readonly #mss: number;
  readonly #scale: number;
  readonly #capacity: number;
  readonly #early = new Reassembly();
  /** The right edge of the window that the peer knows of; it never moves back. */
  #edge: number;
  /** Sequence number of a FIN that came before the bytes in front of it. */
  #finSeq: number | undefined;
  /** Bytes taken since the last acknowledgement. */
  #unacknowledged = 0;

  /** @param irs the peer's SYN; @param scale the shift we told the peer, 0 without the option */
  constructor(irs: number, mss: number, scale: number, capacity: number, user: ReceiverUser) {
    this.nxt = this.#edge = seqAdd(irs, 1);
    this.#mss = mss;
    this.#scale = scale;
    this.#capacity = capacity;
    this.#user = user;
  }

  /** The window field for a segment that leaves now, which counts as told to the peer. */
  advertise(): number {
    if (this.#growth() >= this.#capacity >> 2) this.#edge = seqAdd(this.nxt, Math.min(this.#user.room(), 0xffff << this.#scale));
    return Math.min(0xffff, Math.max(0, seqDiff(this.#edge, this.nxt)) >> this.#scale);
  }

  /** An acknowledgement left, in whatever segment. */
  acknowledged(): void {
    this.ackNow = false;
    this.ackNs = Number.POSITIVE_INFINITY;
    this.#unacknowledged = 0;
  }

  /** There is more room: says so to a peer that has little, but not byte by byte. */
  roomChanged(): void {
    if (this.#growth() >= this.#capacity >> 2 && seqDiff(this.#edge, this.nxt) < this.#capacity >> 1) this.ackNow = true;
  }

  /** Whether any of the segment is in the window (section 3.10.7.4, the first check). */
  acceptable(segment: TcpSegment): boolean {
    const length = segmentLength(segment);
    const window = seqDiff(this.#edge, this.nxt);
    const from = seqDiff(segment.seq, this.nxt);
    if (length === 0) return window <= 0 ? from === 0 : from >= 0 && from < window;
    return window > 0 && from < window && from + length > 0;
  }

  /** Takes payload and FIN of an acceptable segment. True when a FIN came in order. */
  take(segment: TcpSegment, nowNs: number): boolean {
    const length = segmentLength(segment);
    if (length === 0 || this.finReceived) {
      if (length > 0) this.ackNow = true;
      return false;
    }
    const fin = (segment.flags & TCP_FLAG.fin) !== 0;
    const from = seqDiff(segment.seq, this.nxt);
    const end = Math.min(from + segment.payload.length, seqDiff(this.#edge, this.nxt));
    if (fin && end === from + segment.payload.length) this.#finSeq = seqAdd(segment.seq, segment.payload.length);
    if (from > 0) {
      if (end > from) this.#early.insert(segment.seq, segment.payload.subarray(0, end - from), this.#capacity);
      this.ackNow = true;
      return false;
    }
    if (end > 0) this.#deliver(segment.payload.subarray(-from, end - from));
    else if (!fin) this.ackNow = true; // nothing new: the peer did not hear us
    if (this.#early.length > 0) {
      this.ackNow = true; // a gap was filled, wholly or in part (RFC 5681, section 4.2)
      for (let next = this.#early.take(this.nxt); next !== undefined; next = this.#early.take(this.nxt)) this.#deliver(next);
    }
    if (this.#finSeq === this.nxt) {
      this.nxt = seqAdd(this.nxt, 1);
      this.finReceived = true;
      this.ackNow = true;
      return true;
    }
    if (this.#unacknowledged >= 2 * this.#mss) this.ackNow = true;
    else if (this.#unacknowledged > 0 && this.ackNs === Number.POSITIVE_INFINITY) this.ackNs = nowNs + DELAYED_ACK_NS;
    return false;
  }

  #deliver(bytes: Uint8Array): void {
    this.nxt = seqAdd(this.nxt, bytes.length);
    this.#unacknowledged += bytes.length;
    this.#user.deliver(bytes);
  }

  /** How far the window could be opened beyond what the peer knows. */
  #growth(): number {
    return seqDiff(seqAdd(this.nxt, Math.min(this.#user.room(), 0xffff << this.#scale)), this.#edge);
  }
}
