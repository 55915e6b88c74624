// Lines on stderr beside the guest's console: traces, and what the guest writes to the hypervisor's log.

export class LineWriter {
  readonly #stream: { write(text: string): unknown };
  readonly #end: string;
  readonly #decoder = new TextDecoder();
  #partial = '';

  /** @param raw whether lines go to a terminal in raw mode, which needs the carriage return spelt out */
  constructor(stream: { write(text: string): unknown }, raw: boolean) {
    this.#stream = stream;
    this.#end = raw ? '\r\n' : '\n';
  }

  line(text: string): void {
    this.#stream.write(`${text}${this.#end}`);
  }

  /** Bytes in any pieces; whole lines are written. */
  bytes(bytes: Uint8Array): void {
    const lines = (this.#partial + this.#decoder.decode(bytes, { stream: true })).replaceAll('\r', '').split('\n');
    this.#partial = lines.pop() as string;
    for (const line of lines) this.line(line);
  }

  /** Writes an unfinished line. */
  end(): void {
    if (this.#partial !== '') this.line(this.#partial);
    this.#partial = '';
  }
}
