// Where indirect jumps and calls go, as far as they were looked at.

/** Looks at one jump before its targets are worth a translation; each further one needs eight times as many. */
const ENOUGH = 48;
const MORE = 8;
/** Targets that a translation is given: each costs a comparison. */
const MOST_TARGETS = 8;
/** A target that takes a smaller share is left to the search. */
const SHARE = 1 / 32;
/** Jumps kept; when there are more, all are forgotten. */
const MOST_JUMPS = 4096;

interface Seen {
  readonly counts: Map<number, number>;
  total: number;
  enough: number;
}

/** Jumps are told apart by the address of their word in the page's entry table, targets by their distance from the jump. */
export class IndirectTargets {
  readonly #jumps = new Map<number, Seen>();

  /** Notes one jump. True when it is time to make use of what is known of it. */
  count(word: number, distance: number): boolean {
    let seen = this.#jumps.get(word);
    if (seen === undefined) {
      if (this.#jumps.size === MOST_JUMPS) this.#jumps.clear();
      seen = { counts: new Map(), total: 0, enough: ENOUGH };
      this.#jumps.set(word, seen);
    }
    // One that goes everywhere is not remembered whole.
    if (seen.counts.has(distance) || seen.counts.size < 8 * MOST_TARGETS)
      seen.counts.set(distance, (seen.counts.get(distance) ?? 0) + 1);
    seen.total++;
    if (seen.total < seen.enough) return false;
    seen.enough *= MORE;
    return true;
  }

  /** Distances, the most frequent first. */
  of(word: number): readonly number[] {
    const seen = this.#jumps.get(word);
    if (seen === undefined) return [];
    return [...seen.counts]
      .filter(([, count]) => count >= seen.total * SHARE)
      .sort(([, a], [, b]) => b - a)
      .slice(0, MOST_TARGETS)
      .map(([distance]) => distance);
  }

  /** Forgets the jumps whose words lie between these addresses. */
  drop(from: number, to: number): void {
    for (const word of this.#jumps.keys()) if (word >= from && word < to) this.#jumps.delete(word);
  }
  clear(): void {
    this.#jumps.clear();
  }
}
