// PVH boot structures: xen/include/public/arch-x86/hvm/start_info.h. All are the same for 32- and 64-bit guests.
import { struct, u32, uint53 } from './layout.ts';

export const HVM_START_MAGIC = 0x336e_c578;
/** Version 1 has the memory map. */
export const HVM_START_VERSION = 1;

export const hvm_start_info = struct(56, {
  magic: u32,
  version: u32,
  /** SIF_*: 0 for a guest without privileges. */
  flags: u32,
  nr_modules: u32,
  modlist_paddr: uint53,
  /** NUL-terminated; 0 when there is none. */
  cmdline_paddr: uint53,
  rsdp_paddr: uint53,
  memmap_paddr: uint53,
  memmap_entries: u32,
  reserved: u32,
});

export const hvm_modlist_entry = struct(32, {
  paddr: uint53,
  size: uint53,
  /** 0 when the module has no command line. */
  cmdline_paddr: uint53,
  reserved: uint53,
});

export const hvm_memmap_table_entry = struct(24, {
  addr: uint53,
  size: uint53,
  /** A MEMMAP_TYPE. */
  type: u32,
  reserved: u32,
});

/** XEN_HVM_MEMMAP_TYPE_*: the types of E820. */
export const MEMMAP_TYPE = { ram: 1, reserved: 2, acpi: 3, nvs: 4, unusable: 5, disabled: 6, pmem: 7 } as const;
export type MemmapType = (typeof MEMMAP_TYPE)[keyof typeof MEMMAP_TYPE];
