// The driver of one further PV console, 1 and up: a page that the guest grants and a port that it opens, named in
// device/console/<n> (Linux: xencons_connect_backend; QEMU's xen-console is the backend on real Xen). Number 0 is the primary
// console, which has no handshake: primary-console.ts.
import type { HostAddress } from '../../abi/types.ts';
import { EINVAL, EIO } from '../../abi/xen/errno.ts';
import { GNTST } from '../../abi/xen/grant-table.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import type { ConsolePipe } from './console-pipe.ts';
import { ConsoleRing } from './console-ring.ts';
import { ConsoleBindError, RingConsole } from './ring-console.ts';

export class ConsoleBackend implements BackendDriver {
  readonly type = 'console';
  readonly frontendType = 'console';
  readonly #pipe: ConsolePipe;
  #ring: ConsoleRing | undefined;

  constructor(pipe: ConsolePipe) {
    this.#pipe = pipe;
  }

  offer() {
    return {};
  }

  connect(device: BackendDevice): BackendConnection | Refusal {
    const ref = device.frontend.number('ring-ref');
    if (ref instanceof Refusal) return ref;
    const port = device.frontend.number('port');
    if (port instanceof Refusal) return port;
    const mapping = device.grants.map([ref]);
    if (typeof mapping === 'number')
      return new Refusal(mapping === GNTST.bad_gntref ? EINVAL : EIO, `mapping ring-ref ${ref}: grant status ${mapping}`);
    const ring = new ConsoleRing(device.memory, mapping.hosts[0] as HostAddress);
    try {
      const console = new RingConsole({
        ring,
        bind: (onEvent) => device.channels.bind(port, onEvent),
        input: this.#pipe.input,
        onOutput: (bytes) => this.#pipe.receive(bytes),
        pace: device.pace,
        room: () => this.#pipe.room,
        onInputTaken: () => this.#pipe.inputTaken(),
      });
      this.#ring = ring;
      this.#pipe.connect(console);
      console.service();
      return {
        close: () => {
          this.#pipe.connect(undefined);
          // What the guest printed last.
          console.service();
          console.close();
          mapping.unmap();
          this.#ring = undefined;
        },
      };
    } catch (error) {
      mapping.unmap();
      if (!(error instanceof ConsoleBindError)) throw error;
      return new Refusal(-error.errno, `binding port ${port}`);
    }
  }

  inspect(): InspectTree {
    return { ...this.#pipe.inspect(), ring_errors: this.#ring?.errors ?? 0 };
  }
}
