// Timers whose time is moved by hand, in place of the host's: a case that a seed repeats must not depend on the clock.

interface Timer {
  readonly id: number;
  readonly run: () => void;
  readonly every: number | undefined;
  due: number;
}

export class VirtualTimers {
  readonly #timers = new Map<number, Timer>();
  readonly #host = { setTimeout, clearTimeout, setInterval, clearInterval };
  #now = 0;
  #next = 1;

  install(): void {
    const add = (run: () => void, ms: number, every?: number): number => {
      const id = this.#next++;
      this.#timers.set(id, { id, run, every, due: this.#now + Math.max(1, ms) });
      return id;
    };
    const remove = (id: number | undefined): void => void this.#timers.delete(id ?? 0);
    Object.assign(globalThis, {
      setTimeout: (run: () => void, ms = 0) => add(run, ms),
      setInterval: (run: () => void, ms = 0) => add(run, ms, Math.max(1, ms)),
      clearTimeout: remove,
      clearInterval: remove,
    });
  }

  /** Gives the host's own timers back. */
  restore(): void {
    Object.assign(globalThis, this.#host);
    this.#timers.clear();
  }

  get waiting(): number {
    return this.#timers.size;
  }

  /** Lets time pass; runs what is due by then, at most `most` of them. */
  advance(ms: number, most = 100): void {
    const end = this.#now + ms;
    for (let count = 0; count < most; count++) {
      let first: Timer | undefined;
      for (const timer of this.#timers.values()) if (first === undefined || timer.due < first.due) first = timer;
      if (first === undefined || first.due > end) break;
      this.#now = Math.max(this.#now, first.due);
      if (first.every === undefined) this.#timers.delete(first.id);
      else first.due = this.#now + first.every;
      first.run();
    }
    this.#now = end;
  }
}
