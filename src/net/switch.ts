// An Ethernet switch between cards of one process, and networks such as a user mode network: learns where addresses are (IEEE
// 802.1D, section 7.8), floods what it does not know, and keeps a short queue for each port that is full.
import {
  ALL_OFFLOADS,
  type Frame,
  type FrameFilter,
  type FrameOffloads,
  type FrameReceiver,
  type FrameSink,
  NO_OFFLOADS,
} from '../io/frame-sink.ts';
import { ETHERNET } from './ethernet.ts';
import { isGroupMac, macKey } from './mac-address.ts';
import { prepareFrame } from './prepare-frame.ts';

/** A port that does not take its frames loses them beyond this: it must not hold up the others. */
const QUEUE_BYTES = 4 * 1024 * 1024;
/** Addresses behind one port: a guest that invents them displaces only its own. */
const ADDRESSES_PER_PORT = 256;
const BROADCAST_KEY = 0xffff_ffff_ffff;

abstract class Port {
  /** Least recently seen first. */
  readonly addresses = new Set<number>();
  /** Leads to another switch: what comes in here has been to all of those. */
  readonly trunk: boolean = false;
  dropped = 0;
  readonly #queue: Frame[] = [];
  #queuedBytes = 0;

  /** What whoever is behind the port understands. */
  protected abstract readonly accepts: FrameOffloads;
  /** Whether multicast to this address is wanted. */
  abstract wants(key: number): boolean;
  /** Undefined: nobody is there. False: full. */
  protected abstract give(frame: Frame): boolean | undefined;

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  deliver(frame: Frame): void {
    prepareFrame(frame, this.accepts, (part) => {
      if (this.#queue.length === 0 && this.give(part) !== false) return;
      if (this.#queuedBytes + part.bytes.length > QUEUE_BYTES) this.dropped++;
      else {
        this.#queue.push({ ...part, bytes: part.bytes.slice() });
        this.#queuedBytes += part.bytes.length;
      }
    });
  }

  drain(): void {
    let taken = 0;
    while (taken < this.#queue.length && this.give(this.#queue[taken] as Frame) !== false) {
      this.#queuedBytes -= (this.#queue[taken] as Frame).bytes.length;
      taken++;
    }
    this.#queue.splice(0, taken);
  }

  empty(): void {
    this.#queue.length = 0;
    this.#queuedBytes = 0;
  }
}

/** A port with a card behind it. */
class CardPort extends Port implements FrameSink {
  readonly mtu: number;
  linkUp = true;
  #receiver: FrameReceiver | undefined;
  #filter: FrameFilter = { promiscuous: false, multicast: 'all' };
  readonly #switch: Switch;
  readonly #leave: () => void;

  constructor(owner: Switch, mtu: number, leave: () => void) {
    super();
    this.#switch = owner;
    this.mtu = mtu;
    this.#leave = leave;
  }

  /** The switch cuts and completes for ports that need it. */
  readonly offloads = ALL_OFFLOADS;

  protected get accepts(): FrameOffloads {
    return this.#receiver?.offloads ?? NO_OFFLOADS;
  }

  override deliver(frame: Frame): void {
    if (this.#receiver !== undefined) super.deliver(frame);
  }

  wants(key: number): boolean {
    const { promiscuous, multicast } = this.#filter;
    return promiscuous || multicast === 'all' || multicast.some((mac) => macKey(mac, 0) === key);
  }

  protected give(frame: Frame): boolean | undefined {
    return this.#receiver?.receive(frame);
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#receiver = receiver;
    this.empty(); // what waits was made for the card before, which may have understood more
  }

  send(frame: Frame): boolean {
    if (this.linkUp) this.#switch.forward(this, frame);
    return true;
  }

  resume(): void {
    this.drain();
  }

  setFilter(filter: FrameFilter): void {
    this.#filter = filter;
  }

  forgetGuest(): void {
    this.#switch.forget(this);
    this.empty();
  }

  async close(): Promise<void> {
    if (!this.linkUp) return;
    this.linkUp = false;
    this.#leave();
    this.#receiver?.linkChanged(false);
    this.attach(undefined);
  }
}

/** A port with a network behind it. */
class NetworkPort extends Port implements FrameReceiver {
  override readonly trunk: boolean;
  readonly #sink: FrameSink;
  readonly #switch: Switch;

  constructor(owner: Switch, sink: FrameSink, trunk: boolean) {
    super();
    this.#switch = owner;
    this.#sink = sink;
    this.trunk = trunk;
  }

  readonly offloads = ALL_OFFLOADS;

  protected get accepts(): FrameOffloads {
    return this.#sink.offloads;
  }

  wants(): boolean {
    return true;
  }

  protected give(frame: Frame): boolean | undefined {
    return this.#sink.linkUp ? this.#sink.send(frame) : undefined;
  }

  receive(frame: Frame): boolean {
    this.#switch.forward(this, frame);
    return true;
  }

  writable(): void {
    this.drain();
  }

  linkChanged(): void {
    this.drain();
  }
}

/** An Ethernet switch between guests of one process, and networks behind it. */
export class Switch {
  readonly #mtu: number;
  readonly #ports = new Set<Port>();
  readonly #where = new Map<number, Port>();

  constructor(mtu = 1500) {
    this.#mtu = mtu;
  }

  /** A new port for a card; `close` takes it away. */
  port(): FrameSink {
    const port: CardPort = new CardPort(this, this.#mtu, () => this.#remove(port));
    this.#ports.add(port);
    return port;
  }

  /**
   * Puts a network at a port. The answer takes it away again; it does not close it.
   * @param trunk it is another switch, each of which is connected to each: a frame from one goes to none of the others
   */
  connect(network: FrameSink, { trunk = false }: { readonly trunk?: boolean } = {}): () => void {
    const port = new NetworkPort(this, network, trunk);
    this.#ports.add(port);
    network.attach(port);
    return () => {
      network.attach(undefined);
      this.#remove(port);
    };
  }

  /** Addresses known, frames lost and bytes waiting, by port in order of their coming. */
  inspect(): { readonly addresses: number; readonly dropped: number; readonly queuedBytes: number }[] {
    return [...this.#ports].map(({ addresses, dropped, queuedBytes }) => ({ addresses: addresses.size, dropped, queuedBytes }));
  }

  /** A frame that came in at a port. */
  forward(from: Port, frame: Frame): void {
    const { bytes } = frame;
    if (bytes.length < ETHERNET.payload) return;
    if (!isGroupMac(bytes, ETHERNET.source)) this.#learn(from, macKey(bytes, ETHERNET.source));
    const key = macKey(bytes, ETHERNET.destination);
    if (isGroupMac(bytes, ETHERNET.destination)) {
      for (const port of this.#ports) if (mayPass(from, port) && (key === BROADCAST_KEY || port.wants(key))) port.deliver(frame);
      return;
    }
    const to = this.#where.get(key);
    if (to === undefined) {
      for (const port of this.#ports) if (mayPass(from, port)) port.deliver(frame);
    } else if (mayPass(from, to)) to.deliver(frame);
  }

  #learn(port: Port, key: number): void {
    const before = this.#where.get(key);
    if (before === port) return;
    before?.addresses.delete(key);
    if (port.addresses.size >= ADDRESSES_PER_PORT) {
      const [oldest] = port.addresses;
      if (oldest !== undefined) {
        port.addresses.delete(oldest);
        this.#where.delete(oldest);
      }
    }
    port.addresses.add(key);
    this.#where.set(key, port);
  }

  /** The addresses behind a port are not there any more. */
  forget(port: Port): void {
    for (const key of port.addresses) this.#where.delete(key);
    port.addresses.clear();
  }

  #remove(port: Port): void {
    this.#ports.delete(port);
    this.forget(port);
  }
}

const mayPass = (from: Port, to: Port): boolean => from !== to && !(from.trunk && to.trunk);
