// A connected block frontend: its rings, found by what it wrote into its directory (xen-blkback's connect_ring).
import { BLKIF_NATIVE, BLKIF_PROTOCOLS, type BlkifLayout } from '../../abi/xen/blkif.ts';
import { EINVAL, ENOSYS } from '../../abi/xen/errno.ts';
import { BackRing } from '../ring.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, StoreKeys } from '../xenbus/backend-driver.ts';
import type { FrontendKeys } from '../xenbus/frontend-keys.ts';
import { Refusal } from '../xenbus/refusal.ts';
import { BlockQueue } from './block-queue.ts';
import type { Disk } from './disk.ts';

export interface ConnectionLimits {
  readonly maxQueues: number;
  /** Pages of a ring are 2 to this power. */
  readonly maxRingOrder: number;
  readonly persistentGrants: boolean;
}

export class BlockConnection implements BackendConnection {
  readonly keys: StoreKeys;
  readonly queues: readonly BlockQueue[];

  private constructor(queues: readonly BlockQueue[], keys: StoreKeys) {
    this.queues = queues;
    this.keys = keys;
  }

  /** `keys`: of the backend, written when it is connected. */
  static async connect(
    device: BackendDevice,
    disk: Disk,
    limits: ConnectionLimits,
    keys: StoreKeys,
  ): Promise<BlockConnection | Refusal> {
    const { frontend } = device;
    const layout = readProtocol(frontend);
    if (layout instanceof Refusal) return layout;
    const count = frontend.number('multi-queue-num-queues', { fallback: 1 });
    if (count instanceof Refusal) return count;
    if (count < 1 || count > limits.maxQueues)
      return new Refusal(ENOSYS, `guest requested ${count} queues, exceeding the maximum of ${limits.maxQueues}`);
    const pages = readRingPages(frontend, limits.maxRingOrder);
    if (pages instanceof Refusal) return pages;
    const persistent = limits.persistentGrants && frontend.flag('feature-persistent');
    const queues: BlockQueue[] = [];
    for (let i = 0; i < count; i++) {
      const from = count === 1 ? frontend : frontend.below(`queue-${i}`);
      const ring = mapRing(device, from, pages, layout);
      const queue = ring instanceof Refusal ? ring : new BlockQueue({ device, disk, ring, layout, persistent });
      if (!(queue instanceof Refusal)) queues.push(queue);
      const refusal = queue instanceof Refusal ? queue : startQueue(queue, from);
      if (refusal === undefined) continue;
      await Promise.all(queues.map((started) => started.close()));
      return refusal;
    }
    return new BlockConnection(queues, keys);
  }

  async close(): Promise<void> {
    await Promise.all(this.queues.map((queue) => queue.close()));
  }

  /** Resolves when the store is working on nothing. */
  async idle(): Promise<void> {
    await Promise.all(this.queues.map((queue) => queue.idle()));
  }
}

function readProtocol(frontend: FrontendKeys): BlkifLayout | Refusal {
  const protocol = frontend.text('protocol');
  if (protocol === undefined) return BLKIF_NATIVE;
  const layout = Object.hasOwn(BLKIF_PROTOCOLS, protocol) ? BLKIF_PROTOCOLS[protocol] : undefined;
  return layout ?? new Refusal(ENOSYS, `unknown fe protocol ${protocol.slice(0, 32)}`);
}

/** How many pages a ring has, and whether their nodes are numbered. */
interface RingPages {
  readonly count: number;
  readonly numbered: boolean;
}

function readRingPages(frontend: FrontendKeys, maxOrder: number): RingPages | Refusal {
  const text = frontend.text('ring-page-order');
  if (text !== undefined) {
    const order = frontend.number('ring-page-order', { max: maxOrder });
    return order instanceof Refusal ? order : { count: 1 << order, numbered: true };
  }
  // The name of before ring-page-order.
  const count = frontend.number('num-ring-pages', { fallback: 1, min: 1, max: 1 << maxOrder });
  if (count instanceof Refusal) return count;
  return (count & (count - 1)) === 0 ? { count, numbered: count > 1 } : new Refusal(EINVAL, `a ring of ${count} pages`);
}

function mapRing(device: BackendDevice, from: FrontendKeys, pages: RingPages, layout: BlkifLayout): BackRing | Refusal {
  const refs: number[] = [];
  for (let i = 0; i < pages.count; i++) {
    let ref = from.number(pages.numbered ? `ring-ref${i}` : 'ring-ref');
    // Some write an order of 0 and the old name.
    if (ref instanceof Refusal && pages.count === 1 && pages.numbered) ref = from.number('ring-ref');
    if (ref instanceof Refusal) return ref;
    refs.push(ref);
  }
  return BackRing.map(device, refs, layout.request.sizeof);
}

function startQueue(queue: BlockQueue, from: FrontendKeys): Refusal | undefined {
  const port = from.number('event-channel');
  if (port instanceof Refusal) return port;
  const result = queue.start(port);
  return result < 0 ? new Refusal(-result, `binding event-channel ${port}`) : undefined;
}
