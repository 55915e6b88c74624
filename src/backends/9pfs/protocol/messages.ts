// The messages of 9P2000.L: requests (T…) and their answers (R…), whose number is the request's plus one.
// Plan 9's manual, section 5; diod's protocol.md; Linux's include/net/9p/9p.h.
import { data, type FieldType, list, qid, text, u8, u16, u32, u64 } from './fields.ts';
import { WireReader, WireWriter } from './wire.ts';

type Fields = Readonly<Record<string, FieldType<unknown>>>;
export type ValuesOf<F extends Fields> = { readonly [K in keyof F]: F[K] extends FieldType<infer V> ? V : never };

/** A request and its answer. */
export interface Exchange<Q extends Fields = Fields, A extends Fields = Fields> {
  /** Of the request. */
  readonly type: number;
  readonly request: Q;
  readonly answer: A;
}

const exchange = <const Q extends Fields, const A extends Fields>(type: number, request: Q, answer: A): Exchange<Q, A> => ({
  type,
  request,
  answer,
});

export const P9 = {
  statfs: exchange(
    8,
    { fid: u32 },
    {
      type: u32,
      bsize: u32,
      blocks: u64,
      bfree: u64,
      bavail: u64,
      files: u64,
      ffree: u64,
      fsid: u64,
      namelen: u32,
    },
  ),
  lopen: exchange(12, { fid: u32, flags: u32 }, { qid, iounit: u32 }),
  lcreate: exchange(14, { fid: u32, name: text, flags: u32, mode: u32, gid: u32 }, { qid, iounit: u32 }),
  symlink: exchange(16, { fid: u32, name: text, target: text, gid: u32 }, { qid }),
  mknod: exchange(18, { dfid: u32, name: text, mode: u32, major: u32, minor: u32, gid: u32 }, { qid }),
  rename: exchange(20, { fid: u32, dfid: u32, name: text }, {}),
  readlink: exchange(22, { fid: u32 }, { target: text }),
  getattr: exchange(
    24,
    { fid: u32, mask: u64 },
    {
      valid: u64,
      qid,
      mode: u32,
      uid: u32,
      gid: u32,
      nlink: u64,
      rdev: u64,
      size: u64,
      blksize: u64,
      blocks: u64,
      atimeSec: u64,
      atimeNsec: u64,
      mtimeSec: u64,
      mtimeNsec: u64,
      ctimeSec: u64,
      ctimeNsec: u64,
      btimeSec: u64,
      btimeNsec: u64,
      gen: u64,
      dataVersion: u64,
    },
  ),
  setattr: exchange(
    26,
    {
      fid: u32,
      valid: u32,
      mode: u32,
      uid: u32,
      gid: u32,
      size: u64,
      atimeSec: u64,
      atimeNsec: u64,
      mtimeSec: u64,
      mtimeNsec: u64,
    },
    {},
  ),
  xattrwalk: exchange(30, { fid: u32, newfid: u32, name: text }, { size: u64 }),
  xattrcreate: exchange(32, { fid: u32, name: text, size: u64, flags: u32 }, {}),
  readdir: exchange(40, { fid: u32, offset: u64, count: u32 }, { data }),
  fsync: exchange(50, { fid: u32, datasync: u32 }, {}),
  lock: exchange(52, { fid: u32, type: u8, flags: u32, start: u64, length: u64, procId: u32, clientId: text }, { status: u8 }),
  getlock: exchange(
    54,
    { fid: u32, type: u8, start: u64, length: u64, procId: u32, clientId: text },
    { type: u8, start: u64, length: u64, procId: u32, clientId: text },
  ),
  link: exchange(70, { dfid: u32, fid: u32, name: text }, {}),
  mkdir: exchange(72, { dfid: u32, name: text, mode: u32, gid: u32 }, { qid }),
  renameat: exchange(74, { olddirfid: u32, oldname: text, newdirfid: u32, newname: text }, {}),
  unlinkat: exchange(76, { dirfid: u32, name: text, flags: u32 }, {}),
  version: exchange(100, { msize: u32, version: text }, { msize: u32, version: text }),
  attach: exchange(104, { fid: u32, afid: u32, uname: text, aname: text, uid: u32 }, { qid }),
  flush: exchange(108, { oldtag: u16 }, {}),
  walk: exchange(110, { fid: u32, newfid: u32, names: list(text) }, { qids: list(qid) }),
  read: exchange(116, { fid: u32, offset: u64, count: u32 }, { data }),
  write: exchange(118, { fid: u32, offset: u64, data }, { count: u32 }),
  clunk: exchange(120, { fid: u32 }, {}),
  remove: exchange(122, { fid: u32 }, {}),
} as const;

/** Instead of any answer. */
export const RLERROR = { type: 7, fields: { errno: u32 } } as const;

/** Size, type and tag of a message. */
export const HEADER_BYTES = 7;
/** P9_IOHDRSZ: Linux leaves so much of a message for what is around its data. */
export const IO_HEADER_BYTES = 24;
/** P9_MAXWELEM: names in a walk. */
export const MOST_NAMES = 16;
export const NO_TAG = 0xffff;
export const NO_FID = 0xffff_ffff;
export const VERSION = '9P2000.L';

/** Reads a message's fields; undefined when it is shorter than they are. Bytes behind them are ignored, as Linux does. */
export function decode<F extends Fields>(fields: F, message: Uint8Array): ValuesOf<F> | undefined {
  const reader = new WireReader(message, HEADER_BYTES);
  const values: Record<string, unknown> = {};
  for (const name of Object.keys(fields)) values[name] = (fields[name] as FieldType<unknown>).read(reader);
  return reader.ok ? (values as ValuesOf<F>) : undefined;
}

/** A whole message. */
export function encode<F extends Fields>(type: number, tag: number, fields: F, values: ValuesOf<F>): Uint8Array {
  const writer = new WireWriter();
  writer.u32(0);
  writer.u8(type);
  writer.u16(tag);
  for (const name of Object.keys(fields)) (fields[name] as FieldType<unknown>).write(writer, values[name]);
  return writer.finish();
}
