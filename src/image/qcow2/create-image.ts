// Writes a new, empty image.
import { BlockStoreError } from '../../io/block-store-error.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ClusterCounts } from './cluster-counts.ts';
import { featureNameTable } from './feature-names.ts';
import { l1EntriesFor } from './header.ts';
import {
  COMPATIBLE,
  EXTENSION,
  HEADER,
  MAGIC,
  MAX_BACKING_NAME,
  MAX_CLUSTER_BITS,
  MAX_L1_BYTES,
  MIN_CLUSTER_BITS,
  setU64,
  V2_HEADER_LENGTH,
  viewOf,
} from './layout.ts';
import { writeRefcounts } from './write-refcounts.ts';

export interface NewImage {
  /** The disk's size in bytes; a multiple of 512. */
  readonly size: number;
  readonly version?: 2 | 3;
  /** A power of two from 512 to 2 MiB; default 65536. */
  readonly clusterSize?: number;
  /** Bits of a reference count: a power of two up to 64; default 16, and only that in version 2. */
  readonly refcountBits?: number;
  readonly lazyRefcounts?: boolean;
  /** The backing file as the image names it: relative to the image's own place. */
  readonly backing?: { readonly name: string; readonly format: 'raw' | 'qcow2' };
}

/** QEMU writes it even where no field behind the version 3 header is set. */
const HEADER_LENGTH = 112;

/** @param file empty @throws BlockStoreError 'out-of-range' */
export async function createImage(file: RandomAccessFile, image: NewImage): Promise<void> {
  const wrong = (why: string, hint: string): BlockStoreError => new BlockStoreError('out-of-range', `${file.name}: ${why}`, hint);
  const { size, version = 3, clusterSize = 65536, refcountBits = 16 } = image;
  const clusterBits = Math.log2(clusterSize);
  if (!Number.isInteger(clusterBits) || clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS)
    throw wrong(`clusters cannot have ${clusterSize} bytes`, 'give a power of two from 512 to 2 MiB');
  const refcountOrder = Math.log2(refcountBits);
  if (!Number.isInteger(refcountOrder) || refcountOrder > 6 || (version === 2 && refcountOrder !== 4))
    throw wrong(`reference counts cannot have ${refcountBits} bits`, 'give 1, 2, 4, 8, 16, 32 or 64, and 16 in version 2');
  if (image.lazyRefcounts === true && version === 2) throw wrong('version 2 has no lazy reference counts', 'create version 3');
  if (!Number.isSafeInteger(size) || size < 0 || size % 512 !== 0)
    throw wrong(`a disk cannot have ${size} bytes`, 'give a multiple of 512');
  const l1Bytes = l1EntriesFor(size, clusterBits) * 8;
  if (l1Bytes > MAX_L1_BYTES) throw wrong(`a disk of ${size} bytes is too large`, 'give it larger clusters');

  const counts = new ClusterCounts();
  const l1Clusters = Math.max(1, Math.ceil(l1Bytes / clusterSize));
  for (let cluster = 0; cluster < 1 + l1Clusters; cluster++) counts.add(cluster, 1);
  const header = makeHeader(file.name, image, version, clusterSize, clusterBits, refcountOrder);
  const view = viewOf(header);
  // An image without an L1 table is none to some, so even an empty disk has one entry.
  view.setUint32(HEADER.l1Size, l1Bytes / 8);
  setU64(view, HEADER.l1Offset, clusterSize);
  await file.write(clusterSize, new Uint8Array(l1Clusters * clusterSize));
  const place = await writeRefcounts(file, { clusterSize, refcountOrder }, counts, 1 + l1Clusters);
  setU64(view, HEADER.refcountTableOffset, place.tableOffset);
  view.setUint32(HEADER.refcountTableClusters, place.tableClusters);
  // The header last: until it is there, the file is no image.
  await file.datasync();
  await file.write(0, header);
  await file.datasync();
}

function makeHeader(
  name: string,
  image: NewImage,
  version: 2 | 3,
  clusterSize: number,
  clusterBits: number,
  refcountOrder: number,
): Uint8Array {
  const bytes = new Uint8Array(clusterSize);
  const view = viewOf(bytes);
  view.setUint32(HEADER.magic, MAGIC);
  view.setUint32(HEADER.version, version);
  view.setUint32(HEADER.clusterBits, clusterBits);
  setU64(view, HEADER.size, image.size);
  if (version === 3) {
    view.setUint32(HEADER.compatible + 4, image.lazyRefcounts === true ? COMPATIBLE.lazyRefcounts : 0);
    view.setUint32(HEADER.refcountOrder, refcountOrder);
    view.setUint32(HEADER.headerLength, HEADER_LENGTH);
  }
  let at = version === 3 ? HEADER_LENGTH : V2_HEADER_LENGTH;
  const extension = (type: number, data: Uint8Array): void => {
    view.setUint32(at, type);
    view.setUint32(at + 4, data.length);
    bytes.set(data, at + 8);
    at += 8 + Math.ceil(data.length / 8) * 8;
  };
  const backing = image.backing === undefined ? undefined : new TextEncoder().encode(image.backing.name);
  if (image.backing !== undefined) extension(EXTENSION.backingFormat, new TextEncoder().encode(image.backing.format));
  const names = featureNameTable();
  // Names are a courtesy: small clusters have no room for them.
  if (version === 3 && at + 16 + names.length + MAX_BACKING_NAME <= clusterSize) extension(EXTENSION.featureNames, names);
  at += 8; // the end of the extensions: type and length 0
  if (backing === undefined) return bytes;
  if (backing.length > MAX_BACKING_NAME || at + backing.length > clusterSize) {
    throw new BlockStoreError(
      'out-of-range',
      `${name}: the name of its backing file has ${backing.length} bytes, too many for its header`,
      'give a shorter path',
    );
  }
  setU64(view, HEADER.backingOffset, at);
  view.setUint32(HEADER.backingLength, backing.length);
  bytes.set(backing, at);
  return bytes;
}
