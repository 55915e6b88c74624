// A ring of frames that the guest sends. It stops when the network has no room, and goes on when that has.
import { EIO } from '../../abi/xen/errno.ts';
import { NETIF_EXTRA, NETIF_RSP, NETTXF } from '../../abi/xen/netif.ts';
import { type Frame, type FrameSink, GSO, type GsoType } from '../../io/frame-sink.ts';
import { IP_PROTOCOL } from '../../net/ip-packet.ts';
import { prepareFrame } from '../../net/prepare-frame.ts';
import type { BackRing } from '../ring.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { Refusal } from '../xenbus/refusal.ts';
import type { MulticastFilter } from './multicast-filter.ts';
import type { NetCounters } from './net-counters.ts';
import { findTransport, putPseudoSum, type Transport } from './partial-checksum.ts';
import { TxChain } from './tx-chain.ts';

export interface TxQueueOptions {
  readonly device: BackendDevice;
  readonly sink: FrameSink;
  readonly ring: BackRing;
  readonly counters: NetCounters;
  readonly multicast: MulticastFilter;
  /** The guest changed what multicast it wants. */
  readonly onMulticast: () => void;
}

/** A request's size has 16 bits. */
const MOST_BYTES = 0xffff;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class TxQueue {
  /** Tells the guest; undefined while its channel is not bound. */
  notify: (() => void) | undefined;
  readonly #options: TxQueueOptions;
  readonly #chain: TxChain;
  readonly #buffer = new Uint8Array(MOST_BYTES);
  readonly #frame: Mutable<Frame>;
  readonly #transport: Transport = { version: 0, protocol: 0, transport: 0, end: 0 };
  /** Frames to send before another is taken from the ring: the last one, or the segments it was cut into. */
  readonly #outgoing: Frame[] = [];
  #sent = 0;
  readonly #emit = (frame: Frame): void => {
    this.#outgoing.push(frame);
  };
  #serving = false;
  /** The network called back while a frame was being given to it. */
  #calledBack = false;
  #stopped = false;
  #later: Disposable | undefined;

  constructor(options: TxQueueOptions) {
    this.#options = options;
    this.#chain = new TxChain(options.ring.entries);
    this.#frame = {
      bytes: this.#buffer,
      checksumStart: 0,
      checksumOffset: 0,
      checksumValid: false,
      gsoType: GSO.none,
      gsoSize: 0,
    };
  }

  /** Takes what is on the ring, as far as the network has room. */
  service(): void {
    if (this.#serving || this.#stopped) return;
    this.#serving = true;
    const { ring } = this.#options;
    // A guest that sends as fast as it is answered must not keep the thread.
    let budget = ring.entries * 2;
    while (!this.#stopped && this.#flush()) {
      const pending = ring.pending;
      if (pending < 0) this.#broken('the tx ring holds more requests than it has entries');
      else if (pending === 0) {
        if (!ring.finalCheck()) break;
      } else if (budget > 0) {
        this.#serve(pending);
        budget -= this.#chain.slots;
      } else {
        this.#later ??= this.#options.device.pace.after(0, () => this.#resume());
        break;
      }
    }
    this.#serving = false;
    this.push();
  }

  /** The network has room. */
  writable(): void {
    if (this.#serving) this.#calledBack = true;
    else this.service();
  }

  /** The link is down: what waits for room is lost. */
  drop(): void {
    this.#options.counters.txDropped += this.#outgoing.length - this.#sent;
    this.#outgoing.length = this.#sent = 0;
    this.writable();
  }

  /** Shows the answers to the guest. */
  push(): void {
    if (this.notify !== undefined && !this.#stopped && this.#options.ring.push()) this.notify();
  }

  /** Answers nothing any more; the ring may be unmapped. */
  close(): void {
    this.#later?.[Symbol.dispose]();
    this.push();
    this.#stopped = true;
    this.#outgoing.length = this.#sent = 0;
  }

  /** False when the network has no room. */
  #flush(): boolean {
    const { sink } = this.#options;
    while (this.#sent < this.#outgoing.length) {
      this.#calledBack = false;
      if (sink.send(this.#outgoing[this.#sent] as Frame)) this.#sent++;
      else if (!this.#calledBack) return false;
    }
    this.#outgoing.length = this.#sent = 0;
    return true;
  }

  #resume(): void {
    this.#later = undefined;
    this.service();
  }

  #broken(reason: string): void {
    this.#stopped = true;
    this.#options.device.refuse(new Refusal(EIO, reason));
  }

  #serve(pending: number): void {
    const { ring, counters } = this.#options;
    const kind = this.#chain.take(ring, pending);
    if (kind === 'broken') return this.#broken('the tx ring ends in the middle of a frame');
    const good = kind === 'frame' ? this.#transmit() : kind === 'multicast' && this.#changeMulticast();
    if (!good) counters.txErrors++;
    this.#chain.respond(ring, good ? NETIF_RSP.OKAY : NETIF_RSP.ERROR);
  }

  #changeMulticast(): boolean {
    const { multicast, onMulticast } = this.#options;
    const { address } = this.#chain;
    if (this.#chain.multicast === NETIF_EXTRA.MCAST_DEL) multicast.delete(address);
    else if (!multicast.add(address)) return false;
    onMulticast();
    return true;
  }

  /** False when the frame is not there or is none. The pages are copied at once, so the guest has them back before it is sent. */
  #transmit(): boolean {
    const { sink, counters, device } = this.#options;
    const { size } = this.#chain;
    if (!sink.linkUp) {
      counters.txDropped++;
      return true;
    }
    const bytes = this.#buffer.subarray(0, size);
    if (!this.#chain.copy(device.grants, bytes) || !this.#describe(bytes)) return false;
    counters.txFrames++;
    counters.txBytes += size;
    prepareFrame(this.#frame, sink.offloads, this.#emit);
    return true;
  }

  /** Fills in what the frame's flags say of it. False when its headers say otherwise. */
  #describe(bytes: Uint8Array): boolean {
    const { flags, gsoType, gsoSize } = this.#chain;
    const frame = this.#frame;
    // A segment to be cut is without a checksum in any case; some frontends do not say so (Linux's netback forgives them).
    const partial = (flags & NETTXF.csum_blank) !== 0 || gsoType !== GSO.none;
    frame.bytes = bytes;
    frame.checksumStart = frame.checksumOffset = 0;
    frame.checksumValid = partial || (flags & NETTXF.data_validated) !== 0;
    frame.gsoType = gsoType as GsoType;
    frame.gsoSize = gsoSize;
    if (!partial) return true;
    const transport = this.#transport;
    if (!findTransport(bytes, transport)) return false;
    if (gsoType !== GSO.none) {
      const version = gsoType === GSO.tcpv4 ? 4 : 6;
      if (transport.version !== version || transport.protocol !== IP_PROTOCOL.tcp) return false;
    }
    // Padding behind the packet would be summed up with it.
    frame.bytes = bytes.subarray(0, transport.end);
    frame.checksumStart = transport.transport;
    frame.checksumOffset = putPseudoSum(bytes, transport);
    return true;
  }
}
