// A domain as its monitor sees it while guests come and go in it: the actions on_poweroff, on_reboot and on_crash restart it
// or keep what is left of it.
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';
import type { StateEvent } from '../machine/domain-events.ts';
import type { VcpuRegisters } from '../machine/registers.ts';
import type { InspectTree } from '../util/inspect/inspect-node.ts';
import { TypedEvents } from '../util/typed-events.ts';
import type { EventChannelInfo } from '../xen/events/inspect-events.ts';
import type { GrantListing } from '../xen/grants/inspect-grants.ts';
import type { StoreClient } from '../xen/store/store-client.ts';
import type { FurtherConsole } from './console/console-hubs.ts';
import type { DisplayPort, InputPort } from './display-port.ts';
import type { MonitorTarget } from './monitor-target.ts';

/** A domain that has to be started. */
export interface StartableTarget extends MonitorTarget {
  run(): void;
}

export class ReplaceableTarget implements MonitorTarget {
  readonly ended: Promise<DomainEnd>;
  /** Resolves when somebody wants the domain gone, whatever its guest does. */
  readonly destroyed: Promise<void>;
  readonly #events = new TypedEvents<{ state: StateEvent }>();
  readonly #endListeners = new Set<(end: DomainEnd, action: string) => void>();
  #domain: StartableTarget;
  #states: Disposable;
  #resolve: (end: DomainEnd) => void = () => {};
  #reject: (error: Error) => void = () => {};
  #tellDestroyed: () => void = () => {};

  constructor(domain: StartableTarget) {
    this.#domain = domain;
    this.#states = this.#follow();
    this.ended = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.ended.catch(() => {});
    this.destroyed = new Promise((resolve) => {
      this.#tellDestroyed = resolve;
    });
  }

  get domain(): StartableTarget {
    return this.#domain;
  }

  /** Another guest in the same domain. */
  replace(domain: StartableTarget): void {
    this.#states[Symbol.dispose]();
    this.#domain = domain;
    this.#states = this.#follow();
    this.#events.emit('state', { state: this.state, cause: 'reset' });
  }

  /** The guest has ended, and the domain has not. */
  guestEnded(end: DomainEnd, action: string): void {
    for (const listener of this.#endListeners) listener(end, action);
  }

  /** The domain has ended. */
  finish(end: DomainEnd): void {
    this.#resolve(end);
  }

  fail(error: Error): void {
    this.#reject(error);
  }

  get id(): number {
    return this.#domain.id;
  }
  get name(): string {
    return this.#domain.name;
  }
  get uuid(): string {
    return this.#domain.uuid;
  }
  /** A guest that was not started yet is paused. */
  get state(): DomainState {
    return this.#domain.state === 'built' ? 'paused' : this.#domain.state;
  }
  get vcpus(): number {
    return this.#domain.vcpus;
  }
  get memoryBytes(): number {
    return this.#domain.memoryBytes;
  }
  setMaxMemory(bytes: number): void {
    this.#domain.setMaxMemory(bytes);
  }
  get xenstore(): StoreClient {
    return this.#domain.xenstore;
  }
  consoles(): ReadonlyMap<number, FurtherConsole> {
    return this.#domain.consoles?.() ?? new Map();
  }
  get display(): DisplayPort | undefined {
    return this.#domain.screen ?? this.#domain.display;
  }
  get input(): InputPort | undefined {
    return this.#domain.input;
  }
  async pause(): Promise<void> {
    if (this.#domain.state !== 'built') await this.#domain.pause();
  }
  unpause(): void {
    if (this.#domain.state === 'built') this.#domain.run();
    else this.#domain.unpause();
  }
  resume(options?: { readonly cancelled?: boolean }): Promise<void> {
    return this.#domain.resume(options);
  }
  reset(): Promise<void> {
    return this.#domain.reset();
  }
  nmi(vcpu?: number): void {
    this.#domain.nmi(vcpu);
  }
  async destroy(): Promise<void> {
    this.#tellDestroyed();
    await this.#domain.destroy();
  }
  shutdown(request: 'poweroff' | 'reboot' | 'suspend'): void {
    this.#domain.shutdown(request);
  }
  registers(vcpu: number): Promise<VcpuRegisters> {
    return this.#domain.registers(vcpu);
  }
  eventChannels(): readonly EventChannelInfo[] {
    return this.#domain.eventChannels();
  }
  injectEvent(port: number): void {
    this.#domain.injectEvent(port);
  }
  grants(): readonly GrantListing[] {
    return this.#domain.grants();
  }
  inspect(): InspectTree {
    return this.#domain.inspect();
  }
  on(name: 'state', listener: (event: StateEvent) => void): Disposable {
    return this.#events.on(name, listener);
  }
  onGuestEnd(listener: (end: DomainEnd, action: string) => void): Disposable {
    this.#endListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#endListeners.delete(listener) };
  }

  #follow(): Disposable {
    return this.#domain.on('state', (event) => this.#events.emit('state', event));
  }
}
