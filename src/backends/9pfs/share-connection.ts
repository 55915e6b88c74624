// A connected 9pfs frontend: its rings, found by what it wrote into its directory (docs/misc/9pfs.pandoc), and its session.
import { XEN_9PFS_VERSION } from '../../abi/xen/9pfs.ts';
import { EINVAL } from '../../abi/xen/errno.ts';
import type { FileTree } from '../../io/file-tree.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection } from '../xenbus/backend-driver.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { DataRing } from './data-ring.ts';
import { P9Server } from './protocol/server.ts';
import { ShareQueue } from './share-queue.ts';

export interface ConnectionOptions {
  readonly tree: FileTree;
  readonly readOnly: boolean;
  readonly maxRings: number;
}

/** Messages of all rings that are served, or whose answers wait for room, at a time. */
const MOST_UNDER_WAY = 64;

export class ShareConnection implements BackendConnection {
  readonly #server: P9Server;
  readonly #queues: readonly ShareQueue[];

  private constructor(server: P9Server, queues: readonly ShareQueue[]) {
    this.#server = server;
    this.#queues = queues;
  }

  static async connect(device: BackendDevice, options: ConnectionOptions): Promise<ShareConnection | Refusal> {
    const { frontend } = device;
    const version = frontend.text('version');
    if (version !== XEN_9PFS_VERSION)
      return new Refusal(EINVAL, `version ${JSON.stringify(version?.slice(0, 16) ?? '')} of the transport`);
    const count = frontend.number('num-rings', { min: 1, max: options.maxRings });
    if (count instanceof Refusal) return count;
    const rings = mapRings(device, count);
    if (rings instanceof Refusal) return rings;
    const maxMessageBytes = Math.min(...rings.map(({ halfBytes }) => halfBytes));
    const server = new P9Server(options.tree, {
      maxMessageBytes,
      readOnly: options.readOnly,
      onFault: (error) => device.report(error),
    });
    const mostUnderWay = Math.floor(MOST_UNDER_WAY / count);
    const queues = rings.map((ring) => new ShareQueue({ device, server, ring, maxMessageBytes, mostUnderWay }));
    const connection = new ShareConnection(server, queues);
    for (const [i, queue] of queues.entries()) {
      const port = frontend.number(`event-channel-${i}`);
      const result = port instanceof Refusal ? port : queue.start(port);
      if (result === 0) continue;
      await connection.close();
      return result instanceof Refusal ? result : new Refusal(-result, `binding event-channel-${i}`);
    }
    return connection;
  }

  inspect(): InspectTree {
    return {
      message_bytes: this.#server.messageBytes,
      fids: this.#server.fids,
      under_way: this.#server.underWay,
      rings: Object.fromEntries(this.#queues.map((queue, i) => [String(i), queue.inspect()])),
    };
  }

  async close(): Promise<void> {
    for (const queue of this.#queues) queue.stop();
    await this.#server.close();
    for (const queue of this.#queues) queue.close();
  }
}

function mapRings(device: BackendDevice, count: number): readonly DataRing[] | Refusal {
  const rings: DataRing[] = [];
  for (let i = 0; i < count; i++) {
    const ref = device.frontend.number(`ring-ref${i}`);
    const ring = ref instanceof Refusal ? ref : DataRing.map(device, ref);
    if (!(ring instanceof Refusal)) {
      rings.push(ring);
      continue;
    }
    for (const mapped of rings) mapped.unmap();
    return ring;
  }
  return rings;
}
