// One vCPU's platform, on the thread that runs it: timers, pvclock, runstate and the way an upcall reaches the CPU.
import { CALLBACK_TYPE } from '../abi/xen/hvm.ts';
import { RUNSTATE, type Runstate, VCPU_INFO, VcpuTimeInfo } from '../abi/xen/shared-info.ts';
import type { Clock } from '../time/clock.ts';
import type { GuestCaller } from '../vcpu/contract.ts';
import type { XenDomain } from './domain.ts';
import { DomainHeader as Header, VcpuStateLayout as State, VCPU_WAIT } from './domain-layout.ts';
import { fillTimeInfo, publishTimeInfo, type TscScale, timeStamp, tscScale } from './time/pvclock.ts';
import { RunstateClock } from './time/runstate.ts';
import { VcpuTimers } from './time/vcpu-timers.ts';
import type { VcpuState } from './vcpu-state.ts';

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
  /** What the guest has added to this vCPU's TSC (IA32_TSC, IA32_TSC_ADJUST); 0 when absent. */
  readonly tscOffset?: () => bigint;
}

export class XenVcpu {
  readonly id: number;
  readonly domain: XenDomain;
  readonly state: VcpuState;
  readonly clock: Clock;
  readonly timers: VcpuTimers;
  readonly runstate: RunstateClock;
  readonly #caller: GuestCaller;
  readonly #deliverVector: (vector: number) => void;
  readonly #tscOffset: () => bigint;
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
    this.#tscOffset = options.tscOffset ?? (() => 0n);
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
   * Call when the guest software-enables the LAPIC: an upcall dropped before is raised again. Needed: Linux registers its
   * vector, and has an event pending, before it enables the LAPIC.
   */
  lapicEnabled(): void {
    if (this.state.upcallPending) this.#raiseUpcall();
  }

  /** Records what the vCPU does from now on: running before each entry after a sleep, blocked before a sleep. */
  enter(state: Runstate): void {
    if (this.runstate.current === state) return;
    const now = this.clock.nowNs();
    this.runstate.enter(state, now);
    if (state !== RUNSTATE.running) return;
    if (now - State.time_updated.get(this.domain.memory.view, this.state.at) >= TIME_MAX_AGE_NS) this.publishTime();
  }

  /** The domain was paused or goes on. Called on the vCPU's thread, out of the guest; guest time stands still in between. */
  runStateChanged(running: boolean): void {
    if (!running) return;
    this.timers.sync();
    this.publishTime();
  }

  /** Writes the current pvclock pair to vcpu_info and the registered areas. Call it also when the guest changes its TSC. */
  publishTime(): void {
    const { memory } = this.domain;
    const now = this.clock.nowNs();
    const stamp = timeStamp(now, this.#khz, this.#tscOffset());
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
    if (vector === 0) return;
    if (trace.upcall.on) trace.upcall(this.id, vector);
    this.#deliverVector(vector);
  }
}
