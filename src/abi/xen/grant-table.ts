// Grant tables: entries, sub-operations and their arguments. public/grant_table.h.
import { s16, struct, u16, u32, uint53 } from '../layout.ts';
import { type ByWidth, pointer32, pointer64 } from './guest-pointer.ts';

export const GNTTABOP = {
  map_grant_ref: 0,
  unmap_grant_ref: 1,
  setup_table: 2,
  dump_table: 3,
  transfer: 4,
  copy: 5,
  query_size: 6,
  unmap_and_replace: 7,
  set_version: 8,
  get_status_frames: 9,
  get_version: 10,
  swap_grant_ref: 11,
  cache_flush: 12,
} as const;
/** What an operation's `status` says. */
export const GNTST = {
  okay: 0,
  general_error: -1,
  bad_domain: -2,
  bad_gntref: -3,
  bad_handle: -4,
  bad_virt_addr: -5,
  bad_dev_addr: -6,
  no_device_space: -7,
  permission_denied: -8,
  bad_page: -9,
  bad_copy_arg: -10,
  address_too_big: -11,
  eagain: -12,
  no_space: -13,
} as const;
/** References the toolstack fills before the guest runs. */
export const GNTTAB_RESERVED = { console: 0, xenstore: 1, count: 8 } as const;

/** `struct grant_entry_v1`. flags [XEN,GST], domid [GST], frame [GST]. */
export const GrantEntryV1 = struct(8, { flags: u16, domid: u16, frame: u32 });
/** `union grant_entry_v2`: all that the first two members say is [GST]. Three readings of the same 16 bytes. */
export const GrantEntryV2 = {
  full_page: struct(16, { flags: u16, domid: u16, pad0: u32, frame: uint53 }),
  sub_page: struct(16, { flags: u16, domid: u16, page_off: u16, length: u16, frame: uint53 }),
  transitive: struct(16, { flags: u16, domid: u16, trans_domid: u16, pad0: u16, gref: u32, pad1: u32 }),
} as const;
/** `grant_status_t`, version 2 only: GTF.reading and GTF.writing [XEN], one word an entry, in frames of their own. */
export const GRANT_STATUS_SIZE = 2;

/** Flags of an entry. The low two bits are its type. */
export const GTF = {
  invalid: 0,
  permit_access: 1,
  accept_transfer: 2,
  /** Version 2 only. */
  transitive: 3,
  type_mask: 3,
  readonly: 1 << 2,
  reading: 1 << 3,
  writing: 1 << 4,
  /** Version 2 only. */
  sub_page: 1 << 8,
} as const;

/** Flags of map_grant_ref. */
export const GNTMAP = {
  device_map: 1 << 0,
  host_map: 1 << 1,
  readonly: 1 << 2,
  application_map: 1 << 3,
  contains_pte: 1 << 4,
} as const;
export const GnttabMapGrantRef = struct(32, {
  host_addr: uint53,
  flags: u32,
  ref: u32,
  dom: u16,
  status: s16,
  handle: u32,
  dev_bus_addr: uint53,
});
export const GnttabUnmapGrantRef = struct(24, {
  host_addr: uint53,
  dev_bus_addr: uint53,
  handle: u32,
  status: s16,
  pad: u16,
});

/** Flags of copy: the pointer names a grant, not a frame. */
export const GNTCOPY = { source_gref: 1 << 0, dest_gref: 1 << 1 } as const;
/** `source_frame` and `dest_frame` are the union's `gmfn`; `ref` is its low word. */
const Copy64 = struct(40, {
  source_frame: uint53,
  source_domid: u16,
  source_offset: u16,
  pad0: u32,
  dest_frame: uint53,
  dest_domid: u16,
  dest_offset: u16,
  pad1: u32,
  len: u16,
  flags: u16,
  status: s16,
  pad2: u16,
});
const Copy32 = struct(24, {
  source_frame: u32,
  source_domid: u16,
  source_offset: u16,
  dest_frame: u32,
  dest_domid: u16,
  dest_offset: u16,
  len: u16,
  flags: u16,
  status: s16,
  pad: u16,
});
export const GnttabCopy: ByWidth<typeof Copy64, typeof Copy32> = { wide: Copy64, narrow: Copy32 };

const SetupTable64 = struct(24, {
  dom: u16,
  pad0: u16,
  nr_frames: u32,
  status: u16,
  pad1: u16,
  pad2: u32,
  frame_list: pointer64,
});
const SetupTable32 = struct(16, { dom: u16, pad0: u16, nr_frames: u32, status: u16, pad1: u16, frame_list: pointer32 });
export const GnttabSetupTable: ByWidth<typeof SetupTable64, typeof SetupTable32> = { wide: SetupTable64, narrow: SetupTable32 };
export const GnttabQuerySize = struct(16, { dom: u16, pad0: u16, nr_frames: u32, max_nr_frames: u32, status: u16, pad1: u16 });
export const GnttabSetVersion = struct(4, { version: u32 });
export const GnttabGetVersion = struct(8, { dom: u16, pad: u16, version: u32 });
export const GnttabSwapGrantRef = struct(12, { ref_a: u32, ref_b: u32, status: s16, pad: u16 });
