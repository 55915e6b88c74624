// Checks an image, and repairs what can be repaired without guessing: reference counts, and the flags that follow from them.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ImageError } from '../image-error.ts';
import type { ClusterCounts } from './cluster-counts.ts';
import { type CheckProgress, countReferences } from './count-references.ts';
import { badImage } from './errors.ts';
import { type Qcow2Header, readHeader } from './header.ts';
import { clusterKind, hostOffset } from './l2-entry.ts';
import { COPIED, HEADER, INCOMPATIBLE, setU64, viewOf } from './layout.ts';
import { Refcounts } from './refcounts.ts';
import { writeRefcounts } from './write-refcounts.ts';

export interface ImageCheck {
  /** What is wrong and can lose data: counts that are too low, flags that do not fit, references that lead nowhere. */
  readonly errors: number;
  /** Clusters that are counted and not used: they only take room. */
  readonly leaks: number;
  /** Errors that no repair can mend. */
  readonly errorsLeft: number;
  /** The first errors in words. */
  readonly problems: readonly string[];
  /** Guest clusters of the disk, of them allocated, and of those compressed. */
  readonly totalClusters: number;
  readonly allocatedClusters: number;
  readonly compressedClusters: number;
  /** Where the used part of the file ends, in bytes. */
  readonly endOffset: number;
}

/** A file with more clusters than this is not checked: counting them would take gibibytes. */
const MAX_CLUSTERS = 2 ** 27;

/** @throws ImageError when the header or the refcount table cannot be read */
export async function checkImage(file: RandomAccessFile, progress?: CheckProgress): Promise<ImageCheck> {
  return (await look(file, await readHeader(file), progress)).check;
}

/**
 * Makes counts and flags right, and clears the marks "dirty" and "corrupt" if nothing is wrong then. It may be interrupted at any
 * point: the new counts come into force with one write.
 * @returns what was found; `errorsLeft` of it is left
 * @throws ImageError
 */
export async function repairImage(file: RandomAccessFile, progress?: CheckProgress): Promise<ImageCheck> {
  const header = await readHeader(file);
  const { check, counts, copiedWrong } = await look(file, header, progress);
  let counted = { counts, copiedWrong };
  if (check.errors - check.errorsLeft - copiedWrong > 0 || check.leaks > 0) {
    await rebuild(file, header, counts);
    // The old counts' own clusters are in use no more, and flags may follow from that.
    counted = await look(file, await readHeader(file));
  }
  if (counted.copiedWrong > 0) await fixFlags(file, header, counted.counts);
  if (header.version === 3 && check.errorsLeft === 0 && (header.dirty || header.corrupt)) await clearMarks(file);
  return check;
}

interface Look {
  readonly check: ImageCheck;
  readonly counts: ClusterCounts;
  readonly copiedWrong: number;
}

async function look(file: RandomAccessFile, header: Qcow2Header, progress?: CheckProgress): Promise<Look> {
  if (file.size / header.clusterSize > MAX_CLUSTERS)
    throw new ImageError('too-large', `${file.name} has too many clusters to be checked`, 'check it with `qemu-img check`');
  const found = await countReferences(file, header, progress);
  const { counts, problems } = found;
  // Counts and flags follow from references; wrong references follow from nothing.
  const errorsLeft = found.errors;
  const refcounts = await Refcounts.open(file, header);
  const metadata = await countRefcounts(file, header, refcounts, found);
  const note = (text: string): void => {
    if (problems.length < 20) problems.push(text);
  };
  let { errors } = found;
  let leaks = 0;
  for (let block = 0; block < refcounts.capacity; block++) {
    const offset = metadata.get(block);
    const first = block * refcounts.perBlock;
    if (offset === undefined) {
      // What is used here is counted nowhere.
      if (first >= counts.end || !counts.anyIn(first, refcounts.perBlock)) continue;
    }
    const table = offset === undefined ? undefined : await refcounts.blocks.load(offset);
    for (let i = 0; i < refcounts.perBlock; i++) {
      const has = table === undefined ? 0 : refcounts.inBlock(table, i);
      const needs = counts.get(first + i);
      if (has === needs) continue;
      if (has > needs) leaks++;
      else {
        errors++;
        note(`the cluster at offset ${(first + i) * header.clusterSize} is used ${needs} times and counted ${has} times`);
      }
    }
  }
  if (counts.end > refcounts.capacity * refcounts.perBlock) {
    errors++;
    note('the refcount table does not reach to the end of the file');
  }
  const copiedWrong = await walkFlags(file, header, counts, async () => {});
  if (copiedWrong > 0) note(`${copiedWrong} entries say wrongly whether others use their clusters`);
  return {
    counts,
    copiedWrong,
    check: {
      errors: errors + copiedWrong,
      leaks,
      errorsLeft,
      problems,
      totalClusters: found.totalClusters,
      allocatedClusters: found.allocatedClusters,
      compressedClusters: found.compressedClusters,
      endOffset: counts.end * header.clusterSize,
    },
  };
}

/** Counts the refcount table and its blocks; answers where the blocks lie that can be read. */
async function countRefcounts(
  file: RandomAccessFile,
  header: Qcow2Header,
  refcounts: Refcounts,
  found: Awaited<ReturnType<typeof countReferences>>,
): Promise<Map<number, number>> {
  const { counts, problems } = found;
  const { clusterSize } = header;
  for (let i = 0; i < header.refcountTableClusters; i++) counts.add(header.refcountTableOffset / clusterSize + i, 1);
  const blocks = new Map<number, number>();
  const seen = new Set<number>();
  for (let block = 0; block < refcounts.capacity; block++) {
    const high = refcounts.table.view.getUint32(block * 8);
    const offset = high * 2 ** 32 + refcounts.table.view.getUint32(block * 8 + 4);
    if (offset === 0) continue;
    if (offset % clusterSize !== 0 || offset >= file.size || seen.has(offset)) {
      // A rebuild leaves it behind; until then what it should count is counted nowhere.
      found.errors++;
      if (problems.length < 20) problems.push(`a refcount block should lie at offset ${offset}`);
      continue;
    }
    seen.add(offset);
    counts.add(offset / clusterSize, 1);
    blocks.set(block, offset);
  }
  return blocks;
}

/** Writes all counts anew behind everything that is in use, then makes the header point to them. */
async function rebuild(file: RandomAccessFile, header: Qcow2Header, counts: ClusterCounts): Promise<void> {
  const fresh = await countReferences(file, header);
  const start = Math.max(fresh.counts.end, counts.end);
  const place = await writeRefcounts(file, header, fresh.counts, start);
  await file.datasync();
  const location = new Uint8Array(12);
  setU64(viewOf(location), 0, place.tableOffset);
  viewOf(location).setUint32(8, place.tableClusters);
  await file.write(HEADER.refcountTableOffset, location);
  await file.datasync();
}

/** "Nobody else uses it" must stand exactly where the count is one. Calls `wrong` for each entry that is not so. */
async function walkFlags(
  file: RandomAccessFile,
  header: Qcow2Header,
  counts: ClusterCounts,
  wrong: (offset: number, high: number) => Promise<void>,
): Promise<number> {
  const { clusterSize, version } = header;
  let found = 0;
  const checkFlag = async (at: number, high: number, host: number): Promise<void> => {
    const expected = counts.get(host / clusterSize) === 1 ? COPIED : 0;
    if ((high & COPIED) >>> 0 === expected) return;
    found++;
    await wrong(at, ((high & ~COPIED) | expected) >>> 0);
  };
  const l1 = new Uint8Array(header.l1Size * 8);
  await file.read(header.l1Offset, l1);
  const l1View = viewOf(l1);
  const l2 = new Uint8Array(clusterSize);
  const seen = new Set<number>();
  for (let i = 0; i < header.l1Size; i++) {
    const high = l1View.getUint32(i * 8);
    const table = hostOffset(high, l1View.getUint32(i * 8 + 4));
    if (table === 0 || table % clusterSize !== 0 || table >= file.size) continue;
    await checkFlag(header.l1Offset + i * 8, high, table);
    if (seen.has(table)) continue;
    seen.add(table);
    await file.read(table, l2);
    const view = viewOf(l2);
    for (let at = 0; at < clusterSize; at += 8) {
      const entry = view.getUint32(at);
      const low = view.getUint32(at + 4);
      if (entry === 0 && low === 0) continue;
      const kind = clusterKind(entry, low, version);
      if (kind !== 'data' && kind !== 'zero') continue;
      const host = hostOffset(entry, low);
      if (host !== 0 && host % clusterSize === 0) await checkFlag(table + at, entry, host);
    }
  }
  return found;
}

async function fixFlags(file: RandomAccessFile, header: Qcow2Header, counts: ClusterCounts): Promise<void> {
  await walkFlags(file, header, counts, async (at, high) => {
    const word = new Uint8Array(4);
    viewOf(word).setUint32(0, high);
    await file.write(at, word);
  });
  await file.datasync();
}

async function clearMarks(file: RandomAccessFile): Promise<void> {
  const bits = new Uint8Array(8);
  await file.read(HEADER.incompatible, bits);
  const view = viewOf(bits);
  if (view.getUint32(0) !== 0) throw badImage(file.name, 'its features changed meanwhile');
  view.setUint32(4, view.getUint32(4) & ~(INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt));
  await file.write(HEADER.incompatible, bits);
  await file.datasync();
}
