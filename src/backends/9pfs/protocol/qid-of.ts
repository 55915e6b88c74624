import { type NodeIdentity, S_IF } from '../../../io/file-tree.ts';
import { type Qid, QT } from './fields.ts';

export const qidOf = ({ path, version, kind }: NodeIdentity): Qid => ({
  type: kind === S_IF.DIR ? QT.DIR : kind === S_IF.LNK ? QT.SYMLINK : QT.FILE,
  version,
  path,
});

/** d_type of Linux's dirent: IFTODT. */
export const entryType = (kind: number): number => kind >>> 12;
