// Files and directories that are open.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import { type FileAccess, S_IF, type TreeNode } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import { DirectoryReader } from './directory-reader.ts';
import type { Fid, OpenedFile } from './fid-table.ts';
import { IO_HEADER_BYTES, P9 } from './messages.ts';
import { qidOf } from './qid-of.ts';
import { byteCount, checkName, handler, mustBeWritable, type Session } from './session.ts';

/** P9_DOTL_*: flags of Tlopen and Tlcreate, which have the values of x86 Linux. Others are the client's own matter. */
const FLAG = { ACCESS: 3, WRONLY: 1, RDWR: 2, TRUNC: 0o1000, APPEND: 0o2000, DSYNC: 0o10000, DIRECTORY: 0o200000 } as const;
/** P9_LOCK_FLAGS_BLOCK and _RECLAIM. */
const LOCK_FLAGS = 3;
const LOCK_SUCCESS = 0;
const F_UNLCK = 2;
/** Rread and Rreaddir: header and count. */
const DATA_HEADER_BYTES = 11;

function accessOf(flags: number): FileAccess {
  const access = flags & FLAG.ACCESS;
  if (access === FLAG.ACCESS) throw new FileTreeError(LinuxErrno.EINVAL, 'neither read nor write');
  return {
    read: access !== FLAG.WRONLY,
    write: access !== 0,
    append: (flags & FLAG.APPEND) !== 0,
    truncate: (flags & FLAG.TRUNC) !== 0,
    sync: (flags & FLAG.DSYNC) !== 0,
  };
}

/** Only one request opens a fid, and it is open only when that is done. */
async function opening<T>(fid: Fid, body: () => Promise<T>): Promise<T> {
  if (fid.isOpen) throw new FileTreeError(LinuxErrno.EINVAL, 'the fid is open');
  fid.opening = true;
  try {
    return await body();
  } finally {
    fid.opening = false;
  }
}

async function open(session: Session, fid: Fid, node: TreeNode, flags: number): Promise<void> {
  const access = accessOf(flags);
  if (node.identity.kind === S_IF.DIR) {
    if (access.write) throw new FileTreeError(LinuxErrno.EISDIR, 'a directory is not written to');
    fid.directory = new DirectoryReader(await node.openDirectory());
    return;
  }
  if ((flags & FLAG.DIRECTORY) !== 0) throw new FileTreeError(LinuxErrno.ENOTDIR, 'no directory');
  if (node.identity.kind === S_IF.LNK) throw new FileTreeError(LinuxErrno.ELOOP, 'a symbolic link cannot be opened');
  if (access.write || access.truncate === true) mustBeWritable(session);
  fid.file = { file: await node.open(access), access };
}

/** @throws FileTreeError EBADF, EISDIR */
function openedFile(fid: Fid): OpenedFile {
  if (fid.file !== undefined) return fid.file;
  if (fid.directory !== undefined) throw new FileTreeError(LinuxErrno.EISDIR, 'a directory');
  throw new FileTreeError(LinuxErrno.EBADF, 'the fid is not open');
}

export const fileHandlers = [
  handler(P9.lopen, (session, { fid: id, flags }) =>
    session.fids.use(id, (fid, node) =>
      opening(fid, async () => {
        await open(session, fid, node, flags);
        return { qid: qidOf(node.identity), iounit: session.messageBytes - IO_HEADER_BYTES };
      }),
    ),
  ),

  // The fid, which was the directory's, is the new file's.
  handler(P9.lcreate, (session, { fid: id, name, flags, mode, gid }) =>
    session.fids.use(id, (fid, directory) =>
      opening(fid, async () => {
        mustBeWritable(session);
        checkName(name, LinuxErrno.EEXIST);
        const access = accessOf(flags);
        const { node, file } = await directory.create(name, { mode: mode & 0o7777, uid: fid.uid, gid }, access);
        fid.node.release();
        fid.node = node;
        fid.file = { file, access };
        return { qid: qidOf(node.identity), iounit: session.messageBytes - IO_HEADER_BYTES };
      }),
    ),
  ),

  handler(P9.read, (session, { fid: id, offset, count }) =>
    session.fids.use(id, async (fid) => {
      const { file, access } = openedFile(fid);
      if (!access.read) throw new FileTreeError(LinuxErrno.EBADF, 'the fid is open for writing only');
      const from = byteCount(offset);
      const into = new Uint8Array(Math.min(count, session.messageBytes - DATA_HEADER_BYTES));
      return { data: into.subarray(0, into.length === 0 ? 0 : await file.read(from, into)) };
    }),
  ),

  handler(P9.write, (session, { fid: id, offset, data }) =>
    session.fids.use(id, async (fid) => {
      const { file, access } = openedFile(fid);
      if (!access.write) throw new FileTreeError(LinuxErrno.EBADF, 'the fid is open for reading only');
      byteCount(offset + BigInt(data.length));
      return { count: data.length === 0 ? 0 : await file.write(byteCount(offset), data) };
    }),
  ),

  handler(P9.readdir, (session, { fid: id, offset, count }) =>
    session.fids.use(id, async ({ directory }, node) => {
      if (directory === undefined) throw new FileTreeError(LinuxErrno.EBADF, 'no open directory');
      const most = Math.min(count, session.messageBytes - DATA_HEADER_BYTES);
      return { data: await directory.read(byteCount(offset), most, [node.identity, node.parent.identity]) };
    }),
  ),

  handler(P9.fsync, (session, { fid: id, datasync }) =>
    session.fids.use(id, async (fid) => {
      if (fid.directory !== undefined) await fid.directory.sync();
      else await openedFile(fid).file.sync(datasync !== 0);
      return {};
    }),
  ),

  // The client keeps its own programs apart before it asks (v9fs_file_do_lock), and nobody else is known here.
  handler(P9.lock, (session, { fid: id, type, flags }) =>
    session.fids.use(id, async (fid) => {
      openedFile(fid);
      if ((flags & ~LOCK_FLAGS) !== 0 || type > F_UNLCK) throw new FileTreeError(LinuxErrno.EINVAL, 'an unknown lock');
      return { status: LOCK_SUCCESS };
    }),
  ),

  handler(P9.getlock, (session, { fid: id, type, start, length, procId, clientId }) =>
    session.fids.use(id, async (fid) => {
      openedFile(fid);
      if (type > F_UNLCK) throw new FileTreeError(LinuxErrno.EINVAL, 'an unknown lock');
      return { type: F_UNLCK, start, length, procId, clientId };
    }),
  ),
];
