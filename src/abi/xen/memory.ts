// XENMEM: memory_op and its arguments. public/memory.h.
import { struct, u16, u32, uint53 } from '../layout.ts';
import { type ByWidth, pointer32, pointer64 } from './guest-pointer.ts';

export const XENMEM = {
  increase_reservation: 0,
  decrease_reservation: 1,
  maximum_ram_page: 2,
  current_reservation: 3,
  maximum_reservation: 4,
  machphys_mfn_list: 5,
  populate_physmap: 6,
  add_to_physmap: 7,
  memory_map: 9,
  machine_memory_map: 10,
  exchange: 11,
  machphys_mapping: 12,
  set_memory_map: 13,
  maximum_gpfn: 14,
  remove_from_physmap: 15,
  add_to_physmap_batch: 23,
  get_vnumainfo: 26,
  reserved_device_memory_map: 27,
  acquire_resource: 28,
} as const;
/** The sub-operation is in the low bits of the command; above it Xen keeps the start of a continuation. */
export const MEMOP_CMD_MASK = 0x3f;
export const XENMAPSPACE = { shared_info: 0, grant_table: 1, gmfn: 2, gmfn_range: 3, gmfn_foreign: 4, dev_mmio: 5 } as const;
/** In the index of XENMAPSPACE_grant_table: a status frame is meant. */
export const XENMAPIDX_grant_table_status = 0x8000_0000;

const AddToPhysmap64 = struct(24, { domid: u16, size: u16, space: u32, idx: uint53, gpfn: uint53 });
const AddToPhysmap32 = struct(16, { domid: u16, size: u16, space: u32, idx: u32, gpfn: u32 });
export const AddToPhysmap: ByWidth<typeof AddToPhysmap64, typeof AddToPhysmap32> = {
  wide: AddToPhysmap64,
  narrow: AddToPhysmap32,
};

const RemoveFromPhysmap64 = struct(16, { domid: u16, pad0: u16, pad1: u32, gpfn: uint53 });
const RemoveFromPhysmap32 = struct(8, { domid: u16, pad0: u16, gpfn: u32 });
export const RemoveFromPhysmap: ByWidth<typeof RemoveFromPhysmap64, typeof RemoveFromPhysmap32> = {
  wide: RemoveFromPhysmap64,
  narrow: RemoveFromPhysmap32,
};

const MemoryMap64 = struct(16, { nr_entries: u32, pad: u32, buffer: pointer64 });
const MemoryMap32 = struct(8, { nr_entries: u32, buffer: pointer32 });
export const MemoryMap: ByWidth<typeof MemoryMap64, typeof MemoryMap32> = { wide: MemoryMap64, narrow: MemoryMap32 };

const ForeignMemoryMap64 = struct(24, { domid: u16, pad0: u16, pad1: u32, nr_entries: u32, pad2: u32, buffer: pointer64 });
const ForeignMemoryMap32 = struct(12, { domid: u16, pad0: u16, nr_entries: u32, buffer: pointer32 });
export const ForeignMemoryMap: ByWidth<typeof ForeignMemoryMap64, typeof ForeignMemoryMap32> = {
  wide: ForeignMemoryMap64,
  narrow: ForeignMemoryMap32,
};

const MemoryReservation64 = struct(32, {
  extent_start: pointer64,
  nr_extents: uint53,
  extent_order: u32,
  mem_flags: u32,
  domid: u16,
  pad0: u16,
  pad1: u32,
});
const MemoryReservation32 = struct(20, {
  extent_start: pointer32,
  nr_extents: u32,
  extent_order: u32,
  mem_flags: u32,
  domid: u16,
  pad: u16,
});
export const MemoryReservation: ByWidth<typeof MemoryReservation64, typeof MemoryReservation32> = {
  wide: MemoryReservation64,
  narrow: MemoryReservation32,
};
/** The largest extent an ordinary domain may ask for: 2^9 pages. */
export const DOMU_MAX_ORDER = 9;

/** Start of every structure that names a domain first. */
export const DomidArgument = struct(2, { domid: u16 });

/** One E820 entry, packed to 20 bytes (hvm/e820.h): the u64 fields are u32-aligned here. */
export const E820Entry = struct(20, {
  addr: { ...uint53, align: 4 },
  size: { ...uint53, align: 4 },
  type: u32,
});
export const E820_MAX = 128;

/** Arguments of acquire_resource that decide its error: the rest is never looked at. */
export const AcquireResourceHead = struct(16, { domid: u16, type: u16, id: u32, nr_frames: u32, pad: u32 });
