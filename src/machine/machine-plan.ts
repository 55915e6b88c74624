// The plan of a domain's shared memory: where each thread finds what. Plain data, posted to the vCPU threads.

import { CODE_CACHE_BYTES, VCPU_BYTES } from '../cpu/engine.ts';
import { APIC_PAGE_BYTES } from '../devices/apic/apic-page.ts';
import { IOAPIC_BYTES } from '../devices/apic/ioapic.ts';
import { ARENA_LIMIT, ArenaPlanner, type Region } from '../memory/arena.ts';
import { P2M_BYTES } from '../memory/guest-memory.ts';
import { planDomain } from '../xen/domain-layout.ts';
import { pvhBackingBytes } from './pvh/load.ts';
import { MachineError } from './pvh/machine-error.ts';
import type { PvhPlan } from './pvh/plan.ts';

/** Words that threads share beside the platform's own state; offsets in `MachinePlan.control`. */
export const CONTROL = {
  /** i32: a message that asks the I/O side to look at its event channels is under way. */
  doorbell: 0,
  /** i32: not 0 asks the vCPU threads to leave. */
  stop: 4,
  /** i32: messages with trace lines that are under way; see trace-batch.ts. */
  traceBacklog: 8,
  sizeof: 64,
} as const;

export interface MachinePlan {
  /** Bytes of the shared memory. */
  readonly size: number;
  readonly control: Region;
  readonly p2m: Region;
  readonly vcpus: readonly VcpuRegions[];
  readonly ioapic: Region;
  readonly xen: Region;
  readonly ram: Region;
  readonly grantFrames: number;
}

export interface VcpuRegions {
  readonly cpu: Region;
  readonly code: Region;
  readonly apic: Region;
}

/** Most grant frames, Xen's default: xen/common/grant_table.c. */
export const GRANT_FRAMES = 64;

/** @throws MachineError when it does not fit into 32-bit WebAssembly memory. */
export function planMachine(pvh: PvhPlan, vcpus: number): MachinePlan {
  const planner = new ArenaPlanner();
  const control = planner.reserve(CONTROL.sizeof);
  const p2m = planner.reserve(P2M_BYTES);
  const regions = Array.from({ length: vcpus }, () => ({
    cpu: planner.reserve(VCPU_BYTES),
    code: planner.reserve(CODE_CACHE_BYTES),
    apic: planner.reserve(APIC_PAGE_BYTES),
  }));
  const ioapic = planner.reserve(IOAPIC_BYTES);
  const xen = planner.reserve(planDomain({ vcpus, grantFrames: GRANT_FRAMES }).size);
  const ram = planner.reserve(pvhBackingBytes(pvh), 1 << 16);
  if (planner.size > ARENA_LIMIT) {
    const spare = Math.floor((ARENA_LIMIT - (planner.size - pvh.ramBytes)) / (1 << 20));
    throw new MachineError(
      'memory-too-large',
      `${pvh.ramBytes / (1 << 20)} MiB of guest memory do not fit`,
      `give at most ${spare}MiB`,
    );
  }
  return { size: planner.size, control, p2m, vcpus: regions, ioapic, xen, ram, grantFrames: GRANT_FRAMES };
}
