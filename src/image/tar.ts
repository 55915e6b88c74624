// tar archives: POSIX ustar and pax (IEEE 1003.1, pax utility), and GNU's long names. Read as a stream, since a kernel
// package unpacks to hundreds of megabytes and what is wanted of it comes early.
import { BoundedReader } from './bounded-reader.ts';
import type { Chunks } from './byte-stream.ts';
import { corrupt, ImageError, truncated } from './image-error.ts';

const BLOCK = 512;
/** Long names and pax headers are read into memory: nothing honest makes them larger. */
const MAX_EXTENSION_BYTES = 1 << 20;

export type TarType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo';
const TYPES: Readonly<Record<string, TarType>> = {
  '\0': 'file',
  '': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
};

export interface TarHeader {
  /** Relative, without "./" in front or "/" behind, and without ".." in it; '' for the root itself. */
  readonly path: string;
  readonly type: TarType;
  /** Permission bits. */
  readonly mode: number;
  /** Seconds since 1970. */
  readonly mtime: number;
  readonly size: number;
  /** A symbolic link's target as written; a hard link's as a path of this archive. */
  readonly linkTarget: string;
}

export interface TarEntry extends TarHeader {
  readonly data: Uint8Array;
}

export interface TarOptions {
  /** Entries it refuses are skipped without being held in memory. */
  readonly want?: (header: TarHeader) => boolean;
  /** Largest entry that is read, in bytes. Default 512 MiB. */
  readonly maxBytes?: number;
  /** Names the archive in errors. */
  readonly what?: string;
}

/** Reads an uncompressed archive entry by entry. Leaving the loop early stops the source. Throws ImageError. */
export async function* readTar(source: Chunks, options: TarOptions = {}): AsyncGenerator<TarEntry> {
  const { want = () => true, maxBytes = 2 ** 29, what = 'the tar archive' } = options;
  const input = new ChunkReader(source, what);
  let extended: ReadonlyMap<string, string> = new Map();
  let global: ReadonlyMap<string, string> = new Map();
  try {
    for (let first = true; ; first = false) {
      const block = await input.take(BLOCK, first);
      if (block === undefined) throw new ImageError('not-an-archive', `${what} is empty`, 'give a tar archive');
      if (block.every((byte) => byte === 0)) return;
      const raw = readHeader(block, first, what);
      const size = Number(extended.get('size') ?? global.get('size') ?? raw.size);
      if (!Number.isSafeInteger(size) || size < 0) throw corrupt(what, 'an entry has no valid size');
      const padding = (BLOCK - (size % BLOCK)) % BLOCK;
      if ('LKxg'.includes(raw.flag) && raw.flag !== '') {
        if (size > MAX_EXTENSION_BYTES) throw corrupt(what, `a long name or extended header is ${size} bytes`);
        const data = await input.need(size);
        await input.skip(padding);
        if (raw.flag === 'g') global = new Map([...global, ...readPax(data, what)]);
        else if (raw.flag === 'x') extended = new Map([...extended, ...readPax(data, what)]);
        else extended = new Map([...extended, [raw.flag === 'L' ? 'path' : 'linkpath', text(data)]]);
        continue;
      }
      const type = TYPES[raw.flag];
      if (type === undefined)
        throw new ImageError(
          'unsupported',
          `${what} has an entry of type "${raw.flag}"`,
          'pack it again with `tar --format=pax`',
        );
      const stored = type === 'file' ? size : 0;
      const linkTarget = extended.get('linkpath') ?? global.get('linkpath') ?? raw.linkName;
      const header: TarHeader = {
        path: cleanPath(extended.get('path') ?? global.get('path') ?? raw.path, what),
        type,
        mode: raw.mode & 0o7777,
        mtime: Number(extended.get('mtime') ?? global.get('mtime') ?? raw.mtime) || 0,
        size: stored,
        linkTarget: type === 'hardlink' ? cleanPath(linkTarget, what) : type === 'symlink' ? linkTarget : '',
      };
      extended = new Map();
      if (want(header)) {
        if (stored > maxBytes)
          throw new ImageError('too-large', `${what}: ${header.path} is ${stored} bytes`, 'check that it is the file you meant');
        const data = (await input.need(stored)).slice();
        await input.skip(stored === 0 ? 0 : padding);
        yield { ...header, data };
      } else await input.skip(stored === 0 ? 0 : stored + padding);
    }
  } finally {
    await input.close();
  }
}

interface RawHeader {
  readonly path: string;
  readonly flag: string;
  readonly mode: number;
  readonly size: number;
  readonly mtime: number;
  readonly linkName: string;
}

function readHeader(block: Uint8Array, first: boolean, what: string): RawHeader {
  const file = new BoundedReader(block, what);
  const sum = block.reduce((total, byte, i) => total + (i >= 148 && i < 156 ? 0x20 : byte), 0);
  if (number(block, 148, 8) !== sum) {
    if (first) throw new ImageError('not-an-archive', `${what} is not a tar archive`, 'give a tar archive');
    throw corrupt(what, "an entry header's checksum differs");
  }
  const name = text(block.subarray(0, 100));
  const posix = file.ascii(257, 6) === 'ustar'; // GNU writes "ustar " and uses the prefix for other things
  const prefix = posix ? text(block.subarray(345, 500)) : '';
  return {
    path: prefix === '' ? name : `${prefix}/${name}`,
    flag: file.ascii(156, 1),
    mode: number(block, 100, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    linkName: text(block.subarray(157, 257)),
  };
}

/** An octal field, or GNU's base-256 when its top bit is set. NaN when it is neither. */
function number(block: Uint8Array, at: number, length: number): number {
  const field = block.subarray(at, at + length);
  if ((field[0] as number) & 0x80) return field.reduce((value, byte, i) => value * 256 + (i === 0 ? byte & 0x7f : byte), 0);
  const digits = text(field).trim();
  return digits === '' ? 0 : /^[0-7]+$/.test(digits) ? Number.parseInt(digits, 8) : Number.NaN;
}

/** Records of "length key=value\n", the length counting itself. */
function readPax(data: Uint8Array, what: string): Map<string, string> {
  const values = new Map<string, string>();
  for (let at = 0; at < data.length; ) {
    const space = data.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(text(data.subarray(at, space)));
    if (!(length > space - at && at + length <= data.length)) throw corrupt(what, 'an extended header has a bad record');
    const record = text(data.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    if (equals > 0) values.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return values;
}

function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  return new TextDecoder().decode(end < 0 ? field : field.subarray(0, end));
}

function cleanPath(path: string, what: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.');
  if (parts.includes('..')) throw corrupt(what, `an entry leaves the archive: ${path}`);
  return parts.join('/');
}

/** Takes exact lengths out of chunks of any length. */
class ChunkReader {
  readonly #chunks: AsyncIterator<Uint8Array> | Iterator<Uint8Array>;
  readonly #what: string;
  #chunk: Uint8Array = new Uint8Array(0);
  #at = 0;
  #consumed = 0;

  constructor(source: Chunks, what: string) {
    this.#chunks = Symbol.asyncIterator in source ? source[Symbol.asyncIterator]() : source[Symbol.iterator]();
    this.#what = what;
  }

  /** The next `length` bytes, valid until the next call. `undefined` when there is nothing more and `endIsFine`. */
  async take(length: number, endIsFine: boolean): Promise<Uint8Array | undefined> {
    if (this.#chunk.length - this.#at >= length) return this.#cut(length);
    const out = new Uint8Array(length);
    for (let have = 0; have < length; ) {
      if (this.#at === this.#chunk.length && !(await this.#refill())) {
        if (endIsFine && have === 0) return undefined;
        throw truncated(this.#what, this.#consumed + length - have, this.#consumed);
      }
      const part = this.#cut(Math.min(length - have, this.#chunk.length - this.#at));
      out.set(part, have);
      have += part.length;
    }
    return out;
  }

  async need(length: number): Promise<Uint8Array> {
    return (await this.take(length, false)) as Uint8Array;
  }

  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      if (this.#at === this.#chunk.length && !(await this.#refill()))
        throw truncated(this.#what, this.#consumed + left, this.#consumed);
      left -= this.#cut(Math.min(left, this.#chunk.length - this.#at)).length;
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }

  #cut(length: number): Uint8Array {
    const part = this.#chunk.subarray(this.#at, this.#at + length);
    this.#at += length;
    this.#consumed += length;
    return part;
  }

  async #refill(): Promise<boolean> {
    const next = await this.#chunks.next();
    this.#at = 0;
    this.#chunk = next.done === true ? new Uint8Array(0) : next.value;
    return next.done !== true;
  }
}
