// How the memory is divided that the chips of an HVM domain share with the I/O side, or show to the guest.
import { type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { VGA_STATE_BYTES, VRAM_BYTES } from '../../devices/vga/vga-state.ts';
import type { Region } from '../../memory/arena.ts';
import { DRIVE_BYTES, MOST_PLACES } from './drive-region.ts';
import { MOST_NICS, NIC } from './nic-region.ts';

/** Where a VGA has its memory. */
export interface VgaRegions {
  readonly state: Region;
  readonly vram: Region;
  /** Its BIOS, padded to a size that a PCI ROM can have. */
  readonly rom: Region;
}

export interface BoardMemory {
  readonly bytes: number;
  /** By place. */
  readonly drives: readonly Region[];
  readonly nics: readonly Region[];
  readonly vga: VgaRegions | undefined;
}

/**
 * @param at a page's start
 * @param vgaBios of how many bytes; undefined without a VGA
 */
export function divideBoardMemory(at: number, vgaBios: number | undefined): BoardMemory {
  let next = at;
  const take = (size: number): Region => {
    const region = { at: next as HostAddress, size };
    next += Math.ceil(size / PAGE_SIZE) * PAGE_SIZE;
    return region;
  };
  const drives = Array.from({ length: Math.max(...Object.values(MOST_PLACES)) }, () => take(DRIVE_BYTES));
  const nics = Array.from({ length: MOST_NICS }, () => take(NIC.sizeof));
  const vga =
    vgaBios === undefined
      ? undefined
      : {
          state: take(VGA_STATE_BYTES),
          vram: take(VRAM_BYTES),
          rom: take(Math.max(PAGE_SIZE, 2 ** Math.ceil(Math.log2(vgaBios)))),
        };
  return { bytes: next - at, drives, nics, vga };
}
