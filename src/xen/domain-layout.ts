// The platform's shared memory: one region of the arena holds everything that a hypercall or an interrupt touches.
import { struct, u8, u16, u32, u64, uint53 } from '../abi/layout.ts';
import { PAGE_SIZE } from '../abi/types.ts';
import { EVTCHN_FIFO } from '../abi/xen/event-channel.ts';
import { HVM_NR_PARAMS } from '../abi/xen/hvm.ts';
import { NR_HYPERCALLS } from '../abi/xen/hypercall.ts';
import { E820_MAX, E820Entry } from '../abi/xen/memory.ts';

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
  /** vector: the vector; gsi: the GSI; pci_intx: device << 2 | pin. */
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
  /** The highest grant table version the guest may have. */
  grant_version_max: u32,
  /** Counts up when the grant table is reset; a backend's mapping of an earlier one is void. */
  grant_generation: u32,
  /** Handles of grant mappings: how many were ever given out, and the first free one below that, plus 1. */
  maptrack_used: u32,
  maptrack_free: u32,
  /** The highest frame that ever had memory. */
  max_gfn: u32,
  /** The highest event channel the guest may have. */
  max_port: u32,
  /** No port below this one is closed. */
  first_free_port: u32,
  /** 0: 2-level event channels, 1: FIFO. */
  evtchn_fifo: u32,
  /** Event words that exist under FIFO: 1024 for each page the guest has added. */
  fifo_words: u32,
  /** The interrupt line held for the callback: 0 none, else as `callback-line.ts` names lines. */
  callback_line: u32,
  reserved: { ...u32, size: 76 },
});
/** What the platform has beyond that of a PVH domain. */
export const EMULATION = { pirq: 1, viridian: 2, pic: 4 } as const;

/** One vCPU's part. */
export const VcpuStateLayout = struct(448, {
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
  /** 1: `context` holds registers that the vCPU's own thread has not loaded yet. */
  context_ready: u32,
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
  /** SUSPEND_CALL. */
  suspend_call: u32,
  /** System time of the last pvclock update. */
  time_updated: uint53,
  /** The port each VIRQ is bound to, 24 × u32. */
  virq_port: { ...u32, size: 96 },
  /** The vcpu_info of a vCPU without a slot in shared_info that has not registered one. */
  legacy: { ...u64, size: 64 },
  /** The `struct vcpu_hvm_context` of VCPUOP_initialise, checked. */
  context: { ...u64, size: 128 },
  /** Odd while the vCPU's thread changes `runstate` and the five times with it. */
  runstate_version: u32,
  reserved: u32,
});
export const VCPU_WAIT = { blocked: 1, down: 2 } as const;
export const POLL_ANY = 0xffff_ffff;
/** Of a SCHEDOP_shutdown(suspend): 0 none; made by this vCPU; cancelled, so that the vCPU must see 1 in RAX. */
export const SUSPEND_CALL = { made: 1, cancelled: 2 } as const;

/** One event channel end. The first word is read and written as a whole. */
export const PortEntry = struct(16, {
  /** EVTCHNSTAT_*. */
  state: u8,
  /** FIFO: the queue its next event goes to, 0 to 15. */
  priority: u8,
  /** notify_vcpu_id */
  vcpu: u16,
  /** unbound, interdomain: remote domain. virq: the VIRQ. pirq: the PIRQ. */
  remote: u16,
  /** FIFO: 1 when an event came before the page with the port's word. */
  held: u8,
  pad: u8,
  /** interdomain: the port at the other end. */
  remote_port: u32,
  /** FIFO: the queue its last event was linked to, vCPU * 16 + priority. */
  last_queue: u32,
});

/** FIFO: a queue's tail is the last port linked to it, or 0. */
export const FifoQueue = struct(8, { lock: u32, tail: u32 });
/** FIFO: one vCPU's part, followed by its 16 queues. `control_at`: HostAddress of its control block, or 0. */
export const FifoVcpu = struct(8, { control_at: u32, pad: u32 });
export const FIFO_VCPU_BYTES: number = FifoVcpu.sizeof + EVTCHN_FIFO.queues * FifoQueue.sizeof;

/** A physical interrupt as the guest sees it: the port it is bound to (0: none) and what raises it. */
export const PirqEntry = struct(8, {
  port: u32,
  /** 0: nothing, PIRQ_MSI, else GSI + 1. */
  source: u16,
  /** 1: handed out by get_free_pirq. */
  allocated: u16,
});
export const PIRQ_MSI = 0xffff;
/** A GSI: the pirq it is routed to plus 1 (0: the IOAPIC takes it), and its level. */
export const GsiEntry = struct(8, { pirq: u32, asserted: u32 });
/** d->nr_pirqs; the first NR_GSIS are for GSIs. */
export const NR_PIRQS = 256;
/** Pins of the IOAPIC of an HVM domain, NR_HVM_DOMU_IRQS. */
export const NR_GSIS = 48;

/** One overlay page: where it is mapped, and what the p2m had there. */
export const OverlayEntry = struct(8, { gfn: u32, shadowed: u32 });
export const NOT_MAPPED = 0xffff_ffff;
/** Overlay 0 is shared_info; grant frame n is overlay 1 + n; the status frames follow the last grant frame. */
export const OVERLAY = { shared_info: 0, grant: 1 } as const;

/** What the hypervisor keeps of a grant in use. All [XEN]; the guest does not see it. Zero while nobody uses the grant. */
export const ActiveGrant = struct(16, {
  /** Uses for reading, and for reading and writing: 128 each at most. Both are 0 for a free entry. */
  readers: u8,
  writers: u8,
  /** Who uses it. */
  domid: u16,
  /** What is granted of the page: bytes from `start`. */
  start: u16,
  length: u16,
  /** HostAddress of the page, and ACTIVE_GRANT bits below. */
  page: u32,
  gfn: u32,
});
export const ACTIVE_GRANT = { writable: 1 } as const;
/** One mapping the guest made of a grant; `flags` 0 for a free handle, whose `ref` is then the next free one plus 1. */
export const MaptrackEntry = struct(8, { ref: u32, flags: u16, domid: u16 });
/** Grants the guest can have mapped at a time. Xen's default is 262144. */
export const MAPTRACK_HANDLES = 1024;

/** Entries a grant frame holds, by version, and status words a status frame holds. */
export const GRANTS_PER_FRAME = { v1: 512, v2: 256, status: 2048 } as const;
/** Status frames that go with a number of grant frames. */
export const statusFrames = (grantFrames: number): number =>
  Math.ceil((grantFrames * GRANTS_PER_FRAME.v2) / GRANTS_PER_FRAME.status);
export const overlayCount = (grantFrames: number): number => OVERLAY.grant + grantFrames + statusFrames(grantFrames);

/** What Microsoft's interface keeps of the domain: the MSRs that all vCPUs share. Zero without the interface. */
export const ViridianDomain = struct(24, { guest_os_id: u64, hypercall: u64, reference_tsc: u64 });
/** The same of one vCPU. */
export const ViridianVcpu = struct(48, {
  vp_assist_page: u64,
  crash_p0: u64,
  crash_p1: u64,
  crash_p2: u64,
  crash_p3: u64,
  crash_p4: u64,
});

/** Ports of the backends' end. */
export const BACKEND_PORTS = 1024;

export interface DomainShape {
  /** 1..128. */
  readonly vcpus: number;
  /** Most grant frames the guest may have; Xen's default is 64. */
  readonly grantFrames: number;
  /** Most pages the guest can have given back at a time (4 bytes each). Default 16384: 64 MiB. */
  readonly balloonPages?: number;
  /** The highest event channel the guest may have, 1..131071 (16 bytes each). Default 1023, as xl's max_event_channels. */
  readonly maxEventChannel?: number;
}
const DEFAULT_BALLOON_PAGES = 16384;
const DEFAULT_MAX_EVENT_CHANNEL = 1023;
export const maxEventChannel = (shape: DomainShape): number => shape.maxEventChannel ?? DEFAULT_MAX_EVENT_CHANNEL;
/** Ports come into existence in groups of this many, as in Xen; one beyond is invalid, not closed. */
export const PORT_GROUP = 64;
export const balloonPages = (shape: DomainShape): number => shape.balloonPages ?? DEFAULT_BALLOON_PAGES;

/** Offsets in the region. */
export interface DomainPlan {
  readonly params: number;
  readonly counters: number;
  readonly unimplemented: number;
  readonly e820: number;
  readonly vcpus: number;
  readonly viridian: number;
  readonly viridianVcpus: number;
  readonly ports: number;
  readonly fifoVcpus: number;
  /** HostAddresses of the event array's pages. */
  readonly fifoPages: number;
  readonly pirqs: number;
  readonly gsis: number;
  readonly backendPorts: number;
  readonly backendPending: number;
  readonly overlays: number;
  /** HostAddresses of pages given back, a stack. */
  readonly freePages: number;
  readonly sharedInfo: number;
  readonly store: number;
  readonly console: number;
  readonly grants: number;
  readonly grantStatus: number;
  readonly activeGrants: number;
  readonly maptrack: number;
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
    viridian: take(ViridianDomain.sizeof),
    viridianVcpus: take(shape.vcpus * ViridianVcpu.sizeof),
    ports: take(Math.ceil((maxEventChannel(shape) + 1) / PORT_GROUP) * PORT_GROUP * PortEntry.sizeof),
    fifoVcpus: take(shape.vcpus * FIFO_VCPU_BYTES),
    fifoPages: take(EVTCHN_FIFO.max_pages * 4),
    pirqs: take(NR_PIRQS * PirqEntry.sizeof),
    gsis: take(NR_GSIS * GsiEntry.sizeof),
    backendPorts: take(BACKEND_PORTS * PortEntry.sizeof),
    backendPending: take(BACKEND_PORTS / 8),
    overlays: take(overlayCount(shape.grantFrames) * OverlayEntry.sizeof),
    freePages: take(balloonPages(shape) * 4),
    sharedInfo: take(PAGE_SIZE, PAGE_SIZE),
    store: take(PAGE_SIZE, PAGE_SIZE),
    console: take(PAGE_SIZE, PAGE_SIZE),
    grants: take(shape.grantFrames * PAGE_SIZE, PAGE_SIZE),
    grantStatus: take(statusFrames(shape.grantFrames) * PAGE_SIZE, PAGE_SIZE),
    activeGrants: take(shape.grantFrames * GRANTS_PER_FRAME.v1 * ActiveGrant.sizeof),
    maptrack: take(MAPTRACK_HANDLES * MaptrackEntry.sizeof),
    size: next,
  };
}

/** Bytes to reserve for a domain in the arena. */
export const domainRegionSize = (shape: DomainShape): number => planDomain(shape).size;
