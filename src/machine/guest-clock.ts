// Guest time: the host's monotonic clock since the domain was built, less the time that it stood still. Every thread of the
// domain reads the same; the thread that owns the domain stops it and sets it going again, while no vCPU runs.
import type { Region } from '../memory/arena.ts';
import type { GuestTime } from './guest-time.ts';
import { CLOCK } from './machine-plan.ts';

/** Where the domain's time starts. Plain data, posted to the vCPU threads. */
export interface TimeOrigin {
  /** `performance.timeOrigin` and `performance.now()` of the thread that made it, in milliseconds. */
  readonly timeOrigin: number;
  readonly now: number;
}

export const timeOrigin = (): TimeOrigin => ({ timeOrigin: performance.timeOrigin, now: performance.now() });

export class GuestClock implements GuestTime {
  readonly #times: Float64Array;
  /** Added to this thread's `performance.now()` to get milliseconds since the origin. */
  readonly #shift: number;
  /** The global of this name is a getter that looks for it each time. */
  readonly #host = performance;

  /** @param region CLOCK.sizeof bytes, zero for a new domain: its time runs */
  constructor(origin: TimeOrigin, buffer: SharedArrayBuffer, region: Region) {
    this.#shift = performance.timeOrigin - origin.timeOrigin - origin.now;
    this.#times = new Float64Array(buffer, region.at, CLOCK.sizeof / 8);
  }

  /** Nanoseconds of guest system time. */
  readonly nowNs = (): number => {
    const stopped = this.#times[CLOCK.stoppedAt / 8] as number;
    return stopped > 0 ? stopped : Math.max(0, this.#hostNs() - (this.#times[CLOCK.lost / 8] as number));
  };

  /** Stops the clock. No vCPU may be running: they would see time jump when it goes on. */
  stop(): void {
    if (this.#times[CLOCK.stoppedAt / 8] === 0) this.#times[CLOCK.stoppedAt / 8] = Math.max(1, this.nowNs());
  }

  /** Sets it going again. Returns the nanoseconds it stood still. */
  start(): number {
    const stopped = this.#times[CLOCK.stoppedAt / 8] as number;
    if (stopped === 0) return 0;
    const before = this.#times[CLOCK.lost / 8] as number;
    const lost = this.#hostNs() - stopped;
    this.#times[CLOCK.lost / 8] = lost;
    this.#times[CLOCK.stoppedAt / 8] = 0;
    return lost - before;
  }

  /** Back to 0, and running: for a domain that starts anew. */
  reset(): void {
    this.#times[CLOCK.lost / 8] = this.#hostNs();
    this.#times[CLOCK.stoppedAt / 8] = 0;
  }

  #hostNs(): number {
    return (this.#host.now() + this.#shift) * 1e6;
  }
}
