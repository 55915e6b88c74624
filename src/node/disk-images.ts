// Work on image files: what `dom1 image` does.
import { statSync } from 'node:fs';
import { unlink } from 'node:fs/promises';
import { checkImage, type ImageCheck, repairImage } from '../image/qcow2/check-image.ts';
import { createImage, type NewImage } from '../image/qcow2/create-image.ts';
import { isQcow2, type Qcow2Header, readHeader } from '../image/qcow2/header.ts';
import { COMPRESSION } from '../image/qcow2/layout.ts';
import type { Qcow2Store } from '../image/qcow2/qcow2-store.ts';
import { readSnapshots } from '../image/qcow2/snapshots.ts';
import type { BlockStore } from '../io/block-store.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import { copyStore } from '../io/copy-store.ts';
import type { RandomAccessFile } from '../io/random-access-file.ts';
import { DiskFile } from './disk-file.ts';
import { lockForWriting } from './disk-lock.ts';
import { HttpFile } from './http-file.ts';
import { backingPath, type DiskFormat, isHttp, type OpenDisk, openDisk } from './open-disk.ts';

/** Done and total, in bytes or tables. */
export type ImageProgress = (done: number, total: number) => void;

export interface WorkOptions {
  readonly onProgress?: ImageProgress;
  readonly signal?: AbortSignal;
}

export interface CreateDiskOptions extends Omit<NewImage, 'size' | 'backing'> {
  readonly format: DiskFormat;
  /** Bytes; without it, as large as the backing file. */
  readonly size?: number;
  /** Relative to the image's own place. */
  readonly backing?: string;
  /** Default: what the backing file looks like. */
  readonly backingFormat?: DiskFormat;
}

/** Makes a new disk; a file that is there already stays as it is. @throws BlockStoreError, ImageError */
export async function createDisk(path: string, options: CreateDiskOptions): Promise<void> {
  const { format, backing } = options;
  if (format === 'raw' && backing !== undefined)
    throw new BlockStoreError('unsupported', `${path}: raw disks have no backing file`, 'use qcow2');
  const below = backing === undefined ? undefined : await describeBacking(path, backing, options.backingFormat);
  const size = options.size ?? below?.size;
  if (size === undefined) throw new BlockStoreError('out-of-range', `${path}: no size is given`, 'give one, such as 10GiB');
  await makeFile(path, async (file) => {
    if (format === 'raw') await file.truncate(size);
    else {
      const { version, clusterSize, refcountBits, lazyRefcounts } = options;
      await createImage(file, {
        size,
        ...(version !== undefined && { version }),
        ...(clusterSize !== undefined && { clusterSize }),
        ...(refcountBits !== undefined && { refcountBits }),
        ...(lazyRefcounts !== undefined && { lazyRefcounts }),
        ...(backing !== undefined && below !== undefined && { backing: { name: backing, format: below.format } }),
      });
    }
    await file.datasync();
  });
}

async function describeBacking(
  path: string,
  name: string,
  format: DiskFormat | undefined,
): Promise<{ format: DiskFormat; size: number }> {
  const disk = await openDisk({ path: backingPath(path, name), readOnly: true, ...(format !== undefined && { format }) });
  try {
    return { format: disk.format, size: disk.store.sizeBytes };
  } finally {
    await disk.close();
  }
}

/** Makes a file, and takes it away again when something fails. */
async function makeFile(path: string, fill: (file: DiskFile) => Promise<void>): Promise<void> {
  const file = await DiskFile.open(path, { create: true });
  try {
    await fill(file);
  } catch (error) {
    await file.close();
    await unlink(path).catch(() => {});
    throw error;
  }
  await file.close();
}

export interface DiskInfo {
  readonly path: string;
  readonly format: DiskFormat;
  /** Bytes of the disk, as a guest sees it. */
  readonly virtualSize: number;
  /** Bytes that the file takes on the host's disk. */
  readonly actualSize?: number;
  readonly qcow2?: {
    readonly version: 2 | 3;
    readonly clusterSize: number;
    readonly refcountBits: number;
    readonly lazyRefcounts: boolean;
    readonly compression: 'zlib' | 'zstd';
    readonly dirty: boolean;
    readonly corrupt: boolean;
    readonly backingFile?: string;
    readonly backingFormat?: string;
    readonly snapshots: readonly {
      readonly id: string;
      readonly name: string;
      readonly seconds: number;
      readonly size: number;
    }[];
  };
}

/** Looks at a disk, even while somebody uses it. @throws BlockStoreError, ImageError */
export async function diskInfo(path: string): Promise<DiskInfo> {
  const file: RandomAccessFile = isHttp(path) ? await HttpFile.open(path) : await DiskFile.open(path, { readOnly: true });
  try {
    const actual = isHttp(path) ? {} : { actualSize: statSync(path).blocks * 512 };
    const start = new Uint8Array(4);
    await file.read(0, start);
    if (!isQcow2(start)) return { path, format: 'raw', virtualSize: file.size, ...actual };
    const header = await readHeader(file);
    return { path, format: 'qcow2', virtualSize: header.size, ...actual, qcow2: await qcow2Info(file, header) };
  } finally {
    await file.close();
  }
}

async function qcow2Info(file: RandomAccessFile, header: Qcow2Header): Promise<NonNullable<DiskInfo['qcow2']>> {
  const { version, clusterSize, lazyRefcounts, dirty, corrupt, backingName, backingFormat } = header;
  const snapshots = await readSnapshots(file, header);
  return {
    version,
    clusterSize,
    refcountBits: 2 ** header.refcountOrder,
    lazyRefcounts,
    compression: header.compression === COMPRESSION.zstd ? 'zstd' : 'zlib',
    dirty,
    corrupt,
    ...(backingName !== undefined && { backingFile: backingName }),
    ...(backingFormat !== undefined && { backingFormat }),
    snapshots: snapshots.map(({ id, name, seconds, diskSize }) => ({ id, name, seconds, size: diskSize ?? header.size })),
  };
}

/** Checks a qcow2 image, and repairs it if asked to; what is found is what was there before. @throws BlockStoreError, ImageError */
export async function checkDisk(path: string, options: { readonly repair?: boolean } & WorkOptions = {}): Promise<ImageCheck> {
  const repair = options.repair === true;
  const file = await DiskFile.open(path, { readOnly: !repair });
  try {
    const start = new Uint8Array(4);
    await file.read(0, start);
    if (!isQcow2(start))
      throw new BlockStoreError('unsupported', `${path} is raw: there is nothing to check in it`, 'check its file system');
    if (!repair) return await checkImage(file, options.onProgress);
    await using _lock = await lockForWriting(path, file.identity);
    return await repairImage(file, options.onProgress);
  } finally {
    await file.close();
  }
}

export interface ConvertOptions extends WorkOptions {
  readonly from?: DiskFormat;
  readonly to: DiskFormat;
  /** An internal snapshot of the source. */
  readonly snapshot?: string;
  readonly clusterSize?: number;
  readonly version?: 2 | 3;
}

/** Copies a disk, with what its backing files show, into a new file. @throws BlockStoreError, ImageError */
export async function convertDisk(source: string, target: string, options: ConvertOptions): Promise<void> {
  const from = await openDisk({
    path: source,
    readOnly: true,
    ...(options.from !== undefined && { format: options.from }),
    ...(options.snapshot !== undefined && { snapshot: options.snapshot }),
  });
  try {
    await createDisk(target, {
      format: options.to,
      size: from.store.sizeBytes,
      ...(options.clusterSize !== undefined && { clusterSize: options.clusterSize }),
      ...(options.version !== undefined && { version: options.version }),
    });
    try {
      const to = await openDisk({ path: target, format: options.to });
      try {
        await copyStore(from.store, to.store, {
          targetIsZero: true,
          zeroesAt: (offset, length) => zeroesAt(from, offset, length),
          ...(options.onProgress !== undefined && { onProgress: options.onProgress }),
          ...(options.signal !== undefined && { signal: options.signal }),
        });
        await to.store.flush();
      } finally {
        await to.close();
      }
    } catch (error) {
      await unlink(target).catch(() => {});
      throw error;
    }
  } finally {
    await from.close();
  }
}

async function zeroesAt({ qcow2 }: OpenDisk, offset: number, length: number): Promise<number> {
  if (qcow2 === undefined) return 0;
  let zeroes = 0;
  while (zeroes < length) {
    const extent = await qcow2.extentAt(offset + zeroes, length - zeroes);
    if (extent.kind !== 'zero' && !(extent.kind === 'unallocated' && qcow2.backing === undefined)) break;
    zeroes += extent.length;
  }
  return zeroes;
}

/**
 * Writes what an image holds into its backing file, and then empties the image. The backing file grows if it is shorter.
 * @throws BlockStoreError, ImageError
 */
export async function commitDisk(path: string, options: WorkOptions = {}): Promise<void> {
  const top = await openDisk({ path });
  try {
    const image = top.qcow2;
    if (image?.header.backingName === undefined)
      throw new BlockStoreError('unsupported', `${path} has no backing file`, 'there is nothing to commit it to');
    const { backingName, backingFormat } = image.header;
    const below = await openDisk({
      path: backingPath(path, backingName),
      ...((backingFormat === 'raw' || backingFormat === 'qcow2') && { format: backingFormat }),
    });
    try {
      if (below.store.sizeBytes < image.sizeBytes) await below.resize(image.sizeBytes);
      await copyAllocated(image, below.store, options);
      await below.store.flush();
    } finally {
      await below.close();
    }
    await image.makeEmpty();
  } finally {
    await top.close();
  }
}

/** Bytes that are copied at once. */
const PIECE = 2 ** 21;

async function copyAllocated(image: Qcow2Store, target: BlockStore, options: WorkOptions): Promise<void> {
  const buffer = new Uint8Array(PIECE);
  for (let offset = 0; offset < image.sizeBytes; ) {
    options.signal?.throwIfAborted();
    const { kind, length } = await image.extentAt(offset, Math.min(PIECE, image.sizeBytes - offset));
    const piece = buffer.subarray(0, length);
    if (kind === 'zero') await target.writeZeroes?.(offset, length);
    else if (kind !== 'unallocated') {
      await image.read(offset, piece);
      await target.write(offset, piece);
    }
    offset += length;
    options.onProgress?.(offset, image.sizeBytes);
  }
}

/** Gives a disk another size, and answers with it in bytes. @param size bytes @param shrink that what lies behind the new end may be lost @throws BlockStoreError, ImageError */
export async function resizeDisk(
  path: string,
  size: number | { readonly by: number },
  options: { readonly format?: DiskFormat; readonly shrink?: boolean } = {},
): Promise<number> {
  const disk = await openDisk({ path, ...(options.format !== undefined && { format: options.format }) });
  try {
    const bytes = typeof size === 'number' ? size : disk.store.sizeBytes + size.by;
    if (bytes < disk.store.sizeBytes && options.shrink !== true) {
      throw new BlockStoreError(
        'out-of-range',
        `${path} has ${disk.store.sizeBytes} bytes, and shrinking loses what lies behind the new end`,
        'say --shrink if that is meant',
      );
    }
    await disk.resize(bytes);
    return bytes;
  } finally {
    await disk.close();
  }
}
