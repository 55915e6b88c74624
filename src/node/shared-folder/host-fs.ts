// The host's files by numbers of descriptors, with paths of bytes, and errors as a guest is told them.
import fs, { type BigIntStats, type Dir, type StatsFs } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { promisify } from 'node:util';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import { nodeErrorCode } from '../control-error.ts';

/** A path whose characters are bytes. */
export const bytePath = (path: string): Buffer => Buffer.from(path, 'latin1');

const raw = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  fstat: promisify(fs.fstat),
  stat: promisify(fs.stat),
  lstat: promisify(fs.lstat),
  read: promisify(fs.read),
  write: promisify(fs.write),
  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  ftruncate: promisify(fs.ftruncate),
  chmod: promisify(fs.chmod),
  fchmod: promisify(fs.fchmod),
  fchown: promisify(fs.fchown),
  chown: promisify(fs.chown),
  lchown: promisify(fs.lchown),
  utimes: promisify(fs.utimes),
  lutimes: promisify(fs.lutimes),
  opendir: promisify(fs.opendir),
  readlink: promisify(fs.readlink),
  mkdir: promisify(fs.mkdir),
  symlink: promisify(fs.symlink),
  link: promisify(fs.link),
  rename: promisify(fs.rename),
  unlink: promisify(fs.unlink),
  rmdir: promisify(fs.rmdir),
  statfs: promisify(fs.statfs),
};

/** Rejects with a FileTreeError where the host has an error that a guest knows. */
async function told<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    const code = nodeErrorCode(cause);
    // Node has a name of its own for a number that it does not pass on; libuv calls EOPNOTSUPP by ENOTSUP.
    const name = code === 'ENOTSUP' ? 'EOPNOTSUPP' : code;
    if (name !== undefined && Object.hasOwn(LinuxErrno, name))
      throw new FileTreeError(LinuxErrno[name as keyof typeof LinuxErrno], (cause as Error).message, { cause });
    throw cause;
  }
}

export const hostFs = {
  open: (path: string, flags: number, mode = 0): Promise<number> => told(raw.open(bytePath(path), flags, mode)),
  close: (fd: number): Promise<void> => told(raw.close(fd)),
  fstat: (fd: number): Promise<BigIntStats> => told(raw.fstat(fd, { bigint: true })),
  stat: (path: string): Promise<BigIntStats> => told(raw.stat(bytePath(path), { bigint: true })),
  lstat: (path: string): Promise<BigIntStats> => told(raw.lstat(bytePath(path), { bigint: true })),
  read: async (fd: number, into: Uint8Array, offset: number): Promise<number> =>
    (await told(raw.read(fd, into, 0, into.length, offset))).bytesRead,
  write: async (fd: number, from: Uint8Array, offset: number): Promise<number> =>
    (await told(raw.write(fd, from, 0, from.length, offset))).bytesWritten,
  fsync: (fd: number): Promise<void> => told(raw.fsync(fd)),
  fdatasync: (fd: number): Promise<void> => told(raw.fdatasync(fd)),
  ftruncate: (fd: number, bytes: number): Promise<void> => told(raw.ftruncate(fd, bytes)),
  chmod: (path: string, mode: number): Promise<void> => told(raw.chmod(bytePath(path), mode)),
  fchmod: (fd: number, mode: number): Promise<void> => told(raw.fchmod(fd, mode)),
  fchown: (fd: number, uid: number, gid: number): Promise<void> => told(raw.fchown(fd, uid, gid)),
  chown: (path: string, uid: number, gid: number): Promise<void> => told(raw.chown(bytePath(path), uid, gid)),
  lchown: (path: string, uid: number, gid: number): Promise<void> => told(raw.lchown(bytePath(path), uid, gid)),
  utimes: (path: string, atime: number, mtime: number): Promise<void> => told(raw.utimes(bytePath(path), atime, mtime)),
  lutimes: (path: string, atime: number, mtime: number): Promise<void> => told(raw.lutimes(bytePath(path), atime, mtime)),
  /** Names in bytes. */
  opendir: (path: string): Promise<Dir> => told(raw.opendir(bytePath(path), { encoding: 'latin1' })),
  readlink: (path: string): Promise<string> => told(raw.readlink(bytePath(path), 'latin1')),
  /** Of bytes. */
  realpath: (path: string): Promise<string> => told(realpath(bytePath(path), 'latin1')),
  mkdir: async (path: string, mode: number): Promise<void> => void (await told(raw.mkdir(bytePath(path), { mode }))),
  symlink: (target: string, path: string): Promise<void> => told(raw.symlink(bytePath(target), bytePath(path))),
  link: (from: string, to: string): Promise<void> => told(raw.link(bytePath(from), bytePath(to))),
  rename: (from: string, to: string): Promise<void> => told(raw.rename(bytePath(from), bytePath(to))),
  unlink: (path: string): Promise<void> => told(raw.unlink(bytePath(path))),
  rmdir: (path: string): Promise<void> => told(raw.rmdir(bytePath(path))),
  statfs: (path: string): Promise<StatsFs> => told(raw.statfs(bytePath(path))),
} as const;
