// The driver of one frame buffer.
import { XenbusState } from '../../abi/xen/xenbus.ts';
import type { Picture } from '../../image/picture.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { FrameBufferConnection, type FrameBufferEvents } from './frame-buffer-connection.ts';
import type { Rectangle } from './rectangle.ts';

export class FrameBufferBackend implements BackendDriver {
  readonly type = 'vfb';
  readonly frontendType = 'vfb';
  readonly #events: FrameBufferEvents;
  #connection: FrameBufferConnection | undefined;

  constructor(events: FrameBufferEvents) {
    this.#events = events;
  }

  /** Undefined while no frontend is connected. */
  get connection(): FrameBufferConnection | undefined {
    return this.#connection;
  }

  snapshot(area?: Rectangle): Picture | undefined {
    return this.#connection?.snapshot(area);
  }

  offer(): StoreKeys {
    return { 'feature-resize': 1 };
  }

  connect(device: BackendDevice): BackendConnection | Refusal {
    const connection = FrameBufferConnection.connect(device, this.#events);
    if (connection instanceof Refusal) return connection;
    this.#connection = connection;
    this.#events.changed(undefined);
    const watch = repeatConnected(device);
    return {
      keys: connection.keys,
      close: () => {
        watch[Symbol.dispose]();
        this.#connection = undefined;
        connection.close();
        this.#events.changed(undefined);
      },
    };
  }

  inspect(): InspectTree {
    if (this.#connection === undefined) return {};
    const { geometry, updates, ignored } = this.#connection;
    return { ...geometry, updates, ignored_events: ignored };
  }
}

/**
 * Says Connected once more when the frontend has said so. Old ones of Linux that missed InitWait make up for it when they see
 * Connected for the first time, and read request-update the second time only; QEMU's backend does the same for them.
 */
function repeatConnected(device: BackendDevice): Disposable {
  let done = false;
  return device.watchFrontend('state', () => {
    if (done || device.frontendState !== XenbusState.Connected || device.state !== XenbusState.Connected) return;
    done = true;
    device.announce({});
  });
}
