// Lines out of chunks of bytes, of bounded length.

/** Longest request in bytes: a XenStore value of 4096 bytes, escaped in the worst way, fits several times. */
export const MAX_LINE_BYTES = 64 * 1024;

const LINE_FEED = 0x0a;

export class LineSplitter {
  readonly #onLine: (line: string) => void;
  readonly #onTooLong: () => void;
  readonly #limit: number;
  #parts: Uint8Array[] = [];
  #length = 0;
  /** The rest of a line that is too long, and was reported, is skipped. */
  #skipping = false;

  /** @param onLine is given each line without its end; bytes that are not UTF-8 become U+FFFD */
  constructor(onLine: (line: string) => void, onTooLong: () => void, limit = MAX_LINE_BYTES) {
    this.#onLine = onLine;
    this.#onTooLong = onTooLong;
    this.#limit = limit;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      this.#take(chunk.subarray(from, end));
      this.#endLine();
      from = end + 1;
    }
    this.#take(chunk.subarray(from));
  }

  #take(part: Uint8Array): void {
    if (this.#skipping || part.length === 0) return;
    this.#length += part.length;
    if (this.#length > this.#limit) {
      this.#skipping = true;
      this.#parts = [];
      this.#onTooLong();
      return;
    }
    // The host may use the chunk's memory again.
    this.#parts.push(part.slice());
  }

  #endLine(): void {
    if (!this.#skipping) {
      const line = new Uint8Array(this.#length);
      let at = 0;
      for (const part of this.#parts) {
        line.set(part, at);
        at += part.length;
      }
      this.#onLine(new TextDecoder().decode(line));
    }
    this.#parts = [];
    this.#length = 0;
    this.#skipping = false;
  }
}
