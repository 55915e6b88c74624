// physdev_op: physical interrupts. public/physdev.h.
import { aligned, s32, struct, u16, u32, u64 } from '../layout.ts';

export const PHYSDEVOP = {
  irq_status_query: 5,
  eoi: 12,
  map_pirq: 13,
  unmap_pirq: 14,
  get_free_pirq: 23,
} as const;
export const MAP_PIRQ_TYPE = { msi: 0, gsi: 1, unknown: 2, msi_seg: 3, multi_msi: 4 } as const;
/** Flags of irq_status_query. */
export const XENIRQSTAT = { needs_eoi: 1, shared: 2 } as const;

export const PhysdevEoi = struct(4, { irq: u32 });
export const PhysdevIrqStatusQuery = struct(8, { irq: u32, flags: u32 });
const MAP_PIRQ_HEAD = { domid: u16, pad0: u16, type: u32, index: s32, pirq: s32, bus: u32, devfn: u32, entry_nr: u32 };
export const PhysdevMapPirq = {
  wide: struct(40, { ...MAP_PIRQ_HEAD, pad1: u32, table_base: u64 }),
  narrow: struct(36, { ...MAP_PIRQ_HEAD, table_base: aligned(u64, 4) }),
} as const;
export const PhysdevUnmapPirq = struct(8, { domid: u16, pad: u16, pirq: u32 });
export const PhysdevGetFreePirq = struct(8, { type: u32, pirq: u32 });
