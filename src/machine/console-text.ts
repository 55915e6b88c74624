// What a guest has printed, as text, and who waits for more of it.
import { boundedWait, type Settle, type WaitLimits } from '../util/bounded-wait.ts';
import { ConsoleError } from './console-error.ts';
import { plainText } from './console-prompt.ts';

/** Characters that are kept for `expect` and for crash reports. */
const KEPT = 1 << 16;

interface Waiter {
  readonly pattern: RegExp;
  readonly settle: Settle<RegExpMatchArray>;
}

/** Positions are characters since the domain was built. */
export class ConsoleText {
  readonly #decoder = new TextDecoder();
  readonly #listeners = new Set<(text: string) => void>();
  readonly #ends = new Set<() => void>();
  #text = '';
  /** Position of the first character that is kept. */
  #base = 0;
  /** Where the next `expect` begins. */
  #from = 0;
  #waiters: Waiter[] = [];
  #closed: string | undefined;

  /** Where the next `expect` begins. */
  get position(): number {
    return this.#from;
  }

  /** Position of the next character that the guest prints. */
  get end(): number {
    return this.#base + this.#text.length;
  }

  /** How the guest ended, for a message: "the guest ended", "the guest ended (poweroff)". Undefined while it has not. */
  get closed(): string | undefined {
    return this.#closed;
  }

  /** What was printed since, as far as it is kept. */
  since(position: number): string {
    return this.#text.slice(Math.max(0, position - this.#base));
  }

  /** The last `count` lines, without escape sequences. */
  lastLines(count: number): string[] {
    const text = plainText(this.#text).trimEnd();
    return text === '' ? [] : text.split('\n').slice(-count);
  }

  /** Ends an error's message: what there is to see on the console. */
  get whatIsSeen(): string {
    const [line] = this.lastLines(1);
    return line === undefined ? 'it has printed nothing' : `its last line: ${JSON.stringify(line.slice(-120))}`;
  }

  /** Calls `listener` with all text to come. */
  onText(listener: (text: string) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Calls `listener` when nothing more will come; at once, if that is so already. */
  onClose(listener: () => void): Disposable {
    if (this.#closed !== undefined) listener();
    else this.#ends.add(listener);
    return { [Symbol.dispose]: () => void this.#ends.delete(listener) };
  }

  /** What is there already is not looked at by the next `expect`; those that wait now do. */
  skip(position = this.end): void {
    if (this.#waiters.length > 0) return;
    this.#from = Math.max(this.#from, position);
  }

  /** @throws ConsoleError 'timeout' or 'closed', or the signal's reason */
  expect(wanted: RegExp | string, limits: WaitLimits): Promise<RegExpMatchArray> {
    const pattern =
      typeof wanted === 'string' ? new RegExp(escaped(wanted)) : new RegExp(wanted, wanted.flags.replace(/[gy]/g, ''));
    const what = typeof wanted === 'string' ? JSON.stringify(wanted) : String(wanted);
    return boundedWait<RegExpMatchArray>(
      limits,
      (timeout) => new ConsoleError('timeout', `the guest did not print ${what} within ${timeout} ms; ${this.whatIsSeen}`),
      (settle) => {
        const reject = (): void => settle.reject(new ConsoleError('closed', `${this.#closed} before it printed ${what}`));
        const waiter: Waiter = { pattern, settle: { resolve: settle.resolve, reject } };
        this.#waiters.push(waiter);
        this.#match();
        return () => {
          this.#waiters = this.#waiters.filter((other) => other !== waiter);
        };
      },
    );
  }

  receive(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    this.#text += text;
    if (this.#text.length > KEPT * 2) {
      const cut = this.#text.length - KEPT;
      this.#text = this.#text.slice(cut);
      this.#base += cut;
    }
    for (const listener of [...this.#listeners]) listener(text);
    this.#match();
  }

  close(how: string): void {
    this.#closed ??= how;
    this.#match();
    for (const listener of [...this.#ends]) listener();
    this.#ends.clear();
  }

  /** In order: what comes after one match is looked at for the next. */
  #match(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const start = Math.max(this.#from, this.#base);
      const match = this.since(start).match(waiter.pattern);
      if (match === null && this.#closed === undefined) return;
      this.#waiters = this.#waiters.slice(1);
      if (match === null) waiter.settle.reject(undefined);
      else {
        this.#from = start + (match.index ?? 0) + match[0].length;
        waiter.settle.resolve(match);
      }
    }
  }
}

const escaped = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
