// What the monitor needs of a domain. The machine's `Domain` is one; specs have a fake.
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';
import type { StateEvent } from '../machine/domain-events.ts';
import type { VcpuRegisters } from '../machine/registers.ts';
import type { InspectTree } from '../util/inspect/inspect-node.ts';
import type { EventChannelInfo } from '../xen/events/inspect-events.ts';
import type { GrantListing } from '../xen/grants/inspect-grants.ts';
import type { StoreClient } from '../xen/store/store-client.ts';
import type { ConsolePort } from './console/console-hub.ts';
import type { FurtherConsole } from './console/console-hubs.ts';
import type { DisplayPort, InputPort } from './display-port.ts';

/** A domain in one of these states does not run again. */
export const ENDED_STATES: readonly DomainState[] = ['shutdown', 'crashed', 'destroyed'];

/** Methods may throw; the message goes to the person who asked, so it is one line with the thing and the reason. */
export interface MonitorTarget {
  /** The guest's domid. */
  readonly id: number;
  readonly name: string;
  /** As text: 8-4-4-4-12 hexadecimal digits. */
  readonly uuid: string;
  readonly state: DomainState;
  readonly vcpus: number;
  /** Bytes of RAM the guest was given at the start. */
  readonly memoryBytes: number;
  /** Limits what the guest's balloon may reach. @throws when it is more than the domain was created with */
  setMaxMemory(bytes: number): void;
  /** Resolves when no vCPU runs any more. */
  pause(): Promise<void>;
  unpause(): void;
  /** Lets a guest that suspended itself go on; `cancelled`: as if the suspend had failed. */
  resume(options?: { readonly cancelled?: boolean }): Promise<void>;
  /** As if power was cut and came back. */
  reset(): Promise<void>;
  /** @throws when there is no such vCPU */
  nmi(vcpu?: number): void;
  /** Ends the domain at once. */
  destroy(): Promise<void>;
  /** Asks the guest through control/shutdown; it may take its time. */
  shutdown(request: 'poweroff' | 'reboot' | 'suspend'): void;
  /** @throws when there is no such vCPU */
  registers(vcpu: number): Promise<VcpuRegisters>;
  /** Ports that are not closed, in order. */
  eventChannels(): readonly EventChannelInfo[];
  /** Makes a port pending, with normal delivery. @throws when the port is closed or out of range */
  injectEvent(port: number): void;
  /** Entries in use, in order. */
  grants(): readonly GrantListing[];
  /** XenStore as domain 0 sees it. */
  readonly xenstore: StoreClient;
  inspect(): InspectTree;
  /** The guest's console, if there is one. */
  readonly console?: ConsolePort;
  /** Its further consoles, by number: 1 and up. */
  consoles?(): ReadonlyMap<number, FurtherConsole>;
  /** The guest's frame buffer and its keyboard and mouse: the first of each, if there is one. */
  readonly display?: DisplayPort | undefined;
  /** What is on its screen, whatever draws it: `display` when nothing is said. */
  readonly screen?: DisplayPort | undefined;
  readonly input?: InputPort | undefined;
  /** Resolves when the domain has ended. Rejects on a failure of the monitor itself. */
  readonly ended: Promise<DomainEnd>;
  /** Calls the listener with each new state, and with the state after a reset, whose cause is 'reset'. */
  on(name: 'state', listener: (event: StateEvent) => void): Disposable;
  /** Calls the listener when a guest ends and the domain does not: it is restarted, or kept. */
  onGuestEnd?(listener: (end: DomainEnd, action: string) => void): Disposable;
}
