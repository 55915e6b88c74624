// The driver of one keyboard with a pointer.
import { XenbusState } from '../../abi/xen/xenbus.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { type InputRequests, KeyboardConnection, type KeyboardConnectionOptions } from './keyboard-connection.ts';

export type KeyboardBackendOptions = Omit<KeyboardConnectionOptions, 'device' | 'before'>;

export class KeyboardBackend implements BackendDriver {
  readonly type = 'vkbd';
  readonly frontendType = 'vkbd';
  readonly #options: KeyboardBackendOptions;
  #connection: KeyboardConnection | undefined;
  /** Of the last frontend, unless it closed. */
  #before: InputRequests | undefined;

  constructor(options: KeyboardBackendOptions) {
    this.#options = options;
  }

  /** Undefined while no frontend is connected. */
  get connection(): KeyboardConnection | undefined {
    return this.#connection;
  }

  offer(): StoreKeys {
    const { absolute, raw } = this.#options.offered;
    return { 'feature-abs-pointer': absolute ? 1 : 0, 'feature-raw-pointer': raw ? 1 : 0 };
  }

  connect(device: BackendDevice): BackendConnection | Refusal {
    const connection = KeyboardConnection.connect({ ...this.#options, device, before: this.#before });
    if (connection instanceof Refusal) return connection;
    this.#connection = connection;
    return {
      close: () => {
        this.#connection = undefined;
        this.#before = device.frontendState === XenbusState.Connected ? connection.requests : undefined;
        connection.close();
      },
    };
  }

  inspect(): InspectTree {
    if (this.#connection === undefined) return {};
    const { requests, waiting, keysDown } = this.#connection;
    return { ...requests, waiting, keys_down: keysDown.join(' ') };
  }
}
