// What a vCPU did when, thinned out to what a trace viewer can show.
import type { EngineCounts } from '../../cpu/engine-counters.ts';

/** Tracks of a timeline beside the guest's code. */
export const TIMES = { compile: 'compile', idle: 'idle' } as const;

export interface TimelineSpan {
  readonly track: 'guest' | (typeof TIMES)[keyof typeof TIMES];
  /** Milliseconds since the start of the profile. */
  readonly atMs: number;
  readonly ms: number;
  readonly name: string;
  /** Of the guest's code: where it was. */
  readonly place?: { readonly space: string; readonly address: bigint; readonly translated: boolean };
}

/** Some counters at a moment. */
export interface TimelineMark {
  readonly atMs: number;
  readonly retired: number;
  readonly regionInstructions: number;
  readonly pageWalks: number;
  readonly regionsLive: number;
}

export interface TimelineData {
  readonly spans: readonly TimelineSpan[];
  readonly marks: readonly TimelineMark[];
  /** Spans that there was no room for. */
  readonly lost: number;
}

interface Place {
  readonly space: string;
  readonly address: bigint;
}

const MOST_SPANS = 200_000;
/** Shortest wait shown, and how often samples and counters are, in milliseconds. */
const SHORTEST_MS = 0.05;
const SAMPLE_MS = 0.25;
const MARK_MS = 10;

export class Timeline {
  readonly #begun: number;
  readonly #spans: TimelineSpan[] = [];
  readonly #marks: TimelineMark[] = [];
  #nextMark = 0;
  #busyMs = 0;
  #lost = 0;

  constructor(begun: number) {
    this.#begun = begun;
  }

  /** A sample at `now` that stands for `ms`. */
  sample(
    now: number,
    ms: number,
    translated: boolean,
    place: Place,
    state: () => { readonly retired: number; readonly counts: EngineCounts },
  ): void {
    this.#busyMs += ms;
    if (this.#busyMs >= SAMPLE_MS) {
      const span = Math.min(this.#busyMs, ms);
      const { space, address } = place;
      this.#push({ track: 'guest', atMs: now - this.#begun - span, ms: span, name: '', place: { space, address, translated } });
      this.#busyMs = 0;
    }
    if (now < this.#nextMark) return;
    this.#nextMark = now + MARK_MS;
    const { retired, counts } = state();
    this.#marks.push({
      atMs: now - this.#begun,
      retired,
      regionInstructions: counts.region_instructions,
      pageWalks: counts.page_walks,
      regionsLive: counts.regions_live,
    });
  }

  add(track: TimelineSpan['track'], start: number, ms: number, name: string): void {
    if (ms >= SHORTEST_MS) this.#push({ track, atMs: start - this.#begun, ms, name });
  }

  data(): TimelineData {
    return { spans: this.#spans, marks: this.#marks, lost: this.#lost };
  }

  #push(span: TimelineSpan): void {
    if (this.#spans.length < MOST_SPANS) this.#spans.push(span);
    else this.#lost++;
  }
}
