// What the machine reads and writes at a guest's linear addresses, for its hypercalls and instructions.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Mmu } from './mmu.ts';

/**
 * Copies all of `bytes` from or to a linear address, over any pages; false where one of them is not there, with what came before it copied.
 * A guest's own rights do not matter here, but a read-only page stays read-only.
 */
export function copyVirtual(
  { mmu, longMode }: { readonly mmu: Mmu; readonly longMode: boolean },
  memory: GuestMemory,
  address: bigint,
  bytes: Uint8Array,
  write: boolean,
): boolean {
  for (let done = 0; done < bytes.length; ) {
    const at = (longMode ? address : address & 0xffff_ffffn) + BigInt(done);
    const count = Math.min(bytes.length - done, 4096 - Number(at & 0xfffn));
    const gpa = write ? mmu.translateForWrite(at) : mmu.translate(at);
    if (gpa < 0) return false;
    const piece = bytes.subarray(done, done + count);
    const ok = write ? memory.write(gpa as never, piece) : memory.read(gpa as never, piece);
    if (!ok) return false;
    done += count;
  }
  return true;
}
