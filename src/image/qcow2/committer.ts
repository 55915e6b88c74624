// Takes changed metadata to the file in an order that survives the end of the process, and of the host, at any point:
//
//   data (written before), refcount blocks | refcount table | L2 tables | L1 table | then what nobody points to is free
//
// with a barrier at each bar. So whatever the file points to is counted and written, and a cluster gets a new owner only when the
// file no longer says that it belongs to the old one. What an interruption leaves behind are clusters that are counted and not used.
import { BlockStoreError } from '../../io/block-store-error.ts';
import { Mutex } from '../../io/mutex.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import type { ChangedBytes } from './changed-bytes.ts';
import type { Refcounts } from './refcounts.ts';
import type { PendingWrite, TableCache } from './table-cache.ts';

interface Run {
  readonly cluster: number;
  count: number;
}

/** So many runs of clusters may wait to be freed before a commit is due. */
const MAX_PENDING_RUNS = 16384;

export class Committer {
  readonly #file: RandomAccessFile;
  readonly #refcounts: Refcounts;
  readonly #l1: ChangedBytes;
  readonly #l2: TableCache;
  /** Host clusters that lost a user which the file still shows. */
  #freed: Run[] = [];
  readonly #mutex = new Mutex();
  #queued: Promise<void> | undefined;
  #broken = false;
  readonly #onFree: (cluster: number) => void;

  /** @param onFree called for each cluster that nobody uses any more */
  constructor(file: RandomAccessFile, refcounts: Refcounts, l1: ChangedBytes, l2: TableCache, onFree: (cluster: number) => void) {
    this.#file = file;
    this.#refcounts = refcounts;
    this.#l1 = l1;
    this.#l2 = l2;
    this.#onFree = onFree;
  }

  /** Whether so much has changed that a commit is due, so that memory stays bounded. */
  get crowded(): boolean {
    return this.#l2.crowded || this.#refcounts.blocks.crowded || this.#freed.length > MAX_PENDING_RUNS;
  }

  get hasChanges(): boolean {
    return (
      this.#freed.length > 0 ||
      this.#l1.changed ||
      this.#l2.hasDirty ||
      this.#refcounts.table.changed ||
      this.#refcounts.blocks.hasDirty
    );
  }

  /** The clusters have one user less as soon as the file says so. */
  free(cluster: number, count: number): void {
    const last = this.#freed.at(-1);
    if (last !== undefined && last.cluster + last.count === cluster) last.count += count;
    else this.#freed.push({ cluster, count });
  }

  /** Everything that was changed or written before the call is durable when it resolves. */
  commit(): Promise<void> {
    // Whoever waits for the commit under way waits for one more, since that one may have begun before his changes; all share it.
    this.#queued ??= this.#mutex.run(() => {
      this.#queued = undefined;
      return this.#commit();
    });
    return this.#queued;
  }

  /**
   * Runs `work`, which puts the refcount table elsewhere, while no commit is under way; it may call `writeRefcountBlocks`. When it
   * fails, what is in memory fits the file no more: nothing is committed from then on.
   */
  replaceRefcountTable(work: () => Promise<void>): Promise<void> {
    return this.#mutex.run(async () => {
      try {
        await work();
      } catch (error) {
        this.#broken = true;
        throw error;
      }
    });
  }

  /** Nothing that has changed is written any more: the image contradicts itself. */
  stop(): void {
    this.#broken = true;
  }

  /** Takes changed refcount blocks to the file; durable after the caller's next barrier. */
  async writeRefcountBlocks(): Promise<void> {
    await this.#write(this.#refcounts.blocks, this.#refcounts.blocks.takeDirty(), async () => {});
  }

  async #commit(): Promise<void> {
    const file = this.#file;
    if (this.#broken) {
      throw new BlockStoreError(
        'io',
        `${file.name}: its tables could not be changed, so nothing is written any more`,
        'close it and run `dom1 image check`',
      );
    }
    // All copies are made at one moment, while nothing else runs: each change to L2 tables finds its counts among them.
    const blocks = this.#refcounts.blocks.takeDirty();
    const table = this.#refcounts.table.take();
    const l2 = this.#l2.takeDirty();
    const l1 = this.#l1.take();
    const freed = this.#freed;
    this.#freed = [];
    try {
      await this.#write(this.#refcounts.blocks, blocks, async () => {
        if (table !== undefined) {
          await file.datasync();
          await file.write(this.#refcounts.table.offset + table.at, table.bytes);
        }
        if (l2.length > 0 || l1 !== undefined) await file.datasync();
      });
      await this.#write(this.#l2, l2, async () => {
        if (l1 !== undefined) {
          if (l2.length > 0) await file.datasync();
          await file.write(this.#l1.offset + l1.at, l1.bytes);
        }
        await file.datasync();
      });
    } catch (error) {
      if (table !== undefined) this.#refcounts.table.mark(table.at, table.bytes.length);
      if (l1 !== undefined) this.#l1.mark(l1.at, l1.bytes.length);
      this.#freed.unshift(...freed);
      throw error;
    }
    for (const { cluster, count } of freed) {
      for (let i = 0; i < count; i++) if ((await this.#refcounts.add(cluster + i, -1)) === 0) this.#onFree(cluster + i);
    }
  }

  async #write(cache: TableCache, writes: readonly PendingWrite[], rest: () => Promise<void>): Promise<void> {
    let written = false;
    try {
      for (const { offset, bytes } of writes) await this.#file.write(offset, bytes);
      await rest();
      written = true;
    } finally {
      cache.settle(writes, written);
    }
  }
}
