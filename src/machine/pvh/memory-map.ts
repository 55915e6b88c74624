// Guest-physical addresses of a PVH domain, as real Xen's toolstack lays them out.
import { MEMMAP_TYPE, type MemmapType } from '../../abi/pvh.ts';
import type { Gpa } from '../../abi/types.ts';

export interface GpaRange {
  readonly at: Gpa;
  /** Bytes. */
  readonly size: number;
}
export interface MemmapEntry extends GpaRange {
  readonly type: MemmapType;
}

/**
 * RAM begins at 0 and ends here at the latest. Above lie the ACPI tables, the APICs and the special pages, and the hole that
 * Linux looks for to place grant frames; and the monitor's own data must fit beside it in 32-bit WebAssembly memory.
 */
export const RAM_LIMIT = 0xf000_0000;
/** libxl keeps a page for its own AML before the tables; ours needs none, the tables stay where they are. */
export const ACPI_TABLES_GPA: Gpa = 0xfc00_1000 as Gpa;
export const IOAPIC_PAGE_GPA: Gpa = 0xfec0_0000 as Gpa;
export const LAPIC_PAGE_GPA: Gpa = 0xfee0_0000 as Gpa;
/** The eight special pages of a Xen HVM domain: xenstore, console, and six that only a device model uses. */
export const SPECIAL_PAGES: GpaRange = { at: 0xfeff_8000 as Gpa, size: 0x8000 };

/**
 * The memory map that the guest gets in its start info and from XENMEM_memory_map: sorted, without overlap.
 * RAM is one piece from 0 (a PVH guest has no hole at 640 KiB); on a PC it has one; the ACPI tables are NVS, as Xen marks
 * them since the guest's AML may use them at any time.
 * @throws Error when `reserved` overlaps anything.
 */
export function buildMemmap(
  ram: readonly GpaRange[],
  acpi: GpaRange,
  ioapic: boolean,
  reserved: readonly GpaRange[],
): MemmapEntry[] {
  const page = (at: Gpa): GpaRange => ({ at, size: 4096 });
  const holes = [page(LAPIC_PAGE_GPA), ...(ioapic ? [page(IOAPIC_PAGE_GPA)] : []), ...reserved];
  const entries: MemmapEntry[] = [
    ...ram.map((range) => ({ ...range, type: MEMMAP_TYPE.ram })),
    { ...acpi, type: MEMMAP_TYPE.nvs },
    ...holes.map((range) => ({ ...range, type: MEMMAP_TYPE.reserved })),
  ];
  entries.sort((a, b) => a.at - b.at);
  for (const [i, entry] of entries.entries()) {
    const before = entries[i - 1];
    if (before !== undefined && before.at + before.size > entry.at)
      throw new Error(`0x${entry.at.toString(16)} is in the memory map twice`);
  }
  return entries;
}
