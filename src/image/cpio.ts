// cpio "newc" archives, the format of an initramfs: Linux Documentation/driver-api/early-userspace/buffer-format.rst.
import { BoundedReader, latin1 } from './bounded-reader.ts';
import { corrupt, ImageError } from './image-error.ts';

/** File type bits of a mode, as in stat(2). */
export const FILE_TYPE = {
  mask: 0o170000,
  fifo: 0o010000,
  char: 0o020000,
  dir: 0o040000,
  block: 0o060000,
  file: 0o100000,
  link: 0o120000,
  socket: 0o140000,
} as const;

export interface CpioEntry {
  /** Without a leading slash. */
  readonly path: string;
  /** File type and permission bits together. */
  readonly mode: number;
  /** A file's contents, or a symbolic link's target in UTF-8. */
  readonly data: Uint8Array;
  /** Major and minor number of a device node. */
  readonly device?: readonly [major: number, minor: number];
  readonly uid?: number;
  readonly gid?: number;
  /** Seconds since 1970; 0 unless told, so that an archive depends on its contents alone. */
  readonly mtime?: number;
}

const HEADER = 110;
const TRAILER = 'TRAILER!!!';
const NONE = new Uint8Array(0);
const align4 = (n: number): number => (n + 3) & ~3;
const utf8 = new TextEncoder();

export const cpioDirectory = (path: string, mode = 0o755): CpioEntry => ({ path, mode: FILE_TYPE.dir | mode, data: NONE });
export const cpioFile = (path: string, data: Uint8Array | string, mode = 0o644): CpioEntry => ({
  path,
  mode: FILE_TYPE.file | mode,
  data: typeof data === 'string' ? utf8.encode(data) : data,
});
export const cpioLink = (path: string, target: string): CpioEntry => ({
  path,
  mode: FILE_TYPE.link | 0o777,
  data: utf8.encode(target),
});
export const cpioCharDevice = (path: string, major: number, minor: number, mode = 0o600): CpioEntry => ({
  path,
  mode: FILE_TYPE.char | mode,
  data: NONE,
  device: [major, minor],
});

/** Writes an archive, in the order given: directories must precede what is in them. */
export function writeCpio(entries: readonly CpioEntry[]): Uint8Array {
  const records = [...entries, { path: TRAILER, mode: 0, data: NONE }].map((entry, i) => ({
    entry,
    name: utf8.encode(entry.path),
    inode: i + 1,
  }));
  const total = records.reduce((sum, { entry, name }) => align4(sum + HEADER + name.length + 1) + align4(entry.data.length), 0);
  const out = new Uint8Array(total);
  let at = 0;
  for (const { entry, name, inode } of records) {
    const { mode, data, device = [0, 0], uid = 0, gid = 0, mtime = 0 } = entry;
    const links = (mode & FILE_TYPE.mask) === FILE_TYPE.dir ? 2 : 1;
    const fields = [inode, mode, uid, gid, links, mtime, data.length, 0, 0, device[0], device[1], name.length + 1, 0];
    utf8.encodeInto(`070701${fields.map((n) => n.toString(16).padStart(8, '0')).join('')}`, out.subarray(at));
    out.set(name, at + HEADER);
    at = align4(at + HEADER + name.length + 1);
    out.set(data, at);
    at = align4(at + data.length);
  }
  return out;
}

/** Reads an uncompressed newc archive up to its trailer. Data are views of `bytes`. Throws ImageError. */
export function readCpio(bytes: Uint8Array): CpioEntry[] {
  const file = new BoundedReader(bytes, 'cpio archive');
  const entries: CpioEntry[] = [];
  for (let at = 0; ; ) {
    const magic = file.ascii(at, 6);
    if (magic !== '070701' && magic !== '070702') {
      if (at === 0)
        throw new ImageError(
          'not-an-archive',
          'the file is not a cpio archive in newc format',
          'give an uncompressed newc archive, as `cpio -o -H newc` writes it',
        );
      throw corrupt('cpio archive', `no entry header at offset ${at}`);
    }
    const start = at;
    const header = latin1(file.slice(start + 6, HEADER - 6));
    const field = (i: number): number => {
      const text = header.slice(i * 8, i * 8 + 8);
      if (!/^[0-9a-fA-F]{8}$/.test(text)) throw corrupt('cpio archive', `the entry header at offset ${start} is not hexadecimal`);
      return Number.parseInt(text, 16);
    };
    const nameSize = field(11);
    if (nameSize < 1 || nameSize > 4096)
      throw corrupt('cpio archive', `the entry at offset ${start} has a name of ${nameSize} bytes`);
    const path = new TextDecoder().decode(file.slice(start + HEADER, nameSize - 1));
    if (path === TRAILER) return entries;
    const dataAt = align4(start + HEADER + nameSize);
    const size = field(6);
    const data = file.slice(dataAt, size);
    at = align4(dataAt + size);
    entries.push({ path, mode: field(1), uid: field(2), gid: field(3), mtime: field(5), device: [field(9), field(10)], data });
  }
}
