// .lzma files: LZMA specification, "lzma file format".
import { BoundedReader } from './bounded-reader.ts';
import { corrupt } from './image-error.ts';
import { LzmaDecoder, MAX_CHUNK } from './lzma-decoder.ts';

/** A .lzma file has no magic: these are the usual properties (lc 3, lp 0, pb 2) and a dictionary of whole 64 KiB. */
export const LZMA_MAGIC = [0x5d, 0x00, 0x00] as const;
const LZMA_HEADER = 13;
/** All ones, as BoundedReader.u64 rounds it. */
const UNKNOWN_SIZE = 2 ** 64;

/** Unpacks a .lzma file, in pieces. A piece is valid until the next is asked for. Throws ImageError. */
export function* unpackLzma(bytes: Uint8Array, what: string): Generator<Uint8Array> {
  const file = new BoundedReader(bytes, what);
  const size = file.u64(5);
  const known = size < UNKNOWN_SIZE;
  const decoder = new LzmaDecoder(file.u32(1), known ? size : Number.POSITIVE_INFINITY, what);
  decoder.setProperties(file.u8(0));
  decoder.start(file.slice(LZMA_HEADER, file.length - LZMA_HEADER));
  for (let left = known ? size : Number.POSITIVE_INFINITY; left > 0; ) {
    const wanted = Math.min(left, MAX_CHUNK);
    const out = decoder.unpack(wanted);
    yield out;
    left -= out.length;
    if (out.length === wanted) continue;
    if (known) throw corrupt(what, `its LZMA data end ${left} bytes too early`);
    return;
  }
}
