// What a client has open, and how its requests are turned into answers.
import { LinuxErrno } from '../../../abi/linux-errno.ts';
import type { FileTree } from '../../../io/file-tree.ts';
import { FileTreeError } from '../../../io/file-tree-error.ts';
import type { FidTable } from './fid-table.ts';
import { decode, type Exchange, encode, type ValuesOf } from './messages.ts';

export interface Session {
  readonly tree: FileTree;
  readonly fids: FidTable;
  /** msize: no message is longer. */
  readonly messageBytes: number;
  readonly readOnly: boolean;
}

type Fields = Exchange['request'];

/** Answers one kind of request. Rejects with a FileTreeError for what the client is told. */
export type Handler = (session: Session, message: Uint8Array, tag: number) => Promise<Uint8Array>;

/** A handler beside the number of its request. */
export function handler<Q extends Fields, A extends Fields>(
  { type, request, answer }: Exchange<Q, A>,
  body: (session: Session, request: ValuesOf<Q>) => Promise<ValuesOf<A>>,
): readonly [type: number, handler: Handler] {
  return [
    type,
    async (session, message, tag) => {
      const values = decode(request, message);
      if (values === undefined) throw new FileTreeError(LinuxErrno.EINVAL, `a message of type ${type} is cut short`);
      return encode(type + 1, tag, answer, await body(session, values));
    },
  ];
}

/** @throws FileTreeError EROFS */
export function mustBeWritable(session: Session): void {
  if (session.readOnly) throw new FileTreeError(LinuxErrno.EROFS, 'the share is read-only');
}

/** Checks a name that is to be looked up or removed; `dots` is the error for '.' and '..'. @throws FileTreeError */
export function checkName(name: string, dots: LinuxErrno): void {
  if (name === '' || name.includes('/') || name.includes('\0'))
    throw new FileTreeError(LinuxErrno.ENOENT, 'what is no name of an entry');
  if (name === '.' || name === '..') throw new FileTreeError(dots, `the name ${name}`);
  if (name.length > 255) throw new FileTreeError(LinuxErrno.ENAMETOOLONG, `a name of ${name.length} bytes`);
}

/** An offset or a size as a Number. @throws FileTreeError EFBIG beyond 2^53 */
export function byteCount(value: bigint): number {
  const count = Number(value);
  if (!Number.isSafeInteger(count)) throw new FileTreeError(LinuxErrno.EFBIG, 'beyond 2^53 bytes');
  return count;
}
