// Counts who uses which host cluster, from all tables of an image, and notes what cannot be right.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ClusterCounts } from './cluster-counts.ts';
import type { Qcow2Header } from './header.ts';
import { clusterKind, compressedExtent, hostOffset } from './l2-entry.ts';
import { AUTOCLEAR, COMPRESSED, getU64, RESERVED_HIGH, RESERVED_LOW, viewOf, ZERO } from './layout.ts';
import { readSnapshotTable } from './snapshots.ts';

export interface ReferenceCount {
  readonly counts: ClusterCounts;
  /** What cannot be right and cannot be repaired; the first of them in words. */
  errors: number;
  readonly problems: string[];
  /** Guest clusters of the disk, of them allocated, and of those compressed. */
  readonly totalClusters: number;
  allocatedClusters: number;
  compressedClusters: number;
}

/** L2 tables that were looked at, of how many. */
export type CheckProgress = (done: number, total: number) => void;

const MAX_PROBLEMS = 20;
const MAX_BITMAPS = 65535;

/** @throws ImageError when the snapshot table cannot be read */
export async function countReferences(
  file: RandomAccessFile,
  header: Qcow2Header,
  progress?: CheckProgress,
): Promise<ReferenceCount> {
  const result: ReferenceCount = {
    counts: new ClusterCounts(),
    errors: 0,
    problems: [],
    totalClusters: Math.ceil(header.size / header.clusterSize),
    allocatedClusters: 0,
    compressedClusters: 0,
  };
  const counter = new Counter(file, header, result);
  counter.range('the header', 0, header.clusterSize);
  await counter.l1('the active L1 table', header.l1Offset, header.l1Size, true, progress);
  if (header.snapshotCount > 0) {
    const table = await readSnapshotTable(file, header);
    counter.range('the snapshot table', header.snapshotsOffset, table.length);
    // Tables of their own fit into the file: a hostile one is not walked thousands of times.
    const l1Bytes = table.snapshots.reduce((sum, { l1Size }) => sum + l1Size * 8, 0);
    if (l1Bytes > file.size) counter.problem('the L1 tables of the snapshots lie upon each other');
    else
      for (const { id, l1Offset, l1Size } of table.snapshots)
        await counter.l1(`the L1 table of snapshot ${id}`, l1Offset, l1Size, false);
  }
  if (header.bitmaps !== undefined && (header.autoclear[0] & AUTOCLEAR.bitmaps) !== 0) await counter.bitmaps(header.bitmaps);
  return result;
}

class Counter {
  readonly #file: RandomAccessFile;
  readonly #header: Qcow2Header;
  readonly #result: ReferenceCount;

  constructor(file: RandomAccessFile, header: Qcow2Header, result: ReferenceCount) {
    this.#file = file;
    this.#header = header;
    this.#result = result;
  }

  /** Counts the clusters of a range `times` more; false when it is not in the file. */
  range(what: string, offset: number, bytes: number, times = 1): boolean {
    const { clusterSize } = this.#header;
    if (offset >= this.#file.size) {
      this.problem(`${what} should lie at offset ${offset}, behind the end of the file`);
      return false;
    }
    for (let cluster = Math.floor(offset / clusterSize); cluster * clusterSize < offset + bytes; cluster++)
      this.#result.counts.add(cluster, times);
    return true;
  }

  problem(text: string): void {
    this.#result.errors++;
    if (this.#result.problems.length < MAX_PROBLEMS) this.#result.problems.push(text);
  }

  async l1(what: string, offset: number, entries: number, active: boolean, progress?: CheckProgress): Promise<void> {
    const { clusterSize } = this.#header;
    if (entries === 0) return;
    const bytes = new Uint8Array(entries * 8);
    if (!this.range(what, offset, bytes.length)) return;
    await this.#file.read(offset, bytes);
    const view = viewOf(bytes);
    // Each table is looked at once, however many entries point to it.
    const tables = new Map<number, number>();
    for (let i = 0; i < entries; i++) {
      const [high, low] = [view.getUint32(i * 8), view.getUint32(i * 8 + 4)];
      if ((high & (COMPRESSED | RESERVED_HIGH)) !== 0 || (low & (RESERVED_LOW | ZERO)) !== 0)
        this.problem(`${what} has an entry with bits that mean nothing`);
      const table = hostOffset(high, low);
      if (table === 0) continue;
      if (table % clusterSize !== 0) this.problem(`${what} has an entry with offset ${table}, where no cluster begins`);
      else if (this.range('an L2 table', table, clusterSize, 1)) tables.set(table, (tables.get(table) ?? 0) + 1);
    }
    let done = 0;
    for (const [table, times] of tables) {
      await this.#l2(table, times, active);
      progress?.(++done, tables.size);
    }
  }

  async #l2(offset: number, times: number, active: boolean): Promise<void> {
    const { clusterSize, clusterBits, version } = this.#header;
    const bytes = new Uint8Array(clusterSize);
    await this.#file.read(offset, bytes);
    const view = viewOf(bytes);
    for (let at = 0; at < clusterSize; at += 8) {
      const high = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (high === 0 && low === 0) continue;
      const kind = clusterKind(high, low, version);
      if (kind === undefined) {
        this.problem(`the L2 table at offset ${offset} has an entry that means nothing`);
        continue;
      }
      if (kind === 'compressed') {
        const data = compressedExtent(high, low, clusterBits);
        this.range('a compressed cluster', data.offset, data.length, times);
        if (active) this.#result.compressedClusters += times;
      } else {
        const host = hostOffset(high, low);
        if (host % clusterSize !== 0)
          this.problem(`the L2 table at offset ${offset} has an entry with offset ${host}, where no cluster begins`);
        else if (host !== 0) this.range('a cluster', host, clusterSize, times);
        if (host === 0) continue;
      }
      if (active) this.#result.allocatedClusters += times;
    }
  }

  async bitmaps(extension: Uint8Array): Promise<void> {
    const { clusterSize } = this.#header;
    if (extension.length < 24) return this.problem('the bitmaps extension is too short');
    const view = viewOf(extension);
    const directory = getU64(view, 16);
    const length = getU64(view, 8);
    if (view.getUint32(0) > MAX_BITMAPS || length > 64 * 2 ** 20) return this.problem('the directory of bitmaps is too long');
    if (!this.range('the directory of bitmaps', directory, length)) return;
    const bytes = new Uint8Array(length);
    await this.#file.read(directory, bytes);
    const entries = viewOf(bytes);
    let at = 0;
    for (let i = 0; i < view.getUint32(0); i++) {
      if (at + 24 > bytes.length) return this.problem('the directory of bitmaps is too short');
      const table = getU64(entries, at);
      const size = entries.getUint32(at + 8) * 8;
      if (size > 64 * 2 ** 20) return this.problem('the table of a bitmap is too long');
      if (this.range('the table of a bitmap', table, size)) {
        const tableBytes = new Uint8Array(size);
        await this.#file.read(table, tableBytes);
        const tableView = viewOf(tableBytes);
        for (let entry = 0; entry < size; entry += 8) {
          const host = hostOffset(tableView.getUint32(entry), tableView.getUint32(entry + 4));
          if (host !== 0) this.range('the data of a bitmap', host, clusterSize);
        }
      }
      at += Math.ceil((24 + entries.getUint16(at + 18) + entries.getUint32(at + 20)) / 8) * 8;
    }
  }
}
