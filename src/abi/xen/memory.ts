// XENMEM: memory_op and its arguments. public/memory.h.
import { struct, u8, u16, u32, u64, uint53 } from '../layout.ts';
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
  set_pod_target: 16,
  get_pod_target: 17,
  get_sharing_freed_pages: 18,
  get_sharing_shared_pages: 19,
  paging_op: 20,
  access_op: 21,
  sharing_op: 22,
  add_to_physmap_batch: 23,
  claim_pages: 24,
  machphys_compat_mfn_list: 25,
  get_vnumainfo: 26,
  reserved_device_memory_map: 27,
  acquire_resource: 28,
} as const;
/** The sub-operation is in the low bits of the command; above it Xen keeps the start of a continuation. */
export const MEMOP_CMD_MASK = 0x3f;
export const MEMOP_EXTENT_SHIFT = 6;
export const XENMAPSPACE = { shared_info: 0, grant_table: 1, gmfn: 2, gmfn_range: 3, gmfn_foreign: 4, dev_mmio: 5 } as const;
/** In the index of XENMAPSPACE_grant_table: a status frame is meant. */
export const XENMAPIDX_grant_table_status = 0x8000_0000;

const AddToPhysmap64 = struct(24, { domid: u16, size: u16, space: u32, idx: uint53, gpfn: uint53 });
const AddToPhysmap32 = struct(16, { domid: u16, size: u16, space: u32, idx: u32, gpfn: u32 });
export const AddToPhysmap: ByWidth<typeof AddToPhysmap64, typeof AddToPhysmap32> = {
  wide: AddToPhysmap64,
  narrow: AddToPhysmap32,
};

/** `foreign_domid` for XENMAPSPACE_gmfn_foreign, else reserved. */
const AddToPhysmapBatch64 = struct(32, {
  domid: u16,
  space: u16,
  size: u16,
  foreign_domid: u16,
  idxs: pointer64,
  gpfns: pointer64,
  errs: pointer64,
});
const AddToPhysmapBatch32 = struct(20, {
  domid: u16,
  space: u16,
  size: u16,
  foreign_domid: u16,
  idxs: pointer32,
  gpfns: pointer32,
  errs: pointer32,
});
export const AddToPhysmapBatch: ByWidth<typeof AddToPhysmapBatch64, typeof AddToPhysmapBatch32> = {
  wide: AddToPhysmapBatch64,
  narrow: AddToPhysmapBatch32,
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
/** Bits of `mem_flags`: how many address bits a page may have, and two flags. */
export const XENMEMF = { address_bits: 0xff, populate_on_demand: 1 << 16 } as const;

/** Two reservations, `in` and `out`, and how many extents of `in` are done. */
const MemoryExchange64 = struct(72, {
  in: { ...u64, size: 32 },
  out: { ...u64, size: 32 },
  nr_exchanged: uint53,
});
const MemoryExchange32 = struct(44, {
  in: { ...u32, size: 20 },
  out: { ...u32, size: 20 },
  nr_exchanged: u32,
});
export const MemoryExchange: ByWidth<typeof MemoryExchange64, typeof MemoryExchange32> = {
  wide: MemoryExchange64,
  narrow: MemoryExchange32,
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

const MachphysMfnList64 = struct(24, { max_extents: u32, pad0: u32, extent_start: pointer64, nr_extents: u32, pad1: u32 });
const MachphysMfnList32 = struct(12, { max_extents: u32, extent_start: pointer32, nr_extents: u32 });
export const MachphysMfnList: ByWidth<typeof MachphysMfnList64, typeof MachphysMfnList32> = {
  wide: MachphysMfnList64,
  narrow: MachphysMfnList32,
};

const ReservedDeviceMemoryMap64 = struct(24, { flags: u32, nr_entries: u32, buffer: pointer64, dev: u32, pad: u32 });
const ReservedDeviceMemoryMap32 = struct(16, { flags: u32, nr_entries: u32, buffer: pointer32, dev: u32 });
export const ReservedDeviceMemoryMap: ByWidth<typeof ReservedDeviceMemoryMap64, typeof ReservedDeviceMemoryMap32> = {
  wide: ReservedDeviceMemoryMap64,
  narrow: ReservedDeviceMemoryMap32,
};
/** In `flags`: the ranges of all devices, not of one. */
export const XENMEM_RDM_ALL = 1;

/** `xen_vnuma_topology_info`: the tables themselves, three guest pointers of 8 bytes, are never looked at. */
export const VnumaTopologyInfo = struct(40, {
  domid: u16,
  pad: u16,
  nr_vnodes: u32,
  nr_vcpus: u32,
  nr_vmemranges: u32,
  tables: { ...u64, size: 24 },
});

/** `xen_pod_target`: four counters, then the domain. */
const PodTarget64 = struct(40, { counters: { ...u64, size: 32 }, domid: u16, pad0: u16, pad1: u32 });
const PodTarget32 = struct(36, { counters: { ...u32, size: 32 }, domid: u16, pad: u16 });
export const PodTarget: ByWidth<typeof PodTarget64, typeof PodTarget32> = { wide: PodTarget64, narrow: PodTarget32 };

/** `xen_mem_access_op`. */
const MemAccessOp64 = struct(32, {
  op: u8,
  access: u8,
  domid: u16,
  nr: u32,
  pfn: u64,
  pfn_list: pointer64,
  access_list: pointer64,
});
const MemAccessOp32 = struct(24, {
  op: u8,
  access: u8,
  domid: u16,
  nr: u32,
  pfn: u64,
  pfn_list: pointer32,
  access_list: pointer32,
});
export const MemAccessOp: ByWidth<typeof MemAccessOp64, typeof MemAccessOp32> = { wide: MemAccessOp64, narrow: MemAccessOp32 };
