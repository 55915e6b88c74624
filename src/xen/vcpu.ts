// One vCPU's platform, on the thread that runs it: timers, pvclock, runstate and the way an upcall reaches the CPU.
import { CALLBACK_TYPE } from '../abi/xen/hvm.ts';
import { RUNSTATE, type Runstate, VCPU_INFO, VcpuTimeInfo } from '../abi/xen/shared-info.ts';
import type { Clock } from '../time/clock.ts';
import type { GuestCaller } from '../vcpu/contract.ts';
import type { XenDomain } from './domain.ts';
import { EMULATION, DomainHeader as Header, VcpuStateLayout as State, VCPU_WAIT } from './domain-layout.ts';
import { CallbackLine } from './events/callback-line.ts';
import { fillTimeInfo, publishTimeInfo, type TscScale, timeStamp, tscScale } from './time/pvclock.ts';
import { RunstateClock } from './time/runstate.ts';
import { VcpuTimers } from './time/vcpu-timers.ts';
import type { VcpuState } from './vcpu-state.ts';
import type { ViridianHooks } from './viridian/hooks.ts';

/** The pvclock pair is renewed when the vCPU wakes and the last one is this old: 32-bit scaling drifts 0.2 ns a second. */
const TIME_MAX_AGE_NS = 1e9;

export interface XenVcpuOptions {
  readonly domain: XenDomain;
  readonly id: number;
  /** The clock whose `runDue` this vCPU's thread calls. Its nanoseconds are the guest's system time. */
  readonly clock: Clock;
  /** The engine, for areas registered by virtual address. */
  readonly caller: GuestCaller;
  /** Raises an edge-triggered fixed interrupt in this vCPU's LAPIC; dropped while the LAPIC is disabled. */
  readonly deliverVector: (vector: number) => void;
  /** Raises or lowers the callback's share of a GSI: the IOAPIC's pin and, below 16, the PIC's. vCPU 0 of an HVM domain. */
  readonly setCallbackLine?: (gsi: number, level: boolean) => void;
  /** The same for a callback by PCI INTx (pin 0 to 3), where links are routed; without it the pin's GSI is used. */
  readonly setCallbackIntx?: (device: number, pin: number, level: boolean) => void;
  /** What the guest has added to this vCPU's TSC (IA32_TSC, IA32_TSC_ADJUST); 0 when absent. */
  readonly tscOffset?: () => bigint;
  /** What Microsoft's interface needs, in a domain that has it. Without: its APIC MSRs raise #GP, its hypercalls do not exist. */
  readonly viridian?: ViridianHooks;
}

export class XenVcpu {
  readonly id: number;
  readonly domain: XenDomain;
  readonly state: VcpuState;
  readonly clock: Clock;
  readonly timers: VcpuTimers;
  readonly runstate: RunstateClock;
  readonly viridian: ViridianHooks | undefined;
  readonly #caller: GuestCaller;
  readonly #deliverVector: (vector: number) => void;
  readonly #callbackLine: CallbackLine | undefined;
  readonly #tscOffset: () => bigint;
  #publishedOffset = 0n;
  readonly #scale: TscScale;
  readonly #khz: number;
  readonly #bytes = new Uint8Array(VcpuTimeInfo.sizeof);
  readonly #view = new DataView(this.#bytes.buffer);

  constructor(options: XenVcpuOptions) {
    const { domain, id, clock, caller } = options;
    const state = domain.vcpus[id];
    if (state === undefined) throw new RangeError(`the domain has no vCPU ${id}`);
    this.id = id;
    this.domain = domain;
    this.state = state;
    this.clock = clock;
    this.#caller = caller;
    this.#deliverVector = options.deliverVector;
    const { setCallbackLine, setCallbackIntx } = options;
    if (id === 0 && setCallbackLine !== undefined && domain.emulates(EMULATION.pic))
      this.#callbackLine = new CallbackLine(domain, state, { setGsi: setCallbackLine, setIntx: setCallbackIntx });
    this.#tscOffset = options.tscOffset ?? (() => 0n);
    this.viridian = options.viridian;
    this.#khz = Header.tsc_khz.get(domain.memory.view, domain.at);
    this.#scale = tscScale(this.#khz);
    this.timers = new VcpuTimers(domain, state, clock);
    this.runstate = new RunstateClock(domain, state, caller);
    this.publishTime();
  }

  /**
   * Takes what other threads and fired timers left for this vCPU: changed timers, a requested upcall. Call it after
   * `runDue` and before looking at the LAPIC, each time before the guest is entered. Cheap when there is nothing.
   */
  service(): void {
    if (this.state.takeTimerUpdate()) this.timers.sync();
    if (this.state.takeUpcallRequest()) this.#raiseUpcall();
    this.#callbackLine?.release();
  }

  /**
   * Whether the vCPU may enter the guest. False while the domain is shut down, the vCPU is down, or it blocks or polls
   * and neither an event nor its timeout has come. `interrupt`: an interrupt could be delivered now; it ends the wait.
   */
  mayRun(interrupt: boolean): boolean {
    const wait = this.state.waiting;
    if (wait !== 0) {
      if (wait & VCPU_WAIT.down) return false;
      if (!interrupt) return false;
      this.state.clearWait(VCPU_WAIT.blocked);
    }
    return this.domain.shutdownReason < 0;
  }

  /**
   * The domain-wide vector callback, if one is due, else -1. It behaves as an external interrupt without a controller: taken
   * whenever interrupts are possible while evtchn_upcall_pending is set, with priority over the LAPIC, never acknowledged.
   */
  callbackVector(): number {
    const { memory, at } = this.domain;
    if (Header.callback_type.get(memory.view, at) !== CALLBACK_TYPE.vector + 1) return -1;
    return this.state.upcallPending ? Header.callback_vector.get(memory.view, at) : -1;
  }

  /**
   * Takes the callback's interrupt line down if the guest has cleared evtchn_upcall_pending. `service` does it too; call it
   * on vCPU 0's thread before an EOI is passed on, so that the IOAPIC does not deliver a line that is about to fall.
   */
  releaseCallbackLine(): void {
    this.#callbackLine?.release();
  }

  /**
   * Call when the guest software-enables the LAPIC: an upcall dropped before is raised again. Needed: Linux registers its
   * vector, and has an event pending, before it enables the LAPIC.
   */
  lapicEnabled(): void {
    if (this.state.upcallPending) this.#raiseUpcall();
  }

  /**
   * Records what the vCPU does from now on: running before each entry after a sleep, blocked before a sleep. One that is
   * down does not block but is offline (xen/common/sched/core.c).
   */
  enter(next: Runstate): void {
    const down = next === RUNSTATE.blocked && (this.state.waiting & VCPU_WAIT.down) !== 0;
    const state = down ? RUNSTATE.offline : next;
    if (this.runstate.current === state) return;
    const now = this.clock.nowNs();
    this.runstate.enter(state, now);
    if (state !== RUNSTATE.running) return;
    const age = now - State.time_updated.get(this.domain.memory.view, this.state.at);
    // A guest that wrote its TSC finds its clock right after it has slept, as in Xen.
    if (age >= TIME_MAX_AGE_NS || this.#tscOffset() !== this.#publishedOffset) this.publishTime();
  }

  /**
   * The vCPU had reason to run at `sinceNs` of system time (a timer was due), and its thread is only awake now: what lies in
   * between is runnable time, which a guest counts as stolen. Call it before `enter(running)`.
   */
  woken(sinceNs: number): void {
    if (this.runstate.current === RUNSTATE.blocked && sinceNs < this.clock.nowNs())
      this.runstate.enter(RUNSTATE.runnable, sinceNs);
  }

  /** What RDTSC gives the guest now. */
  guestTsc(): bigint {
    const ticks = (BigInt(Math.floor(this.clock.nowNs())) * BigInt(this.#khz)) / 1_000_000n;
    return BigInt.asUintN(64, ticks + this.#tscOffset());
  }

  /**
   * The domain was paused or goes on. Called on the vCPU's thread, out of the guest; guest time stands still in between.
   * Paused, a vCPU that ran or could run is offline, and one that blocks goes on blocking; afterwards the former is runnable
   * until it runs (xen/common/sched/core.c). The wallclock has moved: `XenDomain.setWallclock`.
   */
  runStateChanged(running: boolean): void {
    const { current } = this.runstate;
    const now = this.clock.nowNs();
    if (!running) {
      if (current === RUNSTATE.running || current === RUNSTATE.runnable) this.runstate.enter(RUNSTATE.offline, now);
      return;
    }
    const down = (this.state.waiting & VCPU_WAIT.down) !== 0;
    if (current === RUNSTATE.offline && !down) this.runstate.enter(RUNSTATE.runnable, now);
    this.timers.sync();
    this.publishTime();
  }

  /** Writes the current pvclock pair to vcpu_info and the registered areas. Call it also when the guest changes its TSC. */
  publishTime(): void {
    const { memory } = this.domain;
    const now = this.clock.nowNs();
    this.#publishedOffset = this.#tscOffset();
    const stamp = timeStamp(now, this.#khz, this.#publishedOffset);
    publishTimeInfo(memory, this.state.infoAt + VCPU_INFO.time, stamp, this.#scale);
    const physical = State.time_at.get(memory.view, this.state.at);
    if (physical !== 0) publishTimeInfo(memory, physical, stamp, this.#scale);
    const virtual = State.time_va.get(memory.view, this.state.at);
    if (virtual !== 0n) {
      const version = VcpuTimeInfo.version.get(memory.view, this.state.infoAt + VCPU_INFO.time);
      fillTimeInfo(this.#view, 0, stamp, this.#scale);
      this.#writeVersion(virtual, version - 1);
      if (this.#caller.writeVirtual(virtual, this.#bytes)) this.#writeVersion(virtual, version);
    }
    State.time_updated.set(memory.view, this.state.at, Math.floor(now));
  }

  #writeVersion(address: bigint, version: number): void {
    VcpuTimeInfo.version.set(this.#view, 0, version);
    this.#caller.writeVirtual(address, this.#bytes.subarray(0, 4));
  }

  #raiseUpcall(): void {
    const { memory, trace } = this.domain;
    const vector = State.upcall_vector.get(memory.view, this.state.at);
    if (vector === 0) return this.#callbackLine?.raise();
    if (trace.upcall.on) trace.upcall(this.id, vector);
    this.#deliverVector(vector);
  }
}
