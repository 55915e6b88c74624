// A clock that fires its own alarms from the event loop, for a thread that has one.
import { AlarmClock, type Clock, type Timer } from './clock.ts';

/** A source that stands still (a paused guest) is looked at this often for whether it moves again. */
const STOPPED_POLL_MS = 20;
/** The most that setTimeout takes. */
const MAX_DELAY_MS = 0x7fff_ffff;

export class EventLoopClock implements Clock {
  readonly #alarms: AlarmClock;
  readonly #nowNs: () => number;
  #handle: ReturnType<typeof setTimeout> | undefined;
  /** What the timeout waits for. */
  #setForNs = Number.POSITIVE_INFINITY;

  /** @param nowNs a source that does not go backwards, in nanoseconds; it may stand still */
  constructor(nowNs: () => number = () => performance.now() * 1e6) {
    this.#nowNs = nowNs;
    this.#alarms = new AlarmClock(nowNs);
  }

  nowNs(): number {
    return this.#nowNs();
  }

  timer(name: string, fire: () => void): Timer {
    const alarm = this.#alarms.timer(name, fire);
    const set = () => this.#set();
    return {
      arm(deadlineNs) {
        alarm.arm(deadlineNs);
        set();
      },
      cancel() {
        alarm.cancel();
        set();
      },
      get deadlineNs() {
        return alarm.deadlineNs;
      },
    };
  }

  /** Fires nothing any more. */
  close(): void {
    clearTimeout(this.#handle);
    this.#setForNs = Number.NEGATIVE_INFINITY;
  }

  /** An earlier deadline moves the timeout; a later one lets it come for nothing, which is cheaper than setting it again. */
  #set(): void {
    const next = this.#alarms.nextDeadlineNs();
    if (next === Number.POSITIVE_INFINITY) {
      if (this.#setForNs === Number.NEGATIVE_INFINITY) return;
      clearTimeout(this.#handle);
      this.#setForNs = next;
    } else if (next < this.#setForNs) this.#wait(next, (next - this.#nowNs()) / 1e6);
  }

  #wait(forNs: number, ms: number): void {
    clearTimeout(this.#handle);
    this.#setForNs = forNs;
    const before = this.#nowNs();
    this.#handle = setTimeout(
      () => {
        this.#setForNs = Number.POSITIVE_INFINITY;
        const stopped = ms > 1 && this.#nowNs() === before;
        this.#alarms.runDue();
        const next = this.#alarms.nextDeadlineNs();
        if (next === Number.POSITIVE_INFINITY || next >= this.#setForNs) return;
        this.#wait(next, stopped ? STOPPED_POLL_MS : (next - this.#nowNs()) / 1e6);
      },
      Math.min(MAX_DELAY_MS, Math.max(0, Math.ceil(ms))),
    );
  }
}
