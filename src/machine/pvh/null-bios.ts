// A BIOS that refuses every service. A kernel that is entered the Multiboot way is told that it runs on a PC: Xen drops to real mode
// and asks for disks, the video mode and a memory map, and takes a refusal for an answer.
import { PAGE_SIZE } from '../../abi/types.ts';
import type { GpaRange } from './memory-map.ts';

/** Memory that a kernel on a PC leaves alone: BIOS code, and the RSDP near its end. Segment 0xf000. */
export const BIOS: GpaRange = { at: 0xf_0000 as GpaRange['at'], size: 0x1_0000 };
/** Where RAM for everybody ends on a PC. */
export const BASE_MEMORY_BYTES = 0xa_0000;

const VECTORS = 256;
const BIOS_SEGMENT = 0xf000;
/** In the BIOS data area: KiB of base memory. */
const BASE_MEMORY_KIB_AT = 0x413;

/**
 * push bp; mov bp, sp; or byte [bp + 6], 1; pop bp; mov ah, 0x86; iret: the carry flag of whoever asked is set, and AH says that there is
 * no such function.
 */
const REFUSE = new Uint8Array([0x55, 0x89, 0xe5, 0x80, 0x4e, 0x06, 0x01, 0x5d, 0xb4, 0x86, 0xcf]);

/** The pieces to be written: the first page of memory, and the service. */
export function nullBios(): readonly { readonly at: number; readonly data: Uint8Array }[] {
  const low = new Uint8Array(PAGE_SIZE);
  const view = new DataView(low.buffer);
  for (let vector = 0; vector < VECTORS; vector++) view.setUint16(vector * 4 + 2, BIOS_SEGMENT, true);
  view.setUint16(BASE_MEMORY_KIB_AT, BASE_MEMORY_BYTES / 1024, true);
  return [
    { at: 0, data: low },
    { at: BIOS.at, data: REFUSE },
  ];
}
