// How often each host cluster is used, as counted from the tables. Takes memory for what is used only.

const PAGE = 4096;

export class ClusterCounts {
  readonly #pages = new Map<number, Uint32Array>();
  #end = 0;

  /** The first cluster behind all that are used. */
  get end(): number {
    return this.#end;
  }

  get(cluster: number): number {
    return this.#pages.get(Math.floor(cluster / PAGE))?.[cluster % PAGE] ?? 0;
  }

  add(cluster: number, times: number): void {
    const page = Math.floor(cluster / PAGE);
    let counts = this.#pages.get(page);
    if (counts === undefined) {
      counts = new Uint32Array(PAGE);
      this.#pages.set(page, counts);
    }
    counts[cluster % PAGE] = (counts[cluster % PAGE] as number) + times;
    this.#end = Math.max(this.#end, cluster + 1);
  }

  /** Whether any of `count` clusters from `first` on is used. */
  anyIn(first: number, count: number): boolean {
    for (let cluster = first; cluster < first + count; ) {
      const page = this.#pages.get(Math.floor(cluster / PAGE));
      const stop = Math.min(first + count, (Math.floor(cluster / PAGE) + 1) * PAGE);
      if (page?.subarray(cluster % PAGE, (cluster % PAGE) + stop - cluster).some((value) => value !== 0)) return true;
      cluster = stop;
    }
    return false;
  }
}
