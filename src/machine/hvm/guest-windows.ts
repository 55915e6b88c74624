// Device memory in front of the guest: windows of the domain's shared memory in the p2m. RAM and what else the guest has mapped come first:
// a BAR that a guest puts over them shows nothing.
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import type { MemoryWindow, WindowMapper } from '../../devices/memory-window.ts';
import { type GuestMemory, P2M_FRAMES, pageOf } from '../../memory/guest-memory.ts';

export class GuestWindows implements WindowMapper {
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  show({ bytes, writable }: MemoryWindow, offset: number, gpa: number, size: number): (() => void) | undefined {
    const memory = this.#memory;
    const first = gpa / PAGE_SIZE;
    const pages = size / PAGE_SIZE;
    if (bytes.buffer !== memory.buffer) throw new Error('a window lies outside the shared memory');
    if (offset + size > bytes.length) throw new RangeError(`${size} bytes at ${offset} of a window of ${bytes.length}`);
    if (!Number.isInteger(first) || first + pages > P2M_FRAMES) return undefined;
    for (let i = 0; i < pages; i++) if (memory.isRam((first + i) as Gfn)) return undefined;
    const host = bytes.byteOffset + offset;
    memory.mapRun(first as Gfn, host as HostAddress, pages, writable);
    return () => {
      const own = (i: number): boolean => pageOf(memory.entry((first + i) as Gfn)) === host + i * PAGE_SIZE;
      // What the guest has mapped there since stays.
      for (let i = 0, end = 0; i < pages; i = end + 1) {
        for (end = i; end < pages && own(end); ) end++;
        memory.mapRun((first + i) as Gfn, 0 as HostAddress, end - i);
      }
    };
  }
}
