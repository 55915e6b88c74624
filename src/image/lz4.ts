// LZ4 blocks and the legacy frame `lz4 -l` writes, which is what Linux kernels are packed with (scripts/Makefile.lib).
// Formats: lz4_Block_format.md and lz4_Frame_format.md ("Legacy frame") of the LZ4 project.
import { corrupt, truncated } from './image-error.ts';

export const LZ4_LEGACY_MAGIC = [0x02, 0x21, 0x4c, 0x18] as const;
/** A legacy block holds at most this much when unpacked. */
export const LZ4_LEGACY_BLOCK = 8 << 20;

const MIN_MATCH = 4;
/** Below this a loop is quicker than a call to copyWithin or set. */
const SHORT = 24;

/**
 * Unpacks one block into `into`, from its start.
 * @returns the bytes written
 * @throws ImageError 'corrupt' when the block reads or writes past either end
 */
export function unpackLz4Block(block: Uint8Array, into: Uint8Array): number {
  const bad = (why: string) => corrupt('LZ4 block', why);
  let from = 0;
  let to = 0;
  while (from < block.length) {
    const token = block[from++] as number;
    let literals = token >> 4;
    if (literals === 15) {
      let more: number;
      do {
        if (from >= block.length) throw bad('a length runs past its end');
        more = block[from++] as number;
        literals += more;
      } while (more === 255);
    }
    if (from + literals > block.length || to + literals > into.length) throw bad('literals run past its end');
    if (literals < SHORT) for (const end = to + literals; to < end; ) into[to++] = block[from++] as number;
    else {
      into.set(block.subarray(from, from + literals), to);
      from += literals;
      to += literals;
    }
    if (from === block.length) return to; // the last sequence has no match

    if (from + 2 > block.length) throw bad('a match has no offset');
    const distance = (block[from] as number) | ((block[from + 1] as number) << 8);
    from += 2;
    let length = token & 15;
    if (length === 15) {
      let more: number;
      do {
        if (from >= block.length) throw bad('a length runs past its end');
        more = block[from++] as number;
        length += more;
      } while (more === 255);
    }
    length += MIN_MATCH;
    if (distance === 0 || distance > to) throw bad('a match begins before its start');
    if (to + length > into.length) throw bad('a match runs past its end');
    let match = to - distance;
    if (length < SHORT || distance < length) for (const end = to + length; to < end; ) into[to++] = into[match++] as number;
    else {
      into.copyWithin(to, match, match + length);
      to += length;
    }
  }
  throw bad('it ends in a match');
}

/** Unpacks a legacy frame, block by block. Each yielded array is valid only until the next is asked for. */
export function* unpackLz4Legacy(frame: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const out = new Uint8Array(LZ4_LEGACY_BLOCK);
  for (let at: number = LZ4_LEGACY_MAGIC.length; at < frame.length; ) {
    if (at + 4 > frame.length) throw truncated('LZ4 frame', at + 4, frame.length);
    const size = view.getUint32(at, true);
    at += 4;
    if (at + size > frame.length) throw truncated('LZ4 frame', at + size, frame.length);
    yield out.subarray(0, unpackLz4Block(frame.subarray(at, at + size), out));
    at += size;
  }
}
