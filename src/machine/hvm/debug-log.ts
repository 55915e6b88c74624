// The debug ports as the firmware uses them, a byte at a time: bytes are gathered to lines before they are sent to the host.

const MOST_BYTES = 256;
const NEWLINE = 10;

export class DebugLog {
  readonly #sink: (bytes: Uint8Array) => void;
  #line: number[] = [];

  constructor(sink: (bytes: Uint8Array) => void) {
    this.#sink = sink;
  }

  put(byte: number): void {
    this.#line.push(byte);
    if (byte === NEWLINE || this.#line.length >= MOST_BYTES) this.flush();
  }

  /** A line of the monitor's own among them. */
  say(line: string): void {
    this.flush();
    this.#sink(new TextEncoder().encode(`(dom1) ${line}\n`));
  }

  flush(): void {
    if (this.#line.length > 0) this.#sink(Uint8Array.from(this.#line));
    this.#line = [];
  }
}
