// The Xen platform of one domain, as any thread sees it. All state is in the region; an instance is a view.
import type { DomId, Gfn, HostAddress } from '../abi/types.ts';
import { DOMID_SELF, DOMID_ZERO } from '../abi/xen/domid.ts';
import { EVTCHN_FIFO } from '../abi/xen/event-channel.ts';
import { GNTTAB_RESERVED } from '../abi/xen/grant-table.ts';
import { HVM_NR_PARAMS, HVM_PARAM, SPECIAL_PAGES } from '../abi/xen/hvm.ts';
import { E820_MAX, E820Entry } from '../abi/xen/memory.ts';
import { SHUTDOWN, SHUTDOWN_CODE_INVALID } from '../abi/xen/sched.ts';
import { RUNSTATE, SHARED_INFO } from '../abi/xen/shared-info.ts';
import type { Region } from '../memory/arena.ts';
import { type GuestMemory, P2M_FRAMES } from '../memory/guest-memory.ts';
import type { Sink } from '../trace/points.ts';
import {
  balloonPages,
  type DomainPlan,
  type DomainShape,
  EMULATION,
  DomainHeader as Header,
  maxEventChannel,
  NOT_MAPPED,
  OverlayEntry,
  overlayCount,
  PORT_GROUP,
  planDomain,
  VCPU_WAIT,
  VcpuStateLayout,
} from './domain-layout.ts';
import { EventChannels } from './events/event-channels.ts';
import { GrantTable } from './grants/grant-table.ts';
import { Overlays } from './memory/overlays.ts';
import { SpinLock } from './spin-lock.ts';
import { type XenTrace, xenTrace } from './trace.ts';
import { VcpuState } from './vcpu-state.ts';
import { VIRIDIAN_DEFAULT } from './viridian/features.ts';

/** One range of the guest's memory map. `type`: 1 RAM, 2 reserved, 3 ACPI, 4 NVS. */
export interface MemoryRange {
  readonly addr: number;
  readonly size: number;
  readonly type: number;
}

export interface DomainConfig extends DomainShape {
  /** The guest's own domain number, 1..0x7fef. */
  readonly domid: number;
  /** 16 bytes. */
  readonly uuid: Uint8Array;
  /** Frequency of the guest's TSC; the TSC must be system time times this, divided by 10^6, plus an offset per vCPU. */
  readonly tscKhz: number;
  /** Unix time when guest system time is 0. */
  readonly wallclock: { readonly seconds: number; readonly nanoseconds: number };
  /** The highest grant table version the guest may set. Default 2, as in Xen. */
  readonly grantVersionMax?: 1 | 2;
  /** What XENMEM_memory_map answers; at most 128 ranges. It must call the special pages at gfn 0xfeff8..0xfefff reserved. */
  readonly memoryMap: readonly MemoryRange[];
  /** Pages of RAM given to the guest, and the most a balloon may reach. */
  readonly pages: number;
  readonly maxPages: number;
  /** The vendor CPUID shows: decides the instruction in hypercall page stubs. */
  readonly vendor: 'GenuineIntel' | 'AuthenticAMD' | 'HygonGenuine';
  /**
   * What an HVM domain has beyond a PVH domain, all off by default. `pic`: a PIC and IOAPIC whose lines a callback can use.
   * `pirq`: those, and physical interrupts as event channels (XENFEAT_hvm_pirqs). `viridian`: Hyper-V's interface beside Xen's.
   */
  readonly emulation?: { readonly pic?: boolean; readonly pirq?: boolean; readonly viridian?: boolean };
  /** Whether CONSOLEIO_write is allowed, as in a Xen built for debugging; otherwise -EPERM. */
  readonly consoleIo: boolean;
}

export interface DomainView {
  readonly memory: GuestMemory;
  readonly region: Region;
  /** Makes a vCPU leave the guest or wake from its sleep, and look at its state again. From any thread. */
  readonly kick: (vcpu: number) => void;
  /** An event for a backend is pending: have the thread that owns `BackendChannels` call `dispatch`. From any thread. */
  readonly wakeBackends: () => void;
  readonly trace?: Sink;
}

export class XenDomain {
  readonly memory: GuestMemory;
  readonly at: HostAddress;
  readonly plan: DomainPlan;
  readonly vcpus: readonly VcpuState[];
  readonly lock: SpinLock;
  readonly overlays: Overlays;
  readonly grants: GrantTable;
  readonly events: EventChannels;
  readonly trace: XenTrace;
  readonly kick: (vcpu: number) => void;
  readonly wakeBackends: () => void;
  readonly sharedInfoAt: HostAddress;
  readonly #emulation: number;

  /** A view of a region that `XenDomain.create` has set up. */
  constructor(options: DomainView) {
    const { memory, region } = options;
    this.memory = memory;
    this.at = region.at;
    this.#emulation = Header.emulation.get(memory.view, region.at);
    this.kick = options.kick;
    this.wakeBackends = options.wakeBackends;
    this.trace = xenTrace(options.trace ?? (() => {}));
    const shape = {
      vcpus: Header.vcpus.get(memory.view, region.at),
      grantFrames: Header.grant_frames_max.get(memory.view, region.at),
      balloonPages: Header.free_pages_max.get(memory.view, region.at),
      maxEventChannel: Header.max_port.get(memory.view, region.at),
    };
    this.plan = planDomain(shape);
    this.sharedInfoAt = (region.at + this.plan.sharedInfo) as HostAddress;
    this.lock = new SpinLock(memory.i32, region.at + Header.lock.offset);
    this.vcpus = Array.from({ length: shape.vcpus }, (_, id) => {
      const at = region.at + this.plan.vcpus + id * VcpuStateLayout.sizeof;
      return new VcpuState(memory, id, at, this.sharedInfoAt);
    });
    this.overlays = new Overlays(this);
    this.grants = new GrantTable(this);
    this.events = new EventChannels(this);
  }

  /** Sets up the region of a new domain: what a toolstack does before the guest runs. The guest's RAM is mapped already. */
  static create(memory: GuestMemory, region: Region, config: DomainConfig): void {
    const plan = planDomain(config);
    if (region.size < plan.size) throw new RangeError(`the Xen platform needs ${plan.size} bytes, not ${region.size}`);
    const ports = maxEventChannel(config);
    if (!(ports >= 1 && ports < EVTCHN_FIFO.ports))
      throw new RangeError(`a domain has 1 to ${EVTCHN_FIFO.ports - 1} event channels`);
    if (config.memoryMap.length > E820_MAX) throw new RangeError(`a memory map has at most ${E820_MAX} ranges`);
    const { view, u8 } = memory;
    const { at } = region;
    u8.fill(0, at, at + plan.size);
    Header.domid.set(view, at, config.domid);
    Header.vcpus.set(view, at, config.vcpus);
    Header.valid_ports.set(view, at, PORT_GROUP);
    Header.max_port.set(view, at, ports);
    Header.first_free_port.set(view, at, 1);
    Header.shutdown_code.set(view, at, SHUTDOWN_CODE_INVALID);
    Header.grant_version.set(view, at, 1);
    Header.grant_version_max.set(view, at, config.grantVersionMax ?? 2);
    Header.grant_frames.set(view, at, 1);
    Header.grant_frames_max.set(view, at, config.grantFrames);
    Header.free_pages_max.set(view, at, balloonPages(config));
    Header.tot_pages.set(view, at, config.pages);
    Header.max_pages.set(view, at, config.maxPages);
    Header.tsc_khz.set(view, at, config.tscKhz);
    Header.vmmcall.set(view, at, config.vendor === 'GenuineIntel' ? 0 : 1);
    Header.console_io.set(view, at, config.consoleIo ? 1 : 0);
    const { pirq = false, pic = pirq, viridian = false } = config.emulation ?? {};
    if (viridian) view.setBigUint64(at + plan.params + HVM_PARAM.VIRIDIAN * 8, BigInt(VIRIDIAN_DEFAULT), true);
    const emulation = (pirq ? EMULATION.pirq : 0) | (pic || pirq ? EMULATION.pic : 0) | (viridian ? EMULATION.viridian : 0);
    Header.emulation.set(view, at, emulation);
    Header.wallclock_seconds.set(view, at, config.wallclock.seconds);
    Header.wallclock_nanoseconds.set(view, at, config.wallclock.nanoseconds);
    u8.set(config.uuid.subarray(0, 16), at + Header.uuid0.offset);
    Header.e820_entries.set(view, at, config.memoryMap.length);
    for (const [i, range] of config.memoryMap.entries()) {
      const entry = at + plan.e820 + i * E820Entry.sizeof;
      E820Entry.addr.set(view, entry, range.addr);
      E820Entry.size.set(view, entry, range.size);
      E820Entry.type.set(view, entry, range.type);
    }
    for (let i = 0; i < overlayCount(config.grantFrames); i++)
      OverlayEntry.gfn.set(view, at + plan.overlays + i * OverlayEntry.sizeof, NOT_MAPPED);
    VcpuStateLayout.initialised.set(view, at + plan.vcpus, 1);
    for (let id = 1; id < config.vcpus; id++) {
      VcpuStateLayout.wait.set(view, at + plan.vcpus + id * VcpuStateLayout.sizeof, VCPU_WAIT.down);
      VcpuStateLayout.runstate.set(view, at + plan.vcpus + id * VcpuStateLayout.sizeof, RUNSTATE.offline);
    }
    memory.map(SPECIAL_PAGES.xenstore as Gfn, (at + plan.store) as HostAddress);
    memory.map(SPECIAL_PAGES.console as Gfn, (at + plan.console) as HostAddress);
    Header.max_gfn.set(view, at, highestFrame(memory));
    new XenDomain({ memory, region, kick: () => {}, wakeBackends: () => {} }).publishWallclock();
  }

  get domid(): DomId {
    return Header.domid.get(this.memory.view, this.at) as DomId;
  }

  /** True while the guest's shared structures have the 32-bit layout; latched, not the current mode. */
  get narrow(): boolean {
    return Header.narrow.get(this.memory.view, this.at) !== 0;
  }

  /** Whether the domain has a part that a PVH domain lacks; `which` is of EMULATION. */
  emulates(which: number): boolean {
    return (this.#emulation & which) !== 0;
  }

  /** The domain that an argument names, or undefined: only this one and the backends' domain exist. */
  resolve(domid: number): DomId | undefined {
    if (domid === DOMID_SELF || domid === this.domid) return this.domid;
    return domid === DOMID_ZERO ? DOMID_ZERO : undefined;
  }

  param(index: number): bigint {
    return this.memory.view.getBigUint64(this.at + this.plan.params + index * 8, true);
  }

  setParam(index: number, value: bigint): void {
    if (index >= HVM_NR_PARAMS) throw new RangeError(`no HVM parameter ${index}`);
    if (this.trace.param.on) this.trace.param(index, Number(value));
    this.memory.view.setBigUint64(this.at + this.plan.params + index * 8, value, true);
  }

  /** The shutdown reason (SHUTDOWN_*), or -1 while the domain runs. */
  /** The most pages it may have: XENMEM_maximum_reservation. A toolstack changes it (XEN_DOMCTL_max_mem); what is there stays. */
  get maxPages(): number {
    return Header.max_pages.get(this.memory.view, this.at);
  }
  set maxPages(pages: number) {
    Header.max_pages.set(this.memory.view, this.at, pages);
  }

  get shutdownReason(): number {
    if (Atomics.load(this.memory.i32, (this.at + Header.shutdown.offset) >>> 2) === 0) return -1;
    return Header.shutdown_code.get(this.memory.view, this.at);
  }

  /**
   * Stops the domain: every vCPU is kicked and none runs again before `resume`. A code given earlier (SHUTDOWN_*, by
   * SCHEDOP_shutdown_code) wins over `reason`.
   */
  shutdown(reason: number): void {
    this.setShutdownCode(reason);
    if (Atomics.exchange(this.memory.i32, (this.at + Header.shutdown.offset) >>> 2, 1) !== 0) return;
    if (this.trace.shutdown.on) this.trace.shutdown(this.shutdownReason);
    for (const vcpu of this.vcpus) this.kick(vcpu.id);
  }

  /**
   * Ends a shutdown. `cancelled`: the guest goes on where it asked to be suspended, so the vCPU that asked must see 1 in RAX
   * (`VcpuState.takeSuspendCancelled`); otherwise it sees the 0 it has got, and takes itself for restored. The machine then
   * kicks what it wants to run.
   */
  resume(options: { readonly cancelled?: boolean } = {}): void {
    for (const vcpu of this.vcpus) vcpu.endSuspendCall(options.cancelled ?? false);
    Header.shutdown_code.set(this.memory.view, this.at, SHUTDOWN_CODE_INVALID);
    Atomics.store(this.memory.i32, (this.at + Header.shutdown.offset) >>> 2, 0);
  }

  /** Sets the reason an eventual shutdown will have; the first one stays. */
  setShutdownCode(reason: number): void {
    const index = (this.at + Header.shutdown_code.offset) >>> 2;
    Atomics.compareExchange(this.memory.i32, index, SHUTDOWN_CODE_INVALID | 0, reason & 0xff);
  }

  /** Samples the caller's mode as the width of the shared structures, and rewrites what depends on it. */
  latchWidth(longMode: boolean): void {
    Header.narrow.set(this.memory.view, this.at, longMode ? 0 : 1);
    this.publishWallclock();
  }

  /** Sets Unix time at system time 0: at creation, and again when a pause has stopped the guest's clock. */
  setWallclock(seconds: number, nanoseconds: number): void {
    Header.wallclock_seconds.set(this.memory.view, this.at, seconds);
    Header.wallclock_nanoseconds.set(this.memory.view, this.at, nanoseconds);
    this.publishWallclock();
  }

  /** Writes the wallclock into shared_info, with an odd version meanwhile. */
  publishWallclock(): void {
    const { view, i32 } = this.memory;
    const width = this.narrow ? 'narrow' : 'wide';
    const at = this.sharedInfoAt + SHARED_INFO.wc_version[width];
    const seconds = Header.wallclock_seconds.get(view, this.at);
    const version = Atomics.load(i32, at >>> 2);
    Atomics.store(i32, at >>> 2, (version + 1) | 1);
    view.setUint32(at + 4, seconds >>> 0, true);
    view.setUint32(at + 8, Header.wallclock_nanoseconds.get(view, this.at), true);
    view.setUint32(this.sharedInfoAt + SHARED_INFO.wc_sec_hi[width], Math.floor(seconds / 0x1_0000_0000), true);
    Atomics.store(i32, at >>> 2, ((version + 1) | 1) + 1);
  }

  /** A vCPU goes down until it is brought up again: it asked for that, or halted with interrupts off. With the last one the domain powers off. */
  takeDown(vcpuId: number): void {
    const own = this.vcpus[vcpuId];
    // Down first: of two vCPUs that go down at once, one sees that it is the last.
    own?.setWait(VCPU_WAIT.down);
    if (this.vcpus.some((vcpu) => (vcpu.waiting & VCPU_WAIT.down) === 0)) return this.kick(vcpuId);
    own?.clearWait(VCPU_WAIT.down);
    this.shutdown(SHUTDOWN.poweroff);
  }

  /** INIT: a vCPU is down until it is started again. False when it was never started: then there is nothing to reset. */
  resetVcpu(vcpuId: number): boolean {
    const vcpu = this.vcpus[vcpuId];
    if (vcpu === undefined || !vcpu.initialised) return false;
    VcpuStateLayout.initialised.set(this.memory.view, vcpu.at, 0);
    vcpu.setWait(VCPU_WAIT.down);
    return true;
  }

  /** The guest has done what no guest may do, and Xen has no answer for: it is over. */
  crash(): void {
    this.shutdown(SHUTDOWN.crash);
  }

  /** A vCPU that was down comes up: the start-up IPI reached it and its registers are set. */
  bringUp(vcpuId: number): void {
    const vcpu = this.vcpus[vcpuId];
    if (vcpu === undefined) return;
    VcpuStateLayout.initialised.set(this.memory.view, vcpu.at, 1);
    if (vcpu.clearWait(VCPU_WAIT.down)) this.kick(vcpuId);
  }

  /**
   * Gives the guest a console or XenStore ring: an unbound port for domain 0, the HVM parameters and the reserved grant
   * entry. Until then the parameters read 0, which a guest takes as "not there"; Linux then goes on without XenStore
   * instead of waiting for an answer that never comes. Returns the guest's port.
   */
  offerRing(ring: 'console' | 'store'): number {
    const console = ring === 'console';
    const gfn = console ? SPECIAL_PAGES.console : SPECIAL_PAGES.xenstore;
    const port = this.events.allocUnbound(DOMID_ZERO);
    if (port < 0) throw new Error(`no event channel is free for the ${ring} ring`);
    this.setParam(console ? HVM_PARAM.CONSOLE_EVTCHN : HVM_PARAM.STORE_EVTCHN, BigInt(port));
    this.setParam(console ? HVM_PARAM.CONSOLE_PFN : HVM_PARAM.STORE_PFN, BigInt(gfn));
    const ref = console ? GNTTAB_RESERVED.console : GNTTAB_RESERVED.xenstore;
    this.grants.setReserved(ref, gfn);
    return port;
  }

  /** How often a hypercall was made, and how often it was answered -ENOSYS. */
  hypercallCounts(nr: number): { readonly calls: number; readonly unimplemented: number } {
    const { u32 } = this.memory;
    return {
      calls: u32[(this.at + this.plan.counters) / 4 + nr] ?? 0,
      unimplemented: u32[(this.at + this.plan.unimplemented) / 4 + nr] ?? 0,
    };
  }
}

/** The highest frame with memory. */
function highestFrame(memory: GuestMemory): number {
  for (let gfn = P2M_FRAMES - 1; gfn > 0; gfn--) if (memory.isRam(gfn as Gfn)) return gfn;
  return 0;
}
