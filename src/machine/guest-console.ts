// The guest's console as a program uses it: listen, write, wait for text, run a command in the guest's shell.
import { ShellReply, shellLines } from './shell-command.ts';

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

export interface CommandOptions {
  /** Milliseconds; none by default. */
  readonly timeout?: number;
  /** What the command prints, as it comes; `output` is then empty. */
  readonly onOutput?: (text: string) => void;
}

interface Waiter {
  readonly pattern: RegExp;
  resolve(match: RegExpMatchArray): void;
  reject(error: ConsoleError): void;
  readonly timer: ReturnType<typeof setTimeout> | undefined;
}

/** Characters of output kept for `expect` and for crash reports. */
const KEPT = 1 << 16;

// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what terminals are told
const ESCAPE_SEQUENCE = /\x1b\[[0-9;?]*[A-Za-z]/;
/** The end of what a shell prints before it reads a line: `# `, `$ `, `(initramfs) `, perhaps with escape sequences behind. */
const PROMPT = new RegExp(`[#$%>)] (?:${ESCAPE_SEQUENCE.source})*$`);
/** How long nothing may follow a prompt for it to be one, in milliseconds: output comes in pieces. */
const PROMPT_SETTLES = 60;

export class GuestConsole {
  readonly #send: (bytes: Uint8Array) => number;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #textListeners = new Set<(text: string) => void>();
  readonly #decoder = new TextDecoder();
  #text = '';
  /** Where the next `expect` begins in `#text`. */
  #from = 0;
  #waiters: Waiter[] = [];
  #closed = false;
  #commands = 0;

  /** @param send types into the guest and returns how many of the bytes were taken */
  constructor(send: (bytes: Uint8Array) => number) {
    this.#send = send;
  }

  /** Bytes the guest prints, as they come. The result stops it. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  /**
   * Types text into the guest. Returns how many bytes were taken: less than all when 64 KiB wait for a guest that does
   * not read.
   */
  write(text: string | Uint8Array): number {
    return this.#send(typeof text === 'string' ? new TextEncoder().encode(text) : text);
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
   * Resolves when the guest's shell waits for a command: the output ends in what looks like a prompt.
   * @param options `timeout` in milliseconds; none by default
   * @throws ConsoleError on timeout, or when the domain ends first.
   */
  async prompt(options: { timeout?: number } = {}): Promise<void> {
    const end = options.timeout === undefined ? Number.POSITIVE_INFINITY : performance.now() + options.timeout;
    for (;;) {
      const left = end - performance.now();
      await this.expect(PROMPT, Number.isFinite(left) ? { timeout: Math.max(1, Math.ceil(left)) } : {});
      const seen = this.#text;
      await new Promise((resolve) => setTimeout(resolve, PROMPT_SETTLES));
      if (this.#text === seen) return;
    }
  }

  /**
   * Runs a command in the shell that listens on the console, which must be at a prompt: see {@link prompt}. The command
   * runs in a shell of its own, with an empty standard input; its errors go where its output goes.
   * @throws ConsoleError on timeout, or when the domain ends first.
   */
  async sh(command: string, options: CommandOptions = {}): Promise<CommandResult> {
    const tag = `dom1-${++this.#commands}`;
    let output = '';
    const reply = new ShellReply(
      tag,
      options.onOutput ??
        ((text) => {
          output += text;
        }),
    );
    const listener = (text: string): void => reply.receive(text);
    this.#textListeners.add(listener);
    try {
      this.#from = this.#text.length;
      for (const line of shellLines(command, tag)) this.write(line);
      const { timeout } = options;
      const [, status] = await this.expect(reply.end, timeout === undefined ? {} : { timeout });
      return { output, status: Number(status) };
    } finally {
      this.#textListeners.delete(listener);
      reply.close();
    }
  }

  /** The last `count` lines the guest printed, without escape sequences. */
  lastLines(count: number): string[] {
    const text = this.#text.replaceAll(new RegExp(`${ESCAPE_SEQUENCE.source}|\r`, 'g'), '').trimEnd();
    return text === '' ? [] : text.split('\n').slice(-count);
  }

  /** The domain's side: the guest printed something. */
  receive(bytes: Uint8Array): void {
    const text = this.#decoder.decode(bytes, { stream: true });
    this.#text += text;
    if (this.#text.length > KEPT * 2) {
      const cut = this.#text.length - KEPT;
      this.#text = this.#text.slice(cut);
      this.#from = Math.max(0, this.#from - cut);
    }
    for (const listener of this.#listeners) listener(bytes);
    for (const listener of this.#textListeners) listener(text);
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
