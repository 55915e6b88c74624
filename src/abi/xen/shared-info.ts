// What the hypervisor shares with a running guest: shared_info, vcpu_info, time and runstate. public/xen.h, arch-x86/xen.h.
// Written by: [XEN], [GST].
import { s8, struct, u8, u16, u32, u64, uint53 } from '../layout.ts';

/** `struct vcpu_time_info`, the pvclock. All [XEN]. */
export const VcpuTimeInfo = struct(32, {
  /** Odd while an update is under way. */
  version: u32,
  pad0: u32,
  tsc_timestamp: u64,
  /** Nanoseconds of guest system time at `tsc_timestamp`. */
  system_time: u64,
  tsc_to_system_mul: u32,
  tsc_shift: s8,
  flags: u8,
  pad1: u16,
});
export const XEN_PVCLOCK_TSC_STABLE_BIT = 1 << 0;

/** Offsets in `struct vcpu_info` (64 bytes). The selector's place depends on the latched width. */
export const VCPU_INFO = {
  sizeof: 64,
  /** u8 [XEN,GST] */
  evtchn_upcall_pending: 0,
  /** u8, PV only. */
  evtchn_upcall_mask: 1,
  /** u64 or u32 [XEN,GST] */
  evtchn_pending_sel: { wide: 8, narrow: 4 },
  time: 32,
} as const;

/** Offsets in `struct shared_info`. */
export const SHARED_INFO = {
  vcpu_info: 0,
  /** XEN_LEGACY_MAX_VCPUS: vCPUs from here on must register an area. */
  vcpu_info_slots: 32,
  /** Bit arrays [XEN,GST]: one bit an event channel. */
  evtchn_pending: 0x800,
  evtchn_mask: { wide: 0xa00, narrow: 0x880 },
  /** u32 version, u32 seconds, u32 nanoseconds. [XEN] */
  wc_version: { wide: 0xc00, narrow: 0x900 },
  /** u32 upper half of the seconds. [XEN] */
  wc_sec_hi: { wide: 0xc0c, narrow: 0x924 },
} as const;
/** Ports of the 2-level ABI: bits of a word, squared. */
export const EVTCHN_2L_PORTS = { wide: 4096, narrow: 1024 } as const;

/** `struct vcpu_runstate_info`, by width: the narrow one has its u64 fields 4-aligned. All [XEN]. */
export const RUNSTATE_INFO = {
  sizeof: { wide: 48, narrow: 44 },
  state: 0,
  state_entry_time: { wide: 8, narrow: 4 },
  time: { wide: 16, narrow: 12 },
} as const;
/** The same, 64-bit, as a declared layout. */
export const VcpuRunstateInfo = struct(48, {
  state: u32,
  pad: u32,
  state_entry_time: u64,
  time_running: uint53,
  time_runnable: uint53,
  time_blocked: uint53,
  time_offline: uint53,
});
export const RUNSTATE = { running: 0, runnable: 1, blocked: 2, offline: 3 } as const;
export type Runstate = (typeof RUNSTATE)[keyof typeof RUNSTATE];
/** In the top byte of state_entry_time while an update is under way: bit 63. */
export const XEN_RUNSTATE_UPDATE_BYTE = 0x80;
