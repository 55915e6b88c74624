// Fids: how a client gets and gives back what it names files by.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { TreeNode } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import type { Qid } from './fields.ts';
import { MOST_NAMES, NO_FID, P9 } from './messages.ts';
import { qidOf } from './qid-of.ts';
import { checkName, handler, mustBeWritable } from './session.ts';

/** The step of a walk. At the root, '..' stays there. The caller releases what it gets. */
async function step(node: TreeNode, name: string): Promise<TreeNode> {
  if (name === '..') {
    node.parent.retain();
    return node.parent;
  }
  checkName(name, LinuxErrno.ENOENT);
  return node.lookup(name);
}

export const walkHandlers = [
  handler(P9.attach, async ({ tree, fids }, { fid, afid, aname, uid }) => {
    if (afid !== NO_FID) throw new FileTreeError(LinuxErrno.EINVAL, 'there is no authentication');
    if (aname !== '' && aname !== '/') throw new FileTreeError(LinuxErrno.ENOENT, 'only the whole folder is shared');
    if (fids.has(fid)) throw new FileTreeError(LinuxErrno.EINVAL, `fid ${fid} is in use`);
    const root = await tree.root();
    const identity = qidOf(root.identity);
    fids.add(fid, root, uid);
    return { qid: identity };
  }),

  // As walk(5): what the first name leads to must be there; a walk that gets stuck later tells how far it came, and makes no fid.
  handler(P9.walk, async ({ fids }, { fid: id, newfid, names }) => {
    if (names.length > MOST_NAMES) throw new FileTreeError(LinuxErrno.EINVAL, `a walk of ${names.length} names`);
    if (newfid !== id && fids.has(newfid)) throw new FileTreeError(LinuxErrno.EINVAL, `fid ${newfid} is in use`);
    return fids.use(id, async (fid, start) => {
      if (newfid === id && fid.isOpen) throw new FileTreeError(LinuxErrno.EINVAL, 'an open fid cannot walk');
      const qids: Qid[] = [];
      let node = start;
      node.retain();
      try {
        for (const name of names) {
          const next = await step(node, name);
          node.release();
          node = next;
          qids.push(qidOf(node.identity));
        }
      } catch (error) {
        node.release();
        if (qids.length === 0 || !(error instanceof FileTreeError)) throw error;
        return { qids };
      }
      if (newfid !== id) fids.add(newfid, node, fid.uid);
      else if (fid.isOpen) {
        node.release();
        throw new FileTreeError(LinuxErrno.EINVAL, 'an open fid cannot walk');
      } else {
        fid.node.release();
        fid.node = node;
      }
      return { qids };
    });
  }),

  handler(P9.clunk, async ({ fids }, { fid }) => {
    await fids.clunk(fid);
    return {};
  }),

  // The fid has gone whether or not the file can be removed: remove(5).
  handler(P9.remove, async (session, { fid: id }) => {
    const { fids } = session;
    try {
      return await fids.use(id, async (_fid, node) => {
        mustBeWritable(session);
        await node.remove();
        return {};
      });
    } finally {
      if (fids.has(id)) await fids.clunk(id);
    }
  }),
];
