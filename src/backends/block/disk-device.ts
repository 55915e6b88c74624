// A disk as a domain has it: over resets of the machine the same store, each time a driver of its own.
import type { BlockStore } from '../../io/block-store.ts';
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { attachDisk, type DiskOptions } from './attach-disk.ts';
import type { BlockBackend } from './block-backend.ts';
import { vdevNumber } from './vdev.ts';

/** A disk, and how what it is kept in is closed. Default: its store is. */
export interface DiskDeviceOptions extends DiskOptions {
  readonly close?: () => Promise<void>;
}

/** A medium for a drive: where it is kept, in words for people, and how that is closed. */
export interface Medium {
  readonly store: BlockStore;
  readonly params?: string;
  readonly close?: () => Promise<void>;
}

export class DiskDevice implements PvDevice {
  readonly type = 'vbd';
  readonly name: string;
  #options: DiskDeviceOptions;
  #backend: BlockBackend | undefined;
  readonly #mediumListeners = new Set<() => void>();

  /** @throws RangeError when `vdev` names no disk */
  constructor(options: DiskDeviceOptions) {
    if (vdevNumber(options.vdev) === undefined) throw new RangeError(`${options.vdev} names no disk`);
    this.name = options.vdev;
    this.#options = options;
  }

  get cdrom(): boolean {
    return this.#options.cdrom === true;
  }

  get readOnly(): boolean {
    return this.#options.readOnly === true || this.cdrom;
  }

  /** What it is kept in at this moment; undefined while the drive is empty. */
  get store(): BlockStore | undefined {
    return this.#options.store;
  }

  /** Calls the listener when another medium has come, or none, before the one before is closed. */
  onMedium(listener: () => void): Disposable {
    const entry = (): void => listener();
    this.#mediumListeners.add(entry);
    return { [Symbol.dispose]: () => void this.#mediumListeners.delete(entry) };
  }

  attach(bus: BackendBus): BackendDevice {
    const { device, backend } = attachDisk(bus, this.#options);
    this.#backend = backend;
    return device;
  }

  /** Puts another disc into a CD drive, or takes it out, and closes the one before. @throws RangeError when it is no CD drive */
  async changeMedium(medium?: Medium): Promise<void> {
    if (!this.cdrom) throw new RangeError(`${this.name} is no CD drive`);
    const before = this.#options;
    const { store: _store, params: _params, close: _close, ...drive } = before;
    this.#options = { ...drive, ...medium };
    for (const listener of this.#mediumListeners) listener();
    await this.#backend?.changeMedium(medium?.store, medium?.params);
    await closeMedium(before);
  }

  /** @throws an Error that says that data may be lost, when the store could not write all of it */
  async close(): Promise<void> {
    await closeMedium(this.#options).catch((error: unknown) => {
      throw new Error(`${this.name}: what was written last may be lost: ${String(error)}`, { cause: error });
    });
  }
}

const closeMedium = async ({ close, store }: DiskDeviceOptions): Promise<void> => close?.() ?? store?.close();
