// Which host clusters hold tables. A guest's data must never be written there, whatever entries and counts of a damaged or hostile
// image say.

import type { ClusterMap } from './cluster-map.ts';
import { badReference } from './errors.ts';
import type { Qcow2Header } from './header.ts';
import { hostOffset } from './l2-entry.ts';
import type { Refcounts } from './refcounts.ts';

/** @throws ImageError 'corrupt' when two tables share a place */
export function metadataClusters(name: string, header: Qcow2Header, map: ClusterMap, refcounts: Refcounts): Set<number> {
  const { clusterSize } = header;
  const clusters = new Set<number>();
  const add = (what: string, offset: number, bytes: number): void => {
    for (let cluster = offset / clusterSize; cluster * clusterSize < offset + bytes; cluster++) {
      if (clusters.has(cluster))
        throw badReference(name, `its ${what} at offset ${cluster * clusterSize} lies upon another table`);
      clusters.add(cluster);
    }
  };
  add('header', 0, clusterSize);
  add('refcount table', refcounts.table.offset, refcounts.table.bytes.length);
  add('L1 table', map.l1.offset, map.l1.bytes.length);
  if (header.snapshotCount > 0) add('snapshot table', header.snapshotsOffset, clusterSize);
  for (let block = 0; block < refcounts.capacity; block++) {
    const offset = refcounts.blockOffset(block);
    if (offset !== 0) add('refcount block', offset, clusterSize);
  }
  for (let i = 0; i < map.l1Entries; i++) {
    // Entries that cannot be right are found when they are used.
    const offset = hostOffset(map.l1.view.getUint32(i * 8), map.l1.view.getUint32(i * 8 + 4));
    if (offset !== 0 && offset % clusterSize === 0) add('L2 table', offset, clusterSize);
  }
  return clusters;
}
