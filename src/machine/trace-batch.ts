// Trace lines on their way from a vCPU's thread to the thread that shows them: many in one message, and never more under
// way than the reader can keep up with.
import { render, type Sink } from '../trace/points.ts';

/** One event of a tracepoint. */
export interface TraceLine {
  /** Guest system time in nanoseconds. */
  readonly atNs: number;
  /** "subsystem.point" */
  readonly name: string;
  /** The event's numbers, rendered: "port=3 vcpu=0". */
  readonly text: string;
}

/** Lines in a message, and how long the first of them waits for it. */
const BATCH = { lines: 256, ns: 20e6 } as const;
/** Messages that may be under way before the vCPU waits for the reader. */
const UNDER_WAY = 16;

export class TraceBatch {
  /** Takes an event; for `tracepoints`. */
  readonly sink: Sink;
  readonly #post: (lines: readonly TraceLine[]) => void;
  readonly #nowNs: () => number;
  readonly #i32: Int32Array;
  readonly #backlog: number;
  #lines: TraceLine[] = [];

  /**
   * @param backlog index in `i32` of the word that counts the messages under way: `post` adds to it here, the reader
   *   subtracts with {@link traceBatchRead}
   */
  constructor(nowNs: () => number, i32: Int32Array, backlog: number, post: (lines: readonly TraceLine[]) => void) {
    this.#nowNs = nowNs;
    this.#i32 = i32;
    this.#backlog = backlog;
    this.#post = post;
    this.sink = (name, format, args) => {
      this.#lines.push({ atNs: this.#nowNs(), name, text: render(format, args) });
      if (this.#lines.length >= BATCH.lines) this.flush();
    };
  }

  /** Posts what is there when it has waited long enough. */
  flushDue(): void {
    const [first] = this.#lines;
    if (first !== undefined && this.#nowNs() - first.atNs >= BATCH.ns) this.flush();
  }

  /** Posts what is there, after waiting for the reader when it is far behind. */
  flush(): void {
    if (this.#lines.length === 0) return;
    for (;;) {
      const underWay = Atomics.load(this.#i32, this.#backlog);
      if (underWay < UNDER_WAY) break;
      Atomics.wait(this.#i32, this.#backlog, underWay);
    }
    Atomics.add(this.#i32, this.#backlog, 1);
    this.#post(this.#lines);
    this.#lines = [];
  }
}

/** The reader's side: a message has arrived. */
export function traceBatchRead(i32: Int32Array, backlog: number): void {
  Atomics.sub(i32, backlog, 1);
  Atomics.notify(i32, backlog);
}
