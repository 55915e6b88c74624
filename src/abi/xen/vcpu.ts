// vcpu_op, set_timer_op and their arguments. public/vcpu.h.
import { aligned, struct, u32, u64, uint53 } from '../layout.ts';
import type { ByWidth } from './guest-pointer.ts';

export const VCPUOP = {
  initialise: 0,
  up: 1,
  down: 2,
  is_up: 3,
  get_runstate_info: 4,
  register_runstate_memory_area: 5,
  set_periodic_timer: 6,
  stop_periodic_timer: 7,
  set_singleshot_timer: 8,
  stop_singleshot_timer: 9,
  register_vcpu_info: 10,
  send_nmi: 11,
  get_physid: 12,
  register_vcpu_time_memory_area: 13,
  register_runstate_phys_area: 14,
  register_vcpu_time_phys_area: 15,
} as const;

export const RegisterVcpuInfo = struct(16, { mfn: uint53, offset: u32, rsvd: u32 });
const SetSingleshotTimer64 = struct(16, { timeout_abs_ns: uint53, flags: u32, pad: u32 });
const SetSingleshotTimer32 = struct(12, { timeout_abs_ns: aligned(uint53, 4), flags: u32 });
export const SetSingleshotTimer: ByWidth<typeof SetSingleshotTimer64, typeof SetSingleshotTimer32> = {
  wide: SetSingleshotTimer64,
  narrow: SetSingleshotTimer32,
};
export const SetPeriodicTimer = struct(8, { period_ns: uint53 });
/** The union of a guest pointer and a guest-physical address. */
export const RegisterArea = struct(8, { p: u64 });
