// Guest-physical addresses of an HVM domain, as real Xen's hvmloader lays them out (tools/firmware/hvmloader/config.h).
import { MEMMAP_TYPE } from '../../abi/pvh.ts';
import type { Gpa } from '../../abi/types.ts';
import type { GpaRange, MemmapEntry } from '../pvh/memory-map.ts';

/** RAM ends here at the latest: HVM_BELOW_4G_RAM_END. From here on PCI devices have their memory. */
export const HVM_RAM_LIMIT = 0xf000_0000;
export const PCI_HOLE: GpaRange = { at: 0xf000_0000 as Gpa, size: 0x0c00_0000 };
/** RESERVED_MEMBASE: tables, special pages, APICs. */
const RESERVED_AT = 0xfc00_0000;
export const BIOS_TABLES_GPA: Gpa = 0xfc00_0000 as Gpa;
/** Text and graphics memory of a VGA, in the middle of low RAM. */
export const LEGACY_VGA: GpaRange = { at: 0xa_0000 as Gpa, size: 0x2_0000 };
export const BIOS_END = 0x10_0000;
/** Where SeaBIOS looks for what hvmloader left: src/fw/xen.c. */
export const BIOS_INFO_GPA: Gpa = 0x1000 as Gpa;

/** The map that the BIOS gets, and the guest from XENMEM_memory_map: sorted, without overlap. */
export function buildHvmMemmap(ramBytes: number, biosBytes: number, tablesBytes: number): MemmapEntry[] {
  const entry = (at: number, end: number, type: MemmapEntry['type']): MemmapEntry => ({ at: at as Gpa, size: end - at, type });
  return [
    entry(0, LEGACY_VGA.at, MEMMAP_TYPE.ram),
    entry(BIOS_END - biosBytes, BIOS_END, MEMMAP_TYPE.reserved),
    entry(BIOS_END, ramBytes, MEMMAP_TYPE.ram),
    entry(BIOS_TABLES_GPA, BIOS_TABLES_GPA + tablesBytes, MEMMAP_TYPE.nvs),
    entry(RESERVED_AT + tablesBytes, 0x1_0000_0000, MEMMAP_TYPE.reserved),
  ];
}
