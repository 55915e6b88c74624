// The backends of one domain, and what a toolstack does with them: attach, detach, start afresh.

import { XenbusState } from '../../abi/xen/xenbus.ts';
import { type IoPace, REAL_PACE } from '../../io/io-pace.ts';
import type { XenDomain } from '../../xen/domain.ts';
import type { BackendChannels } from '../../xen/events/backend-channels.ts';
import { BackendGrants } from '../../xen/grants/backend-grants.ts';
import type { XenStore } from '../../xen/store/store.ts';
import type { WaitOptions } from '../../xen/store/store-client.ts';
import { StoreClient } from '../../xen/store/store-client.ts';
import { BackendDevice, type BackendEnvironment } from './backend-device.ts';
import type { BackendDriver, StoreKeys } from './backend-driver.ts';
import type { BackendEvent } from './backend-event.ts';
import { devicePaths } from './device-nodes.ts';

export interface BackendBusOptions {
  readonly domain: XenDomain;
  readonly store: XenStore;
  readonly channels: BackendChannels;
  readonly onEvent?: (event: BackendEvent) => void;
  /** Default: real time. */
  readonly pace?: IoPace;
}

export interface AttachOptions {
  /** The device's number in the paths of both ends, such as 51712 for xvda. */
  readonly id: number;
  /** Nodes for the frontend, beside backend, backend-id and state. */
  readonly frontend?: StoreKeys;
  /** Nodes for the frontend that the guest may only read. */
  readonly readOnlyFrontend?: StoreKeys;
  /** Nodes for the backend, beside frontend, frontend-id, online and state. */
  readonly backend?: StoreKeys;
}

export interface DetachOptions {
  /** Milliseconds that the frontend has to let go. Default 10000, as in xl. */
  readonly timeout?: number;
  /** Whether the device goes even when the frontend does not let go in time. Default true. */
  readonly force?: boolean;
}

export class BackendBus {
  readonly client: StoreClient;
  readonly #env: BackendEnvironment;
  readonly #devices = new Map<string, BackendDevice>();

  constructor(options: BackendBusOptions) {
    const { domain, store, channels, onEvent = () => {}, pace = REAL_PACE } = options;
    this.client = new StoreClient(store);
    const { domid, memory } = domain;
    this.#env = { domid, client: this.client, channels, grants: new BackendGrants(domain), memory, pace, onEvent };
  }

  get devices(): readonly BackendDevice[] {
    return [...this.#devices.values()];
  }

  /** A device by the type of its frontend, such as vbd, and its number. */
  device(frontendType: string, id: number): BackendDevice | undefined {
    return this.#devices.get(`${frontendType}/${id}`);
  }

  /**
   * Gives the guest a device: before it runs, or while it does. It is offered at once; `connected` tells when the guest has
   * taken it. @throws Error when there is one with that number.
   */
  attach(driver: BackendDriver, options: AttachOptions): BackendDevice {
    const { id, frontend = {}, readOnlyFrontend = {}, backend = {} } = options;
    const key = `${driver.frontendType}/${id}`;
    if (this.#devices.has(key)) throw new Error(`there is a device ${key} already`);
    const paths = devicePaths(this.#env.domid, driver.type, driver.frontendType, id);
    const device = new BackendDevice(this.#env, driver, id, paths, { frontend, readOnlyFrontend, backend });
    this.#devices.set(key, device);
    return device;
  }

  /** Resolves when the guest uses the device. @throws the signal's reason, or an Error named TimeoutError. */
  async connected(device: BackendDevice, options: WaitOptions = {}): Promise<void> {
    await this.client.waitFor(`${device.paths.backend}/state`, (state) => state === String(XenbusState.Connected), options);
  }

  /**
   * Takes a device away: asks the guest to let go, waits for that, and removes all nodes. False when the guest did not let
   * go in time and `force` is false: the device is then still there, and goes when the guest lets go and this is called again.
   */
  async detach(device: BackendDevice, options: DetachOptions = {}): Promise<boolean> {
    const { timeout = 10_000, force = true } = options;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), timeout);
    });
    const gone = await Promise.race([device.goOffline().then(() => true), late]);
    clearTimeout(timer);
    if (!gone && !force) return false;
    await device.remove();
    const key = `${device.driver.frontendType}/${device.id}`;
    if (this.#devices.get(key) === device) this.#devices.delete(key);
    return true;
  }

  /**
   * Ends every connection and offers all devices as new, for a guest that starts afresh in the same memory (kexec's soft
   * reset, a restore). No vCPU may run. To be awaited before event channels and grants are reset.
   */
  async reset(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.reset()));
  }

  /** Lets go of everything; the nodes go too. */
  async close(): Promise<void> {
    await Promise.all(this.devices.map((device) => device.remove()));
    this.#devices.clear();
    this.client[Symbol.dispose]();
  }
}
