// How many instructions the guest may run before its timers are looked at. A timer that is due sooner than that is late, and
// each look costs a few microseconds, so the budget follows the speed the guest runs at: 4 to 400 instructions a microsecond.

/** Instructions. */
const LEAST = 2_000;
const MOST = 200_000;
/** Part of the time until the next timer that one run should take; the rest is for a guest that becomes faster. */
const PART = 0.9;
/** Instructions a nanosecond before anything is known. */
const ASSUMED = 0.05;
/** Runs of fewer instructions say little about the speed. */
const TELLING = 1_000;

export class RunBudget {
  #perNs = ASSUMED;

  /** Instructions to run when the next timer is due in `untilNs`. */
  before(untilNs: number): number {
    return Math.min(MOST, Math.max(LEAST, Math.floor(untilNs * PART * this.#perNs)));
  }

  /** The guest ran so many instructions in `ns`, and did nothing else in that time. */
  ran(instructions: number, ns: number): void {
    if (instructions >= TELLING && ns > 0) this.#perNs = instructions / ns;
  }
}
