// The driver of one disk: what it offers, and what its owner may do with it while the guest runs.
import { BLKIF_SECTOR, VDISK } from '../../abi/xen/blkif.ts';
import type { BlockStore } from '../../io/block-store.ts';
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import type { BackendConnection, BackendDriver, StoreKeys } from '../xenbus/backend-driver.ts';
import type { Refusal } from '../xenbus/refusal.ts';
import { BlockConnection, type ConnectionLimits } from './block-connection.ts';
import { MAX_INDIRECT_SEGMENTS } from './block-request.ts';
import { Disk, type DiskCounters } from './disk.ts';

export interface BlockBackendOptions {
  /** Undefined: a CD drive without a disc. The backend does not close it. */
  readonly store?: BlockStore | undefined;
  /** Default false. A store that is read-only makes the disk so. */
  readonly readOnly?: boolean;
  readonly cdrom?: boolean;
  readonly removable?: boolean;
  /** Whether the guest may discard, if the store can. Default true. */
  readonly discard?: boolean;
  /** Default 4. */
  readonly maxQueues?: number;
  /** Default 4: rings of up to 16 pages. */
  readonly maxRingOrder?: number;
  /**
   * Whether the guest may keep its pages mapped; it then copies what it reads and writes. Default false: to map a page costs us
   * less than the copy costs the guest.
   */
  readonly persistentGrants?: boolean;
}

/** Smaller discards are of no use to a file. */
const DISCARD_GRANULARITY = 4096;

export class BlockBackend implements BackendDriver {
  readonly type = 'vbd';
  readonly frontendType = 'vbd';
  readonly #options: BlockBackendOptions;
  readonly #limits: ConnectionLimits;
  readonly #disk: Disk;
  #device: BackendDevice | undefined;
  #connection: BlockConnection | undefined;
  #resize: Disposable | undefined;
  #disposed = false;

  constructor(options: BlockBackendOptions) {
    const { store, readOnly = false, cdrom = false, discard = true } = options;
    this.#options = options;
    this.#limits = {
      maxQueues: options.maxQueues ?? 4,
      maxRingOrder: options.maxRingOrder ?? 4,
      persistentGrants: options.persistentGrants ?? false,
    };
    this.#disk = new Disk(store, readOnly || cdrom, discard);
    this.#watchSize();
  }

  get counters(): Readonly<DiskCounters> {
    return this.#disk.counters;
  }

  /** The connected frontend, for inspection. */
  get connection(): BlockConnection | undefined {
    return this.#connection;
  }

  offer(device: BackendDevice): StoreKeys {
    this.#device = device;
    const disk = this.#disk;
    return {
      'feature-max-indirect-segments': MAX_INDIRECT_SEGMENTS,
      'multi-queue-max-queues': this.#limits.maxQueues,
      'max-ring-page-order': this.#limits.maxRingOrder,
      'max-ring-pages': 1 << this.#limits.maxRingOrder,
      'feature-persistent': this.#limits.persistentGrants ? 1 : 0,
      'feature-flush-cache': 1,
      'feature-barrier': 1,
      ...(disk.discards ? { 'discard-granularity': DISCARD_GRANULARITY, 'discard-alignment': 0, 'discard-secure': 0 } : {}),
      'feature-discard': disk.discards ? 1 : 0,
      ...this.#geometry(),
    };
  }

  async connect(device: BackendDevice): Promise<BackendConnection | Refusal> {
    const connection = await BlockConnection.connect(device, this.#disk, this.#limits, this.#geometry());
    if (!(connection instanceof BlockConnection)) return connection;
    this.#connection = connection;
    return {
      keys: connection.keys,
      close: async () => {
        await connection.close();
        this.#connection = undefined;
      },
    };
  }

  /**
   * Puts another disc into the drive, or none. Resolves when the store that was there is not used any more; requests that come
   * meanwhile fail. Returns that store, for its owner to close.
   */
  async changeMedium(store: BlockStore | undefined, params = ''): Promise<BlockStore | undefined> {
    const before = this.#disk.store;
    this.#disk.store = undefined;
    this.#resize?.[Symbol.dispose]();
    await this.#connection?.idle();
    this.#disk.store = store;
    this.#watchSize();
    this.#device?.announce({ params, ...this.#geometry() });
    return before;
  }

  inspect(): InspectTree {
    const disk = this.#disk;
    return {
      size_bytes: disk.sizeBytes,
      sector_size: disk.sectorSize,
      writable: disk.writable,
      counters: { ...disk.counters },
      queues: Object.fromEntries((this.#connection?.queues ?? []).map((queue, i) => [String(i), queue.inspect()])),
    };
  }

  /** Stops listening to the store. The device is detached. */
  dispose(): void {
    this.#disposed = true;
    this.#resize?.[Symbol.dispose]();
  }

  #watchSize(): void {
    // A medium may come after another that came meanwhile, or to a device that is gone.
    this.#resize?.[Symbol.dispose]();
    if (this.#disposed) return;
    this.#resize = this.#disk.store?.onResize?.(() => this.#device?.announce(this.#geometry()));
  }

  /** `sectors` is of 512 bytes, whatever `sector-size` says: blkif.h as of Xen 4.20. */
  #geometry(): StoreKeys {
    const { cdrom = false, removable = false } = this.#options;
    const disk = this.#disk;
    return {
      sectors: disk.sizeBytes / BLKIF_SECTOR,
      info: (cdrom ? VDISK.CDROM : 0) | (removable ? VDISK.REMOVABLE : 0) | (disk.writable ? 0 : VDISK.READONLY),
      'sector-size': disk.sectorSize,
      'physical-sector-size': disk.sectorSize,
    };
  }
}
