// A file or block device of the host, read and written at offsets. Bytes go straight between the file and the memory given, guest
// memory included: Node hands views of shared memory to the system as they are.
//
// Node has no fallocate: a range that is given up keeps its place in the file. It has no O_DIRECT either: what is written goes to
// the host's page cache, and `datasync` (fdatasync) makes it durable.
import fs from 'node:fs';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { BlockStoreError, isReadOnly } from '../io/block-store-error.ts';
import type { RandomAccessFile } from '../io/random-access-file.ts';
import { nodeErrorCode } from './control-error.ts';

const open = promisify(fs.open);
const closeFile = promisify(fs.close);
const fstat = promisify(fs.fstat);
const ftruncate = promisify(fs.ftruncate);
const fdatasync = promisify(fs.fdatasync);

/** The system takes so many pieces in one call (IOV_MAX). */
const MAX_PIECES = 1024;

export interface DiskFileOptions {
  readonly readOnly?: boolean;
  /** Makes a new file; one that is there already is refused. */
  readonly create?: boolean;
}

export class DiskFile implements RandomAccessFile {
  readonly name: string;
  readonly readOnly: boolean;
  /** Bytes in a sector of a block device; undefined for a file. */
  readonly deviceSector: 512 | 4096 | undefined;
  /** What the file is, whatever its name. */
  readonly identity: { readonly dev: number; readonly ino: number };
  readonly #fd: number;
  #size: number;
  #closed = false;

  private constructor(name: string, fd: number, readOnly: boolean, size: number, sector: 512 | 4096 | undefined, stat: fs.Stats) {
    this.name = name;
    this.#fd = fd;
    this.readOnly = readOnly;
    this.#size = size;
    this.deviceSector = sector;
    this.identity = { dev: stat.dev, ino: stat.ino };
  }

  /** @throws BlockStoreError 'missing', 'permission', 'not-a-disk' */
  static async open(path: string, options: DiskFileOptions = {}): Promise<DiskFile> {
    const readOnly = options.readOnly === true;
    let fd: number;
    try {
      // A named pipe would wait for its other end.
      const existing = (readOnly ? fs.constants.O_RDONLY : fs.constants.O_RDWR) | fs.constants.O_NONBLOCK;
      fd = await open(path, options.create === true ? 'wx+' : existing);
    } catch (cause) {
      throw openFailure(path, readOnly, cause);
    }
    try {
      const stat = await fstat(fd);
      if (stat.isFile()) return new DiskFile(path, fd, readOnly, stat.size, undefined, stat);
      if (!stat.isBlockDevice())
        throw new BlockStoreError('not-a-disk', `${path} is no file and no block device`, 'check the path');
      const { size, sector } = await deviceGeometry(path, stat.rdev);
      return new DiskFile(path, fd, readOnly, size, sector, stat);
    } catch (error) {
      await closeFile(fd);
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  /** Looks again how large the file is: somebody else may have made it larger. */
  async refreshSize(): Promise<number> {
    if (this.deviceSector === undefined) this.#size = (await fstat(this.#fd)).size;
    return this.#size;
  }

  read(offset: number, into: Uint8Array): Promise<void> {
    if (this.#closed) return Promise.reject(this.#isClosed());
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        fs.read(this.#fd, into, done, into.length - done, offset + done, (error, count) => {
          if (error !== null) reject(this.#failure('read', offset, error));
          else if (done + count >= into.length) resolve();
          else if (count === 0) {
            into.fill(0, done);
            resolve();
          } else step(done + count);
        });
      };
      if (into.length === 0) resolve();
      else step(0);
    });
  }

  readv(offset: number, into: readonly Uint8Array[]): Promise<void> {
    if (this.#closed) return Promise.reject(this.#isClosed());
    if (into.length === 1) return this.read(offset, into[0] as Uint8Array);
    return this.#vectored(offset, into, (pieces, at) => this.#readPieces(pieces, at));
  }

  write(offset: number, from: Uint8Array): Promise<void> {
    if (this.readOnly) return Promise.reject(isReadOnly(this.name));
    if (this.#closed) return Promise.reject(this.#isClosed());
    return new Promise((resolve, reject) => {
      const step = (done: number): void => {
        fs.write(this.#fd, from, done, from.length - done, offset + done, (error, count) => {
          if (error !== null) reject(this.#failure('written', offset, error));
          else if (done + count >= from.length) {
            this.#size = Math.max(this.#size, offset + from.length);
            resolve();
          } else step(done + count);
        });
      };
      if (from.length === 0) resolve();
      else step(0);
    });
  }

  writev(offset: number, from: readonly Uint8Array[]): Promise<void> {
    if (from.length === 1) return this.write(offset, from[0] as Uint8Array);
    if (this.readOnly) return Promise.reject(isReadOnly(this.name));
    if (this.#closed) return Promise.reject(this.#isClosed());
    return this.#vectored(offset, from, (pieces, at) => this.#writePieces(pieces, at));
  }

  async truncate(size: number): Promise<void> {
    if (this.readOnly) throw isReadOnly(this.name);
    if (this.#closed) throw this.#isClosed();
    try {
      await ftruncate(this.#fd, size);
    } catch (cause) {
      throw this.#failure('resized', size, cause as Error);
    }
    this.#size = size;
  }

  async datasync(): Promise<void> {
    if (this.readOnly) return;
    if (this.#closed) throw this.#isClosed();
    try {
      await fdatasync(this.#fd);
    } catch (cause) {
      throw this.#failure('flushed', 0, cause as Error);
    }
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await closeFile(this.#fd);
  }

  async #vectored(
    offset: number,
    parts: readonly Uint8Array[],
    move: (pieces: readonly Uint8Array[], at: number) => Promise<void>,
  ): Promise<void> {
    let at = offset;
    for (let first = 0; first < parts.length; first += MAX_PIECES) {
      const pieces = parts.length <= MAX_PIECES ? parts : parts.slice(first, first + MAX_PIECES);
      await move(pieces, at);
      for (const piece of pieces) at += piece.length;
    }
  }

  #readPieces(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.readv(this.#fd, pieces, offset, (error, count) => {
        if (error !== null) return reject(this.#failure('read', offset, error));
        const total = totalLength(pieces);
        if (count === total) return resolve();
        // Short at the end of the file, or by the system's whim: piece by piece.
        this.#oneByOne(offset, pieces, (at, piece) => this.read(at, piece)).then(resolve, reject);
      });
    });
  }

  #writePieces(pieces: readonly Uint8Array[], offset: number): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.writev(this.#fd, pieces, offset, (error, count) => {
        if (error !== null) return reject(this.#failure('written', offset, error));
        const total = totalLength(pieces);
        if (count === total) {
          this.#size = Math.max(this.#size, offset + total);
          return resolve();
        }
        this.#oneByOne(offset, pieces, (at, piece) => this.write(at, piece)).then(resolve, reject);
      });
    });
  }

  async #oneByOne(
    offset: number,
    pieces: readonly Uint8Array[],
    move: (at: number, piece: Uint8Array) => Promise<void>,
  ): Promise<void> {
    let at = offset;
    for (const piece of pieces) {
      await move(at, piece);
      at += piece.length;
    }
  }

  /** Its number may be another file's by now. */
  #isClosed(): BlockStoreError {
    return new BlockStoreError('closed', `${this.name} is closed`, 'open it again');
  }

  #failure(what: string, offset: number, cause: Error): BlockStoreError {
    const code = nodeErrorCode(cause);
    if (code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG')
      return new BlockStoreError('no-space', `${this.name}: there is no room (${code})`, 'make room on the file system', {
        cause,
      });
    return new BlockStoreError(
      'io',
      `${this.name} cannot be ${what} at offset ${offset} (${code ?? cause.message})`,
      "see the host's kernel log",
      { cause },
    );
  }
}

function totalLength(pieces: readonly Uint8Array[]): number {
  let total = 0;
  for (const piece of pieces) total += piece.length;
  return total;
}

function openFailure(path: string, readOnly: boolean, cause: unknown): BlockStoreError {
  const code = nodeErrorCode(cause);
  switch (code) {
    case 'ENOENT':
    case 'ENOTDIR':
      return new BlockStoreError('missing', `${path}: there is no such disk file`, 'check the path', { cause });
    case 'EISDIR':
      return new BlockStoreError('not-a-disk', `${path} is a directory`, 'give the path of a disk file', { cause });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new BlockStoreError(
        'permission',
        `${path} may not be ${readOnly ? 'read' : 'written'} (${code})`,
        readOnly ? 'check its permissions' : 'check its permissions, or use it read-only',
        { cause },
      );
    case 'EEXIST':
      return new BlockStoreError('in-use', `${path} is there already`, 'give another name, or remove it first', { cause });
    default:
      return new BlockStoreError('io', `${path} cannot be opened (${code ?? String(cause)})`, 'check the path', { cause });
  }
}

/** Size and sector of a block device, as sysfs has them: fstat says 0, and Node has no ioctl. */
async function deviceGeometry(path: string, rdev: number): Promise<{ readonly size: number; readonly sector: 512 | 4096 }> {
  const major = ((rdev >>> 8) & 0xfff) | (Math.floor(rdev / 2 ** 32) & ~0xfff);
  const minor = (rdev & 0xff) | ((rdev >>> 12) & 0xfff00);
  const entry = `/sys/dev/block/${major}:${minor}`;
  try {
    const sectors = Number((await readFile(`${entry}/size`, 'utf8')).trim());
    // A partition has its queue in its disk's directory.
    const queue = await readFile(`${entry}/queue/logical_block_size`, 'utf8').catch(() =>
      readFile(`${entry}/../queue/logical_block_size`, 'utf8'),
    );
    return { size: sectors * 512, sector: Number(queue.trim()) === 4096 ? 4096 : 512 };
  } catch (cause) {
    throw new BlockStoreError('unsupported', `${path}: the size of this block device cannot be found`, 'use a file, or Linux', {
      cause,
    });
  }
}
