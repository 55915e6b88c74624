// Who uses a host cluster: the refcount table and its blocks. Counts are changed in memory; a commit takes them to the file.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ChangedBytes } from './changed-bytes.ts';
import { badReference } from './errors.ts';
import type { Qcow2Header } from './header.ts';
import { getU64, setU64 } from './layout.ts';
import { getRefcount, maxRefcount, refcountByte, refcountBytes, setRefcount } from './refcount-codec.ts';
import { type CachedTable, TableCache } from './table-cache.ts';

/** Memory for refcount blocks, in bytes; a block counts for 2 GiB of an image with clusters of 64 KiB. */
const CACHE_BYTES = 4 * 2 ** 20;

export class Refcounts {
  readonly order: number;
  readonly clusterSize: number;
  /** Clusters that one block counts. */
  readonly perBlock: number;
  readonly table: ChangedBytes;
  readonly blocks: TableCache;
  readonly #file: RandomAccessFile;

  private constructor(file: RandomAccessFile, header: Qcow2Header, table: Uint8Array) {
    this.#file = file;
    this.order = header.refcountOrder;
    this.clusterSize = header.clusterSize;
    this.perBlock = (header.clusterSize * 8) / 2 ** header.refcountOrder;
    this.table = new ChangedBytes(table, header.refcountTableOffset);
    this.blocks = new TableCache(file, header.clusterSize, CACHE_BYTES);
  }

  static async open(file: RandomAccessFile, header: Qcow2Header): Promise<Refcounts> {
    const table = new Uint8Array(header.refcountTableClusters * header.clusterSize);
    await file.read(header.refcountTableOffset, table);
    return new Refcounts(file, header, table);
  }

  /** How many blocks the table has room for. */
  get capacity(): number {
    return this.table.bytes.length / 8;
  }

  /** Where the block lies; 0 when there is none. @throws ImageError 'corrupt' */
  blockOffset(block: number): number {
    if (block >= this.capacity) return 0;
    const offset = getU64(this.table.view, block * 8);
    if (offset === 0) return 0;
    if (offset % this.clusterSize !== 0 || offset >= this.#file.size)
      if (offset % this.clusterSize !== 0 || this.blocks.peek(offset) === undefined)
        // A block that was just made lies behind the end of the file until it is committed.
        throw badReference(this.#file.name, `a refcount block should lie at offset ${offset}`);
    return offset;
  }

  /** Puts a new block, all zeroes, at a host cluster; its own count is the caller's business. */
  addBlock(block: number, cluster: number): void {
    const offset = cluster * this.clusterSize;
    this.blocks.install(offset, new Uint8Array(this.clusterSize));
    setU64(this.table.view, block * 8, offset);
    this.table.mark(block * 8, 8);
  }

  async get(cluster: number): Promise<number> {
    const offset = this.blockOffset(Math.floor(cluster / this.perBlock));
    if (offset === 0) return 0;
    return this.blocks.modify(offset, (table) => this.inBlock(table, cluster % this.perBlock));
  }

  inBlock(table: CachedTable, index: number): number {
    return getRefcount(table.view, index, this.order);
  }

  setInBlock(table: CachedTable, index: number, value: number): void {
    setRefcount(table.view, index, this.order, value);
    this.blocks.markDirty(table, refcountByte(index, this.order), refcountBytes(this.order));
  }

  /** Adds `by` to a count; its block must be there. Answers the new count. @throws ImageError 'corrupt' */
  async add(cluster: number, by: 1 | -1): Promise<number> {
    const offset = this.blockOffset(Math.floor(cluster / this.perBlock));
    if (offset === 0) throw badReference(this.#file.name, `the cluster at offset ${cluster * this.clusterSize} is not counted`);
    return this.blocks.modify(offset, (table) => {
      const count = this.inBlock(table, cluster % this.perBlock) + by;
      if (count < 0 || count > maxRefcount(this.order))
        throw badReference(this.#file.name, `the cluster at offset ${cluster * this.clusterSize} is counted wrongly`);
      this.setInBlock(table, cluster % this.perBlock, count);
      return count;
    });
  }
}
