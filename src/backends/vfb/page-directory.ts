// Which frames a frame buffer is made of: the shared page names directories, and those name the frames, in the guest's words.
import { type Gfn, gfnToGpa, PAGE_SIZE } from '../../abi/types.ts';
import { EINVAL } from '../../abi/xen/errno.ts';
import { XenfbPage } from '../../abi/xen/fbif.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { Refusal } from '../xenbus/refusal.ts';

export type WordSize = 4 | 8;

/**
 * The guest's word size, by its node `protocol`. Frontends older than that node have one directory only: where a 32-bit guest
 * has the second entry, which is 0, a 64-bit guest has the low half of the first one.
 * @param page a copy of the shared page
 */
export function wordSize(protocol: string | undefined, page: DataView): WordSize {
  if (protocol !== undefined) return protocol === 'x86_32-abi' ? 4 : 8;
  return page.getUint32(XenfbPage.wide.pd.offset, true) === 0 ? 4 : 8;
}

/**
 * The frames of a buffer of `length` bytes (at most MAX_BUFFER_BYTES, an eighth of what the directory can hold), each one of
 * RAM when this looked. The directories are read once, here.
 * @param page a copy of the shared page
 */
export function frameBufferFrames(memory: GuestMemory, page: DataView, word: WordSize, length: number): Uint32Array | Refusal {
  const count = Math.ceil(length / PAGE_SIZE);
  const perPage = PAGE_SIZE / word;
  const at = (word === 8 ? XenfbPage.wide : XenfbPage.narrow).pd.offset;
  const frames = new Uint32Array(count);
  const directory = new Uint8Array(PAGE_SIZE);
  const view = new DataView(directory.buffer);
  for (let first = 0; first < count; first += perPage) {
    const place = frameOf(page, at + (first / perPage) * word, word);
    if (!memory.isRam(place as Gfn)) return new Refusal(EINVAL, `the directory's page ${place} is no RAM`);
    memory.read(gfnToGpa(place as Gfn), directory);
    for (let i = first; i < Math.min(count, first + perPage); i++) {
      const frame = frameOf(view, (i - first) * word, word);
      if (!memory.isRam(frame as Gfn)) return new Refusal(EINVAL, `page ${i} of the frame buffer, frame ${frame}, is no RAM`);
      frames[i] = frame;
    }
  }
  return frames;
}

/** A frame number; one far beyond what a p2m covers loses its low bits. */
const frameOf = (view: DataView, at: number, word: WordSize): number =>
  view.getUint32(at, true) + (word === 8 ? view.getUint32(at + 4, true) * 2 ** 32 : 0);
