// sched_op and its arguments. public/sched.h.
import { aligned, struct, u16, u32, u64 } from '../layout.ts';
import { type ByWidth, pointer32, pointer64 } from './guest-pointer.ts';

export const SCHEDOP = {
  yield: 0,
  block: 1,
  shutdown: 2,
  poll: 3,
  remote_shutdown: 4,
  shutdown_code: 5,
  watchdog: 6,
  pin_override: 7,
} as const;
export const SHUTDOWN = { poweroff: 0, reboot: 1, suspend: 2, crash: 3, watchdog: 4, soft_reset: 5 } as const;
/** The largest valid reason. */
export const SHUTDOWN_MAX = 5;
/** "No reason yet" in the shared state. */
export const SHUTDOWN_CODE_INVALID = 0xffff_ffff;

export const SchedShutdown = struct(4, { reason: u32 });
export const SchedRemoteShutdown = struct(8, { domain_id: u16, pad: u16, reason: u32 });
/** `timeout`: absolute nanoseconds of system time, 0 for none. */
const SchedPoll64 = struct(24, { ports: pointer64, nr_ports: u32, pad: u32, timeout: u64 });
const SchedPoll32 = struct(16, { ports: pointer32, nr_ports: u32, timeout: aligned(u64, 4) });
export const SchedPoll: ByWidth<typeof SchedPoll64, typeof SchedPoll32> = { wide: SchedPoll64, narrow: SchedPoll32 };
export const POLL_MAX_PORTS = 128;
/** `timeout`: seconds from now, 0 to free the timer. */
export const SchedWatchdog = struct(8, { id: u32, timeout: u32 });
export const NR_WATCHDOGS = 2;
