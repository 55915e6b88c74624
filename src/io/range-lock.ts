// Keeps those apart that work on the same range, unless all of them only share it. Fair: nobody overtakes one who waits for a range
// that overlaps his own.

interface Held {
  readonly first: number;
  readonly last: number;
  readonly exclusive: boolean;
  /** Set while it waits. */
  wake: (() => void) | undefined;
}

export type RangeHold = Readonly<Pick<Held, 'first' | 'last' | 'exclusive'>>;

export class RangeLock {
  /** In the order of asking. Short: as long as there are requests under way. */
  #holds: Held[] = [];

  /** Takes `first` to `last`, both included, if it can be had at once. */
  tryAcquire(first: number, last: number, exclusive: boolean): RangeHold | undefined {
    const hold: Held = { first, last, exclusive, wake: undefined };
    if (this.#blocked(hold, this.#holds.length)) return undefined;
    this.#holds.push(hold);
    return hold;
  }

  async acquire(first: number, last: number, exclusive: boolean): Promise<RangeHold> {
    const hold: Held = { first, last, exclusive, wake: undefined };
    const blocked = this.#blocked(hold, this.#holds.length);
    this.#holds.push(hold);
    if (blocked) {
      await new Promise<void>((resolve) => {
        hold.wake = resolve;
      });
    }
    return hold;
  }

  release(hold: RangeHold): void {
    const at = this.#holds.indexOf(hold as Held);
    if (at >= 0) this.#holds.splice(at, 1);
    for (let i = Math.max(at, 0); i < this.#holds.length; i++) {
      const waiting = this.#holds[i] as Held;
      if (waiting.wake === undefined || this.#blocked(waiting, i)) continue;
      const { wake } = waiting;
      waiting.wake = undefined;
      wake();
    }
  }

  #blocked(hold: Held, before: number): boolean {
    for (let i = 0; i < before; i++) {
      const other = this.#holds[i] as Held;
      if (other.first <= hold.last && hold.first <= other.last && (other.exclusive || hold.exclusive)) return true;
    }
    return false;
  }
}
