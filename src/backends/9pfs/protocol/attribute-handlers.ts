// What stat(2), chmod(2) and their like ask for.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { AttributeChanges } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import { P9 } from './messages.ts';
import { qidOf } from './qid-of.ts';
import { byteCount, handler, mustBeWritable } from './session.ts';

/** P9_GETATTR_BASIC: all that stat(2) has. */
const GETATTR_BASIC = 0x7ffn;
/** P9_SETATTR_*. CTIME alone asks for nothing that does not happen anyway. */
const SETATTR = { MODE: 1, UID: 2, GID: 4, SIZE: 8, ATIME: 0x10, MTIME: 0x20, ATIME_SET: 0x80, MTIME_SET: 0x100 } as const;
const NAME_MAX = 255;
const NS = 1_000_000_000n;

const split = (ns: bigint): readonly [sec: bigint, nsec: bigint] => {
  const nsec = ((ns % NS) + NS) % NS;
  return [BigInt.asUintN(64, (ns - nsec) / NS), nsec];
};

/** A time to set. @throws FileTreeError EINVAL when it is before 1970, or its nanoseconds are a second or more */
function time(set: boolean, sec: bigint, nsec: bigint): number | 'now' {
  if (!set) return 'now';
  if (sec >= 1n << 40n || nsec >= NS) throw new FileTreeError(LinuxErrno.EINVAL, 'no time');
  return Number(sec) + Number(nsec) / 1e9;
}

export const attributeHandlers = [
  handler(P9.statfs, (session, { fid }) =>
    session.fids.use(fid, async () => {
      const status = await session.tree.status();
      return {
        type: status.type >>> 0,
        bsize: status.blockBytes,
        blocks: status.blocks,
        bfree: status.freeBlocks,
        bavail: status.availableBlocks,
        files: status.files,
        ffree: status.freeFiles,
        fsid: 0n,
        namelen: NAME_MAX,
      };
    }),
  ),

  // An open file is asked itself, because its name may have gone.
  handler(P9.getattr, (session, { fid: id }) =>
    session.fids.use(id, async (fid, node) => {
      const found = await (fid.file?.file ?? node).attributes();
      const [atimeSec, atimeNsec] = split(found.atimeNs);
      const [mtimeSec, mtimeNsec] = split(found.mtimeNs);
      const [ctimeSec, ctimeNsec] = split(found.ctimeNs);
      return {
        valid: GETATTR_BASIC,
        qid: qidOf(found),
        mode: found.mode,
        uid: found.uid,
        gid: found.gid,
        nlink: BigInt(found.links),
        rdev: found.device,
        size: BigInt(found.sizeBytes),
        blksize: BigInt(found.blockBytes),
        blocks: BigInt(found.blocks),
        atimeSec,
        atimeNsec,
        mtimeSec,
        mtimeNsec,
        ctimeSec,
        ctimeNsec,
        btimeSec: 0n,
        btimeNsec: 0n,
        gen: 0n,
        dataVersion: 0n,
      };
    }),
  ),

  handler(P9.setattr, (session, request) =>
    session.fids.use(request.fid, async (fid, node) => {
      mustBeWritable(session);
      const { valid } = request;
      const has = (bit: number): boolean => (valid & bit) !== 0;
      const changes: AttributeChanges = {
        ...(has(SETATTR.MODE) && { mode: request.mode & 0o7777 }),
        ...(has(SETATTR.UID) && { uid: request.uid }),
        ...(has(SETATTR.GID) && { gid: request.gid }),
        ...(has(SETATTR.ATIME) && { atime: time(has(SETATTR.ATIME_SET), request.atimeSec, request.atimeNsec) }),
        ...(has(SETATTR.MTIME) && { mtime: time(has(SETATTR.MTIME_SET), request.mtimeSec, request.mtimeNsec) }),
      };
      const sizeBytes = has(SETATTR.SIZE) ? byteCount(request.size) : undefined;
      // The open file can be shortened by who opened it, also when its permissions have changed since, or its name has gone.
      if (sizeBytes !== undefined && fid.file?.access.write === true) {
        await fid.file.file.truncate(sizeBytes);
        if (Object.keys(changes).length > 0) await node.change(changes);
      } else if (sizeBytes !== undefined || Object.keys(changes).length > 0) {
        await node.change({ ...changes, ...(sizeBytes !== undefined && { sizeBytes }) });
      }
      return {};
    }),
  ),
];
