// The platform's shared memory: one region of the arena holds everything that a hypercall or an interrupt touches.
import { struct, u8, u16, u32, u64, uint53 } from '../abi/layout.ts';
import { PAGE_SIZE } from '../abi/types.ts';
import { HVM_NR_PARAMS } from '../abi/xen/hvm.ts';
import { NR_HYPERCALLS } from '../abi/xen/hypercall.ts';
import { E820_MAX, E820Entry } from '../abi/xen/memory.ts';
import { EVTCHN_2L_PORTS } from '../abi/xen/shared-info.ts';

/** The region's first bytes. u32 fields that two threads touch are accessed with Atomics. */
export const DomainHeader = struct(256, {
  /** Spin lock over ports, overlays and grant table: taken for structural changes only, never for a send. */
  lock: u32,
  domid: u32,
  vcpus: u32,
  /** Ports that exist so far; grows in steps of 64. A port beyond is invalid, one within may be closed. */
  valid_ports: u32,
  /** 1 when the guest's shared structures have the 32-bit layout. */
  narrow: u32,
  /** SHUTDOWN_*, or SHUTDOWN_CODE_INVALID. Set before `shutdown`; the first one given stays. */
  shutdown_code: u32,
  /** 1 once the domain is shutting down: no vCPU runs any more. */
  shutdown: u32,
  /** Bit a VMASST_TYPE. */
  vm_assist: u32,
  /** 0 none, else CALLBACK_TYPE + 1. */
  callback_type: u32,
  callback_vector: u32,
  grant_version: u32,
  grant_frames: u32,
  grant_frames_max: u32,
  e820_entries: u32,
  /** Pages the domain has, and may have at most. */
  tot_pages: u32,
  max_pages: u32,
  /** Counts up with each event for a backend; waited on by the thread that serves them. */
  doorbell: u32,
  tsc_khz: u32,
  /** Watchdogs in use, a bit each. */
  watchdogs: u32,
  /** 1: hypercall page stubs use VMMCALL. */
  vmmcall: u32,
  watchdog_deadline_0: uint53,
  watchdog_deadline_1: uint53,
  /** Unix time at guest system time 0. */
  wallclock_seconds: uint53,
  wallclock_nanoseconds: u32,
  console_io: u32,
  uuid0: u64,
  uuid1: u64,
  /** Pages given back by the balloon, and how many of them can be remembered. */
  free_pages: u32,
  free_pages_max: u32,
  /** EMULATION bits. */
  emulation: u32,
  reserved: { ...u32, size: 116 },
});
/** What the platform has beyond that of a PVH domain. */
export const EMULATION = { pirq: 1, viridian: 2 } as const;

/** One vCPU's part. */
export const VcpuStateLayout = struct(320, {
  /** HostAddress of the registered vcpu_info; 0 while it lies in shared_info or in `legacy`. */
  vcpu_info_at: u32,
  upcall_vector: u32,
  /** 1: an upcall is to be raised by the vCPU's own thread. */
  upcall_request: u32,
  /** VCPU_WAIT bits. */
  wait: u32,
  /** The port polled for; POLL_ANY for several, 0 for none. */
  poll_port: u32,
  nmi_pending: u32,
  /** Somebody changed this vCPU's periodic timer. */
  timers_changed: u32,
  initialised: u32,
  runstate: u32,
  pad0: u32,
  runstate_entry_ns: uint53,
  time_running: uint53,
  time_runnable: uint53,
  time_blocked: uint53,
  time_offline: uint53,
  /** Absolute deadlines in nanoseconds of system time; 0 for none. */
  singleshot_deadline: uint53,
  poll_deadline: uint53,
  periodic_period: uint53,
  periodic_last: uint53,
  /** Areas registered by guest virtual address; 0 for none. */
  runstate_va: u64,
  time_va: u64,
  /** HostAddress of areas registered by physical address; 0 for none. */
  runstate_at: u32,
  time_at: u32,
  /** 1 when the area at `runstate_at` has the 32-bit layout. */
  runstate_narrow: u32,
  pad1: u32,
  /** System time of the last pvclock update. */
  time_updated: uint53,
  /** The port each VIRQ is bound to, 24 × u32. */
  virq_port: { ...u32, size: 96 },
  /** The vcpu_info of a vCPU without a slot in shared_info that has not registered one. */
  legacy: { ...u64, size: 64 },
  reserved: u64,
});
export const VCPU_WAIT = { blocked: 1, down: 2 } as const;
export const POLL_ANY = 0xffff_ffff;

/** One event channel end. The first word is read and written as a whole. */
export const PortEntry = struct(16, {
  /** EVTCHNSTAT_*. */
  state: u8,
  priority: u8,
  /** notify_vcpu_id */
  vcpu: u16,
  /** unbound, interdomain: remote domain. virq: the VIRQ. pirq: the PIRQ. */
  remote: u16,
  pad: u16,
  /** interdomain: the port at the other end. */
  remote_port: u32,
  reserved: u32,
});
/** One overlay page: where it is mapped, and what the p2m had there. */
export const OverlayEntry = struct(8, { gfn: u32, shadowed: u32 });
export const NOT_MAPPED = 0xffff_ffff;
/** Overlay 0 is shared_info; grant frame n is overlay 1 + n. */
export const OVERLAY = { shared_info: 0, grant: 1 } as const;

/** Ports of the backends' end. */
export const BACKEND_PORTS = 1024;

export interface DomainShape {
  /** 1..128. */
  readonly vcpus: number;
  /** Most grant frames the guest may have; Xen's default is 64. */
  readonly grantFrames: number;
  /** Most pages the guest can have given back at a time (4 bytes each). Default 16384: 64 MiB. */
  readonly balloonPages?: number;
}
const DEFAULT_BALLOON_PAGES = 16384;
export const balloonPages = (shape: DomainShape): number => shape.balloonPages ?? DEFAULT_BALLOON_PAGES;

/** Offsets in the region. */
export interface DomainPlan {
  readonly params: number;
  readonly counters: number;
  readonly unimplemented: number;
  readonly e820: number;
  readonly vcpus: number;
  readonly ports: number;
  readonly backendPorts: number;
  readonly backendPending: number;
  readonly overlays: number;
  /** HostAddresses of pages given back, a stack. */
  readonly freePages: number;
  readonly sharedInfo: number;
  readonly store: number;
  readonly console: number;
  readonly grants: number;
  readonly size: number;
}

/** Where everything lies in a domain's region. A pure function of the shape: every thread computes the same. */
export function planDomain(shape: DomainShape): DomainPlan {
  let next = 0;
  const take = (bytes: number, align = 64): number => {
    const at = Math.ceil(next / align) * align;
    next = at + bytes;
    return at;
  };
  take(DomainHeader.sizeof);
  return {
    params: take(HVM_NR_PARAMS * 8),
    counters: take(NR_HYPERCALLS * 4),
    unimplemented: take(NR_HYPERCALLS * 4),
    e820: take(E820_MAX * E820Entry.sizeof),
    vcpus: take(shape.vcpus * VcpuStateLayout.sizeof),
    ports: take(EVTCHN_2L_PORTS.wide * PortEntry.sizeof),
    backendPorts: take(BACKEND_PORTS * PortEntry.sizeof),
    backendPending: take(BACKEND_PORTS / 8),
    overlays: take((OVERLAY.grant + shape.grantFrames) * OverlayEntry.sizeof),
    freePages: take(balloonPages(shape) * 4),
    sharedInfo: take(PAGE_SIZE, PAGE_SIZE),
    store: take(PAGE_SIZE, PAGE_SIZE),
    console: take(PAGE_SIZE, PAGE_SIZE),
    grants: take(shape.grantFrames * PAGE_SIZE, PAGE_SIZE),
    size: next,
  };
}

/** Bytes to reserve for a domain in the arena. */
export const domainRegionSize = (shape: DomainShape): number => planDomain(shape).size;
