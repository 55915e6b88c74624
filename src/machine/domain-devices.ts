// The PV devices of a domain: those of the start, and those that came since. They outlive resets of the machine.
import { XenbusState, xenbusStateName } from '../abi/xen/xenbus.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import type { BackendBus } from '../backends/xenbus/backend-bus.ts';
import type { BackendDevice } from '../backends/xenbus/backend-device.ts';
import type { StoreClient, WaitOptions } from '../xen/store/store-client.ts';

export interface AttachDeviceOptions extends WaitOptions {
  /** Whether to wait until the guest uses the device. Default true; false: it is offered, and the guest takes it or does not. */
  readonly wait?: boolean;
}

export interface DetachDeviceOptions {
  /** Milliseconds that the guest has to let go. Default 10000, as in xl. */
  readonly timeout?: number;
  /** Whether the device goes even when the guest does not let go of it. Default false. */
  readonly force?: boolean;
}

/** A device as a list shows it. */
export interface DeviceInfo {
  /** Of the frontend: vbd, vif, console, 9pfs, vkbd, vfb. */
  readonly type: string;
  /** As its owner calls it: xvda, 0. */
  readonly name: string;
  /** Its number in XenStore's paths: 51712. */
  readonly id: number;
  /** XenbusStates by name: Connected. */
  readonly state: string;
  readonly frontendState: string;
  /** Directories in XenStore. */
  readonly frontend: string;
  readonly backend: string;
}

/** A device could not be given or taken. `message` says which, and why. */
export class DeviceError extends Error {
  override readonly name = 'DeviceError';
}

interface Entry {
  readonly device: PvDevice;
  /** What it is on the platform as it is now. */
  backend: BackendDevice;
}

const DEFAULT_ATTACH_TIMEOUT = 10_000;

export class DomainDevices {
  readonly #store: StoreClient;
  /** @throws DomainStateError when the domain is not there to get or to lose a device */
  readonly #expectAlive: (action: string) => void;
  #devices: readonly PvDevice[];
  #entries: Entry[] = [];
  /** Undefined while the machine is being reset, and at the end. */
  #bus: BackendBus | undefined;

  constructor(devices: readonly PvDevice[], store: StoreClient, expectAlive: (action: string) => void) {
    this.#devices = devices;
    this.#store = store;
    this.#expectAlive = expectAlive;
  }

  /** Offers all of them to the guest of a new platform. @throws what `PvDevice.attach` does */
  offer(bus: BackendBus): void {
    this.#bus = bus;
    this.#entries = [];
    for (const device of this.#devices) this.#entries.push({ device, backend: device.attach(bus) });
  }

  /** The platform goes: nothing is attached or detached until the next one is there. */
  withdraw(): void {
    this.#bus = undefined;
  }

  /** In the order in which they came. */
  list(): readonly DeviceInfo[] {
    return this.#entries.map(({ device: { type, name }, backend }) => ({
      type,
      name,
      id: backend.id,
      state: xenbusStateName(backend.state),
      frontendState: xenbusStateName(backend.frontendState),
      frontend: backend.paths.frontend,
      backend: backend.paths.backend,
    }));
  }

  /** A device by its type and its name or number. */
  get(type: string, which: string | number): PvDevice | undefined {
    return this.#find(type, which)?.device;
  }

  /** The lowest number that no device of the type has. */
  freeId(type: string): number {
    for (let id = 0; ; id++)
      if (!this.#entries.some(({ device, backend }) => device.type === type && backend.id === id)) return id;
  }

  /**
   * Gives the guest a device while it runs, and waits until the guest uses it. The domain closes it in the end. When this
   * throws, the guest does not have the device, and it is still the caller's to close.
   * @throws DeviceError when there is one of that name, or when guest and backend do not come to terms; an Error named
   * TimeoutError; RangeError for what the device itself cannot be; the signal's reason; DomainStateError
   */
  async attach(device: PvDevice, options: AttachDeviceOptions = {}): Promise<void> {
    const { wait = true, timeout = DEFAULT_ATTACH_TIMEOUT, signal } = options;
    const bus = this.#expectBus(`give ${device.type} ${device.name} to`);
    if (this.#find(device.type, device.name)) throw new DeviceError(`the domain has ${device.type} ${device.name} already`);
    signal?.throwIfAborted();
    const entry: Entry = { device, backend: device.attach(bus) };
    this.#devices = [...this.#devices, device];
    this.#entries.push(entry);
    if (!wait) return;
    try {
      await this.#connected(entry, { timeout, ...(signal !== undefined && { signal }) });
    } catch (error) {
      await this.#take(device);
      this.#forget(device);
      throw error;
    }
  }

  /**
   * Takes a device away and closes it. False when the guest did not let go of it in time and `force` is not set: it is then
   * still there, and a later call may find it free.
   * @throws DeviceError when there is no such device; DomainStateError; what closing it throws
   */
  async detach(type: string, which: string | number, options: DetachDeviceOptions = {}): Promise<boolean> {
    const bus = this.#expectBus(`take ${type} ${which} from`);
    const entry = this.#find(type, which);
    if (entry === undefined) throw new DeviceError(`the domain has no ${type} ${which}`);
    if (!(await bus.detach(entry.backend, { force: false, ...options }))) return false;
    // The machine may have been reset meanwhile, and the device offered anew.
    await this.#take(entry.device, entry.backend);
    // Of two who waited for it one closes it.
    if (this.#forget(entry.device)) await entry.device.close();
    return true;
  }

  /** Closes all of them; the bus is closed. What cannot be closed is told, and the others are closed all the same. */
  async close(onProblem: (error: Error) => void): Promise<void> {
    const devices = this.#devices;
    this.#devices = [];
    for (const device of devices) {
      await device.close().catch((error: unknown) => onProblem(error instanceof Error ? error : new Error(String(error))));
    }
  }

  #expectBus(action: string): BackendBus {
    this.#expectAlive(action);
    if (this.#bus === undefined) throw new DeviceError(`cannot ${action} a domain that is being reset`);
    return this.#bus;
  }

  #find(type: string, which: string | number): Entry | undefined {
    const is = ({ device, backend }: Entry): boolean => device.name === String(which) || String(backend.id) === String(which);
    return this.#entries.find((entry) => entry.device.type === type && is(entry));
  }

  /** Takes a device from the guest as it is now, whatever the guest says; not when it is still the one that was taken before. */
  async #take(device: PvDevice, before?: BackendDevice): Promise<void> {
    const entry = this.#entries.find((other) => other.device === device);
    if (entry !== undefined && entry.backend !== before) await this.#bus?.detach(entry.backend, { timeout: 0, force: true });
  }

  /** False when it was forgotten before. */
  #forget(device: PvDevice): boolean {
    const before = this.#devices.length;
    this.#devices = this.#devices.filter((other) => other !== device);
    this.#entries = this.#entries.filter((entry) => entry.device !== device);
    return this.#devices.length < before;
  }

  /** Over a reset in between, too: the paths stay the same. */
  async #connected({ device, backend }: Entry, options: WaitOptions): Promise<void> {
    const { paths } = backend;
    const reached = (text: string | undefined): boolean => {
      const state = Number(text);
      if (state !== XenbusState.Closing && state !== XenbusState.Closed) return state === XenbusState.Connected;
      const reason = this.#store.read(`${paths.backendError}/error`) ?? this.#store.read(`${paths.frontendError}/error`);
      throw new DeviceError(`${device.type} ${device.name} was not connected: ${reason ?? 'the guest closed it'}`);
    };
    await this.#store.waitFor(`${paths.backend}/state`, reached, options).catch((error: unknown) => {
      if (!(error instanceof Error) || error.name !== 'TimeoutError') throw error;
      const seconds = (options.timeout ?? 0) / 1000;
      error.message = `the guest did not take ${device.type} ${device.name} within ${seconds} s; has it a driver for it?`;
      throw error;
    });
  }
}
