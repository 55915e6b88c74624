// One vCPU's shared state, seen from any thread.
import type { HostAddress } from '../abi/types.ts';
import { SHARED_INFO, VCPU_INFO } from '../abi/xen/shared-info.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { decodeHvmContext, type VcpuContext } from './calls/hvm-context.ts';
import { VcpuStateLayout as Layout, SUSPEND_CALL, VCPU_WAIT } from './domain-layout.ts';

export class VcpuState {
  readonly id: number;
  /** Address of the vCPU's VcpuStateLayout. */
  readonly at: number;
  readonly #memory: GuestMemory;
  readonly #home: HostAddress;

  constructor(memory: GuestMemory, id: number, at: number, sharedInfoAt: number) {
    this.id = id;
    this.at = at;
    this.#memory = memory;
    const slot = id < SHARED_INFO.vcpu_info_slots;
    this.#home = (slot ? sharedInfoAt + id * VCPU_INFO.sizeof : at + Layout.legacy.offset) as HostAddress;
  }

  /** Where the vCPU's vcpu_info is: the registered area, its slot in shared_info, or a private place. */
  get infoAt(): HostAddress {
    const at = Layout.vcpu_info_at.get(this.#memory.view, this.at);
    return at === 0 ? this.#home : (at as HostAddress);
  }

  get infoRegistered(): boolean {
    return Layout.vcpu_info_at.get(this.#memory.view, this.at) !== 0;
  }

  /** evtchn_upcall_pending. */
  get upcallPending(): boolean {
    return Atomics.load(this.#memory.u8, this.infoAt + VCPU_INFO.evtchn_upcall_pending) !== 0;
  }

  /** Whether the vCPU was ever started, or VCPUOP_initialise has given it registers. */
  get initialised(): boolean {
    return Layout.initialised.get(this.#memory.view, this.at) !== 0;
  }

  get waiting(): number {
    return Atomics.load(this.#memory.i32, (this.at + Layout.wait.offset) >>> 2);
  }

  setWait(bits: number): void {
    Atomics.or(this.#memory.i32, (this.at + Layout.wait.offset) >>> 2, bits);
  }

  /** Ends a wait, and with `blocked` a poll too. Returns whether there was one. */
  clearWait(bits: number): boolean {
    const { i32 } = this.#memory;
    if (bits & VCPU_WAIT.blocked) Atomics.store(i32, (this.at + Layout.poll_port.offset) >>> 2, 0);
    return (Atomics.and(i32, (this.at + Layout.wait.offset) >>> 2, ~bits) & bits) !== 0;
  }

  /** The port a SCHEDOP_poll waits for: POLL_ANY for several, 0 for none. */
  get pollPort(): number {
    return Atomics.load(this.#memory.i32, (this.at + Layout.poll_port.offset) >>> 2) >>> 0;
  }

  set pollPort(port: number) {
    Atomics.store(this.#memory.i32, (this.at + Layout.poll_port.offset) >>> 2, port | 0);
  }

  /** Asks the vCPU's own thread to raise its upcall. */
  requestUpcall(): void {
    Atomics.store(this.#memory.i32, (this.at + Layout.upcall_request.offset) >>> 2, 1);
  }

  /** Takes the request back: true once for each. */
  takeUpcallRequest(): boolean {
    return this.#take(Layout.upcall_request.offset);
  }

  requestNmi(): void {
    Atomics.store(this.#memory.i32, (this.at + Layout.nmi_pending.offset) >>> 2, 1);
  }

  takeNmi(): boolean {
    return this.#take(Layout.nmi_pending.offset);
  }

  requestTimerUpdate(): void {
    Atomics.store(this.#memory.i32, (this.at + Layout.timers_changed.offset) >>> 2, 1);
  }

  takeTimerUpdate(): boolean {
    return this.#take(Layout.timers_changed.offset);
  }

  /** Notes that this vCPU asked to be suspended: its hypercall has the answer 0, unless the suspend is cancelled. */
  noteSuspendCall(): void {
    Atomics.store(this.#memory.i32, (this.at + Layout.suspend_call.offset) >>> 2, SUSPEND_CALL.made);
  }

  /** Ends what `noteSuspendCall` began. */
  endSuspendCall(cancelled: boolean): void {
    const next = cancelled ? SUSPEND_CALL.cancelled : 0;
    Atomics.compareExchange(this.#memory.i32, (this.at + Layout.suspend_call.offset) >>> 2, SUSPEND_CALL.made, next);
  }

  /** True once after a cancelled suspend that this vCPU asked for: RAX must become 1 before it runs on. */
  takeSuspendCancelled(): boolean {
    const index = (this.at + Layout.suspend_call.offset) >>> 2;
    return Atomics.compareExchange(this.#memory.i32, index, SUSPEND_CALL.cancelled, 0) === SUSPEND_CALL.cancelled;
  }

  /** Stores a checked `struct vcpu_hvm_context` for the vCPU's own thread. */
  setInitialContext(context: Uint8Array): void {
    this.#memory.u8.set(context, this.at + Layout.context.offset);
    Atomics.store(this.#memory.i32, (this.at + Layout.context_ready.offset) >>> 2, 1);
  }

  /**
   * The registers that VCPUOP_initialise gave this vCPU, once: when it comes up its own thread applies them to its engine
   * (`applyVcpuContext`) before anything else.
   */
  takeInitialContext(): VcpuContext | undefined {
    return this.#take(Layout.context_ready.offset)
      ? decodeHvmContext(this.#memory.view, this.at + Layout.context.offset)
      : undefined;
  }

  /** The port a VIRQ is bound to, or 0. */
  virqPort(virq: number): number {
    return Atomics.load(this.#memory.i32, (this.at + Layout.virq_port.offset + virq * 4) >>> 2);
  }

  setVirqPort(virq: number, port: number): void {
    Atomics.store(this.#memory.i32, (this.at + Layout.virq_port.offset + virq * 4) >>> 2, port);
  }

  #take(offset: number): boolean {
    const index = (this.at + offset) >>> 2;
    if (Atomics.load(this.#memory.i32, index) === 0) return false;
    return Atomics.exchange(this.#memory.i32, index, 0) !== 0;
  }
}
