// Progress on stderr: one line that is rewritten on a terminal, a line for each step otherwise.
import type { BuildProgress } from '../machine/domain-config.ts';
import type { Progress } from '../node/guest-parts.ts';

/** The part of a stream that is needed: `process.stderr` is one. */
export interface ProgressStream {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
}

const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
/** Least time between two versions of the line, in milliseconds. */
const INTERVAL = 50;

export class ProgressLine {
  readonly #stream: ProgressStream;
  #shown = '';
  #step = '';
  #nextMs = 0;

  constructor(stream: ProgressStream) {
    this.#stream = stream;
  }

  /** The guest's parts are being fetched. */
  parts({ stage, name, done, total }: Progress): void {
    switch (stage) {
      case 'find':
        // Asking apt takes a moment, and is nothing to log.
        if (this.#stream.isTTY === true) this.#show(`find ${name}`, `looking for ${name}`);
        break;
      case 'update':
        this.#show('update', "updating apt's package lists");
        break;
      case 'download':
        this.#show(
          `download ${name}`,
          `downloading ${name} (${mib(total)})`,
          `downloading ${name}  ${mib(done)} of ${mib(total)}`,
          done === total,
        );
        break;
      case 'unpack':
        this.#show(`unpack ${name}`, `unpacking ${name}`);
        break;
    }
  }

  /** The domain is being built: too quick to log. */
  build({ stage }: BuildProgress): void {
    if (this.#stream.isTTY !== true) return;
    this.#show(stage, { read: 'reading the kernel', unpack: 'unpacking the kernel', load: "filling the guest's memory" }[stage]);
  }

  /** Work of which a part is done: shown on a terminal only. */
  share(what: string, done: number, total: number): void {
    if (this.#stream.isTTY !== true) return;
    const percent = total === 0 ? 100 : Math.floor((done / total) * 100);
    this.#show(what, `${what}  ${percent} %`, `${what}  ${percent} %`, done === total);
  }

  /** Takes the line away. */
  clear(): void {
    if (this.#shown !== '') this.#stream.write('\r\x1b[K');
    this.#shown = '';
    this.#step = '';
  }

  #show(step: string, plain: string, rich = plain, last = false): void {
    if (this.#stream.isTTY !== true) {
      if (step !== this.#step) this.#stream.write(`dom1: ${plain}\n`);
      this.#step = step;
      return;
    }
    const now = performance.now();
    if (step === this.#step && !last && now < this.#nextMs) return;
    const line = `dom1: ${rich}`.slice(0, (this.#stream.columns ?? 80) - 1);
    this.#stream.write(`\r${line}\x1b[K`);
    this.#shown = line;
    this.#step = step;
    this.#nextMs = now + INTERVAL;
  }
}
