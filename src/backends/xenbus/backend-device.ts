// One device: its state machine. It is driven by levels, not edges: whatever woke it, it looks at the frontend's state as it is
// now and does what `reaction.ts` says. Steps that wait (for requests under way) run one after another.
import { EINVAL, EIO } from '../../abi/xen/errno.ts';
import { XenbusState } from '../../abi/xen/xenbus.ts';
import type { IoPace } from '../../io/io-pace.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { BackendChannels } from '../../xen/events/backend-channels.ts';
import type { BackendGrants } from '../../xen/grants/backend-grants.ts';
import type { StoreClient } from '../../xen/store/store-client.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from './backend-driver.ts';
import type { BackendEvent } from './backend-event.ts';
import { type DeviceNodes, type DevicePaths, fill, removeDevice, removeErrors, writeDevice } from './device-nodes.ts';
import { FrontendKeys } from './frontend-keys.ts';
import { reaction } from './reaction.ts';
import { Refusal } from './refusal.ts';

/** What backends of a domain share. */
export interface BackendEnvironment {
  readonly domid: number;
  readonly client: StoreClient;
  readonly channels: BackendChannels;
  readonly grants: BackendGrants;
  readonly memory: GuestMemory;
  readonly pace: IoPace;
  readonly onEvent: (event: BackendEvent) => void;
}

export class BackendDevice {
  readonly id: number;
  readonly driver: BackendDriver;
  readonly paths: DevicePaths;
  /** The frontend's nodes. */
  readonly frontend: FrontendKeys;
  readonly channels: BackendChannels;
  readonly grants: BackendGrants;
  readonly memory: GuestMemory;
  /** What work is put off with, and what the guest waits for is told to. */
  readonly pace: IoPace;
  readonly domid: number;
  readonly #env: BackendEnvironment;
  readonly #nodes: DeviceNodes;
  readonly #watch: Disposable;
  #state: number = XenbusState.Initialising;
  #connection: BackendConnection | undefined;
  /** Set while the frontend is not to be connected, until it starts afresh. */
  #refused = false;
  #online = true;
  #removed = false;
  /** Counts connections that ended, so that what was said of one is not taken for the next. */
  #epoch = 0;
  #waiting = false;
  #steps: Promise<void> = Promise.resolve();
  /** Resolved when an offline device has nothing connected any more. */
  #gone: Promise<void> | undefined;
  #onGone: () => void = () => {};

  /** Writes the device's nodes and begins to serve it. */
  constructor(env: BackendEnvironment, driver: BackendDriver, id: number, paths: DevicePaths, nodes: DeviceNodes) {
    this.#env = env;
    this.#nodes = nodes;
    this.id = id;
    this.driver = driver;
    this.paths = paths;
    this.domid = env.domid;
    this.channels = env.channels;
    this.grants = env.grants;
    this.memory = env.memory;
    this.pace = env.pace;
    this.frontend = new FrontendKeys(env.client, paths.frontend);
    this.#writeNodes();
    this.#watch = env.client.watch(`${paths.frontend}/state`, () => this.#look());
  }

  /** The backend's XenbusState. */
  get state(): number {
    return this.#state;
  }

  /** What the frontend says: an XenbusState, Unknown when there is no such node, or NaN when it is none. */
  get frontendState(): number {
    const state = this.frontend.number('state', { max: 1000, fallback: XenbusState.Unknown });
    return typeof state === 'number' ? state : Number.NaN;
  }

  get connected(): boolean {
    return this.#connection !== undefined;
  }

  /** False once the device is to go away. */
  get online(): boolean {
    return this.#online;
  }

  /** Calls `listener` soon, and whenever a node of the frontend's has changed. */
  watchFrontend(key: string, listener: () => void): Disposable {
    return this.#env.client.watch(`${this.paths.frontend}/${key}`, listener);
  }

  /** A node of the backend's directory. */
  read(key: string): string | undefined {
    return this.#env.client.read(`${this.paths.backend}/${key}`);
  }

  /**
   * Changes nodes of the backend, and then writes the state once more although it is the same: a connected frontend that
   * watches it looks at the nodes again. That is how a disk says that its size has changed.
   */
  announce(keys: StoreKeys): void {
    if (this.#removed) return;
    this.#env.client.transaction((view) => {
      fill(view, this.paths.backend, keys);
      view.write(`${this.paths.backend}/state`, this.#state);
    });
  }

  /** The frontend broke the rules while connected: the reason is written down, the connection ends, the state is Closing. */
  refuse(refusal: Refusal): void {
    const epoch = this.#epoch;
    this.#refused = true;
    this.#enqueue(async () => {
      if (epoch !== this.#epoch) return;
      await this.#disconnect();
      this.#tellRefusal(refusal);
    });
  }

  /** The host's side failed at something the guest is told otherwise. */
  report(error: unknown): void {
    this.#env.onEvent({ kind: 'error', device: this, error });
  }

  /** Ends the connection and makes the device new, as a toolstack does for a guest that starts afresh in its memory. */
  reset(): Promise<void> {
    return this.#enqueue(async () => {
      await this.#disconnect();
      if (!this.#online || this.#removed) return;
      this.#writeNodes();
      this.#refused = false;
      this.#offer();
    });
  }

  /** Asks the frontend to let go. Resolves when it has, or when it had nothing. */
  goOffline(): Promise<void> {
    this.#gone ??= new Promise<void>((resolve) => {
      this.#onGone = resolve;
    });
    this.#online = false;
    this.#enqueue(() => {
      if (this.#removed) return;
      this.#env.client.write(`${this.paths.backend}/online`, 0);
      if (this.#state !== XenbusState.Closed) this.#setState(XenbusState.Closing);
    });
    this.#look();
    return this.#gone;
  }

  /** Lets go of the frontend whatever it does, and removes the nodes. */
  remove(): Promise<void> {
    this.#online = false;
    this.#watch[Symbol.dispose]();
    return this.#enqueue(async () => {
      if (this.#removed) return;
      await this.#disconnect();
      this.#setState(XenbusState.Closed);
      this.#removed = true;
      this.#env.client.transaction((view) => removeDevice(view, this.paths));
      this.driver.dispose?.();
    });
  }

  #look(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#enqueue(() => {
      this.#waiting = false;
      return this.#react();
    });
  }

  /** Runs a step after those before it. A step that throws is a fault of ours: it is reported, and the device closes. */
  #enqueue(step: () => Promise<void> | void): Promise<void> {
    this.#steps = this.#steps.then(step).catch((error: unknown) => {
      this.report(error);
      this.#tellRefusal(new Refusal(EIO, 'the backend failed'));
    });
    return this.#steps;
  }

  async #react(): Promise<void> {
    if (this.#removed) return;
    const frontend = this.frontendState;
    switch (reaction(frontend)) {
      case 'offer':
        await this.#disconnect();
        this.#refused = false;
        if (!this.#online) return this.#closed();
        if (this.#state !== XenbusState.InitWait) this.#offer();
        return;
      case 'wait':
        return this.#abandoned ? this.#closed() : undefined;
      case 'connect':
        if (this.#abandoned) return this.#closed();
        return this.connected || this.#refused ? undefined : this.#connect();
      case 'drain':
        if (this.#state !== XenbusState.Closing && this.#state !== XenbusState.Closed) this.#setState(XenbusState.Closing);
        return;
      case 'close':
        await this.#disconnect();
        this.#refused = false;
        return this.#closed();
      case 'refuse':
        if (this.#refused && !this.#abandoned) return;
        await this.#disconnect();
        if (this.#abandoned) return this.#closed();
        return this.#tellRefusal(new Refusal(EINVAL, `saw state ${this.frontend.text('state')?.slice(0, 16)} at frontend`));
    }
  }

  /** Nothing is connected, and nothing will be. */
  get #abandoned(): boolean {
    return !this.#online && !this.connected;
  }

  #offer(): void {
    const keys = this.driver.offer(this);
    this.#env.client.transaction((view) => fill(view, this.paths.backend, { 'hotplug-status': 'connected', ...keys }));
    this.#setState(XenbusState.InitWait);
  }

  async #connect(): Promise<void> {
    const result = await this.driver.connect(this);
    if (result instanceof Refusal) return this.#tellRefusal(result);
    this.#connection = result;
    this.#env.client.transaction((view) => {
      fill(view, this.paths.backend, result.keys ?? {});
      removeErrors(view, this.paths);
    });
    // A ring may have been found broken on its first look, and the device refused, before there was a connection to end.
    if (!this.#refused) this.#setState(XenbusState.Connected);
  }

  async #disconnect(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    try {
      await connection?.close();
    } catch (error) {
      this.report(error);
    }
    this.#epoch++;
  }

  #closed(): void {
    if (this.#state !== XenbusState.Closed) this.#setState(XenbusState.Closed);
    if (!this.#online) this.#onGone();
  }

  #setState(state: number): void {
    if (this.#removed) return;
    this.#state = state;
    this.#env.client.write(`${this.paths.backend}/state`, state);
    this.#env.onEvent({ kind: 'state', device: this, state });
  }

  /** As xenbus_dev_fatal: the number and the reason, then Closing. */
  #tellRefusal(refusal: Refusal): void {
    this.#refused = true;
    const text = `${refusal.errno} ${refusal.reason}`;
    this.#env.client.write(`${this.paths.backendError}/error`, text);
    // The other one is the guest's to keep; it may have used up its quota.
    try {
      this.#env.client.write(`${this.paths.frontendError}/error`, text);
    } catch (error) {
      this.report(error);
    }
    this.#setState(XenbusState.Closing);
    this.#env.onEvent({ kind: 'refused', device: this, refusal });
  }

  #writeNodes(): void {
    const { client, domid } = this.#env;
    this.#state = XenbusState.Initialising;
    client.transaction((view) => writeDevice(view, domid, this.paths, this.#nodes));
  }
}
