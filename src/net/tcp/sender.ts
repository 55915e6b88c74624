// The sending half of a connection: what is in flight, what may be sent now, and when to send it again (RFC 9293, section 3.8).
import { Congestion } from './congestion.ts';
import { RoundTrip } from './round-trip.ts';
import { TCP_FLAG } from './segment.ts';
import { SendQueue } from './send-queue.ts';
import { seqAdd, seqDiff } from './sequence.ts';

/** After so many timeouts in a row without an answer the peer is gone: more than the 100 s of RFC 9293, section 3.8.3. */
const MAX_RETRIES = 12;

export interface SenderLink {
  /** Sends `length` bytes of the queue from `offset` on; false when the link is full. */
  emit(seq: number, flags: number, offset: number, length: number): boolean;
  /** The most payload one frame may have: a multiple of `mss`, or `mss`. */
  maxPayload(): number;
}

export class TcpSender {
  readonly queue = new SendQueue();
  readonly mss: number;
  /** SND.UNA, SND.NXT, and the highest SND.NXT there was: a timeout sets NXT back. */
  una: number;
  nxt: number;
  max: number;
  /** SND.WND in bytes. */
  window = 0;
  finQueued = false;
  finAcked = false;
  /** When to call `timerDue`, or Infinity. */
  timerNs = Number.POSITIVE_INFINITY;
  /** The link was full at the last attempt. */
  blocked = false;

  readonly #link: SenderLink;
  readonly #roundTrip = new RoundTrip();
  readonly #congestion: Congestion;
  #maxWindow = 0;
  /** SND.WL1 and SND.WL2: the segment that the window is from. */
  #windowSeq: number;
  #windowAck: number;
  #retries = 0;
  /** The segment whose round trip is measured, by its end; undefined when none is. */
  #timed: { readonly end: number; readonly sentNs: number } | undefined;

  /** @param iss our SYN's sequence number, acknowledged by now */
  constructor(iss: number, mss: number, peerSeq: number, link: SenderLink) {
    this.una = this.nxt = this.max = seqAdd(iss, 1);
    this.mss = mss;
    this.#windowSeq = peerSeq;
    this.#windowAck = this.una;
    this.#link = link;
    this.#congestion = new Congestion(mss);
  }

  get finSent(): boolean {
    return this.finAcked || (this.finQueued && seqDiff(this.max, this.una) > this.queue.length);
  }

  /** Sends what the windows allow. */
  pump(nowNs: number): void {
    this.blocked = false;
    for (;;) {
      const inFlight = seqDiff(this.nxt, this.una);
      const unsent = this.queue.length - inFlight;
      if (unsent < 0 || (unsent === 0 && (!this.finQueued || this.finAcked))) break;
      const usable = Math.min(this.window, this.#congestion.windowBytes) - inFlight;
      if (usable <= 0) break;
      let length = Math.min(unsent, usable, this.#link.maxPayload());
      if (length > this.mss && length < unsent) length -= length % this.mss;
      // Silly windows, section 3.8.6.2.1: less than a segment only if it is all there is, or half of the largest window.
      if (length < this.mss && length < unsent && inFlight > 0 && 2 * length < this.#maxWindow) break;
      const fin = this.finQueued && length === unsent && length < usable;
      if (!this.#send(inFlight, length, fin)) break;
      const end = seqAdd(this.nxt, length + (fin ? 1 : 0));
      if (this.#timed === undefined && this.nxt === this.max) this.#timed = { end, sentNs: nowNs };
      this.nxt = end;
      if (seqDiff(end, this.max) > 0) this.max = end;
      if (this.timerNs === Number.POSITIVE_INFINITY) this.timerNs = nowNs + this.#roundTrip.timeoutNs;
    }
    // Everything acknowledged and no window for the rest: the persist timer (section 3.8.6.1).
    if (this.timerNs === Number.POSITIVE_INFINITY && this.#waiting) this.timerNs = nowNs + this.#roundTrip.timeoutNs;
  }

  /**
   * An acknowledgement. `pure`: the segment had nothing else, and the window it says is the one we know.
   * 'ahead' of anything sent is to be answered; with 'new' there may be room in the queue.
   */
  acknowledge(ack: number, pure: boolean, nowNs: number): 'new' | 'same' | 'ahead' {
    if (seqDiff(ack, this.max) > 0) return 'ahead';
    const acked = seqDiff(ack, this.una);
    if (acked < 0) return 'same';
    if (acked === 0) {
      const inFlight = seqDiff(this.max, this.una);
      // Whoever answers a probe of its closed window is there.
      if (this.window === 0) this.#retries = 0;
      else if (pure && inFlight > 0 && this.#congestion.duplicate(inFlight, this.max)) this.#sendFirst(nowNs);
      return 'same';
    }
    const bytes = Math.min(acked, this.queue.length);
    this.queue.discard(bytes);
    if (acked > bytes) this.finAcked = true;
    this.una = ack;
    if (seqDiff(this.nxt, ack) < 0) this.nxt = ack;
    this.#retries = 0;
    if (this.#timed !== undefined && seqDiff(ack, this.#timed.end) >= 0) {
      this.#roundTrip.sample(nowNs - this.#timed.sentNs);
      this.#timed = undefined;
    } else this.#roundTrip.restore();
    // RFC 6298, 5.2 and 5.3: off when nothing is in flight, from now on otherwise.
    this.timerNs = this.nxt === this.una ? Number.POSITIVE_INFINITY : nowNs + this.#roundTrip.timeoutNs;
    if (this.#congestion.acknowledged(ack, acked)) this.#sendFirst(nowNs);
    return 'new';
  }

  /** Takes the window of a segment unless an older one comes late (section 3.10.7.4). */
  updateWindow(seq: number, ack: number, window: number): void {
    const newer = seqDiff(seq, this.#windowSeq);
    if (newer < 0 || (newer === 0 && seqDiff(ack, this.#windowAck) < 0)) return;
    this.#windowSeq = seq;
    this.#windowAck = ack;
    // An open window ends probing; the timer is set again by `pump` if there is a need.
    if (this.window === 0 && window > 0 && this.nxt === this.una) this.timerNs = Number.POSITIVE_INFINITY;
    this.window = window;
    if (window > this.#maxWindow) this.#maxWindow = window;
  }

  /** The timer expired. False: the peer is gone. */
  timerDue(nowNs: number): boolean {
    this.timerNs = Number.POSITIVE_INFINITY;
    const inFlight = seqDiff(this.nxt, this.una);
    if (inFlight === 0 && !this.#waiting) return true;
    if (!this.blocked) {
      if (++this.#retries > MAX_RETRIES) return false;
      this.#roundTrip.backOff();
      this.#timed = undefined;
      if (inFlight > 0) {
        this.#congestion.timeout(inFlight);
        this.nxt = this.una;
      } else this.#probe();
    }
    this.timerNs = nowNs + this.#roundTrip.timeoutNs;
    return true;
  }

  get #waiting(): boolean {
    return this.queue.length > 0 || (this.finQueued && !this.finAcked);
  }

  /** One byte beyond the window, or the FIN. NXT stays: the byte counts when it is acknowledged. */
  #probe(): void {
    const length = Math.min(1, this.queue.length);
    if (!this.#send(0, length, length === 0)) return;
    const end = seqAdd(this.una, 1);
    if (seqDiff(end, this.max) > 0) this.max = end;
  }

  #sendFirst(nowNs: number): void {
    const length = Math.min(this.mss, this.queue.length, Math.max(1, this.window));
    const fin = this.finSent && !this.finAcked && length === this.queue.length;
    this.#timed = undefined;
    if (this.#send(0, length, fin)) this.timerNs = nowNs + this.#roundTrip.timeoutNs;
  }

  #send(offset: number, length: number, fin: boolean): boolean {
    const last = offset + length === this.queue.length;
    const flags = TCP_FLAG.ack | (last && length > 0 ? TCP_FLAG.psh : 0) | (fin ? TCP_FLAG.fin : 0);
    if (this.#link.emit(seqAdd(this.una, offset), flags, offset, length)) return true;
    this.blocked = true;
    return false;
  }
}
