// Finds host clusters that nobody uses. One at a time: callers hold the allocation mutex.
import { BlockStoreError } from '../../io/block-store-error.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import type { Committer } from './committer.ts';
import { badReference } from './errors.ts';
import { HEADER, MAX_REFCOUNT_TABLE_BYTES, setU64, viewOf } from './layout.ts';
import type { Refcounts } from './refcounts.ts';

export interface Allocation {
  /** The first host cluster. */
  readonly cluster: number;
  readonly count: number;
  /** The file never had anything there: it reads as zeroes. */
  readonly virgin: boolean;
}

export class Allocator {
  readonly #file: RandomAccessFile;
  readonly #refcounts: Refcounts;
  readonly #committer: Committer;
  readonly #metadata: Set<number>;
  /** Nothing below it is free. */
  #cursor = 0;
  /** Nothing from here on was ever used. */
  #highWater: number;
  #growing = false;

  /** @param metadata host clusters with tables, whatever their counts say */
  constructor(file: RandomAccessFile, refcounts: Refcounts, committer: Committer, metadata: Set<number>) {
    this.#file = file;
    this.#refcounts = refcounts;
    this.#committer = committer;
    this.#metadata = metadata;
    this.#highWater = Math.ceil(file.size / refcounts.clusterSize);
  }

  /** Someone freed the cluster. */
  freed(cluster: number): void {
    this.#cursor = Math.min(this.#cursor, cluster);
  }

  /** Up to `atMost` clusters in a row, counted once. @throws ImageError 'corrupt', BlockStoreError 'no-space' */
  async allocate(atMost: number): Promise<Allocation> {
    const { perBlock, blocks } = this.#refcounts;
    for (;;) {
      const block = Math.floor(this.#cursor / perBlock);
      if (block >= this.#refcounts.capacity) await this.#growTable(block + 1);
      if (this.#refcounts.blockOffset(block) === 0) {
        // Nothing in the block's range is in use, so the block itself is first there.
        await this.#addBlock(block, block * perBlock);
      }
      const found = await blocks.modify(this.#refcounts.blockOffset(block), (table): Allocation | undefined => {
        let index = this.#cursor % perBlock;
        while (index < perBlock && this.#refcounts.inBlock(table, index) !== 0) index++;
        this.#cursor = block * perBlock + index;
        if (index === perBlock) return undefined;
        const cluster = this.#cursor;
        const virgin = cluster >= this.#highWater;
        let count = 0;
        while (count < atMost && index < perBlock && this.#refcounts.inBlock(table, index) === 0) {
          // All new or all used: the caller clears what is used.
          if (!virgin && cluster + count >= this.#highWater) break;
          this.#check(cluster + count);
          this.#refcounts.setInBlock(table, index, 1);
          count++;
          index++;
        }
        this.#cursor = cluster + count;
        this.#highWater = Math.max(this.#highWater, this.#cursor);
        return { cluster, count, virgin };
      });
      if (found !== undefined) return found;
    }
  }

  /** `count` clusters in a row, behind everything else. */
  async allocateContiguous(count: number): Promise<number> {
    const { perBlock } = this.#refcounts;
    for (let start = this.#highWater; ; ) {
      const { missing, end } = this.#plan(start, count);
      const blocksNeeded = Math.ceil(end / perBlock);
      if (blocksNeeded > this.#refcounts.capacity) {
        await this.#growTable(blocksNeeded);
        start = this.#highWater;
        continue;
      }
      const used = await this.#lastUsed(start, end);
      if (used !== undefined) {
        start = used + 1;
        continue;
      }
      // First all blocks, since each may count the others.
      for (let i = 0; i < missing.length; i++) this.#install(missing[i] as number, start + count + i);
      for (let cluster = start; cluster < end; cluster++) await this.#refcounts.add(cluster, 1);
      this.#highWater = end;
      return start;
    }
  }

  /** Gives clusters back that nothing in the file ever pointed to. */
  async release({ cluster, count }: Pick<Allocation, 'cluster' | 'count'>): Promise<void> {
    for (let i = 0; i < count; i++) await this.#refcounts.add(cluster + i, -1);
    this.freed(cluster);
  }

  /** Which blocks must be made for clusters from `start` on, if they come right behind them. */
  #plan(start: number, count: number): { readonly missing: readonly number[]; readonly end: number } {
    const { perBlock, capacity } = this.#refcounts;
    for (let extra = 0; ; ) {
      const end = start + count + extra;
      const missing: number[] = [];
      for (let block = Math.floor(start / perBlock); block * perBlock < end; block++)
        if (block >= capacity || this.#refcounts.blockOffset(block) === 0) missing.push(block);
      if (missing.length <= extra) return { missing, end: start + count + missing.length };
      extra = missing.length;
    }
  }

  async #lastUsed(start: number, end: number): Promise<number | undefined> {
    for (let cluster = end - 1; cluster >= start; cluster--) if ((await this.#refcounts.get(cluster)) !== 0) return cluster;
    return undefined;
  }

  async #addBlock(block: number, cluster: number): Promise<void> {
    this.#install(block, cluster);
    await this.#refcounts.add(cluster, 1);
    this.#highWater = Math.max(this.#highWater, cluster + 1);
  }

  #install(block: number, cluster: number): void {
    this.#check(cluster);
    this.#refcounts.addBlock(block, cluster);
    this.#metadata.add(cluster);
  }

  #check(cluster: number): void {
    if (!this.#metadata.has(cluster)) return;
    throw badReference(
      this.#file.name,
      `the cluster at offset ${cluster * this.#refcounts.clusterSize} counts as free, and holds a table`,
    );
  }

  /**
   * Makes room in the refcount table for `blocks` blocks: a larger one is written elsewhere with what counts it, then the header
   * points to it, then the old one is free.
   */
  async #growTable(blocks: number): Promise<void> {
    const { clusterSize, table } = this.#refcounts;
    const oldOffset = table.offset;
    const oldLength = table.bytes.length;
    const bytes = this.#tableBytesFor(Math.max(blocks, Math.ceil((oldLength / 8) * 1.5)));
    if (bytes > MAX_REFCOUNT_TABLE_BYTES) {
      throw new BlockStoreError(
        'no-space',
        `${this.#file.name} cannot grow further: its refcount table is full`,
        'convert it to an image with larger clusters',
      );
    }
    // Its plan leaves room enough, unless counts lie where nothing is.
    if (this.#growing) throw badReference(this.#file.name, 'clusters behind its end are counted');
    this.#growing = true;
    await this.#committer.replaceRefcountTable(async () => {
      const larger = new Uint8Array(bytes);
      larger.set(table.bytes);
      table.replace(larger, oldOffset);
      const start = await this.allocateContiguous(bytes / clusterSize);
      await this.#committer.writeRefcountBlocks();
      await this.#file.write(start * clusterSize, table.bytes);
      await this.#file.datasync();
      const location = new Uint8Array(12);
      const view = viewOf(location);
      setU64(view, 0, start * clusterSize);
      view.setUint32(8, bytes / clusterSize);
      await this.#file.write(HEADER.refcountTableOffset, location);
      await this.#file.datasync();
      table.replace(table.bytes, start * clusterSize);
      for (let i = 0; i < bytes / clusterSize; i++) this.#metadata.add(start + i);
      for (let i = 0; i < oldLength / clusterSize; i++) this.#metadata.delete(oldOffset / clusterSize + i);
    });
    this.#growing = false;
    this.#committer.free(oldOffset / clusterSize, oldLength / clusterSize);
  }

  /** Bytes of a table for so many blocks and those that count the table itself. */
  #tableBytesFor(blocks: number): number {
    const { clusterSize, perBlock } = this.#refcounts;
    for (let bytes = Math.ceil((blocks * 8) / clusterSize) * clusterSize; ; bytes += clusterSize) {
      const clusters = bytes / clusterSize;
      // Behind the highest cluster, the table, and as many blocks as count the table and themselves.
      const end = Math.max(this.#highWater, this.#cursor) + clusters + Math.ceil(clusters / (perBlock - 1)) + 2;
      if (Math.ceil(end / perBlock) + 1 <= bytes / 8 || bytes > MAX_REFCOUNT_TABLE_BYTES) return bytes;
    }
  }
}
