// The guest's console as a program uses it: listen, write, wait for text, run a command in the guest's shell.

/** `expect` gave up: the text it waited for did not come in time, or never will. */
export class ConsoleError extends Error {
  override readonly name = 'ConsoleError';
  readonly code: 'timeout' | 'closed';
  constructor(code: 'timeout' | 'closed', message: string) {
    super(message);
    this.code = code;
  }
}

/** What a command in the guest printed and how it ended. */
export interface CommandResult {
  readonly output: string;
  /** Exit status, 0..255. */
  readonly status: number;
}

interface Waiter {
  readonly pattern: RegExp;
  resolve(match: RegExpMatchArray): void;
  reject(error: ConsoleError): void;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
}

/** Characters of output kept for `expect` and for crash reports. */
const KEPT = 1 << 16;

export class GuestConsole {
  readonly #send: (bytes: Uint8Array) => void;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #decoder = new TextDecoder();
  #text = '';
  /** Where the next `expect` begins in `#text`. */
  #from = 0;
  #waiters: Waiter[] = [];
  #closed = false;
  #commands = 0;

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  /** Bytes the guest prints, as they come. The result stops it. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /** Types text into the guest. */
  write(text: string | Uint8Array): void {
    this.#send(typeof text === 'string' ? new TextEncoder().encode(text) : text);
  }

  /**
   * Resolves when output after the last match matches `pattern`. `timeout` in milliseconds; none by default.
   * @throws ConsoleError on timeout, or when the domain ends first.
   */
  expect(pattern: RegExp, options: { timeout?: number } = {}): Promise<RegExpMatchArray> {
    return new Promise((resolve, reject) => {
      const timer =
        options.timeout === undefined
          ? undefined
          : setTimeout(() => {
              this.#waiters = this.#waiters.filter((w) => w !== waiter);
              reject(new ConsoleError('timeout', `the guest did not print ${pattern} within ${options.timeout} ms`));
            }, options.timeout);
      const waiter: Waiter = { pattern, resolve, reject, timer };
      this.#waiters.push(waiter);
      this.#match();
    });
  }

  /**
   * Runs a command in the shell that listens on the console. The console must be at a prompt.
   * @throws ConsoleError on timeout, or when the domain ends first.
   */
  async sh(command: string, options: { timeout?: number } = {}): Promise<CommandResult> {
    const tag = `dom1-${++this.#commands}`;
    this.#from = this.#text.length;
    // The marks are assembled by the shell, so that the echo of this line does not contain them.
    this.write(`printf '%s<\\n' ${quote(`${tag}`)}; { ${command}\n} 2>&1; printf '%s:%d>\\n' ${quote(tag)} $?\n`);
    await this.expect(new RegExp(`${tag}<\\r?\\n`), options);
    const start = this.#from;
    const match = await this.expect(new RegExp(`${tag}:(\\d+)>\\r?\\n`), options);
    const end = this.#from - match[0].length;
    return { output: this.#text.slice(start, end).replaceAll('\r\n', '\n').replaceAll('\x1b[6n', ''), status: Number(match[1]) };
  }

  /** The last `count` lines the guest printed. */
  lastLines(count: number): string[] {
    return this.#text.replaceAll('\r', '').trimEnd().split('\n').slice(-count);
  }

  /** The domain's side: the guest printed something. */
  receive(bytes: Uint8Array): void {
    this.#text += this.#decoder.decode(bytes, { stream: true });
    if (this.#text.length > KEPT * 2) {
      const cut = this.#text.length - KEPT;
      this.#text = this.#text.slice(cut);
      this.#from = Math.max(0, this.#from - cut);
    }
    for (const listener of this.#listeners) listener(bytes);
    this.#match();
  }

  /** The domain's side: nothing more will come. */
  close(): void {
    this.#closed = true;
    this.#match();
  }

  #match(): void {
    for (let waiter = this.#waiters[0]; waiter !== undefined; waiter = this.#waiters[0]) {
      const match = this.#text.slice(this.#from).match(waiter.pattern);
      if (match === null && !this.#closed) return;
      this.#waiters.shift();
      clearTimeout(waiter.timer);
      if (match === null) waiter.reject(new ConsoleError('closed', `the guest ended before it printed ${waiter.pattern}`));
      else {
        this.#from += (match.index ?? 0) + match[0].length;
        waiter.resolve(match);
      }
    }
  }
}

/** A shell word that does not contain its own text: `a"b"` for `ab`. */
const quote = (text: string): string => `${text.slice(0, 1)}""${text.slice(1)}`;
