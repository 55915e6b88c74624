// The paravirtual clock as a guest computes it: public/xen.h, vcpu_time_info.
import type { Probe } from './probe.ts';
import { HVMOP, HYPERVISOR } from './xen-numbers.ts';

export interface TimeInfo {
  readonly version: number;
  readonly tscTimestamp: bigint;
  readonly systemTime: bigint;
  readonly mul: bigint;
  readonly shift: number;
  readonly flags: number;
}

export function readTimeInfo(probe: Probe, at: number): TimeInfo {
  return {
    version: probe.u32(at),
    tscTimestamp: probe.get(at + 8, 8),
    systemTime: probe.get(at + 16, 8),
    mul: probe.get(at + 24, 4),
    shift: (probe.u8(at + 28) << 24) >> 24,
    flags: probe.u8(at + 29),
  };
}

/** Nanoseconds of system time at a TSC value. */
export function systemTimeAt(info: TimeInfo, tsc: bigint): bigint {
  const delta = tsc - info.tscTimestamp;
  const scaled = info.shift < 0 ? delta >> BigInt(-info.shift) : delta << BigInt(info.shift);
  return info.systemTime + ((scaled * info.mul) >> 32n);
}

/** HVMOP_get_time: nanoseconds now. */
export function systemTime(probe: Probe): bigint {
  const at = probe.alloc(8);
  const result = probe.call(HYPERVISOR.hvm_op, HVMOP.get_time, at);
  if (result !== 0) throw new Error(`get_time: ${result}`);
  return probe.get(at, 8);
}
