// The header of a qcow2 image and what stands behind it: extensions, and the name of the backing file. Whatever could make a
// reader go astray is refused here.
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ImageError } from '../image-error.ts';
import { badImage, refused } from './errors.ts';
import { unknownFeatureNames } from './feature-names.ts';
import {
  COMPATIBLE,
  COMPRESSION,
  type CompressionType,
  EXTENSION,
  getU64,
  HEADER,
  INCOMPATIBLE,
  MAGIC,
  MAX_BACKING_NAME,
  MAX_CLUSTER_BITS,
  MAX_L1_BYTES,
  MAX_REFCOUNT_TABLE_BYTES,
  MAX_SNAPSHOTS,
  MIN_CLUSTER_BITS,
  V2_HEADER_LENGTH,
  V3_HEADER_LENGTH,
  viewOf,
} from './layout.ts';

export interface Qcow2Header {
  readonly version: 2 | 3;
  /** The virtual disk's size in bytes, as written. */
  readonly size: number;
  readonly clusterBits: number;
  readonly clusterSize: number;
  readonly l1Size: number;
  readonly l1Offset: number;
  readonly refcountTableOffset: number;
  readonly refcountTableClusters: number;
  readonly refcountOrder: number;
  readonly snapshotCount: number;
  readonly snapshotsOffset: number;
  readonly dirty: boolean;
  readonly corrupt: boolean;
  readonly lazyRefcounts: boolean;
  /** Low and high word of the features that a writer clears which does not know them. */
  readonly autoclear: readonly [number, number];
  readonly compression: CompressionType;
  /** As it stands in the image: relative to the image's own place. */
  readonly backingName: string | undefined;
  readonly backingFormat: string | undefined;
  /** The bitmaps extension's data, if it is there. */
  readonly bitmaps: Uint8Array | undefined;
}

/** Whether a file begins like a qcow2 image. @param start at least its first 4 bytes */
export const isQcow2 = (start: Uint8Array): boolean => start.length >= 4 && viewOf(start).getUint32(0) === MAGIC;

/** @throws ImageError */
export async function readHeader(file: RandomAccessFile): Promise<Qcow2Header> {
  const { name } = file;
  if (file.size < V2_HEADER_LENGTH) throw shortFile(name, V2_HEADER_LENGTH, file.size);
  // Behind the end of the file there are zeroes, which all checks below take for what they are.
  const start = new Uint8Array(512);
  await file.read(0, start);
  const view = viewOf(start);
  if (view.getUint32(HEADER.magic) !== MAGIC)
    throw new ImageError('not-found', `${name} is no qcow2 image`, 'open it as a raw disk, or check the path');
  const version = view.getUint32(HEADER.version);
  if (version !== 2 && version !== 3)
    throw refused(name, `is qcow2 of version ${version}`, 'convert it with `qemu-img convert -O qcow2`');
  const clusterBits = view.getUint32(HEADER.clusterBits);
  if (clusterBits < MIN_CLUSTER_BITS || clusterBits > MAX_CLUSTER_BITS)
    throw badImage(
      name,
      `its clusters have 2^${clusterBits} bytes`,
      `only 2^${MIN_CLUSTER_BITS} to 2^${MAX_CLUSTER_BITS} are allowed`,
    );
  const clusterSize = 2 ** clusterBits;
  const headerLength = version === 2 ? V2_HEADER_LENGTH : view.getUint32(HEADER.headerLength);
  if (version === 3 && (headerLength < V3_HEADER_LENGTH || headerLength > clusterSize || headerLength % 8 !== 0))
    throw badImage(name, `its header has ${headerLength} bytes`);

  const v3 = version === 3;
  const incompatible = v3 ? view.getUint32(HEADER.incompatible + 4) : 0;
  const first = new Uint8Array(Math.min(clusterSize, file.size));
  await file.read(0, first);
  const extensions = readExtensions(name, first, headerLength, getU64(view, HEADER.backingOffset));
  const known = INCOMPATIBLE.dirty | INCOMPATIBLE.corrupt | INCOMPATIBLE.compressionType;
  const cryptMethod = view.getUint32(HEADER.cryptMethod);
  if (cryptMethod !== 0 || extensions.has(EXTENSION.encryption))
    throw refused(name, `is encrypted (${{ 1: 'AES', 2: 'LUKS' }[cryptMethod] ?? `method ${cryptMethod}`})`, PLAIN);
  if ((incompatible & INCOMPATIBLE.dataFile) !== 0) throw refused(name, 'keeps its data in an external data file', PLAIN);
  if ((incompatible & INCOMPATIBLE.extendedL2) !== 0) throw refused(name, 'has extended L2 entries (subclusters)', PLAIN);
  const high = v3 ? view.getUint32(HEADER.incompatible) : 0;
  if ((incompatible & ~known) !== 0 || high !== 0) {
    const names = unknownFeatureNames(extensions.get(EXTENSION.featureNames), (incompatible & ~known) >>> 0, high);
    throw refused(name, `needs features that dom1 does not know: ${names}`, PLAIN);
  }
  const compression = v3 && headerLength > HEADER.compressionType ? (first[HEADER.compressionType] ?? 0) : 0;
  if (compression !== COMPRESSION.zlib && compression !== COMPRESSION.zstd)
    throw refused(name, `is compressed by method ${compression}`, PLAIN);
  if ((compression !== COMPRESSION.zlib) !== ((incompatible & INCOMPATIBLE.compressionType) !== 0))
    throw badImage(name, 'its compression type and the feature bit for it do not agree');

  const size = getU64(view, HEADER.size);
  if (!Number.isSafeInteger(size))
    throw refused(name, `says that its disk has ${size} bytes`, 'it is damaged, or not meant to be opened');
  const refcountOrder = v3 ? view.getUint32(HEADER.refcountOrder) : 4;
  if (refcountOrder > 6) throw badImage(name, `its reference counts have 2^${refcountOrder} bits`);
  const l1Size = view.getUint32(HEADER.l1Size);
  const l1Offset = getU64(view, HEADER.l1Offset);
  checkTable(file, 'L1 table', l1Offset, l1Size * 8, clusterSize, MAX_L1_BYTES);
  if (l1Size < l1EntriesFor(size, clusterBits))
    throw badImage(name, `its L1 table has ${l1Size} entries, too few for ${size} bytes`);
  const refcountTableOffset = getU64(view, HEADER.refcountTableOffset);
  const refcountTableClusters = view.getUint32(HEADER.refcountTableClusters);
  if (refcountTableClusters === 0) throw badImage(name, 'it has no refcount table');
  checkTable(
    file,
    'refcount table',
    refcountTableOffset,
    refcountTableClusters * clusterSize,
    clusterSize,
    MAX_REFCOUNT_TABLE_BYTES,
  );
  const snapshotCount = view.getUint32(HEADER.snapshotCount);
  const snapshotsOffset = getU64(view, HEADER.snapshotsOffset);
  if (snapshotCount > MAX_SNAPSHOTS) throw badImage(name, `it has ${snapshotCount} snapshots`);
  if (snapshotCount > 0)
    checkTable(file, 'snapshot table', snapshotsOffset, snapshotCount * 40, clusterSize, Number.POSITIVE_INFINITY);

  return {
    version,
    size,
    clusterBits,
    clusterSize,
    l1Size,
    l1Offset,
    refcountTableOffset,
    refcountTableClusters,
    refcountOrder,
    snapshotCount,
    snapshotsOffset,
    dirty: (incompatible & INCOMPATIBLE.dirty) !== 0,
    corrupt: (incompatible & INCOMPATIBLE.corrupt) !== 0,
    lazyRefcounts: v3 && (view.getUint32(HEADER.compatible + 4) & COMPATIBLE.lazyRefcounts) !== 0,
    autoclear: v3 ? [view.getUint32(HEADER.autoclear + 4), view.getUint32(HEADER.autoclear)] : [0, 0],
    compression,
    backingName: readBackingName(name, first, view),
    backingFormat: text(extensions.get(EXTENSION.backingFormat)),
    bitmaps: extensions.get(EXTENSION.bitmaps),
  };
}

/** How many L1 entries a disk of `size` bytes needs. */
export const l1EntriesFor = (size: number, clusterBits: number): number => Math.ceil(size / 2 ** (2 * clusterBits - 3));

const PLAIN = 'convert it with `qemu-img convert -O qcow2` to a plain image';

const shortFile = (name: string, needs: number, has: number): ImageError =>
  new ImageError('truncated', `${name} is truncated: it needs ${needs} bytes and has ${has}`, 'fetch or copy the file again');

function checkTable(
  file: RandomAccessFile,
  what: string,
  offset: number,
  bytes: number,
  clusterSize: number,
  maxBytes: number,
): void {
  if (bytes > maxBytes) throw badImage(file.name, `its ${what} has ${bytes} bytes`);
  if (bytes === 0) return;
  if (offset === 0 || offset % clusterSize !== 0) throw badImage(file.name, `its ${what} lies at offset ${offset}`);
  if (offset + bytes > file.size) throw shortFile(file.name, offset + bytes, file.size);
}

/** The data of each extension by its type; of several with one type the first. */
function readExtensions(name: string, first: Uint8Array, from: number, backingOffset: number): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  const view = viewOf(first);
  // The backing file's name comes behind the extensions; in old images without an end mark it ends them.
  const end = backingOffset > from && backingOffset < first.length ? backingOffset : first.length;
  for (let at = from; at + 8 <= end; ) {
    const type = view.getUint32(at);
    if (type === EXTENSION.end) break;
    const length = view.getUint32(at + 4);
    if (at + 8 + length > end) throw badImage(name, `its header extension at offset ${at} has ${length} bytes`);
    if (!found.has(type)) found.set(type, first.subarray(at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  return found;
}

function readBackingName(name: string, first: Uint8Array, view: DataView): string | undefined {
  const offset = getU64(view, HEADER.backingOffset);
  if (offset === 0) return undefined;
  const length = view.getUint32(HEADER.backingLength);
  if (length === 0) return undefined;
  if (length > MAX_BACKING_NAME) throw badImage(name, `the name of its backing file has ${length} bytes`);
  if (offset + length > first.length) throw badImage(name, 'the name of its backing file lies outside its first cluster');
  const backing = text(first.subarray(offset, offset + length)) as string;
  if (backing.includes('\0')) throw badImage(name, 'the name of its backing file is none');
  return backing;
}

const text = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes);
