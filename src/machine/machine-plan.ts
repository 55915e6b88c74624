// The plan of a domain's shared memory: where each thread finds what. Plain data, posted to the vCPU threads.

import { PAGE_SIZE } from '../abi/types.ts';
import { CODE_CACHE_BYTES, VCPU_BYTES } from '../cpu/engine.ts';
import { APIC_PAGE_BYTES } from '../devices/apic/apic-page.ts';
import { IOAPIC_BYTES } from '../devices/apic/ioapic.ts';
import { ARENA_LIMIT, ArenaPlanner, type Region } from '../memory/arena.ts';
import { P2M_BYTES } from '../memory/guest-memory.ts';
import { pageSharingBytes } from '../memory/page-sharing.ts';
import { type DomainShape, planDomain } from '../xen/domain-layout.ts';
import type { GuestImage } from './guest-image.ts';
import { MachineError } from './pvh/machine-error.ts';

/** Most vCPUs a domain can have; public/xen.h has 128 for an HVM guest. */
export const MAX_VCPUS = 128;

/** Words that threads share beside the platform's own state; offsets in `MachinePlan.control`. */
export const CONTROL = {
  /** i32: a message that asks the I/O side to look at its event channels is under way. */
  doorbell: 0,
  /** i32: not 0 asks the vCPU threads to leave. */
  stop: 4,
  /** i32: messages with trace lines that are under way; see trace-batch.ts. */
  traceBacklog: 8,
  /** i32: not 0 asks the vCPU threads to park. */
  pause: 12,
  /** i32: how many of them are parked: they have left the guest, and their registers are in shared memory. */
  parked: 16,
  /** i32: virtual time: the last of the vCPU's requests to be told when the I/O side has settled that it was told of. */
  settled: 20,
  /** i32 a vCPU: FLUSH bits, what it is asked to drop before it runs on. */
  flush: 64,
  sizeof: 64 + 4 * MAX_VCPUS,
} as const;

/** What a vCPU is asked to drop: bits of its word in CONTROL.flush. `frames`: those of its frame list. */
export const FLUSH = { tlb: 1, frames: 2 } as const;

/** Guest time; see guest-clock.ts. Offsets in `MachinePlan.clock`, f64 each. */
export const CLOCK = {
  /** Nanoseconds that guest time is behind the host's. */
  lost: 0,
  /** What the clock shows while it stands still; 0 while it runs. */
  stoppedAt: 8,
  /** Virtual time: nanoseconds that passed without instructions; virtual-guest-clock.ts. */
  skipped: 16,
  /** Virtual time: when the I/O side has something to do; 0 for never. */
  ioDeadline: 24,
  /** Virtual time: two u32, what becomes of hashing where the vCPU has been. */
  path: 32,
  sizeof: 40,
} as const;

/** One vCPU's list of changed frames; see frame-changes.ts. Offsets in its part of `MachinePlan.frameLists`, i32 each. */
export const FRAME_LIST = { lock: 0, count: 4, frames: 8, limit: 62, sizeof: 256 } as const;

export interface MachinePlan {
  /** Bytes of the shared memory. */
  readonly size: number;
  readonly control: Region;
  readonly clock: Region;
  readonly frameLists: Region;
  readonly p2m: Region;
  readonly vcpus: readonly VcpuRegions[];
  readonly ioapic: Region;
  readonly xen: Region;
  /** What the I/O side says to the board of an HVM domain; see hvm/mailbox.ts. Empty in others. */
  readonly mailbox: Region;
  /** What chips of an HVM domain share with the I/O side; see hvm/board-memory.ts. Empty in others. */
  readonly board: Region;
  readonly ram: Region;
  readonly shape: DomainShape;
  /** The table of a PageSharing, if one is kept. */
  readonly sharing?: Region;
}

export interface VcpuRegions {
  readonly cpu: Region;
  readonly code: Region;
  readonly apic: Region;
}

/** Most grant frames, Xen's default: xen/common/grant_table.c. */
export const GRANT_FRAMES = 64;

/** What comes first in the memory, and depends on nothing but the number of vCPUs. */
export function planVcpus(
  planner: ArenaPlanner,
  vcpus: number,
): Pick<MachinePlan, 'control' | 'clock' | 'frameLists' | 'p2m' | 'vcpus'> {
  return {
    control: planner.reserve(CONTROL.sizeof),
    clock: planner.reserve(CLOCK.sizeof),
    frameLists: planner.reserve(vcpus * FRAME_LIST.sizeof),
    p2m: planner.reserve(P2M_BYTES),
    vcpus: Array.from({ length: vcpus }, () => ({
      cpu: planner.reserve(VCPU_BYTES),
      code: planner.reserve(CODE_CACHE_BYTES),
      apic: planner.reserve(APIC_PAGE_BYTES),
    })),
  };
}

/** @throws MachineError when it does not fit into 32-bit WebAssembly memory. */
export function planMachine(
  guest: Pick<GuestImage, 'ramBytes' | 'backingBytes'>,
  vcpus: number,
  options: { readonly mailboxBytes?: number; readonly boardBytes?: number; readonly sharing?: boolean } = {},
): MachinePlan {
  const planner = new ArenaPlanner();
  const first = planVcpus(planner, vcpus);
  const ioapic = planner.reserve(IOAPIC_BYTES);
  const shape: DomainShape = {
    vcpus,
    grantFrames: GRANT_FRAMES,
    balloonPages: guest.ramBytes / PAGE_SIZE,
  };
  const xen = planner.reserve(planDomain(shape).size);
  const mailbox = planner.reserve(options.mailboxBytes ?? 0);
  const board = planner.reserve(options.boardBytes ?? 0, PAGE_SIZE);
  const sharing = options.sharing === true ? planner.reserve(pageSharingBytes(guest.backingBytes)) : undefined;
  const ram = planner.reserve(guest.backingBytes, 1 << 16);
  if (planner.size > ARENA_LIMIT) {
    const most = Math.floor((ARENA_LIMIT - (planner.size - guest.ramBytes)) / (1 << 20));
    throw new MachineError(
      'memory-too-large',
      `${guest.ramBytes / (1 << 20)} MiB of guest memory do not fit`,
      `give at most ${most}MiB`,
    );
  }
  return {
    size: planner.size,
    ...first,
    ioapic,
    xen,
    mailbox,
    board,
    ram,
    shape,
    ...(sharing !== undefined && { sharing }),
  };
}
