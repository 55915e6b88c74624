// The timers of one vCPU: single-shot, periodic, the timeout of a poll, and the domain's watchdogs as this vCPU sees them.
// Deadlines are in shared state; the alarms are the vCPU thread's own and only say when to look.
import { VIRQ } from '../../abi/xen/event-channel.ts';
import { NR_WATCHDOGS, SHUTDOWN } from '../../abi/xen/sched.ts';
import type { Clock, Timer } from '../../time/clock.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, VcpuStateLayout as State, VCPU_WAIT } from '../domain-layout.ts';
import type { VcpuState } from '../vcpu-state.ts';

const WATCHDOG_DEADLINES = [Header.watchdog_deadline_0, Header.watchdog_deadline_1] as const;

export class VcpuTimers {
  readonly #domain: XenDomain;
  readonly #state: VcpuState;
  readonly #clock: Clock;
  readonly #singleshot: Timer;
  readonly #periodic: Timer;
  readonly #poll: Timer;
  readonly #watchdogs: readonly Timer[];

  constructor(domain: XenDomain, state: VcpuState, clock: Clock) {
    this.#domain = domain;
    this.#state = state;
    this.#clock = clock;
    this.#singleshot = clock.timer(`xen.singleshot.${state.id}`, () => this.#singleshotFired());
    this.#periodic = clock.timer(`xen.periodic.${state.id}`, () => this.#periodicWork());
    this.#poll = clock.timer(`xen.poll.${state.id}`, () => void state.clearWait(VCPU_WAIT.blocked));
    this.#watchdogs = Array.from({ length: NR_WATCHDOGS }, (_, id) =>
      clock.timer(`xen.watchdog.${state.id}.${id}`, () => this.#watchdogFired(id)),
    );
    this.sync();
  }

  /** Arms the alarms from the shared deadlines: at start, after a restore, and when another vCPU changed one. */
  sync(): void {
    const { view } = this.#domain.memory;
    const { at } = this.#state;
    const arm = (timer: Timer, deadline: number) => (deadline === 0 ? timer.cancel() : timer.arm(deadline));
    arm(this.#singleshot, State.singleshot_deadline.get(view, at));
    arm(this.#poll, State.poll_deadline.get(view, at));
    this.#periodicWork();
    for (const [id, timer] of this.#watchdogs.entries()) arm(timer, this.#watchdogDeadline(id));
  }

  /** Fires VIRQ_TIMER once at `deadlineNs` of system time, at the next `runDue` if that is past. */
  setSingleshot(deadlineNs: number): void {
    const { trace, memory } = this.#domain;
    // 0 in shared state means "not armed".
    State.singleshot_deadline.set(memory.view, this.#state.at, Math.max(1, deadlineNs));
    this.#singleshot.arm(deadlineNs);
    if (trace.timer.on) trace.timer(this.#state.id, deadlineNs);
  }

  stopSingleshot(): void {
    State.singleshot_deadline.set(this.#domain.memory.view, this.#state.at, 0);
    this.#singleshot.cancel();
  }

  /** Sends the timer event at once, as for a deadline already past. */
  fireNow(): void {
    this.stopSingleshot();
    this.#domain.events.raiseVirq(VIRQ.TIMER, this.#state.id);
  }

  /** The end of a SCHEDOP_poll; 0 for none. */
  setPollTimeout(deadlineNs: number): void {
    State.poll_deadline.set(this.#domain.memory.view, this.#state.at, deadlineNs);
    if (deadlineNs === 0) this.#poll.cancel();
    else this.#poll.arm(deadlineNs);
  }

  /** Starts watchdog `id` (0 or 1), or stops it with a deadline of 0. Its expiry shuts the domain down. */
  setWatchdog(id: number, deadlineNs: number): void {
    WATCHDOG_DEADLINES[id]?.set(this.#domain.memory.view, this.#domain.at, deadlineNs);
    const timer = this.#watchdogs[id];
    if (deadlineNs === 0) timer?.cancel();
    else timer?.arm(deadlineNs);
  }

  #singleshotFired(): void {
    const { trace, memory } = this.#domain;
    if (trace.timer_fired.on)
      trace.timer_fired(this.#state.id, this.#clock.nowNs() - State.singleshot_deadline.get(memory.view, this.#state.at));
    this.fireNow();
  }

  #periodicWork(): void {
    const { view } = this.#domain.memory;
    const { at } = this.#state;
    const period = State.periodic_period.get(view, at);
    if (period === 0) {
      this.#periodic.cancel();
      return;
    }
    const now = this.#clock.nowNs();
    let next = State.periodic_last.get(view, at) + period;
    if (now >= next) {
      this.#domain.events.raiseVirq(VIRQ.TIMER, this.#state.id);
      State.periodic_last.set(view, at, Math.floor(now));
      next = now + period;
    }
    this.#periodic.arm(next);
  }

  #watchdogDeadline(id: number): number {
    return WATCHDOG_DEADLINES[id]?.get(this.#domain.memory.view, this.#domain.at) ?? 0;
  }

  #watchdogFired(id: number): void {
    const deadline = this.#watchdogDeadline(id);
    if (deadline === 0) return;
    // Another vCPU may have moved it since.
    if (deadline > this.#clock.nowNs()) this.#watchdogs[id]?.arm(deadline);
    else this.#domain.shutdown(SHUTDOWN.watchdog);
  }
}
