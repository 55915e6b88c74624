// Many deadlines on one timer of the clock: thousands of connections cost the clock nothing. A binary heap, earliest first.
import type { Clock, Timer } from '../time/clock.ts';

/** What has a deadline. `fire` is called once it has passed, with the deadline taken away. */
export class Deadline {
  readonly fire: () => void;
  atNs = Number.POSITIVE_INFINITY;
  /** Place in the heap, or -1. */
  index = -1;
  constructor(fire: () => void) {
    this.fire = fire;
  }
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #timer: Timer;
  readonly #heap: Deadline[] = [];

  constructor(clock: Clock, name: string) {
    this.#clock = clock;
    this.#timer = clock.timer(name, () => this.#runDue());
  }

  nowNs(): number {
    return this.#clock.nowNs();
  }

  /** Sets or moves a deadline. */
  arm(deadline: Deadline, atNs: number): void {
    const before = this.#heap[0]?.atNs;
    if (deadline.index < 0) {
      deadline.index = this.#heap.length;
      this.#heap.push(deadline);
    }
    const later = atNs > deadline.atNs;
    deadline.atNs = atNs;
    if (later) this.#down(deadline);
    else this.#up(deadline);
    this.#rearm(before);
  }

  cancel(deadline: Deadline): void {
    if (deadline.index < 0) return;
    const before = this.#heap[0]?.atNs;
    const last = this.#heap.pop() as Deadline;
    if (last !== deadline) {
      this.#place(last, deadline.index);
      this.#up(last);
      this.#down(last);
    }
    deadline.index = -1;
    deadline.atNs = Number.POSITIVE_INFINITY;
    this.#rearm(before);
  }

  close(): void {
    for (const deadline of this.#heap.splice(0)) deadline.index = -1;
    this.#timer.cancel();
  }

  #runDue(): void {
    const now = this.#clock.nowNs();
    for (let first = this.#heap[0]; first !== undefined && first.atNs <= now; first = this.#heap[0]) {
      this.cancel(first);
      first.fire();
    }
    this.#rearm(undefined);
  }

  #rearm(before: number | undefined): void {
    const next = this.#heap[0]?.atNs;
    if (next === before) return;
    if (next === undefined) this.#timer.cancel();
    else this.#timer.arm(next);
  }

  #place(deadline: Deadline, index: number): void {
    this.#heap[index] = deadline;
    deadline.index = index;
  }

  #up(deadline: Deadline): void {
    for (;;) {
      const { index } = deadline;
      const parent = this.#heap[(index - 1) >> 1];
      if (index === 0 || parent === undefined || parent.atNs <= deadline.atNs) return;
      this.#place(parent, index);
      this.#place(deadline, (index - 1) >> 1);
    }
  }

  #down(deadline: Deadline): void {
    for (;;) {
      const { index } = deadline;
      const left = this.#heap[2 * index + 1];
      const right = this.#heap[2 * index + 2];
      const child = right !== undefined && left !== undefined && right.atNs < left.atNs ? right : left;
      if (child === undefined || child.atNs >= deadline.atNs) return;
      const to = child.index;
      this.#place(child, index);
      this.#place(deadline, to);
    }
  }
}
