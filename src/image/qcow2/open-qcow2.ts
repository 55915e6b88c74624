// Opens a qcow2 image as a disk.
import type { BlockStore } from '../../io/block-store.ts';
import { BlockStoreError } from '../../io/block-store-error.ts';
import type { RandomAccessFile } from '../../io/random-access-file.ts';
import { ImageError } from '../image-error.ts';
import { repairImage } from './check-image.ts';
import { ClusterMap } from './cluster-map.ts';
import { CompressedClusters, type Inflater } from './compressed-clusters.ts';
import { type Qcow2Header, readHeader } from './header.ts';
import { Qcow2Store } from './qcow2-store.ts';
import { findSnapshot, readSnapshots } from './snapshots.ts';

export interface OpenQcow2Options {
  readonly inflater: Inflater;
  readonly readOnly?: boolean;
  /** The disk as an internal snapshot has it, by id or name; read-only. */
  readonly snapshot?: string;
  /** Opens the backing file that the header names. Without it, an image with a backing file is refused. */
  readonly openBacking?: (header: Qcow2Header) => Promise<BlockStore>;
}

/**
 * The store takes the file over. An image that was not closed, and keeps its reference counts lazily, is repaired before it is
 * written to.
 * @throws ImageError 'corrupt', 'truncated', 'unsupported'; BlockStoreError
 */
export async function openQcow2(file: RandomAccessFile, options: OpenQcow2Options): Promise<Qcow2Store> {
  let header = await readHeader(file);
  const readOnly = options.readOnly === true || file.readOnly || options.snapshot !== undefined;
  if (header.corrupt && !readOnly)
    throw new ImageError('corrupt', `${file.name} is marked as corrupt`, 'run `dom1 image check --repair`, or open it read-only');
  if (header.dirty && !readOnly) {
    const result = await repairImage(file);
    if (result.errorsLeft > 0)
      throw new ImageError('corrupt', `${file.name} was not closed, and cannot be repaired`, 'see `dom1 image check`');
    header = await readHeader(file);
  }
  const where = { l1Offset: header.l1Offset, l1Size: header.l1Size, size: header.size };
  if (options.snapshot !== undefined) {
    const found = findSnapshot(await readSnapshots(file, header), options.snapshot);
    if (found === undefined)
      throw new BlockStoreError('missing', `${file.name} has no snapshot '${options.snapshot}'`, 'see `dom1 image info`');
    Object.assign(where, { l1Offset: found.l1Offset, l1Size: found.l1Size, size: found.diskSize ?? header.size });
  }
  const l1 = new Uint8Array(where.l1Size * 8);
  await file.read(where.l1Offset, l1);
  const map = new ClusterMap(file, header, l1, where.l1Offset);
  const backing = header.backingName === undefined ? undefined : await openBacking(file, header, options);
  try {
    return await Qcow2Store.fromParts({
      file,
      header,
      map,
      compressed: new CompressedClusters(file, header, options.inflater),
      backing,
      readOnly,
      // The rest of a sector that the image does not have whole cannot be reached.
      sizeBytes: Math.floor(where.size / 512) * 512,
    });
  } catch (error) {
    await backing?.close();
    throw error;
  }
}

function openBacking(file: RandomAccessFile, header: Qcow2Header, options: OpenQcow2Options): Promise<BlockStore> {
  if (options.openBacking === undefined)
    throw new BlockStoreError('unsupported', `${file.name} has a backing file`, 'convert it to an image without one');
  return options.openBacking(header);
}
