// chown, chmod, truncate and utimes of one node.
import { constants } from 'node:fs';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { type AttributeChanges, S_IF } from '../../io/file-tree.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import { hostFs } from './host-fs.ts';

/** "As it is", for chown(2). */
const UNCHANGED = -1;

/**
 * Times are set to a quarter of a microsecond: Node takes them as seconds in a Number.
 * @param follow whether `path` leads to the node itself and is to be followed
 */
export async function changeAttributes(path: string, follow: boolean, kind: number, changes: AttributeChanges): Promise<void> {
  const { mode, uid = UNCHANGED, gid = UNCHANGED, sizeBytes, atime, mtime } = changes;
  // First, as it takes set-user-ID bits away.
  if (uid !== UNCHANGED || gid !== UNCHANGED) await (follow ? hostFs.chown : hostFs.lchown)(path, owner(uid), owner(gid));
  if (mode !== undefined) {
    if (kind === S_IF.LNK) throw new FileTreeError(LinuxErrno.EOPNOTSUPP, 'a symbolic link has no permissions');
    await hostFs.chmod(path, mode);
  }
  if (sizeBytes !== undefined) await truncate(path, follow, kind, sizeBytes);
  if (atime !== undefined || mtime !== undefined) {
    const now = Date.now() / 1000;
    const before = atime === undefined || mtime === undefined ? await (follow ? hostFs.stat : hostFs.lstat)(path) : undefined;
    const seconds = (time: number | 'now' | undefined, ns: bigint | undefined): number =>
      time === 'now' ? now : (time ?? Number(ns) / 1e9);
    await (follow ? hostFs.utimes : hostFs.lutimes)(path, seconds(atime, before?.atimeNs), seconds(mtime, before?.mtimeNs));
  }
}

/** The highest number says "as it is" on the wire, too. */
const owner = (id: number): number => (id === 0xffff_ffff ? UNCHANGED : id);

async function truncate(path: string, follow: boolean, kind: number, sizeBytes: number): Promise<void> {
  if (kind !== S_IF.REG) throw new FileTreeError(kind === S_IF.DIR ? LinuxErrno.EISDIR : LinuxErrno.EINVAL, 'no file');
  const fd = await hostFs.open(path, constants.O_WRONLY | (follow ? 0 : constants.O_NOFOLLOW));
  try {
    await hostFs.ftruncate(fd, sizeBytes);
  } finally {
    await hostFs.close(fd);
  }
}
