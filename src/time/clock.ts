// Guest time. Devices and the Xen platform ask a Clock; only the machine decides whether it is real or virtual.

/** An alarm of one owner. Deadlines are absolute, in the clock's nanoseconds. */
export interface Timer {
  /** Sets or moves the deadline; one already past fires at the next `runDue`. */
  arm(deadlineNs: number): void;
  cancel(): void;
  /** The armed deadline, or Infinity. */
  readonly deadlineNs: number;
}

export interface Clock {
  /** Nanoseconds of guest system time: 0 at domain creation, stopped while the domain is paused. */
  nowNs(): number;
  /** A new timer, not armed. `fire` runs on the thread that owns the clock, never inside `arm`. */
  timer(name: string, fire: () => void): Timer;
}

class Alarm implements Timer {
  deadlineNs = Number.POSITIVE_INFINITY;
  readonly name: string;
  readonly fire: () => void;
  readonly #moved: () => void;
  constructor(name: string, fire: () => void, moved: () => void) {
    this.name = name;
    this.fire = fire;
    this.#moved = moved;
  }
  arm(deadlineNs: number): void {
    this.deadlineNs = deadlineNs;
    this.#moved();
  }
  cancel(): void {
    this.arm(Number.POSITIVE_INFINITY);
  }
}

/** A clock over any source of nanoseconds; whoever owns it calls `runDue` and sleeps until `nextDeadlineNs`. */
export class AlarmClock implements Clock {
  readonly #source: () => number;
  readonly #alarms: Alarm[] = [];
  /** The earliest deadline, or NaN when it has to be looked up: it is asked for far more often than it changes. */
  #next = Number.POSITIVE_INFINITY;

  constructor(source: () => number) {
    this.#source = source;
  }

  nowNs(): number {
    return this.#source();
  }

  timer(name: string, fire: () => void): Timer {
    const alarm = new Alarm(name, fire, () => {
      this.#next = Number.NaN;
    });
    this.#alarms.push(alarm);
    return alarm;
  }

  /** Gives a timer back: for those that are made as they are needed. */
  forget(timer: Timer): void {
    const at = this.#alarms.indexOf(timer as Alarm);
    if (at >= 0) this.#alarms.splice(at, 1);
    this.#next = Number.NaN;
  }

  /** The earliest armed deadline, or Infinity. */
  nextDeadlineNs(): number {
    if (Number.isNaN(this.#next)) {
      this.#next = Number.POSITIVE_INFINITY;
      for (const alarm of this.#alarms) if (alarm.deadlineNs < this.#next) this.#next = alarm.deadlineNs;
    }
    return this.#next;
  }

  /** Fires every timer that is due, earliest first. A timer re-armed into the past waits for the next call. */
  runDue(): void {
    if (this.nextDeadlineNs() === Number.POSITIVE_INFINITY) return;
    const now = this.#source();
    while (this.nextDeadlineNs() <= now) {
      let due: Alarm | undefined;
      for (const alarm of this.#alarms) {
        if (alarm.deadlineNs <= now && (due === undefined || alarm.deadlineNs < due.deadlineNs)) due = alarm;
      }
      if (due === undefined) return;
      due.cancel();
      due.fire();
      if (due.deadlineNs <= now) return;
    }
  }
}

/** A clock that moves only when told to: for tests and for exactly repeatable runs. */
export class VirtualClock extends AlarmClock {
  readonly #time: { ns: number };

  constructor() {
    const time = { ns: 0 };
    super(() => time.ns);
    this.#time = time;
  }

  /** Moves time forward by `ns`, firing each timer at its own deadline. */
  advance(ns: number): void {
    const end = this.#time.ns + ns;
    for (let next = this.nextDeadlineNs(); next <= end; next = this.nextDeadlineNs()) {
      this.#time.ns = Math.max(this.#time.ns, next);
      this.runDue();
    }
    this.#time.ns = end;
  }
}
