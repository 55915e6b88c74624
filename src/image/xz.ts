// .xz files: xz-file-format.txt 1.2. Blocks of LZMA2, optionally behind the x86 branch filter, which is how kernels are packed
// (scripts/xz_wrap.sh). The whole file's structure is walked as it is unpacked, so that a truncated file is told from a corrupt one.
import { undoBcjX86 } from './bcj-x86.ts';
import { BoundedReader } from './bounded-reader.ts';
import { crc32 } from './crc32.ts';
import { corrupt, ImageError, truncated } from './image-error.ts';
import { lzma2Dictionary, measureLzma2, unpackLzma2 } from './lzma2.ts';

export const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00] as const;
const STREAM_HEADER = 12;
const STREAM_FOOTER = 12;
const FILTER = { x86: 0x04, lzma2: 0x21 } as const;
const CHECK_CRC32 = 1;
/** Bytes of the check after a block, by check ID. CRC32 is verified; of the others only the length matters here. */
const CHECK_SIZE = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64] as const;
const padded = (n: number): number => Math.ceil(n / 4) * 4;

interface BlockHeader {
  /** Bytes from the start of the block to its compressed data. */
  readonly size: number;
  /** Bytes. */
  readonly dictionary: number;
  /** The x86 branch filter's start offset, when there is that filter. */
  readonly x86: number | undefined;
}

/** Unpacks the first stream of a file, chunk by chunk. A chunk is valid until the next is asked for. Throws ImageError. */
export function* unpackXz(bytes: Uint8Array, what: string, maxBytes: number): Generator<Uint8Array> {
  const file = new BoundedReader(bytes, what);
  if (file.u32(8) !== crc32(file.slice(6, 2))) throw corrupt(what, 'the CRC32 of its xz header differs');
  const check = file.u8(7) & 15;
  let at = STREAM_HEADER;
  while (file.u8(at) !== 0) {
    const header = readBlockHeader(file, at);
    const { packed, unpacked } = measureLzma2(file, at + header.size);
    const data = file.slice(at + header.size, packed);
    at += padded(header.size + packed);
    const expected = check === CHECK_CRC32 ? file.u32(at) : undefined;
    at += CHECK_SIZE[check] as number;
    file.slice(at, 0);
    if (header.x86 === undefined) yield* verified(unpackLzma2(data, header.dictionary, unpacked, what), expected, what);
    else {
      // The filter looks across chunks, so the block is put together first.
      if (unpacked > maxBytes)
        throw new ImageError('too-large', `${what} unpacks to ${unpacked} bytes`, 'check that it is the file you meant');
      yield* verified([filtered(unpackLzma2(data, header.dictionary, unpacked, what), unpacked, header.x86)], expected, what);
    }
  }
  const [needs, has] = [at + indexSize(file, at) + STREAM_FOOTER, bytes.length];
  if (has < needs) throw truncated(what, needs, has);
}

function* verified(chunks: Iterable<Uint8Array>, expected: number | undefined, what: string): Generator<Uint8Array> {
  let crc = 0;
  for (const chunk of chunks) {
    if (expected !== undefined) crc = crc32(chunk, crc);
    yield chunk;
  }
  if (expected !== undefined && crc !== expected) throw corrupt(what, 'the CRC32 of an xz block differs');
}

function filtered(chunks: Iterable<Uint8Array>, size: number, startOffset: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  undoBcjX86(out, startOffset);
  return out;
}

function readBlockHeader(file: BoundedReader, at: number): BlockHeader {
  const size = (file.u8(at) + 1) * 4;
  if (file.u32(at + size - 4) !== crc32(file.slice(at, size - 4)))
    throw corrupt(file.what, 'the CRC32 of an xz block header differs');
  const flags = file.u8(at + 1);
  let next = at + 2;
  const integer = (): number => {
    const { value, length } = readInteger(file, next);
    next += length;
    return value;
  };
  if (flags & 0x40) integer(); // compressed size
  if (flags & 0x80) integer(); // uncompressed size
  let x86: number | undefined;
  for (let left = (flags & 3) + 1; left > 0; left--) {
    const id = integer();
    const propertiesSize = integer();
    const properties = next;
    next += propertiesSize;
    if (id === FILTER.lzma2 && left === 1) return { size, dictionary: lzma2Dictionary(file.u8(properties)), x86 };
    if (id !== FILTER.x86 || left === 1 || x86 !== undefined) {
      throw new ImageError(
        'unsupported-compression',
        `${file.what} uses the xz filter 0x${id.toString(16)}`,
        'pack it again with `xz --x86 --lzma2`',
      );
    }
    x86 = propertiesSize === 4 ? file.u32(properties) : 0;
  }
  throw corrupt(file.what, 'an xz block has no LZMA2 filter');
}

/** The index: an indicator, the number of records, two numbers a record, padding, CRC32. */
function indexSize(file: BoundedReader, start: number): number {
  let at = start + 1;
  const integer = (): number => {
    const { value, length } = readInteger(file, at);
    at += length;
    return value;
  };
  for (let records = integer(); records > 0; records--) {
    integer();
    integer();
  }
  return padded(at - start) + 4;
}

/** Seven bits a byte, the lowest first. */
function readInteger(file: BoundedReader, at: number): { value: number; length: number } {
  let value = 0;
  for (let i = 0; i < 9; i++) {
    const byte = file.u8(at + i);
    value += (byte & 0x7f) * 2 ** (7 * i);
    if ((byte & 0x80) === 0) return { value, length: i + 1 };
  }
  throw corrupt(file.what, 'a number in its xz headers does not end');
}
