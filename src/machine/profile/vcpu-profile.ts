// Where the time of one vCPU's thread goes. What is called rarely is timed; where the guest is is sampled, each sample
// standing for the time since the one before it.

import type { EngineCounts } from '../../cpu/engine-counters.ts';
import type { CallKind, EngineProbe } from '../../cpu/engine-probe.ts';
import { TIMES, Timeline, type TimelineData } from './timeline.ts';

/** Calls of one kind, and the milliseconds that they took. */
export interface Timed {
  readonly name: string;
  readonly kind: CallKind | 'exit' | 'deliver';
  calls: number;
  ms: number;
}

/** A place of the guest's code. `space` is 'kernel' (the upper half of the address space), or 'user' or 'low' (the kernel below it) and CR3. */
export interface PlaceTime {
  readonly space: string;
  /** Linear address; of user code that of its 64 KiB. */
  readonly address: bigint;
  samples: number;
  translatedMs: number;
  interpretedMs: number;
}

export interface Count {
  readonly name: string;
  readonly count: number;
}

/** What the vCPU's thread hands over at its end: plain data. Times are in milliseconds. */
export interface VcpuProfileData {
  readonly vcpuId: number;
  readonly wallMs: number;
  readonly idleMs: number;
  readonly compileMs: number;
  /** Time in generated code, by what the samples say. */
  readonly translatedMs: number;
  readonly interpretedMs: number;
  readonly retired: number;
  readonly samples: number;
  readonly timed: readonly Timed[];
  readonly places: readonly PlaceTime[];
  /** Samples of interpreted code, by why it was. */
  readonly whyInterpreted: readonly Count[];
  /** Ways out of translated code, and handlers that it called. */
  readonly regionEvents: readonly Count[];
  readonly counts: EngineCounts;
  readonly timeline: TimelineData;
}

export interface GuestPlace {
  readonly space: string;
  readonly address: bigint;
}

export interface VcpuProfileOptions {
  /** Where u64 counters may lie: zeroes. */
  readonly counters: BigUint64Array;
  /** Address of the first of them. */
  readonly countersAt: number;
  place(): GuestPlace;
  whyInterpreted(): string;
  counts(): EngineCounts;
  retired(): number;
  /** Milliseconds. */
  now(): number;
}

/** Places kept; the rest is one place. */
const MOST_PLACES = 50_000;
/** Names of exits, which a guest may think up. */
const MOST_NAMES = 1000;
const OTHERS = 'others';

export class VcpuProfile implements EngineProbe {
  readonly #options: VcpuProfileOptions;
  readonly #begun: number;
  readonly #timed = new Map<string, Timed>();
  readonly #places = new Map<bigint | string, PlaceTime>();
  readonly #why = new Map<string, number>();
  readonly #counterNames: string[] = [];
  readonly #timeline: Timeline;
  #idleMs = 0;
  #compileMs = 0;
  #translatedMs = 0;
  #interpretedMs = 0;
  #samples = 0;
  /** Time since the last sample that is not the guest's own code: idle, TypeScript. */
  #last: number;
  #notGenerated = 0;
  #idleSince = 0;
  #inside = false;

  constructor(options: VcpuProfileOptions) {
    this.#options = options;
    this.#begun = options.now();
    this.#last = this.#begun;
    this.#timeline = new Timeline(this.#begun);
  }

  // ---- EngineProbe -----------------------------------------------------------------------------------------------------

  timed<A extends readonly unknown[], R>(kind: Timed['kind'], name: string, call: (...args: A) => R): (...args: A) => R {
    const entry = this.#entry(kind, name);
    return (...args) => this.#during(entry, () => call(...args));
  }

  sample(translated: boolean): void {
    const now = this.#options.now();
    const generated = Math.max(0, now - this.#last - this.#notGenerated);
    const busy = Math.max(0, now - this.#last - this.#idleSince);
    this.#last = now;
    this.#notGenerated = 0;
    this.#idleSince = 0;
    this.#samples++;
    if (translated) this.#translatedMs += generated;
    else {
      this.#interpretedMs += generated;
      add(this.#why, this.#options.whyInterpreted());
    }
    const place = this.#place();
    place.samples++;
    if (translated) place.translatedMs += busy;
    else place.interpretedMs += busy;
    this.#timeline.sample(now, busy, translated, place, () => ({
      retired: this.#options.retired(),
      counts: this.#options.counts(),
    }));
  }

  delivering<R>(kind: string, vector: number, work: () => R): R {
    return this.#during(this.#entry('deliver', `${kind} ${vector}`), work);
  }

  translated(at: bigint, instructions: number, beganMs: number, ms: number): void {
    this.#compileMs += ms;
    this.#notGenerated += ms;
    this.#timeline.add(TIMES.compile, beganMs, ms, `${at.toString(16)}, ${instructions} instructions`);
  }

  counter(what: string): number {
    let at = this.#counterNames.indexOf(what);
    if (at < 0) {
      // The last one takes what there is no room for.
      if (this.#counterNames.length === this.#options.counters.length) at = this.#counterNames.length - 1;
      else at = this.#counterNames.push(what) - 1;
    }
    return this.#options.countersAt + at * 8;
  }

  // ---- the loop ----------------------------------------------------------------------------------------------------------

  /** Does the work of an exit. */
  exit<R>(name: string, work: () => R): R {
    return this.#during(this.#entry('exit', name), work);
  }

  /** Does nothing but wait. */
  idle<R>(wait: () => R): R {
    const start = this.#options.now();
    const result = wait();
    const ms = this.#options.now() - start;
    this.#idleMs += ms;
    this.#notGenerated += ms;
    this.#idleSince += ms;
    this.#timeline.add(TIMES.idle, start, ms, 'idle');
    return result;
  }

  data(vcpuId: number): VcpuProfileData {
    const { counters, counts, now, retired } = this.#options;
    return {
      vcpuId,
      wallMs: now() - this.#begun,
      idleMs: this.#idleMs,
      compileMs: this.#compileMs,
      translatedMs: this.#translatedMs,
      interpretedMs: this.#interpretedMs,
      retired: retired(),
      samples: this.#samples,
      timed: [...this.#timed.values()].filter(({ calls }) => calls > 0),
      places: [...this.#places.values()],
      whyInterpreted: counted(this.#why),
      regionEvents: this.#counterNames.map((name, i) => ({ name, count: Number(counters[i]) })).filter(({ count }) => count > 0),
      counts: counts(),
      timeline: this.#timeline.data(),
    };
  }

  #entry(kind: Timed['kind'], name: string): Timed {
    const key = `${kind} ${name}`;
    let entry = this.#timed.get(key);
    if (entry === undefined && this.#timed.size >= MOST_NAMES && name !== OTHERS) return this.#entry(kind, OTHERS);
    if (entry === undefined) {
      entry = { kind, name, calls: 0, ms: 0 };
      this.#timed.set(key, entry);
    }
    return entry;
  }

  /** Work within other work is part of that. */
  #during<R>(entry: Timed, work: () => R): R {
    entry.calls++;
    if (this.#inside) return work();
    this.#inside = true;
    const { now } = this.#options;
    const start = now();
    try {
      return work();
    } finally {
      this.#inside = false;
      const ms = now() - start;
      entry.ms += ms;
      this.#notGenerated += ms;
    }
  }

  #place(): PlaceTime {
    const { space, address } = this.#options.place();
    const key = space === 'kernel' ? address : `${space} ${address}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      const full = this.#places.size >= MOST_PLACES;
      const known = full ? this.#places.get('rest') : undefined;
      place = known ?? {
        space: full ? 'rest' : space,
        address: full ? 0n : address,
        samples: 0,
        translatedMs: 0,
        interpretedMs: 0,
      };
      this.#places.set(full ? 'rest' : key, place);
    }
    return place;
  }
}

const add = (map: Map<string, number>, name: string): void => void map.set(name, (map.get(name) ?? 0) + 1);
const counted = (map: ReadonlyMap<string, number>): Count[] => [...map].map(([name, count]) => ({ name, count }));
