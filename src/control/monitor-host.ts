// What the process that runs a domain offers its monitor beside the domain itself. Everything may be missing.
import type { ByteHistory } from './console/byte-history.ts';
import type { ConsoleHub } from './console/console-hub.ts';
import type { ConsoleHubs } from './console/console-hubs.ts';
import type { DevicePort } from './device-port.ts';

export interface MonitorHost {
  readonly console?: ConsoleHub;
  /** The further consoles. */
  readonly consoles?: ConsoleHubs;
  /** The hypervisor's log. */
  readonly log?: ByteHistory;
  /** What the domain is called on this host; default: the target's name. */
  readonly name?: () => string;
  /** Gives the domain another name. @throws when it cannot have it */
  readonly rename?: (name: string) => Promise<void>;
  /** What the domain is made of, or would be after a restart: plain data. */
  readonly config?: () => unknown;
  /** Attaches and detaches PV devices. */
  readonly devices?: DevicePort;
  /** Milliseconds since 1970. */
  readonly startedMs?: number;
}
