// Which pages of the guest's RAM other threads may reach at any moment: pages that backends have mapped, pages that the
// platform raises events in. Only a vCPU that runs code twice (cpu/lockstep) has to know; without it nothing is kept.
import { type HostAddress, PAGE_SIZE } from '../abi/types.ts';
import type { Region } from './arena.ts';

/** Words at the start of the table; then an i32 a page of RAM: how often it is shared. */
const WORDS = { busy: 0, generation: 1, counts: 16 } as const;

/** Bytes of the table for so much RAM. */
export const pageSharingBytes = (ramBytes: number): number => WORDS.counts * 4 + Math.ceil(ramBytes / PAGE_SIZE) * 4;

export class PageSharing {
  readonly #words: Int32Array;
  readonly #ram: Region;
  /** Of this thread's last `begin`. */
  #seen = 0;

  /** `table`: pageSharingBytes of zeroes. */
  constructor(buffer: SharedArrayBuffer, table: Region, ram: Region) {
    this.#words = new Int32Array(buffer, table.at, table.size / 4);
    this.#ram = ram;
  }

  /**
   * From now on other threads may read and write the page; as often, `unshare` ends that. Waits until a run that has begun
   * without knowing is over: microseconds.
   */
  share(host: HostAddress): void {
    const at = this.#place(host);
    if (at < 0) return;
    Atomics.add(this.#words, at, 1);
    Atomics.add(this.#words, WORDS.generation, 1);
    const run = Atomics.load(this.#words, WORDS.busy);
    if (run % 2 !== 0) while (Atomics.load(this.#words, WORDS.busy) === run);
  }

  unshare(host: HostAddress): void {
    const at = this.#place(host);
    if (at >= 0) Atomics.sub(this.#words, at, 1);
  }

  /** Whether a page is RAM that nobody but the guest's one vCPU touches. */
  isPrivate(host: HostAddress): boolean {
    const at = this.#place(host);
    return at >= 0 && Atomics.load(this.#words, at) === 0;
  }

  /** Pages that are private now stay so until `end`. True when a page was shared since the last time: what was known of them is void. */
  begin(): boolean {
    Atomics.add(this.#words, WORDS.busy, 1);
    const generation = Atomics.load(this.#words, WORDS.generation);
    const news = generation !== this.#seen;
    this.#seen = generation;
    return news;
  }
  end(): void {
    Atomics.add(this.#words, WORDS.busy, 1);
  }

  #place(host: HostAddress): number {
    const offset = host - this.#ram.at;
    return offset >= 0 && offset < this.#ram.size ? WORDS.counts + Math.floor(offset / PAGE_SIZE) : -1;
  }
}
