// Guest memory as a chip sees it that masters the bus. GuestMemory of ../memory/ is one; a PCI function gets a view of its own
// that obeys its bus master bit.
import type { Gpa } from '../abi/types.ts';

export interface DmaMemory {
  /** Copies out of guest-physical memory. False when any byte was not memory; it then reads as 0xff. Any address is fine. */
  read(gpa: Gpa, into: Uint8Array): boolean;
  /** Copies into guest-physical memory. False when any byte was not writable memory; those are dropped. Any address is fine. */
  write(gpa: Gpa, from: Uint8Array): boolean;
}
