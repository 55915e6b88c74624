// Which large pages the software TLB has pieces of. It may name more than there are, never fewer: addresses are hashed.

const SIZES = [21, 22, 30] as const;
const BUCKETS = 1024;

export class LargePages {
  readonly #held = new Uint8Array(SIZES.length * BUCKETS);
  #any = false;

  /** An entry for this linear address stems from a page of 2^bits bytes. */
  add(low: number, high: number, bits: number): void {
    this.#held[bucket(low, high, SIZES.indexOf(bits as (typeof SIZES)[number]))] = 1;
    this.#any = true;
  }

  /** Whether there may be an entry that stems from a large page around this linear address. */
  mayHold(low: number, high: number): boolean {
    if (!this.#any) return false;
    for (let nth = 0; nth < SIZES.length; nth++) if (this.#held[bucket(low, high, nth)] !== 0) return true;
    return false;
  }

  clear(): void {
    if (this.#any) this.#held.fill(0);
    this.#any = false;
  }
}

function bucket(low: number, high: number, nth: number): number {
  const bits = SIZES[nth] as number;
  const number = (low >>> bits) | (high << (32 - bits));
  return nth * BUCKETS + ((number ^ (number >>> 10)) & (BUCKETS - 1));
}
