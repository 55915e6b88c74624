// Domain 0's end of a guest's event channels: what backends bind, wait on and notify. One instance, on the I/O thread.

import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EINVAL, ENOSPC } from '../../abi/xen/errno.ts';
import { EVTCHNSTAT } from '../../abi/xen/event-channel.ts';
import type { XenDomain } from '../domain.ts';
import { BACKEND_PORTS, DomainHeader as Header } from '../domain-layout.ts';

/** A backend's end of one channel. */
export interface BackendChannel {
  /** Domain 0's port. */
  readonly port: number;
  /** Sends an event to the guest; nothing happens while the guest has closed its end. */
  notify(): void;
  /** From now on the guest's events are neither heard nor cost anything, until `release`. */
  hold(): void;
  /** Events are heard again. Those that came meanwhile are lost: look at what they could have been about. */
  release(): void;
  /** Closes this end; the guest's becomes unbound. */
  close(): void;
}

export class BackendChannels {
  readonly #domain: XenDomain;
  readonly #listeners = new Map<number, () => void>();
  /** Ports whose pending bit stays set, so that the guest's thread finds it so and wakes nobody. */
  readonly #held = new Int32Array(BACKEND_PORTS / 32);

  constructor(domain: XenDomain) {
    this.#domain = domain;
  }

  /**
   * Binds to a port the guest (or the toolstack in its name) left unbound for domain 0. `onEvent` runs inside
   * `dispatch`, and once for the bind itself, as events may have been lost before. Returns the channel, or a negated
   * errno: -EINVAL when the guest's port is not for domain 0, -ENOSPC when all ports are in use.
   */
  bind(guestPort: number, onEvent: () => void): BackendChannel | number {
    const { lock, events, domid } = this.#domain;
    lock.acquire();
    let port: number;
    try {
      if (!events.isValid(guestPort)) return -EINVAL;
      if (events.ports.state(guestPort) !== EVTCHNSTAT.unbound || events.ports.remote(guestPort) !== DOMID_ZERO) return -EINVAL;
      port = events.backend.findClosed(BACKEND_PORTS);
      if (port === 0) return -ENOSPC;
      events.backend.set(port, EVTCHNSTAT.interdomain, 0, domid, guestPort);
      events.ports.set(guestPort, EVTCHNSTAT.interdomain, events.ports.vcpu(guestPort), DOMID_ZERO, port);
    } finally {
      lock.release();
    }
    this.#listeners.set(port, onEvent);
    onEvent();
    return {
      port,
      notify: () => this.#notify(port),
      hold: () => this.#hold(port),
      release: () => this.#release(port),
      close: () => this.#close(port),
    };
  }

  /** Runs the listeners of all ports with an event. Returns how many ran. */
  dispatch(): number {
    const { memory, at, plan } = this.#domain;
    let count = 0;
    for (let word = 0; word < BACKEND_PORTS / 32; word++) {
      const index = ((at + plan.backendPending) >>> 2) + word;
      const held = this.#held[word] as number;
      if ((Atomics.load(memory.i32, index) & ~held) === 0) continue;
      let pending = Atomics.and(memory.i32, index, held) & ~held;
      while (pending !== 0) {
        const bit = 31 - Math.clz32(pending & -pending);
        pending &= pending - 1;
        const listener = this.#listeners.get(word * 32 + bit);
        if (listener === undefined) continue;
        listener();
        count++;
      }
    }
    return count;
  }

  /** The word that counts events up, for Atomics.waitAsync: read it, `dispatch`, then wait for it to change. */
  get doorbell(): { readonly words: Int32Array; readonly index: number } {
    return { words: this.#domain.memory.i32, index: (this.#domain.at + Header.doorbell.offset) >>> 2 };
  }

  #notify(port: number): void {
    const { backend } = this.#domain.events;
    if (backend.state(port) === EVTCHNSTAT.interdomain) this.#domain.events.setPending(backend.remotePort(port));
  }

  #hold(port: number): void {
    const { memory, at, plan } = this.#domain;
    if (!this.#listeners.has(port)) return;
    const bit = 1 << (port & 31);
    this.#held[port >>> 5] = (this.#held[port >>> 5] as number) | bit;
    Atomics.or(memory.i32, ((at + plan.backendPending) >>> 2) + (port >>> 5), bit);
  }

  #release(port: number): void {
    const { memory, at, plan } = this.#domain;
    const bit = 1 << (port & 31);
    if (((this.#held[port >>> 5] as number) & bit) === 0) return;
    this.#held[port >>> 5] = (this.#held[port >>> 5] as number) & ~bit;
    Atomics.and(memory.i32, ((at + plan.backendPending) >>> 2) + (port >>> 5), ~bit);
  }

  #close(port: number): void {
    const { lock, events } = this.#domain;
    this.#release(port);
    lock.acquire();
    try {
      if (!this.#listeners.delete(port)) return;
      if (events.backend.state(port) === EVTCHNSTAT.interdomain) {
        const guestPort = events.backend.remotePort(port);
        events.ports.set(guestPort, EVTCHNSTAT.unbound, events.ports.vcpu(guestPort), DOMID_ZERO, 0);
      }
      events.backend.set(port, EVTCHNSTAT.closed, 0, 0, 0);
    } finally {
      lock.release();
    }
  }
}
