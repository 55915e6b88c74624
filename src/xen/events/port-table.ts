// A domain's event channel ends: 16 bytes a port in shared memory. Readers take no lock: the head word is one access.
import { EVTCHNSTAT, type EvtchnState } from '../../abi/xen/event-channel.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { PortEntry } from '../domain-layout.ts';

/** Ports come into existence in groups of this many, as in Xen; one beyond is invalid, not closed. */
const GROUP = 64;

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

  /** Remote domain, VIRQ or PIRQ, by state. */
  remote(port: number): number {
    return PortEntry.remote.get(this.#memory.view, this.#entry(port));
  }

  remotePort(port: number): number {
    return PortEntry.remote_port.get(this.#memory.view, this.#entry(port));
  }

  /** Gives a port a new state; the details are in place before the state shows. */
  set(port: number, state: EvtchnState, vcpu: number, remote: number, remotePort: number): void {
    const at = this.#entry(port);
    PortEntry.remote.set(this.#memory.view, at, remote);
    PortEntry.remote_port.set(this.#memory.view, at, remotePort);
    Atomics.store(this.#memory.i32, at >>> 2, state | (vcpu << 16));
  }

  setVcpu(port: number, vcpu: number): void {
    const index = this.#entry(port) >>> 2;
    Atomics.store(this.#memory.i32, index, (Atomics.load(this.#memory.i32, index) & 0xffff) | (vcpu << 16));
  }

  /** The lowest closed port from 1 up to `limit`, or 0 when there is none. Port 0 is never given out. */
  findClosed(limit: number): number {
    for (let port = 1; port < limit; port++) if (this.state(port) === EVTCHNSTAT.closed) return port;
    return 0;
  }

  /** How many ports exist once `port` does. */
  static existing(port: number): number {
    return Math.ceil((port + 1) / GROUP) * GROUP;
  }

  #entry(port: number): number {
    return this.#at + port * PortEntry.sizeof;
  }

  #head(port: number): number {
    return Atomics.load(this.#memory.i32, this.#entry(port) >>> 2);
  }
}
