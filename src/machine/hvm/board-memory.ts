// How the memory is divided that the chips of an HVM domain share with the I/O side, or show to the guest.
import { type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import type { Region } from '../../memory/arena.ts';
import { DRIVE_BYTES, MOST_DRIVES } from './drive-region.ts';

export interface BoardMemory {
  /** By place. */
  readonly drives: readonly Region[];
}

const pages = (bytes: number): number => Math.ceil(bytes / PAGE_SIZE) * PAGE_SIZE;

const DRIVE_PAGES = pages(DRIVE_BYTES);

export const BOARD_MEMORY_BYTES: number = MOST_DRIVES * DRIVE_PAGES;

/** @param region of BOARD_MEMORY_BYTES, at a page's start */
export function divideBoardMemory(region: Region): BoardMemory {
  let next: number = region.at;
  const take = (size: number): Region => {
    const at = next as HostAddress;
    next += pages(size);
    return { at, size };
  };
  return { drives: Array.from({ length: MOST_DRIVES }, () => take(DRIVE_BYTES)) };
}
