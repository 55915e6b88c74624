// One door to all compressions: the format is told by its magic bytes.
import { startsWith } from './bounded-reader.ts';
import { type Chunks, readAll, streamChunks } from './byte-stream.ts';
import { corrupt, ImageError } from './image-error.ts';
import { LZ4_LEGACY_MAGIC, unpackLz4Legacy } from './lz4.ts';
import { LZMA_MAGIC, unpackLzma } from './lzma.ts';
import { unpackXz, XZ_MAGIC } from './xz.ts';
import { unpackZstd, ZSTD_MAGIC } from './zstd.ts';

export type Compression = 'gzip' | 'xz' | 'lz4' | 'zstd' | 'bzip2' | 'lzma' | 'lzo' | 'lz4-frame';

const MAGICS: readonly (readonly [Compression, readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['xz', XZ_MAGIC],
  ['lz4', LZ4_LEGACY_MAGIC],
  ['zstd', ZSTD_MAGIC],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['lzma', LZMA_MAGIC],
  ['lzo', [0x89, 0x4c, 0x5a, 0x4f]],
  ['lz4-frame', [0x04, 0x22, 0x4d, 0x18]],
];

/** What a file of unknown origin may unpack to: 1 GiB. */
export const DEFAULT_MAX_BYTES: number = 2 ** 30;

export interface UnpackOptions {
  /** Refuse to unpack to more than this. Default {@link DEFAULT_MAX_BYTES}. */
  readonly maxBytes?: number;
  /** The unpacked size, when it is known: spares copying. */
  readonly size?: number;
}

/** The compression whose magic the bytes begin with, if any. */
export const compressionOf = (bytes: Uint8Array): Compression | undefined =>
  MAGICS.find(([, magic]) => startsWith(bytes, magic))?.[0];

/**
 * Unpacks a compressed file, chunk by chunk. A chunk is valid only until the next is asked for.
 * @param what names the file in errors, e.g. "the kernel's payload"
 * @param options.maxBytes holds for what {@link decompress} gathers; a stream's reader stops when it has had enough
 * @throws ImageError 'unsupported-compression' for bzip2, lzo, LZ4 frames and what has no known magic; 'corrupt', 'truncated'
 */
export function unpack(bytes: Uint8Array, what: string, options: UnpackOptions = {}): Chunks {
  const compression = compressionOf(bytes);
  const maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
  switch (compression) {
    case 'gzip':
      return unpackGzip(bytes, what);
    case 'xz':
      return unpackXz(bytes, what, maxBytes);
    case 'lzma':
      return unpackLzma(bytes, what);
    case 'lz4':
      return unpackLz4Legacy(bytes);
    case 'zstd':
      return unpackZstd(bytes, what, { size: options.size, maxBytes });
    case undefined: {
      const first = [...bytes.subarray(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
      throw new ImageError(
        'unsupported-compression',
        `${what} is in no known compression (it begins with ${first || 'nothing'})`,
        'use gzip, xz, lzma, lz4 or zstd',
      );
    }
    default:
      throw new ImageError(
        'unsupported-compression',
        `${what} is compressed with ${compression}, which dom1 cannot unpack`,
        'use gzip, xz, lzma, lz4 (legacy) or zstd',
      );
  }
}

/** Unpacks a compressed file whole; see {@link unpack}. */
export const decompress = async (bytes: Uint8Array, what: string, options: UnpackOptions = {}): Promise<Uint8Array> =>
  readAll(unpack(bytes, what, options), options.maxBytes ?? DEFAULT_MAX_BYTES, what, options.size);

async function* unpackGzip(bytes: Uint8Array, what: string): AsyncGenerator<Uint8Array> {
  const source = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream() as ReadableStream<Uint8Array<ArrayBuffer>>;
  try {
    yield* streamChunks(source.pipeThrough(new DecompressionStream('gzip')));
  } catch (cause) {
    throw corrupt(what, 'its gzip data cannot be unpacked, or end too early', cause);
  }
}
