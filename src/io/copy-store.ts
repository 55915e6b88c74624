// Copies a disk, without writing what is zero anyway.
import type { BlockStore } from './block-store.ts';

export interface CopyOptions {
  /** The target reads as zeroes where nothing is written: zeroes are left out. Otherwise they are written. */
  readonly targetIsZero: boolean;
  /** Whether the source reads as zeroes for sure from `offset` on, and for how long; it spares reading them. */
  readonly zeroesAt?: (offset: number, length: number) => Promise<number>;
  /** Bytes done, of how many. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Bytes that are read at once. */
const PIECE = 2 ** 21;
/** Zeroes are left out in units of this. */
const GRAIN = 65536;

/** Copies all of `source` to the start of `target`, which is at least as large. Does not flush. @throws what the stores throw */
export async function copyStore(source: BlockStore, target: BlockStore, options: CopyOptions): Promise<void> {
  const total = source.sizeBytes;
  // While one piece is written the next is read.
  const buffers = [new Uint8Array(Math.min(PIECE, total)), new Uint8Array(Math.min(PIECE, total))] as const;
  let writing: Promise<void> = Promise.resolve();
  for (let offset = 0, turn = 0; offset < total; ) {
    options.signal?.throwIfAborted();
    const length = Math.min(PIECE, total - offset);
    const zeroes = options.targetIsZero ? ((await options.zeroesAt?.(offset, total - offset)) ?? 0) : 0;
    const skip = zeroes >= GRAIN || zeroes === total - offset ? zeroes : 0;
    if (skip > 0) offset += skip;
    else {
      const piece = buffers[turn as 0 | 1].subarray(0, length);
      turn = 1 - turn;
      try {
        await source.read(offset, piece);
      } finally {
        await writing;
      }
      writing = writePiece(target, offset, piece, options.targetIsZero);
      // Its error is thrown where it is awaited.
      writing.catch(() => {});
      offset += length;
    }
    options.onProgress?.(offset, total);
  }
  await writing;
}

async function writePiece(target: BlockStore, offset: number, piece: Uint8Array, leaveZeroes: boolean): Promise<void> {
  for (let at = 0; at < piece.length; ) {
    let end = at;
    while (end < piece.length && !(leaveZeroes && isZero(piece.subarray(end, Math.min(end + GRAIN, piece.length))))) end += GRAIN;
    end = Math.min(end, piece.length);
    if (end > at) await target.write(offset + at, piece.subarray(at, end));
    at = end;
    while (at < piece.length && leaveZeroes && isZero(piece.subarray(at, Math.min(at + GRAIN, piece.length)))) at += GRAIN;
  }
}

function isZero(bytes: Uint8Array): boolean {
  // Most data show it at once.
  if (bytes[0] !== 0 || bytes[bytes.length - 1] !== 0) return false;
  const words = bytes.length >> 2;
  if (bytes.byteOffset % 4 !== 0) return bytes.every((byte) => byte === 0);
  const view = new Uint32Array(bytes.buffer, bytes.byteOffset, words);
  for (let i = 0; i < words; i++) if (view[i] !== 0) return false;
  return bytes.subarray(words * 4).every((byte) => byte === 0);
}
