// An L2 entry: what one guest cluster is. Entries are two 32-bit words, since their flags do not fit a Number's 53 bits.
import { COMPRESSED, COPIED, OFFSET_HIGH, OFFSET_LOW, RESERVED_HIGH, RESERVED_LOW, TWO32, ZERO } from './layout.ts';

export type ClusterKind = 'unallocated' | 'zero' | 'data' | 'compressed';

/** The kind of a cluster; undefined when the entry cannot be right. @param version only in 3 there are zero clusters */
export function clusterKind(high: number, low: number, version: 2 | 3): ClusterKind | undefined {
  if ((high & COMPRESSED) !== 0) return (high & COPIED) === 0 ? 'compressed' : undefined;
  if ((high & RESERVED_HIGH) !== 0 || (low & RESERVED_LOW) !== 0) return undefined;
  if ((low & ZERO) !== 0) return version === 3 ? 'zero' : undefined;
  return (high & OFFSET_HIGH) === 0 && (low & OFFSET_LOW) === 0 ? 'unallocated' : 'data';
}

/** Where the cluster's data lie: for kinds 'data' and 'zero', 0 is nowhere. */
export const hostOffset = (high: number, low: number): number => (high & OFFSET_HIGH) * TWO32 + ((low & OFFSET_LOW) >>> 0);

/** Where the data of a compressed cluster lie: they end somewhere in the last sector. */
export function compressedExtent(
  high: number,
  low: number,
  clusterBits: number,
): { readonly offset: number; readonly length: number } {
  const shift = 62 - (clusterBits - 8) - 32;
  const offset = (high & (2 ** shift - 1)) * TWO32 + low;
  const sectors = ((high & 0x3fff_ffff) >>> shift) + 1;
  return { offset, length: sectors * 512 - (offset % 512) };
}
