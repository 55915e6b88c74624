// Writes a whole refcount structure anew: for a new image, and to repair one.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import type { ClusterCounts } from './cluster-counts.ts';
import { badImage } from './errors.ts';
import { MAX_REFCOUNT_TABLE_BYTES, setU64, viewOf } from './layout.ts';
import { maxRefcount, setRefcount } from './refcount-codec.ts';

export interface RefcountPlace {
  readonly tableOffset: number;
  readonly tableClusters: number;
}

/**
 * Writes table and blocks from the cluster `start` on, which is behind all that `counts` knows, and counts them too. The header
 * still points to the old ones.
 * @throws ImageError 'corrupt' when a count has no room in an entry, or the table would be too long
 */
export async function writeRefcounts(
  file: RandomAccessFile,
  format: { readonly clusterSize: number; readonly refcountOrder: number },
  counts: ClusterCounts,
  start: number,
): Promise<RefcountPlace> {
  const { clusterSize, refcountOrder: order } = format;
  const perBlock = (clusterSize * 8) / 2 ** order;
  const used: number[] = [];
  for (let block = 0; block * perBlock < counts.end; block++) if (counts.anyIn(block * perBlock, perBlock)) used.push(block);
  const plan = layOut(used, start, clusterSize, perBlock);
  if (plan.tableClusters * clusterSize > MAX_REFCOUNT_TABLE_BYTES)
    throw badImage(file.name, 'its clusters are too many to be counted');
  for (let cluster = start; cluster < plan.end; cluster++) counts.add(cluster, 1);
  const table = new Uint8Array(plan.tableClusters * clusterSize);
  let at = start + plan.tableClusters;
  for (const block of plan.blocks) {
    const bytes = new Uint8Array(clusterSize);
    const view = viewOf(bytes);
    for (let i = 0; i < perBlock; i++) {
      const count = counts.get(block * perBlock + i);
      if (count === 0) continue;
      if (count > maxRefcount(order)) throw badImage(file.name, `a cluster is used ${count} times, too often to be counted`);
      setRefcount(view, i, order, count);
    }
    await file.write(at * clusterSize, bytes);
    setU64(viewOf(table), block * 8, at * clusterSize);
    at++;
  }
  await file.write(start * clusterSize, table);
  return { tableOffset: start * clusterSize, tableClusters: plan.tableClusters };
}

/** Table first, then blocks; the blocks that count all this are among them. */
function layOut(
  used: readonly number[],
  start: number,
  clusterSize: number,
  perBlock: number,
): { readonly blocks: readonly number[]; readonly tableClusters: number; readonly end: number } {
  let tableClusters = 1;
  for (let own = 1; ; ) {
    const end = start + tableClusters + used.length + own;
    const blocks = new Set(used);
    for (let block = Math.floor(start / perBlock); block * perBlock < end; block++) blocks.add(block);
    const needs = Math.ceil(((Math.floor((end - 1) / perBlock) + 1) * 8) / clusterSize);
    if (blocks.size <= used.length + own && needs <= tableClusters)
      return { blocks: [...blocks].sort((a, b) => a - b), tableClusters, end: start + tableClusters + blocks.size };
    own = Math.max(own, blocks.size - used.length);
    tableClusters = Math.max(tableClusters, needs);
  }
}
