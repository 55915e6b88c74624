// Entries of directories: made, moved, removed.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import { S_IF, type TreeNode } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import type { Qid } from './fields.ts';
import { P9 } from './messages.ts';
import { qidOf } from './qid-of.ts';
import { checkName, handler, mustBeWritable, type Session } from './session.ts';

const AT_REMOVEDIR = 0x200;
const UNLINKAT_FLAGS = AT_REMOVEDIR;

/** Makes an entry of a directory. */
function make(
  session: Session,
  directory: number,
  name: string,
  body: (node: TreeNode, uid: number) => Promise<TreeNode>,
): Promise<{ readonly qid: Qid }> {
  return session.fids.use(directory, async ({ uid }, node) => {
    mustBeWritable(session);
    checkName(name, LinuxErrno.EEXIST);
    const made = await body(node, uid);
    const identity = qidOf(made.identity);
    made.release();
    return { qid: identity };
  });
}

export const entryHandlers = [
  handler(P9.mkdir, (session, { dfid, name, mode, gid }) =>
    make(session, dfid, name, (node, uid) => node.mkdir(name, { mode: mode & 0o7777, uid, gid })),
  ),

  handler(P9.symlink, (session, { fid, name, target, gid }) => {
    if (target === '' || target.includes('\0')) throw new FileTreeError(LinuxErrno.ENOENT, 'a link to nothing');
    return make(session, fid, name, (node, uid) => node.symlink(name, target, { mode: 0o777, uid, gid }));
  }),

  // A device of the guest's choice would be one of the host's.
  handler(P9.mknod, (session, { dfid, name, mode, gid }) =>
    make(session, dfid, name, async (node, uid) => {
      const kind = mode & S_IF.MT;
      if (kind !== S_IF.REG && kind !== 0) throw new FileTreeError(LinuxErrno.EPERM, 'devices, pipes and sockets are not made');
      const access = { read: false, write: true };
      const { node: made, file } = await node.create(name, { mode: mode & 0o7777, uid, gid }, access);
      await file.close();
      return made;
    }),
  ),

  handler(P9.readlink, (session, { fid }) =>
    session.fids.use(fid, async (_fid, node) => {
      if (node.identity.kind !== S_IF.LNK) throw new FileTreeError(LinuxErrno.EINVAL, 'no symbolic link');
      return { target: await node.readlink() };
    }),
  ),

  handler(P9.link, (session, { dfid, fid, name }) =>
    session.fids.use(dfid, (_dfid, directory) =>
      session.fids.use(fid, async (_fid, existing) => {
        mustBeWritable(session);
        checkName(name, LinuxErrno.EEXIST);
        await directory.link(name, existing);
        return {};
      }),
    ),
  ),

  handler(P9.rename, (session, { fid, dfid, name }) =>
    session.fids.use(dfid, (_dfid, directory) =>
      session.fids.use(fid, async (_fid, node) => {
        mustBeWritable(session);
        checkName(name, LinuxErrno.EISDIR);
        await node.moveTo(directory, name);
        return {};
      }),
    ),
  ),

  handler(P9.renameat, (session, { olddirfid, oldname, newdirfid, newname }) =>
    session.fids.use(olddirfid, (_old, from) =>
      session.fids.use(newdirfid, async (_new, to) => {
        mustBeWritable(session);
        checkName(oldname, LinuxErrno.EISDIR);
        checkName(newname, LinuxErrno.EISDIR);
        await from.rename(oldname, to, newname);
        return {};
      }),
    ),
  ),

  handler(P9.unlinkat, (session, { dirfid, name, flags }) =>
    session.fids.use(dirfid, async (_fid, directory) => {
      mustBeWritable(session);
      if ((flags & ~UNLINKAT_FLAGS) !== 0) throw new FileTreeError(LinuxErrno.EINVAL, 'unknown flags');
      checkName(name, name === '..' ? LinuxErrno.ENOTEMPTY : LinuxErrno.EINVAL);
      if ((flags & AT_REMOVEDIR) !== 0) await directory.rmdir(name);
      else await directory.unlink(name);
      return {};
    }),
  ),
];
