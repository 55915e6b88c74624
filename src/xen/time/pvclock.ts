// The paravirtual clock: how a guest turns its TSC into nanoseconds of system time. public/xen.h, vcpu_time_info.
import { VcpuTimeInfo as Info, XEN_PVCLOCK_TSC_STABLE_BIT } from '../../abi/xen/shared-info.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';

/** ns = ((ticks << shift) * mul) >> 32; a negative shift shifts right. */
export interface TscScale {
  /** 2^31..2^32 - 1. */
  readonly mul: number;
  readonly shift: number;
}

/** The scale for a TSC frequency, rounded down: the guest's clock never runs ahead of system time between two updates. */
export function tscScale(khz: number): TscScale {
  let shift = 0;
  while (scaled(khz, shift) >= 1n << 32n) shift++;
  while (scaled(khz, shift) < 1n << 31n) shift--;
  return { mul: Number(scaled(khz, shift)), shift };
}

/** Nanoseconds a tick, times 2^(32 - shift). A shift above 32 would need a TSC below 1 kHz. */
const scaled = (khz: number, shift: number): bigint => (1_000_000n << BigInt(32 - shift)) / BigInt(khz);

/** A pair of times that belong together, and the scale from there on. */
export interface TimeStamp {
  readonly tsc: bigint;
  readonly systemNs: bigint;
}

/**
 * Both clocks at the last whole millisecond, where TSC and nanoseconds are integers and so no rounding makes time step back.
 * `offset`: what the guest has added to its TSC.
 */
export function timeStamp(nowNs: number, khz: number, offset: bigint): TimeStamp {
  const ms = BigInt(Math.floor(nowNs / 1e6));
  return { tsc: BigInt.asUintN(64, ms * BigInt(khz) + offset), systemNs: ms * 1_000_000n };
}

/** Fills everything but the version of a vcpu_time_info. */
export function fillTimeInfo(view: DataView, at: number, stamp: TimeStamp, scale: TscScale): void {
  Info.tsc_timestamp.set(view, at, stamp.tsc);
  Info.system_time.set(view, at, stamp.systemNs);
  Info.tsc_to_system_mul.set(view, at, scale.mul);
  Info.tsc_shift.set(view, at, scale.shift);
  Info.flags.set(view, at, XEN_PVCLOCK_TSC_STABLE_BIT);
}

/** Looks at a structure that its vCPU is updating; an update takes well below a microsecond. */
const LOOKS = 1000;

/** Copies a vcpu_time_info that another thread may be updating (xen.h tells readers to look again), into 32 bytes. */
export function readTimeInfo(memory: GuestMemory, at: number, into: Uint8Array): void {
  for (let look = 0; look < LOOKS; look++) {
    const version = Atomics.load(memory.i32, at >>> 2);
    into.set(memory.u8.subarray(at, at + Info.sizeof));
    if ((version & 1) === 0 && Atomics.load(memory.i32, at >>> 2) === version) return;
  }
}

/** Updates a vcpu_time_info in shared memory, with an odd version meanwhile. `at` is a multiple of 4. */
export function publishTimeInfo(memory: GuestMemory, at: number, stamp: TimeStamp, scale: TscScale): void {
  const odd = (Atomics.load(memory.i32, at >>> 2) + 1) | 1;
  Atomics.store(memory.i32, at >>> 2, odd);
  fillTimeInfo(memory.view, at, stamp, scale);
  Atomics.store(memory.i32, at >>> 2, odd + 1);
}
