// Grant tables: entries, sub-operations and their arguments. public/grant_table.h.
import { struct, u16, u32 } from '../layout.ts';
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
export const GNTST = { okay: 0, general_error: -1, bad_domain: -2, bad_virt_addr: -5, permission_denied: -8 } as const;
/** References the toolstack fills before the guest runs. */
export const GNTTAB_RESERVED = { console: 0, xenstore: 1, count: 8 } as const;

/** `struct grant_entry_v1`. flags [XEN,GST], domid [GST], frame [GST]. */
export const GrantEntryV1 = struct(8, { flags: u16, domid: u16, frame: u32 });
export const GTF = {
  invalid: 0,
  permit_access: 1,
  accept_transfer: 2,
  readonly: 1 << 2,
  reading: 1 << 3,
  writing: 1 << 4,
} as const;

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
