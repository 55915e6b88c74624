// Zstandard files. The decoder is the fzstd package. Frames are walked first (RFC 8878, 3.1.1): this finds truncation exactly,
// bounds what a frame can make the decoder allocate, and gives the frame's size, since fzstd with a buffer of the right size
// is ten times as fast as without: a kernel's frame has a window of 128 MiB, which fzstd otherwise moves after each block.
import { Decompress, decompress } from 'fzstd';
import { BoundedReader, startsWith } from './bounded-reader.ts';
import { corrupt, ImageError } from './image-error.ts';

export const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd] as const;
const SKIPPABLE_MAGIC = 0x184d_2a5; // of 16 magics, less the last digit
/** A block unpacks to at most this much. */
const MAX_BLOCK = 1 << 17;
/** zstd --ultra -22 has a window of 128 MiB. */
const MAX_WINDOW = 2 ** 28;
const BLOCK_TYPE = { raw: 0, rle: 1, reserved: 3 } as const;

interface Frame {
  readonly bytes: Uint8Array;
  /** Unpacked size, if the header tells it. */
  readonly contentSize: number | undefined;
  /** The most it can unpack to. */
  readonly atMost: number;
}

export interface ZstdLimits {
  /** The unpacked size, when the caller knows it. */
  readonly size?: number | undefined;
  readonly maxBytes: number;
}

/** Unpacks all frames of a file, chunk by chunk. Throws ImageError. */
export function* unpackZstd(bytes: Uint8Array, what: string, limits: ZstdLimits): Generator<Uint8Array> {
  const frames = readFrames(bytes, what);
  for (const frame of frames) {
    const size = frame.contentSize ?? (frames.length === 1 ? limits.size : undefined);
    try {
      if (size === undefined) yield* unpackStreaming(frame.bytes);
      else if (size > frame.atMost) throw corrupt(what, `its zstd frame cannot hold the ${size} bytes it should`);
      else if (size > limits.maxBytes)
        throw new ImageError('too-large', `${what} unpacks to ${size} bytes`, 'check that it is the file you meant');
      else yield decompress(frame.bytes, new Uint8Array(size));
    } catch (cause) {
      if (cause instanceof ImageError) throw cause;
      throw corrupt(what, 'its zstd data cannot be unpacked', cause);
    }
  }
}

/**
 * Unpacks the frame that the bytes begin with to exactly `size` bytes; what follows it is ignored. Throws ImageError, or what
 * fzstd throws.
 */
export function unpackZstdPrefix(bytes: Uint8Array, what: string, size: number): Uint8Array {
  const frame = readFrame(new BoundedReader(bytes, what), 0);
  if (!startsWith(bytes, ZSTD_MAGIC)) throw corrupt(what, 'it is no zstd frame');
  if (frame.contentSize !== undefined) {
    if (frame.contentSize !== size || size > frame.atMost) throw corrupt(what, `its zstd frame does not hold ${size} bytes`);
    return decompress(frame.bytes, new Uint8Array(size));
  }
  const out = new Uint8Array(size);
  let length = 0;
  for (const chunk of unpackStreaming(frame.bytes)) {
    if (length + chunk.length > size) throw corrupt(what, `its zstd frame holds more than ${size} bytes`);
    out.set(chunk, length);
    length += chunk.length;
  }
  if (length < size) throw corrupt(what, `its zstd frame holds ${length} bytes instead of ${size}`);
  return out;
}

/** Input is fed in pieces of this size, so that the output comes in pieces too. */
const PIECE = 1 << 18;

function* unpackStreaming(frame: Uint8Array): Generator<Uint8Array> {
  const ready: Uint8Array[] = [];
  const stream = new Decompress((chunk) => void ready.push(chunk));
  for (let at = 0; at < frame.length; at += PIECE) {
    const end = Math.min(at + PIECE, frame.length);
    stream.push(frame.subarray(at, end), end === frame.length);
    yield* ready.splice(0);
  }
}

function readFrames(bytes: Uint8Array, what: string): Frame[] {
  const file = new BoundedReader(bytes, what);
  const frames: Frame[] = [];
  for (let at = 0; at < file.length; ) {
    if (file.u32(at) >>> 4 === SKIPPABLE_MAGIC) {
      at += 8 + file.u32(at + 4);
      file.slice(at, 0);
      continue;
    }
    if (!startsWith(bytes, ZSTD_MAGIC, at)) throw corrupt(what, `no zstd frame at offset ${at}`);
    const frame = readFrame(file, at);
    frames.push(frame);
    at += frame.bytes.length;
  }
  return frames;
}

function readFrame(file: BoundedReader, start: number): Frame {
  const descriptor = file.u8(start + 4);
  const singleSegment = (descriptor & 0x20) !== 0;
  let at = start + 5;
  if (!singleSegment) {
    const base = 2 ** (10 + (file.u8(at) >> 3));
    const window = base + (base / 8) * (file.u8(at) & 7);
    if (window > MAX_WINDOW)
      throw new ImageError(
        'unsupported-compression',
        `${file.what} needs a zstd window of ${window / 2 ** 20} MiB`,
        'pack it again without --long',
      );
    at++;
  }
  at += [0, 1, 2, 4][descriptor & 3] as number; // dictionary ID
  const sizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const contentSize =
    sizeBytes === 0
      ? undefined
      : sizeBytes === 1
        ? file.u8(at)
        : sizeBytes === 2
          ? file.u16(at) + 256
          : sizeBytes === 4
            ? file.u32(at)
            : file.u64(at);
  at += sizeBytes;
  let atMost = 0;
  for (let last = false; !last; ) {
    const header = file.u16(at) | (file.u8(at + 2) << 16);
    last = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === BLOCK_TYPE.reserved || size > MAX_BLOCK) throw corrupt(file.what, `a bad zstd block at offset ${at}`);
    atMost += type === BLOCK_TYPE.raw || type === BLOCK_TYPE.rle ? size : MAX_BLOCK;
    at += 3 + (type === BLOCK_TYPE.rle ? 1 : size);
    file.slice(at, 0);
  }
  if (descriptor & 4) at += 4; // checksum, which fzstd does not look at
  return { bytes: file.slice(start, at - start), contentSize, atMost };
}
