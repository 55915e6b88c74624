// A network card as a device that a domain owns: given anew to the guest after a reset, with the same number and address.
import type { FrameSink } from '../../io/frame-sink.ts';
import { formatMac } from '../../net/mac-address.ts';
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { attachVif, platformRandom, randomMac, type VifOptions } from './attach-vif.ts';
import type { NetBackend } from './net-backend.ts';
import { SharedSink } from './shared-sink.ts';

/** A network card, and how its network is closed. Default: its sink is. */
export type VifDeviceOptions = VifOptions & {
  readonly close?: () => Promise<void>;
  /** Whether an HVM guest has an emulated card in its place. Default true. */
  readonly emulated?: boolean;
};

export class VifDevice implements PvDevice {
  readonly type = 'vif';
  readonly #options: VifDeviceOptions;
  readonly #sinks: SharedSink;
  #id: number | undefined;
  #mac: string | undefined;
  #backend: NetBackend | undefined;

  constructor(options: VifDeviceOptions) {
    this.#options = options;
    this.#sinks = new SharedSink(options.sink);
    this.#id = options.id;
    this.#mac = options.mac;
  }

  /** Its number; '' until the first guest has it when that was left to the bus. */
  get name(): string {
    return this.#id === undefined ? '' : String(this.#id);
  }

  /** Undefined until the first guest has the card when it was left to chance. */
  get mac(): string | undefined {
    return this.#mac;
  }

  /** The network for an emulated card in this one's place: it has the cable while no PV driver is connected. Undefined without. */
  get emulated(): FrameSink | undefined {
    return this.#options.emulated === false ? undefined : this.#sinks.emulated;
  }

  /** What the guest that has the card sees: counters, connection. */
  get backend(): NetBackend | undefined {
    return this.#backend;
  }

  /** @throws RangeError when its address is none of a card; Error when there is one with its number */
  attach(bus: BackendBus): BackendDevice {
    if (this.#backend !== undefined) this.#options.sink.forgetGuest?.();
    const { id: _, mac: _mac, close: _close, emulated: _emulated, random = platformRandom, ...options } = this.#options;
    const mac = this.#mac ?? formatMac(randomMac(random));
    const attached = attachVif(bus, { ...options, sink: this.#sinks.pv, ...(this.#id !== undefined && { id: this.#id }), mac });
    this.#id = attached.device.id;
    this.#mac = attached.mac;
    this.#backend = attached.backend;
    return attached.device;
  }

  async close(): Promise<void> {
    const { close, sink } = this.#options;
    await (close === undefined ? sink.close() : close());
  }
}

export const vifDevice = (options: VifDeviceOptions): VifDevice => new VifDevice(options);
