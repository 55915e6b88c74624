// Opens a disk by its path or address: which format it is in is told by its contents, and backing files are opened with it.
import { dirname, isAbsolute, join } from 'node:path';
import { isQcow2, type Qcow2Header } from '../image/qcow2/header.ts';
import { openQcow2 } from '../image/qcow2/open-qcow2.ts';
import { Qcow2Store } from '../image/qcow2/qcow2-store.ts';
import type { BlockStore } from '../io/block-store.ts';
import { BlockStoreError } from '../io/block-store-error.ts';
import { OverlayStore } from '../io/overlay-store.ts';
import type { RandomAccessFile } from '../io/random-access-file.ts';
import { RawStore } from '../io/raw-store.ts';
import { DiskFile } from './disk-file.ts';
import { checkNoWriter, type DiskLock, lockForWriting } from './disk-lock.ts';
import { HttpFile, type HttpFileOptions } from './http-file.ts';
import { nodeInflater } from './node-inflater.ts';

export type DiskFormat = 'raw' | 'qcow2';

export interface DiskSpec {
  /** A file, a block device, or an http: or https: address. */
  readonly path: string;
  /** Default: what the contents look like. Say it for disks whose guest you do not trust. */
  readonly format?: DiskFormat;
  readonly readOnly?: boolean;
  /** Writes go to memory and are forgotten (`--snapshot`); nothing that is on the host changes. */
  readonly overlay?: boolean | { readonly maxBytes?: number };
  /** An internal snapshot of a qcow2 image, by id or name; read-only. */
  readonly snapshot?: string;
  /** Of a raw disk; default 512, or what the block device has. */
  readonly sectorSize?: 512 | 4096;
  /** Look at it even while somebody writes it: what is read may contradict itself. */
  readonly ignoreLocks?: boolean;
  readonly http?: HttpFileOptions;
}

export interface OpenDisk {
  readonly store: BlockStore;
  readonly format: DiskFormat;
  /** The image below an overlay, if its format is qcow2. */
  readonly qcow2: Qcow2Store | undefined;
  /** The raw file below an overlay, if it is that. */
  readonly raw: RawStore | undefined;
  /**
   * Gives the disk another size while it is in use; whoever listens to the store's `onResize` is told. Only raw files can shrink.
   * @throws BlockStoreError, ImageError
   */
  resize(sizeBytes: number): Promise<void>;
  close(): Promise<void>;
}

/** A chain of backing files that is longer than this was not made on purpose. */
const MAX_DEPTH = 64;

/** Opens a disk by its path or address. @throws BlockStoreError, ImageError */
export async function openDisk(spec: DiskSpec): Promise<OpenDisk> {
  const overlay = spec.overlay !== undefined && spec.overlay !== false;
  const opened = await openAt(overlay ? { ...spec, readOnly: true } : spec, []);
  if (!overlay) return opened;
  const options =
    typeof spec.overlay === 'object' && spec.overlay.maxBytes !== undefined ? { maxBytes: spec.overlay.maxBytes } : {};
  const store = new OverlayStore(opened.store, options);
  return { ...opened, store };
}

/** @param chain what names this disk as its backing file, outermost first */
async function openAt(spec: DiskSpec, chain: readonly string[]): Promise<OpenDisk> {
  const readOnly = spec.readOnly === true || spec.snapshot !== undefined || isHttp(spec.path);
  const { file, key } = await openFile({ ...spec, readOnly });
  let lock: DiskLock | undefined;
  try {
    if (chain.includes(key)) throw loop(spec.path);
    if (chain.length >= MAX_DEPTH)
      throw new BlockStoreError('unsupported', `${spec.path} has more than ${MAX_DEPTH} backing files`, 'commit some of them');
    if (file instanceof DiskFile && spec.ignoreLocks !== true) {
      if (!readOnly) lock = await lockForWriting(spec.path, file.identity);
      else await checkNoWriter(spec.path, file.identity);
      // What it was before the lock may be gone.
      if (!readOnly) await file.refreshSize();
    }
    const start = new Uint8Array(4);
    await file.read(0, start);
    const format = spec.format ?? (file.size >= 72 && isQcow2(start) ? 'qcow2' : 'raw');
    const store =
      format === 'raw'
        ? openRaw(file, spec, readOnly)
        : await openQcow2(file, {
            inflater: nodeInflater,
            readOnly,
            ...(spec.snapshot !== undefined && { snapshot: spec.snapshot }),
            openBacking: (header) => openBacking(spec, header, [...chain, key]),
          });
    const close = async (): Promise<void> => {
      try {
        await store.close();
      } finally {
        await lock?.[Symbol.asyncDispose]();
      }
    };
    return {
      store,
      format,
      qcow2: store instanceof Qcow2Store ? store : undefined,
      raw: store instanceof RawStore ? store : undefined,
      resize: (sizeBytes) => (store instanceof RawStore ? store.resize(sizeBytes) : store.grow(sizeBytes)),
      close,
    };
  } catch (error) {
    await file.close();
    await lock?.[Symbol.asyncDispose]();
    throw error;
  }
}

function openRaw(file: RandomAccessFile, spec: DiskSpec, readOnly: boolean): RawStore {
  if (spec.snapshot !== undefined)
    throw new BlockStoreError('unsupported', `${spec.path} is raw and has no snapshots`, 'leave the snapshot out');
  const sectorSize = spec.sectorSize ?? (file instanceof DiskFile ? file.deviceSector : undefined);
  return new RawStore(file, { readOnly, guessed: spec.format === undefined, ...(sectorSize !== undefined && { sectorSize }) });
}

async function openBacking(spec: DiskSpec, header: Qcow2Header, chain: readonly string[]): Promise<BlockStore> {
  const path = backingPath(spec.path, header.backingName as string);
  const { backingFormat } = header;
  if (backingFormat !== undefined && backingFormat !== 'raw' && backingFormat !== 'qcow2') {
    const hint = 'convert it to raw or qcow2';
    throw new BlockStoreError(
      'unsupported',
      `${path}, the backing file of ${spec.path}, is said to be ${printable(backingFormat)}`,
      hint,
    );
  }
  const { store } = await openAt(
    {
      path,
      readOnly: true,
      ...(backingFormat !== undefined && { format: backingFormat }),
      ...(spec.ignoreLocks !== undefined && { ignoreLocks: spec.ignoreLocks }),
      ...(spec.http !== undefined && { http: spec.http }),
    },
    chain,
  ).catch((error: unknown) => {
    if (error instanceof BlockStoreError && error.code === 'missing')
      throw new BlockStoreError('missing', `${path}, the backing file of ${spec.path}, is not there`, 'put it there', {
        cause: error,
      });
    throw error;
  });
  return store;
}

/**
 * Where a backing file lies that an image names: names are relative to the image's own place.
 * @throws BlockStoreError 'unsupported' for QEMU's other protocols
 */
export function backingPath(image: string, name: string): string {
  const plain = name.startsWith('file:') ? name.slice('file:'.length) : name;
  if (isHttp(plain)) return plain;
  const protocol = /^([a-z][a-z0-9+.-]+):/.exec(plain)?.[1];
  if (protocol !== undefined) {
    const hint = 'convert it to an image without it';
    throw new BlockStoreError('unsupported', `${image}: its backing file is named by '${protocol}:'`, hint);
  }
  if (isHttp(image)) return new URL(plain, image).href;
  return isAbsolute(plain) ? plain : join(dirname(image), plain);
}

async function openFile(spec: DiskSpec): Promise<{ readonly file: RandomAccessFile; readonly key: string }> {
  if (isHttp(spec.path)) return { file: await HttpFile.open(spec.path, spec.http), key: spec.path };
  const file = await DiskFile.open(spec.path, { readOnly: spec.readOnly === true });
  return { file, key: `${file.identity.dev}:${file.identity.ino}` };
}

export const isHttp = (path: string): boolean => /^https?:\/\//.test(path);

const printable = (text: string): string => text.replace(/[^\x20-\x7e]/g, '?').slice(0, 40);

const loop = (path: string): BlockStoreError =>
  new BlockStoreError('unsupported', `${path} is, by way of its backing files, its own backing file`, 'recreate the image');
