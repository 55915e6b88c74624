// One TCP connection with the guest (RFC 9293). The state machine of section 3.3.2 is spread: the handshake and the end are here,
// FIN-WAIT to LAST-ACK follow from what the sender and the receiver know.
import { Deadline, type Deadlines } from '../deadlines.ts';
import { TcpReceiver } from './receiver.ts';
import { segmentLength, TCP_FLAG, type TcpHeader, type TcpSegment } from './segment.ts';
import type { SendQueue } from './send-queue.ts';
import { TcpSender } from './sender.ts';
import { seqAdd, seqDiff } from './sequence.ts';

const SYN_TIMEOUT_NS = 1e9;
const SYN_RETRIES = 6;
/** Twice the maximum segment lifetime: nothing stays on a link inside one machine for a second. */
const TIME_WAIT_NS = 2e9;
const KEEPALIVE_AFTER_NS = 7200e9;
const KEEPALIVE_EVERY_NS = 75e9;
const KEEPALIVE_PROBES = 9;
/** Our window scale: 65535 << 5 is more than any buffer we offer. */
const WINDOW_SCALE = 5;

export type TcpPorts = Pick<TcpHeader, 'sourcePort' | 'destinationPort'>;

/** How segments get onto the link. */
export interface TcpOutput {
  /** Our MSS: what fits the MTU. */
  readonly mss: number;
  /** Sends a segment with `length` bytes of `queue` from `offset` on; false when the link is full. `mss` is the peer's. */
  send(header: TcpHeader, queue: SendQueue | undefined, offset: number, length: number, mss: number): boolean;
  /** The most payload of one frame, a multiple of `mss`. */
  maxPayload(mss: number): number;
}

export type TcpEnd = 'done' | 'reset' | 'timeout';

/** Whoever the bytes are for. */
export interface TcpUser {
  established(): void;
  room(): number;
  deliver(bytes: Uint8Array): void;
  /** The peer will send no more. */
  ended(): void;
  /** Bytes written were acknowledged. */
  sent(): void;
  /** Nothing follows. 'done': both directions ended in order. */
  closed(how: TcpEnd): void;
}

export interface TcpOptions {
  readonly ports: TcpPorts;
  readonly iss: number;
  /** How much may be under way to the user. */
  readonly receiveBytes: number;
  readonly output: TcpOutput;
  readonly user: TcpUser;
  readonly deadlines: Deadlines;
  /** The connection may be forgotten. */
  readonly gone: () => void;
}

/** The MSS of a peer that says none (RFC 9293, section 3.7.1), for both IP versions. */
const DEFAULT_MSS = 536;
const MIN_MSS = 64;

export class TcpConnection {
  /** 'waiting': a SYN came and `accept` or `refuse` has not been called. */
  phase: 'waiting' | 'syn-sent' | 'syn-received' | 'open' | 'time-wait' | 'closed' = 'waiting';
  readonly ports: TcpPorts;
  readonly #options: TcpOptions;
  readonly #deadline = new Deadline(() => this.#due());
  #irs = 0;
  #peerMss = DEFAULT_MSS;
  /** The peer's shift; undefined when it offered none, and then we use none either. */
  #peerScale: number | undefined;
  #synTries = 0;
  #phaseNs = Number.POSITIVE_INFINITY;
  #heardNs = 0;
  #keepaliveProbes = 0;
  #sender: TcpSender | undefined;
  #receiver: TcpReceiver | undefined;
  /** The peer ended after us: the end is TIME-WAIT. */
  #endedFirst = false;

  constructor(options: TcpOptions) {
    this.#options = options;
    this.ports = options.ports;
  }

  /** The state's name in RFC 9293. */
  get state(): string {
    if (this.phase !== 'open') return this.phase === 'waiting' ? 'listen' : this.phase;
    const { finSent, finAcked } = this.#sender as TcpSender;
    if ((this.#receiver as TcpReceiver).finReceived) return finSent ? (this.#endedFirst ? 'closing' : 'last-ack') : 'close-wait';
    return finAcked ? 'fin-wait-2' : finSent ? 'fin-wait-1' : 'established';
  }

  /** Bytes written and not acknowledged. */
  get queuedBytes(): number {
    return this.#sender?.queue.length ?? 0;
  }

  /** A SYN that begins this connection. */
  passiveOpen(syn: TcpSegment): void {
    this.#heardNs = this.#options.deadlines.nowNs();
    this.#takeSyn(syn);
  }

  /** Answers the SYN. */
  accept(): void {
    if (this.phase !== 'waiting') return;
    this.phase = 'syn-received';
    this.#sendSyn();
  }

  /** Answers the SYN with a reset. */
  refuse(): void {
    if (this.phase === 'waiting') this.#sendReset(0, seqAdd(this.#irs, 1), TCP_FLAG.ack);
    this.#forget();
  }

  activeOpen(): void {
    this.phase = 'syn-sent';
    this.#sendSyn();
  }

  /** Queues bytes; the connection keeps the chunk. */
  write(chunk: Uint8Array): void {
    if (this.phase !== 'open' || this.#sender === undefined || this.#sender.finQueued) return;
    this.#sender.queue.append(chunk);
    this.#flush();
  }

  /** Nothing more will be written: FIN after what is queued. */
  end(): void {
    if (this.phase !== 'open' || this.#sender === undefined || this.#sender.finQueued) return;
    this.#sender.finQueued = true;
    this.#flush();
  }

  /** Ends at once with a reset. `closed` is not called. */
  abort(): void {
    if (this.phase === 'waiting') return this.refuse();
    if (this.phase === 'syn-sent' || this.phase === 'closed' || this.phase === 'time-wait') return this.#forget();
    const seq = this.#sender?.nxt ?? seqAdd(this.#options.iss, 1);
    this.#sendReset(seq, this.#receiver?.nxt ?? seqAdd(this.#irs, 1), TCP_FLAG.ack);
    this.#forget();
  }

  /** The user has more room. */
  roomChanged(): void {
    if (this.phase !== 'open' || this.#receiver === undefined) return;
    this.#receiver.roomChanged();
    if (this.#receiver.ackNow) this.#flush();
  }

  /** The link has room again. */
  resume(): void {
    if (this.phase === 'open') this.#flush();
  }

  segmentArrived(segment: TcpSegment): void {
    this.#heardNs = this.#options.deadlines.nowNs();
    this.#keepaliveProbes = 0;
    if (this.phase === 'syn-sent') this.#arrivedInSynSent(segment);
    else if (this.phase === 'waiting') this.#arrivedWaiting(segment);
    else if (this.phase === 'syn-received') this.#arrivedInSynReceived(segment);
    else if (this.phase === 'open') this.#arrivedOpen(segment);
    else if (this.phase === 'time-wait') this.#arrivedInTimeWait(segment);
  }

  /** Whether a SYN may begin a new connection in place of this one (RFC 9293, section 3.10.7.4; RFC 6191). */
  mayReopen(segment: TcpSegment): boolean {
    return this.phase === 'time-wait' && this.#receiver !== undefined && seqDiff(segment.seq, this.#receiver.nxt) > 0;
  }

  #arrivedWaiting(segment: TcpSegment): void {
    if ((segment.flags & TCP_FLAG.rst) !== 0 && segment.seq === seqAdd(this.#irs, 1)) this.#close('reset');
  }

  #arrivedInSynSent(segment: TcpSegment): void {
    const { flags } = segment;
    const acks = (flags & TCP_FLAG.ack) !== 0;
    if (acks && segment.ack !== seqAdd(this.#options.iss, 1)) {
      if ((flags & TCP_FLAG.rst) === 0) this.#sendReset(segment.ack, 0, 0);
      return;
    }
    if ((flags & TCP_FLAG.rst) !== 0) return acks ? this.#close('reset') : undefined;
    if ((flags & TCP_FLAG.syn) === 0) return;
    this.#takeSyn(segment);
    if (!acks) {
      this.phase = 'syn-received';
      return this.#sendSyn();
    }
    this.#establish(segment);
    if (this.#receiver !== undefined) this.#receiver.ackNow = true;
    this.#flush();
  }

  #arrivedInSynReceived(segment: TcpSegment): void {
    const { flags } = segment;
    if ((flags & TCP_FLAG.rst) !== 0) {
      if (segment.seq === seqAdd(this.#irs, 1)) this.#close('reset');
      return;
    }
    if ((flags & TCP_FLAG.syn) !== 0 && segment.seq === this.#irs && (flags & TCP_FLAG.ack) === 0) return this.#sendSyn();
    if ((flags & TCP_FLAG.ack) === 0) return;
    if (segment.ack !== seqAdd(this.#options.iss, 1)) return this.#sendReset(segment.ack, 0, 0);
    this.#establish(segment);
    this.#arrivedOpen(
      (flags & TCP_FLAG.syn) === 0 ? segment : { ...segment, flags: flags & ~TCP_FLAG.syn, seq: seqAdd(segment.seq, 1) },
    );
  }

  #arrivedOpen(segment: TcpSegment): void {
    const sender = this.#sender as TcpSender;
    const receiver = this.#receiver as TcpReceiver;
    const { flags } = segment;
    const acceptable = receiver.acceptable(segment);
    if (!acceptable) {
      if ((flags & TCP_FLAG.rst) !== 0) return;
      receiver.ackNow = true;
      // With a closed window only the payload is refused (section 3.10.7.4).
      if (segment.seq !== receiver.nxt || (flags & TCP_FLAG.syn) !== 0) return this.#flush();
    } else if ((flags & (TCP_FLAG.rst | TCP_FLAG.syn)) !== 0) {
      // RFC 5961, sections 3.2 and 4.2: exactly the next number resets, anything else is asked back for.
      if ((flags & TCP_FLAG.rst) !== 0 && segment.seq === receiver.nxt) return this.#close('reset');
      receiver.ackNow = true;
      return this.#flush();
    }
    if ((flags & TCP_FLAG.ack) === 0) return;
    const nowNs = this.#options.deadlines.nowNs();
    const window = segment.window << (this.#peerScale ?? 0);
    const pure = segmentLength(segment) === 0 && window === sender.window;
    const acked = sender.acknowledge(segment.ack, pure, nowNs);
    if (acked === 'ahead') {
      receiver.ackNow = true;
      return this.#flush();
    }
    sender.updateWindow(segment.seq, segment.ack, window);
    if (acked === 'new') this.#options.user.sent();
    if (acceptable && receiver.take(segment, nowNs)) {
      this.#endedFirst = sender.finSent;
      this.#options.user.ended();
    }
    // The user may have ended the connection from inside a call.
    if (this.phase === 'open') this.#flush();
    this.#checkEnd();
  }

  #arrivedInTimeWait(segment: TcpSegment): void {
    const receiver = this.#receiver as TcpReceiver;
    if ((segment.flags & TCP_FLAG.rst) !== 0) {
      if (segment.seq === receiver.nxt) this.#forget(); // RFC 1337 would ignore it; there is nothing to protect here
      return;
    }
    if (segmentLength(segment) === 0) return;
    this.#emit((this.#sender as TcpSender).nxt, TCP_FLAG.ack, 0, 0);
    this.#enter('time-wait', TIME_WAIT_NS);
  }

  #takeSyn(segment: TcpSegment): void {
    this.#irs = segment.seq;
    this.#peerMss = Math.max(MIN_MSS, Math.min(segment.mss ?? DEFAULT_MSS, this.#options.output.mss));
    this.#peerScale = segment.windowScale;
  }

  #sendSyn(): void {
    const { iss, output } = this.#options;
    const passive = this.phase === 'syn-received';
    const scaled = !passive || this.#peerScale !== undefined;
    const header = {
      ...this.ports,
      seq: iss,
      ack: passive ? seqAdd(this.#irs, 1) : 0,
      flags: passive ? TCP_FLAG.syn | TCP_FLAG.ack : TCP_FLAG.syn,
      window: Math.min(0xffff, this.#capacity()),
      mss: output.mss,
      windowScale: scaled ? WINDOW_SCALE : undefined,
    };
    output.send(header, undefined, 0, 0, this.#peerMss);
    this.#enter(this.phase, SYN_TIMEOUT_NS * 2 ** this.#synTries);
  }

  #capacity(): number {
    const { receiveBytes } = this.#options;
    return this.#peerScale === undefined && this.phase !== 'syn-sent' ? Math.min(receiveBytes, 0xffff) : receiveBytes;
  }

  #establish(segment: TcpSegment): void {
    const { iss, user } = this.#options;
    const scale = this.#peerScale === undefined ? 0 : WINDOW_SCALE;
    this.phase = 'open';
    this.#phaseNs = Number.POSITIVE_INFINITY;
    this.#receiver = new TcpReceiver(this.#irs, this.#peerMss, scale, this.#capacity(), user);
    this.#receiver.advertise();
    this.#sender = new TcpSender(iss, this.#peerMss, segment.seq, {
      emit: (seq, flags, offset, length) => this.#emit(seq, flags, offset, length),
      maxPayload: () => this.#options.output.maxPayload(this.#peerMss),
    });
    // The window of a SYN is never scaled (RFC 7323, section 2.2).
    const shift = (segment.flags & TCP_FLAG.syn) !== 0 ? 0 : (this.#peerScale ?? 0);
    this.#sender.updateWindow(segment.seq, segment.ack, segment.window << shift);
    user.established();
  }

  /** Sends what may be sent, and the acknowledgement that is due if nothing carried it. */
  #flush(): void {
    const sender = this.#sender as TcpSender;
    const receiver = this.#receiver as TcpReceiver;
    sender.pump(this.#options.deadlines.nowNs());
    if (receiver.ackNow) this.#emit(sender.nxt, TCP_FLAG.ack, 0, 0);
    this.#schedule();
  }

  #emit(seq: number, flags: number, offset: number, length: number): boolean {
    const receiver = this.#receiver as TcpReceiver;
    const sender = this.#sender as TcpSender;
    const header = { ...this.ports, seq, ack: receiver.nxt, flags, window: receiver.advertise() };
    if (!this.#options.output.send(header, length > 0 ? sender.queue : undefined, offset, length, this.#peerMss)) return false;
    receiver.acknowledged();
    return true;
  }

  #sendReset(seq: number, ack: number, flags: number): void {
    this.#options.output.send(
      { ...this.ports, seq, ack, flags: TCP_FLAG.rst | flags, window: 0 },
      undefined,
      0,
      0,
      this.#peerMss,
    );
  }

  #checkEnd(): void {
    if (this.phase !== 'open' || !this.#sender?.finAcked || !this.#receiver?.finReceived) return;
    if (!this.#endedFirst) return this.#close('done');
    this.#enter('time-wait', TIME_WAIT_NS);
    this.#options.user.closed('done');
  }

  #enter(phase: TcpConnection['phase'], ns: number): void {
    this.phase = phase;
    this.#phaseNs = this.#options.deadlines.nowNs() + ns;
    this.#schedule();
  }

  #close(how: TcpEnd): void {
    this.#forget();
    this.#options.user.closed(how);
  }

  #forget(): void {
    if (this.phase === 'closed') return;
    this.phase = 'closed';
    this.#options.deadlines.cancel(this.#deadline);
    this.#sender?.queue.clear();
    this.#options.gone();
  }

  get #nextNs(): number {
    if (this.phase === 'closed' || this.phase === 'waiting') return Number.POSITIVE_INFINITY;
    if (this.phase !== 'open') return this.#phaseNs;
    const keepaliveNs = this.#heardNs + KEEPALIVE_AFTER_NS + this.#keepaliveProbes * KEEPALIVE_EVERY_NS;
    return Math.min((this.#sender as TcpSender).timerNs, (this.#receiver as TcpReceiver).ackNs, keepaliveNs);
  }

  /** A deadline that moved away is left to fire for nothing: they move with every segment. */
  #schedule(): void {
    const nextNs = this.#nextNs;
    if (nextNs < this.#deadline.atNs) this.#options.deadlines.arm(this.#deadline, nextNs);
  }

  #due(): void {
    const nowNs = this.#options.deadlines.nowNs();
    if (this.#nextNs > nowNs) return this.#schedule();
    if (this.phase === 'time-wait') return this.#forget();
    if (this.phase === 'syn-sent' || this.phase === 'syn-received') {
      return ++this.#synTries > SYN_RETRIES ? this.#close('timeout') : this.#sendSyn();
    }
    const sender = this.#sender as TcpSender;
    const receiver = this.#receiver as TcpReceiver;
    if (receiver.ackNs <= nowNs) {
      receiver.ackNs = Number.POSITIVE_INFINITY;
      receiver.ackNow = true;
    }
    if (sender.timerNs <= nowNs && !sender.timerDue(nowNs)) return this.#giveUp();
    if (nowNs >= this.#heardNs + KEEPALIVE_AFTER_NS + this.#keepaliveProbes * KEEPALIVE_EVERY_NS) {
      if (this.#keepaliveProbes++ >= KEEPALIVE_PROBES) return this.#giveUp();
      this.#emit(seqAdd(sender.una, -1), TCP_FLAG.ack, 0, 0); // an old number: the peer has to answer (section 3.8.4)
    }
    this.#flush();
  }

  #giveUp(): void {
    this.abort();
    this.#options.user.closed('timeout');
  }
}
