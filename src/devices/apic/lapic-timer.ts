// The local APIC timer: one-shot, periodic and TSC-deadline (SDM vol. 3A, 11.5.4).
import type { Clock, Timer } from '../../time/clock.ts';
import type { ApicPage } from './apic-page.ts';
import { DIVIDE_WRITABLE } from './register-access.ts';
import { REG, TIMER_MODE, timerModeOf } from './registers.ts';

/** 10 ns a cycle: the bus clock of Xen's virtual local APIC. */
export const DEFAULT_BUS_HZ = 100_000_000;
/** A periodic timer does not fire more often than this: a guest that asks for more would do nothing else. */
export const MIN_PERIOD_NS = 100_000;

const TWO32 = 0x1_0000_0000;
/** Bits 3, 1 and 0 of the divide configuration count from 2; 111b divides by 1 (SDM figure 11-10). */
const divisorOf = (divide: number): number => 1 << ((((divide & 3) | ((divide & 8) >> 1)) + 1) & 7);

export interface LapicTimerOptions {
  readonly clock: Clock;
  /** Frequency of the guest's TSC in kHz; TSC = nowNs * tscKHz / 10^6 + offset. */
  readonly tscKHz: number;
  /** What the guest added to its TSC by writing it, modulo 2^64. Default 0. Read when a deadline is written. */
  readonly tscOffset?: () => bigint;
  /** Frequency that the divide configuration divides, in Hz. Default `DEFAULT_BUS_HZ`. */
  readonly busHz?: number;
}

/** Counts for one local APIC. Its registers and its deadline lie in the ApicPage; `expire` is called when it runs out. */
export class LapicTimer {
  readonly #page: ApicPage;
  readonly #clock: Clock;
  readonly #alarm: Timer;
  readonly #tickNs: number;
  readonly #tscKHz: number;
  readonly #tscOffset: () => bigint;
  readonly #expire: () => void;

  constructor(page: ApicPage, options: LapicTimerOptions, expire: () => void) {
    this.#page = page;
    this.#clock = options.clock;
    this.#alarm = options.clock.timer('lapic', () => this.#fire());
    this.#tickNs = 1e9 / (options.busHz ?? DEFAULT_BUS_HZ);
    this.#tscKHz = options.tscKHz;
    this.#tscOffset = options.tscOffset ?? (() => 0n);
    this.#expire = expire;
  }

  /** Remaining count; 0 when the timer is not armed or in TSC-deadline mode. */
  get currentCount(): number {
    const deadline = this.#page.timerDeadlineNs;
    if (deadline === 0 || this.#mode === TIMER_MODE.tscDeadline) return 0;
    let remaining = deadline - this.#clock.nowNs();
    if (remaining <= 0) {
      // Run out, but `fire` has not been called yet: a periodic timer has already started over.
      if (this.#mode !== TIMER_MODE.periodic) return 0;
      remaining = this.#periodNs - (-remaining % this.#periodNs);
    }
    return Math.min(Math.ceil(remaining / this.#stepNs), this.#page.get(REG.timerInitial));
  }

  /** Writes the initial count, which starts the timer; 0 stops it. Ignored in TSC-deadline mode (SDM 11.5.4.1). */
  writeInitial(count: number): void {
    if (this.#mode === TIMER_MODE.tscDeadline) return;
    this.#page.set(REG.timerInitial, count);
    if (count === 0) this.disarm();
    else this.#armAt(this.#clock.nowNs() + this.#periodNs);
  }

  /** Writes the divide configuration; a running count goes on at the new rate. */
  writeDivide(value: number): void {
    const left = this.currentCount;
    this.#page.set(REG.timerDivide, value & DIVIDE_WRITABLE);
    if (left > 0) this.#armAt(this.#clock.nowNs() + left * this.#stepNs);
  }

  /** To be called when the LVT timer entry is written. Entering or leaving TSC-deadline mode disarms (SDM 11.5.4.1). */
  lvtWritten(before: number, after: number): void {
    const was = timerModeOf(before) === TIMER_MODE.tscDeadline;
    const is = timerModeOf(after) === TIMER_MODE.tscDeadline;
    if (was === is) return;
    this.#page.set(REG.timerInitial, 0);
    this.#setDeadlineRegister(0, 0);
    this.disarm();
  }

  /** Writes IA32_TSC_DEADLINE; ignored outside TSC-deadline mode. A deadline already past expires at once. */
  writeDeadline(low: number, high: number): void {
    if (this.#mode !== TIMER_MODE.tscDeadline) return;
    this.#setDeadlineRegister(low, high);
    const tsc = (high >>> 0) * TWO32 + (low >>> 0);
    this.disarm();
    if (tsc === 0) return;
    const at = ((tsc - Number(BigInt.asIntN(64, this.#tscOffset()))) * 1e6) / this.#tscKHz;
    if (at > this.#clock.nowNs()) this.#armAt(at);
    else this.#fire();
  }

  disarm(): void {
    this.#page.timerDeadlineNs = 0;
    this.#alarm.cancel();
  }

  /** Sets the alarm again from the page, after the page was loaded from a saved state. */
  rearm(): void {
    const deadline = this.#page.timerDeadlineNs;
    if (deadline === 0) this.#alarm.cancel();
    else this.#alarm.arm(deadline);
  }

  get #mode(): number {
    return timerModeOf(this.#page.get(REG.lvtTimer));
  }

  /** Nanoseconds for a decrement of 1. */
  get #stepNs(): number {
    return divisorOf(this.#page.get(REG.timerDivide)) * this.#tickNs;
  }

  get #periodNs(): number {
    const period = this.#page.get(REG.timerInitial) * this.#stepNs;
    return this.#mode === TIMER_MODE.periodic ? Math.max(period, MIN_PERIOD_NS) : period;
  }

  #armAt(deadlineNs: number): void {
    // Rounded up: a guest must not find that less time has passed than it asked for.
    const deadline = Math.min(Math.ceil(deadlineNs), Number.MAX_SAFE_INTEGER);
    this.#page.timerDeadlineNs = deadline;
    this.#alarm.arm(deadline);
  }

  #setDeadlineRegister(low: number, high: number): void {
    this.#page.setHidden('tscDeadlineLow', low);
    this.#page.setHidden('tscDeadlineHigh', high);
  }

  #fire(): void {
    const deadline = this.#page.timerDeadlineNs;
    this.disarm();
    if (this.#mode === TIMER_MODE.tscDeadline) this.#setDeadlineRegister(0, 0);
    else if (this.#mode === TIMER_MODE.periodic && this.#page.get(REG.timerInitial) !== 0) {
      // From the deadline, not from now: the period does not drift. Periods missed altogether are left out.
      const period = this.#periodNs;
      const missed = Math.max(0, Math.floor((this.#clock.nowNs() - deadline) / period));
      this.#armAt(deadline + (missed + 1) * period);
    }
    this.#expire();
  }
}
