// Where guest clusters lie: the L1 table and the L2 tables.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ChangedBytes } from './changed-bytes.ts';
import { badReference } from './errors.ts';
import { l1EntriesFor, type Qcow2Header } from './header.ts';
import { type ClusterKind, clusterKind, hostOffset } from './l2-entry.ts';
import { COPIED, OFFSET_HIGH, OFFSET_LOW } from './layout.ts';
import { type CachedTable, TableCache } from './table-cache.ts';

/** Memory for L2 tables, in bytes: with clusters of 64 KiB, 8 MiB map 64 GiB of disk. */
const CACHE_BYTES = 8 * 2 ** 20;

/** Guest bytes in a row that lie in the same way. */
export interface Extent {
  readonly kind: ClusterKind;
  /** From the offset that was asked for, in bytes. */
  readonly length: number;
  /** Of kinds 'data' and 'zero': where the first byte lies in the file; 0 is nowhere. */
  readonly host: number;
  /** Nobody else uses the host clusters: they may be written in place. */
  readonly copied: boolean;
  /** The words of the first cluster's entry. */
  readonly high: number;
  readonly low: number;
}

/** Where the first entry of a change is, and what it was. */
export type EntryChange = (index: number, high: number, low: number) => readonly [high: number, low: number];

export class ClusterMap {
  readonly l1: ChangedBytes;
  readonly l2: TableCache;
  readonly clusterSize: number;
  readonly perL2: number;
  readonly #file: RandomAccessFile;
  readonly #version: 2 | 3;
  readonly #clusterBits: number;

  constructor(file: RandomAccessFile, header: Qcow2Header, l1: Uint8Array, l1Offset: number) {
    this.#file = file;
    this.#version = header.version;
    this.#clusterBits = header.clusterBits;
    this.clusterSize = header.clusterSize;
    this.perL2 = header.clusterSize / 8;
    this.l1 = new ChangedBytes(l1, l1Offset);
    this.l2 = new TableCache(file, header.clusterSize, CACHE_BYTES);
  }

  /** Guest bytes that one L2 table maps. */
  get l2Span(): number {
    return this.clusterSize * this.perL2;
  }

  get l1Entries(): number {
    return this.l1.bytes.length / 8;
  }

  l1EntriesFor(size: number): number {
    return l1EntriesFor(size, this.#clusterBits);
  }

  /** Where an L2 table lies, 0 when there is none. @throws ImageError 'corrupt' */
  l2Offset(l1Index: number): number {
    const { view } = this.l1;
    const offset = hostOffset(view.getUint32(l1Index * 8), view.getUint32(l1Index * 8 + 4));
    if (offset === 0) return 0;
    if (offset % this.clusterSize !== 0 || (offset >= this.#file.size && this.l2.peek(offset) === undefined))
      throw badReference(this.#file.name, `an L2 table should lie at offset ${offset}`);
    return offset;
  }

  /** Whether the table is there and nobody else uses it. */
  ownsL2(l1Index: number): boolean {
    return this.l2Offset(l1Index) !== 0 && (this.l1.view.getUint32(l1Index * 8) & COPIED) !== 0;
  }

  /** The active L1 table's entry points to a table of its own now. */
  setL2(l1Index: number, offset: number): void {
    const { view } = this.l1;
    view.setUint32(l1Index * 8, (Math.floor(offset / 2 ** 32) & OFFSET_HIGH) | COPIED);
    view.setUint32(l1Index * 8 + 4, offset & OFFSET_LOW);
    this.l1.mark(l1Index * 8, 8);
  }

  /** The entry points to nothing. */
  clearL2(l1Index: number): void {
    this.l1.bytes.fill(0, l1Index * 8, l1Index * 8 + 8);
    this.l1.mark(l1Index * 8, 8);
  }

  /** What lies at `offset`, up to `length` bytes of it. Only waits when the L2 table is not in memory. */
  extentAt(offset: number, length: number): Extent | Promise<Extent> {
    const l1Index = Math.floor(offset / this.l2Span);
    const at = this.l2Offset(l1Index);
    const within = Math.min(length, this.l2Span - (offset % this.l2Span));
    if (at === 0) return { kind: 'unallocated', length: within, host: 0, copied: false, high: 0, low: 0 };
    const table = this.l2.peek(at);
    if (table !== undefined) return this.#extentIn(table, offset, within);
    return this.l2.load(at).then((loaded) => this.#extentIn(loaded, offset, within));
  }

  /**
   * Changes `count` entries from a guest cluster on, all in one L2 table that is owned.
   * @param change answers what the entry is from now on; it must not wait
   */
  async changeEntries(guestCluster: number, count: number, change: EntryChange): Promise<void> {
    const first = guestCluster % this.perL2;
    await this.l2.modify(this.l2Offset(Math.floor(guestCluster / this.perL2)), (table) => {
      for (let i = 0; i < count; i++) {
        const at = (first + i) * 8;
        const [high, low] = change(i, table.view.getUint32(at), table.view.getUint32(at + 4));
        table.view.setUint32(at, high);
        table.view.setUint32(at + 4, low);
      }
      this.l2.markDirty(table, first * 8, count * 8);
    });
  }

  #extentIn(table: CachedTable, offset: number, length: number): Extent {
    const { clusterSize } = this;
    const start = offset % clusterSize;
    let at = (Math.floor(offset / clusterSize) % this.perL2) * 8;
    const high = table.view.getUint32(at);
    const low = table.view.getUint32(at + 4);
    const kind = this.#kind(high, low, offset);
    const copied = (high & COPIED) !== 0;
    const host = kind === 'data' || kind === 'zero' ? hostOffset(high, low) : 0;
    this.#checkHost(host, offset);
    let found = Math.min(clusterSize - start, length);
    while (found < length && kind !== 'compressed') {
      at += 8;
      const nextHigh = table.view.getUint32(at);
      const nextLow = table.view.getUint32(at + 4);
      if (this.#kind(nextHigh, nextLow, offset + found) !== kind || ((nextHigh & COPIED) !== 0) !== copied) break;
      if (kind !== 'unallocated') {
        const next = hostOffset(nextHigh, nextLow);
        if (next !== (host === 0 ? 0 : host + start + found)) break;
        this.#checkHost(next, offset + found);
      }
      found = Math.min(found + clusterSize, length);
    }
    return { kind, length: found, host: host === 0 ? 0 : host + start, copied, high, low };
  }

  #kind(high: number, low: number, guest: number): ClusterKind {
    const kind = clusterKind(high, low, this.#version);
    if (kind === undefined) throw badReference(this.#file.name, `the L2 entry of guest offset ${guest} is none`);
    return kind;
  }

  #checkHost(host: number, guest: number): void {
    if (host % this.clusterSize !== 0)
      throw badReference(this.#file.name, `the cluster of guest offset ${guest} should lie at offset ${host}`);
  }
}
