// Multiboot, version 1: what a boot loader reads of a kernel and hands to it. Multiboot Specification 0.6.96, section 3.
import { struct, u16, u32, uint53 } from './layout.ts';

/** At the start of the header in the kernel's file. */
export const MULTIBOOT_HEADER_MAGIC = 0x1bad_b002;
/** In EAX at the entry. */
export const MULTIBOOT_ENTRY_MAGIC = 0x2bad_b002;
/** The header lies within so many bytes of the file's start, at a multiple of 4. */
export const MULTIBOOT_SEARCH_BYTES = 8192;

/** Bits of the header's flags below 16 ask for something: a loader that does not know one must not load the kernel. */
export const MULTIBOOT_ASKS = { alignedModules: 1 << 0, memory: 1 << 1, video: 1 << 2 } as const;

export const multiboot_header = struct(12, { magic: u32, flags: u32, checksum: u32 });

/** What of the information is there. */
export const MULTIBOOT_INFO = {
  memory: 1 << 0,
  commandLine: 1 << 2,
  modules: 1 << 3,
  memoryMap: 1 << 6,
  loaderName: 1 << 9,
} as const;

export const multiboot_info = struct(88, {
  flags: u32,
  /** KiB from 0 on. */
  mem_lower: u32,
  /** KiB from 1 MiB on. */
  mem_upper: u32,
  boot_device: u32,
  cmdline: u32,
  mods_count: u32,
  mods_addr: u32,
  syms0: u32,
  syms1: u32,
  syms2: u32,
  syms3: u32,
  mmap_length: u32,
  mmap_addr: u32,
  drives_length: u32,
  drives_addr: u32,
  config_table: u32,
  boot_loader_name: u32,
  apm_table: u32,
  vbe_control_info: u32,
  vbe_mode_info: u32,
  vbe_mode: u16,
  vbe_interface_seg: u16,
  vbe_interface_off: u16,
  vbe_interface_len: u16,
});

export const multiboot_module = struct(16, { mod_start: u32, mod_end: u32, string: u32, reserved: u32 });

/** `size` does not count itself, and the fields behind it are not aligned: here they are those of an entry at 4. */
export const multiboot_mmap_size = struct(4, { size: u32 });
export const multiboot_mmap_entry = struct(24, { addr: uint53, len: uint53, type: u32, reserved: u32 });
/** Bytes of an entry behind its size. */
export const MULTIBOOT_MMAP_BYTES = 20;
