// A guest's connection to the store: the ring in its store page, and the event channel beside it (public/io/xs_wire.h).
// Nothing in the page is trusted: indices are checked each time they are read, and a message is judged only as a copy.
import type { HostAddress } from '../../abi/types.ts';
import { HVM_PARAM } from '../../abi/xen/hvm.ts';
import { XENSTORE_RING as RING, XENSTORE_CONNECTION, XENSTORE_ERROR, XENSTORE_SERVER_FEATURE } from '../../abi/xen/xenstore.ts';
import type { XenDomain } from '../domain.ts';
import type { BackendChannel, BackendChannels } from '../events/backend-channels.ts';
import { MessageDecoder } from './message.ts';
import type { XenStore } from './store.ts';
import type { StoreConnection } from './store-connection.ts';

/** Requests served before others on the thread get their turn. */
const REQUESTS_AT_ONCE = 32;
const MASK = RING.size - 1;

export interface XenStoreRingOptions {
  readonly store: XenStore;
  readonly domain: XenDomain;
  readonly channels: BackendChannels;
  /** Runs a function soon, after what else waits on the thread. Default: a timer of 0 ms. */
  readonly defer?: (run: () => void) => void;
}

/** Construct it after `domain.offerRing('store')`, and after the domain's nodes were written. */
export class XenStoreRing {
  readonly connection: StoreConnection;
  readonly #domain: XenDomain;
  readonly #channels: BackendChannels;
  readonly #defer: (run: () => void) => void;
  readonly #at: HostAddress;
  readonly #decoder = new MessageDecoder();
  #channel: BackendChannel | undefined;
  /** Bytes of the connection's first message that are in the ring already. */
  #sent = 0;
  /** XENSTORE_ERROR: not NONE after a mistake that cannot be answered; the ring is left alone until it starts anew. */
  #error: number = XENSTORE_ERROR.NONE;
  #wake: 'no' | 'soon' | 'deferred' = 'no';
  #serving = false;
  #closed = false;

  /** @throws Error when the guest's store port is not there to bind. */
  constructor(options: XenStoreRingOptions) {
    const { store, domain, channels } = options;
    this.#domain = domain;
    this.#channels = channels;
    this.#defer = options.defer ?? ((run) => void setTimeout(run, 0));
    this.#at = (domain.at + domain.plan.store) as HostAddress;
    this.connection = store.connect(domain.domid, { onOutput: () => this.#soon(), onReset: () => this.#restart() });
    this.#restart();
    try {
      this.#bind();
    } catch (error) {
      this.connection.close();
      throw error;
    }
  }

  /** XENSTORE_ERROR value of the mistake that ended the connection, 0 while it works. */
  get error(): number {
    return this.#error;
  }

  /**
   * After a soft reset, or when a suspended guest resumes: ring words, watches, transactions and waiting messages are gone,
   * and the guest's present store port (the one `domain.offerRing` made) is bound.
   * @throws Error when that port is not there to bind.
   */
  reset(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.connection.reset();
    this.#restart();
    this.#bind();
  }

  /** Looks at the ring although no event came. */
  poll(): void {
    this.#service();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#channel?.close();
    this.connection.close();
  }

  #bind(): void {
    const port = Number(this.#domain.param(HVM_PARAM.STORE_EVTCHN));
    const channel = this.#channels.bind(port, () => this.#service());
    if (typeof channel === 'number') throw new Error(`the store's event channel ${port} cannot be bound: ${channel}`);
    this.#channel = channel;
  }

  /** The page as a guest finds it that has not used it. */
  #restart(): void {
    this.#decoder.reset();
    this.#sent = 0;
    this.#error = XENSTORE_ERROR.NONE;
    for (const index of [RING.req_cons, RING.req_prod, RING.rsp_cons, RING.rsp_prod]) this.#set(index, 0);
    this.#set(RING.server_features, XENSTORE_SERVER_FEATURE.RECONNECTION | XENSTORE_SERVER_FEATURE.ERROR);
    this.#set(RING.error, XENSTORE_ERROR.NONE);
    this.#set(RING.connection, XENSTORE_CONNECTION.CONNECTED);
  }

  /** Serves the ring once whatever made a message wait has ended. */
  #soon(): void {
    if (this.#wake !== 'no' || this.#serving) return;
    this.#wake = 'soon';
    queueMicrotask(() => {
      if (this.#wake === 'soon') this.#wake = 'no';
      this.#service();
    });
  }

  #later(): void {
    if (this.#wake === 'deferred') return;
    this.#wake = 'deferred';
    this.#defer(() => {
      this.#wake = 'no';
      this.#service();
    });
  }

  #service(): void {
    if (this.#closed || this.#serving) return;
    this.#serving = true;
    let moved = false;
    if (this.#get(RING.connection) === XENSTORE_CONNECTION.RECONNECT) {
      this.connection.reset();
      this.#restart();
      moved = true;
    }
    let left = REQUESTS_AT_ONCE;
    while (!this.#failed) {
      if (this.#send()) moved = true;
      if (this.#failed || !this.connection.ready) break;
      const received = this.#receive();
      if (received === 'nothing') break;
      moved = true;
      if (received === 'request' && --left === 0) {
        this.#later();
        break;
      }
    }
    if (!this.#failed && this.#send()) {
      moved = true;
      // The guest made room meanwhile: what kept requests back may be gone.
      if (this.connection.ready) this.#later();
    }
    this.#serving = false;
    if (moved) this.#channel?.notify();
  }

  /** Takes bytes of the next request, and serves it when it is whole. */
  #receive(): 'nothing' | 'bytes' | 'request' {
    const cons = this.#get(RING.req_cons);
    const there = (this.#get(RING.req_prod) - cons) >>> 0;
    if (there > RING.size) {
      this.#fail(XENSTORE_ERROR.RINGIDX);
      return 'nothing';
    }
    const at = cons & MASK;
    const count = Math.min(there, RING.size - at, this.#decoder.wants);
    if (count === 0) return 'nothing';
    const start = this.#at + RING.req + at;
    const request = this.#decoder.push(this.#domain.memory.u8.subarray(start, start + count));
    this.#set(RING.req_cons, (cons + count) >>> 0);
    if (this.#decoder.broken) this.#fail(XENSTORE_ERROR.PROTO);
    if (request === undefined) return 'bytes';
    this.connection.handle(request);
    return 'request';
  }

  /** Puts as much as fits of what waits into the ring. Returns whether that was anything. */
  #send(): boolean {
    let moved = false;
    for (let message = this.connection.peek(); message !== undefined; message = this.connection.peek()) {
      const prod = this.#get(RING.rsp_prod);
      const used = (prod - this.#get(RING.rsp_cons)) >>> 0;
      if (used > RING.size) {
        this.#fail(XENSTORE_ERROR.RINGIDX);
        return moved;
      }
      const at = prod & MASK;
      const count = Math.min(message.length - this.#sent, RING.size - used, RING.size - at);
      if (count === 0) return moved;
      this.#domain.memory.u8.set(message.subarray(this.#sent, this.#sent + count), this.#at + RING.rsp + at);
      this.#set(RING.rsp_prod, (prod + count) >>> 0);
      moved = true;
      this.#sent += count;
      if (this.#sent < message.length) continue;
      this.#sent = 0;
      this.connection.shift();
    }
    return moved;
  }

  get #failed(): boolean {
    return this.#error !== XENSTORE_ERROR.NONE;
  }

  #fail(error: number): void {
    this.#error = error;
    this.connection.reset();
    this.#decoder.reset();
    this.#sent = 0;
    this.#set(RING.error, error);
  }

  #get(offset: number): number {
    return Atomics.load(this.#domain.memory.u32, (this.#at + offset) >>> 2);
  }

  #set(offset: number, value: number): void {
    Atomics.store(this.#domain.memory.u32, (this.#at + offset) >>> 2, value);
  }
}
