// What a domain tells its owner, and under which names.
import type { BackendEvent } from '../backends/xenbus/backend-event.ts';
import type { DomainEnd, DomainState } from './domain-config.ts';
import type { VcpuProfileData } from './profile/vcpu-profile.ts';
import type { TraceLine } from './trace-batch.ts';

/** The domain is in another state, or the machine was reset and is in the state that it was in. */
export interface StateEvent {
  readonly state: DomainState;
  readonly cause?: 'reset';
}

/** What a domain tells: names of events, and what listeners are given. `domain.on('state', ({ state }) => …)`. */
export interface DomainEvents {
  state: StateEvent;
  /** The vCPUs stop, or go on: at a pause, a suspend, a shutdown. Guest time stands still in between. */
  running: boolean;
  /** What the guest sends on the first serial port of an HVM domain. */
  serial: Uint8Array;
  /** Bytes that the guest writes to the debug port, or with CONSOLEIO_write. */
  log: Uint8Array;
  /** A tracepoint that `config.trace` turns on. */
  trace: TraceLine;
  /** What a vCPU's thread measured of itself from its start to its end, if `config.profile` asked for it; at a reset too. */
  profile: VcpuProfileData;
  /** A PV device was connected, was refused, or failed. */
  device: BackendEvent;
  /** Something of the host's went wrong that does not end the domain. Without a listener it is a warning on the console. */
  problem: Error;
  /** The domain has ended, and what it had of the host is closed. The last event. */
  end: DomainEnd;
}
