// A domain's event channel ends: 16 bytes a port in shared memory. Readers take no lock: the head word is one access.
import { EVTCHN_FIFO, EVTCHNSTAT, type EvtchnState } from '../../abi/xen/event-channel.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { PORT_GROUP, PortEntry } from '../domain-layout.ts';

/** A head word that has only the default priority. */
const PRIORITY_DEFAULT = EVTCHN_FIFO.priority_default << 8;
const PRIORITY_MASK = 0x0f00;

export class PortTable {
  readonly count: number;
  readonly #memory: GuestMemory;
  readonly #at: number;

  constructor(memory: GuestMemory, at: number, count: number) {
    this.#memory = memory;
    this.#at = at;
    this.count = count;
  }

  state(port: number): EvtchnState {
    return (this.#head(port) & 0xff) as EvtchnState;
  }

  /** The vCPU events of this port go to. */
  vcpu(port: number): number {
    return this.#head(port) >>> 16;
  }

  priority(port: number): number {
    return (this.#head(port) & PRIORITY_MASK) >>> 8;
  }

  /** The FIFO queue of the port's next event: vCPU * 16 + priority. */
  queue(port: number): number {
    const head = this.#head(port);
    return ((head >>> 16) << 4) | ((head & PRIORITY_MASK) >>> 8);
  }

  /** The FIFO queue its last event was linked to. */
  lastQueue(port: number): number {
    return Atomics.load(this.#memory.i32, (this.#entry(port) + PortEntry.last_queue.offset) >>> 2);
  }

  setLastQueue(port: number, queue: number): void {
    Atomics.store(this.#memory.i32, (this.#entry(port) + PortEntry.last_queue.offset) >>> 2, queue);
  }

  /** Remote domain, VIRQ or PIRQ, by state. */
  remote(port: number): number {
    return PortEntry.remote.get(this.#memory.view, this.#entry(port));
  }

  remotePort(port: number): number {
    return PortEntry.remote_port.get(this.#memory.view, this.#entry(port));
  }

  /** Gives a port a new state; the details are in place before the state shows. The priority stays. */
  set(port: number, state: EvtchnState, vcpu: number, remote: number, remotePort: number): void {
    const at = this.#entry(port);
    PortEntry.remote.set(this.#memory.view, at, remote);
    PortEntry.remote_port.set(this.#memory.view, at, remotePort);
    Atomics.store(this.#memory.i32, at >>> 2, state | (this.#head(port) & PRIORITY_MASK) | (vcpu << 16));
  }

  /** For these two the domain's lock is held. */
  setVcpu(port: number, vcpu: number): void {
    Atomics.store(this.#memory.i32, this.#entry(port) >>> 2, (this.#head(port) & 0xffff) | (vcpu << 16));
  }

  setPriority(port: number, priority: number): void {
    Atomics.store(this.#memory.i32, this.#entry(port) >>> 2, (this.#head(port) & ~PRIORITY_MASK) | (priority << 8));
  }

  /** Forgets what an earlier binding left: the priority is the default again, and no event is held. */
  initQueueing(port: number): void {
    Atomics.store(this.#memory.i32, this.#entry(port) >>> 2, (this.#head(port) & ~PRIORITY_MASK) | PRIORITY_DEFAULT);
    this.takeHeld(port);
  }

  /** Remembers an event that has no word yet to be marked in. */
  hold(port: number): void {
    Atomics.store(this.#memory.u8, this.#entry(port) + PortEntry.held.offset, 1);
  }

  takeHeld(port: number): boolean {
    return Atomics.exchange(this.#memory.u8, this.#entry(port) + PortEntry.held.offset, 0) !== 0;
  }

  isHeld(port: number): boolean {
    return Atomics.load(this.#memory.u8, this.#entry(port) + PortEntry.held.offset) !== 0;
  }

  /** The lowest closed port from 1 up to `limit`, or 0 when there is none. Port 0 is never given out. */
  findClosed(limit: number): number {
    for (let port = 1; port < limit; port++) if (this.state(port) === EVTCHNSTAT.closed) return port;
    return 0;
  }

  /** How many ports exist once `port` does. */
  static existing(port: number): number {
    return Math.ceil((port + 1) / PORT_GROUP) * PORT_GROUP;
  }

  #entry(port: number): number {
    return this.#at + port * PortEntry.sizeof;
  }

  #head(port: number): number {
    return Atomics.load(this.#memory.i32, this.#entry(port) >>> 2);
  }
}
