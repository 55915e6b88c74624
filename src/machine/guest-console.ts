// The guest's console as a program uses it: listen, write, wait for text, log in, run a command in the guest's shell.
import { type IoPace, REAL_PACE } from '../io/io-pace.ts';
import { Deadline, type WaitLimits } from '../util/bounded-wait.ts';
import { type CommandOptions, type CommandResult, runCommand } from './console-command.ts';
import { ConsoleError } from './console-error.ts';
import { type PromptKind, promptAtEnd } from './console-prompt.ts';
import { ConsoleText } from './console-text.ts';
import { settledPrompt } from './settled-prompt.ts';

/** Who logs in on a guest's console. */
export interface LoginOptions extends WaitLimits {
  /** Default: "root". */
  readonly user?: string;
  /** Default: none, and a guest that asks for one refuses the login. */
  readonly password?: string;
}

const REFUSED = /login incorrect|authentication failure|login timed out/i;

/** The guest's console: what it prints, what is typed, and commands in the shell on it. */
export class GuestConsole {
  readonly #send: (bytes: Uint8Array) => number;
  readonly #pace: IoPace;
  readonly #listeners = new Set<(bytes: Uint8Array) => void>();
  readonly #text = new ConsoleText();
  /** Where the output of what runs now began: the kernel, or the one after it. */
  #start = 0;
  /** Whether a shell's prompt has been seen since. */
  #atShell = false;
  #commands = 0;
  /** The command that runs; the next waits for it. */
  #running: Promise<unknown> = Promise.resolve();

  /** @param send types into the guest and returns how many of the bytes were taken */
  constructor(send: (bytes: Uint8Array) => number, pace: IoPace = REAL_PACE) {
    this.#send = send;
    this.#pace = pace;
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
   * Resolves when output after the last match matches `pattern`; a string is looked for as it stands. Several are matched
   * in the order in which they were asked for. The last 64 Ki characters at least are kept for it.
   * @throws ConsoleError 'timeout', or 'closed' when the domain ends first; the signal's reason
   */
  expect(pattern: RegExp | string, limits: WaitLimits = {}): Promise<RegExpMatchArray> {
    return this.#text.expect(pattern, limits);
  }

  /**
   * Resolves when the guest's shell waits for a command: the output, after the last match, ends in what looks like a
   * prompt (`# `, `$ `, `> `, `% `, `) `), and nothing follows for a moment.
   * @throws ConsoleError 'timeout', 'closed', or 'login' when the console asks who one is; the signal's reason
   */
  async prompt(limits: WaitLimits = {}): Promise<void> {
    await this.#waitForShell(this.#text.position, limits);
    this.#text.skip();
  }

  /**
   * Runs a command in the shell that listens on the console. The command runs in a shell of its own, with an empty
   * standard input; its errors go where its output goes. Commands are run one after the other, and the time of each counts
   * from its turn. One that does not end in time, or is given up by `signal`, is interrupted with ^C.
   * @throws ConsoleError 'timeout', 'closed' when the domain ends first, 'login' when nobody is logged in, 'too-much' for
   *   more than 16 Mi characters of output without `onOutput`; the signal's reason
   */
  sh(command: string, options: CommandOptions = {}): Promise<CommandResult> {
    const run = this.#running.then(() => this.#run(command, options));
    this.#running = run.catch(() => {});
    return run;
  }

  /**
   * Waits for a login prompt and answers it; resolves at a shell's prompt. Does nothing when a command has run on the
   * console before.
   * @throws ConsoleError 'login-failed', 'timeout' or 'closed'; the signal's reason
   */
  async login(options: LoginOptions = {}): Promise<void> {
    const { user = 'root', password } = options;
    if (this.#atShell && promptAtEnd(this.#text.since(this.#start)) !== 'login') return;
    const deadline = new Deadline(options);
    await settledPrompt(this.#text, ['login'], this.#start, deadline.limits, 'a login prompt', this.#pace);
    let from = this.#type(`${user}\n`);
    const refused = (why: string): ConsoleError => new ConsoleError('login-failed', `the guest does not let ${user} in: ${why}`);
    const answer = async (kinds: readonly PromptKind[]): Promise<PromptKind> => {
      const kind = await settledPrompt(this.#text, kinds, from, deadline.limits, 'a prompt', this.#pace, REFUSED);
      if (kind === undefined || kind === 'login') throw refused('the login is incorrect');
      return kind;
    };
    if ((await answer(['password', 'shell', 'login'])) === 'password') {
      if (password === undefined) throw refused('it asks for a password, and none was given');
      from = this.#type(`${password}\n`);
      await answer(['shell', 'login']);
    }
    this.#atShell = true;
    this.#text.skip();
  }

  /** The last `count` lines the guest printed, without escape sequences. */
  lastLines(count: number): string[] {
    return this.#text.lastLines(count);
  }

  /** The domain's side: the guest printed something. */
  receive(bytes: Uint8Array): void {
    for (const listener of this.#listeners) listener(bytes);
    this.#text.receive(bytes);
  }

  /** The domain's side: another kernel runs from now on, and what the last one printed tells nothing about it. */
  restart(): void {
    this.#start = this.#text.end;
    this.#atShell = false;
  }

  /** The domain's side: nothing more will come. @param how the guest ended: "poweroff" */
  close(how?: string): void {
    this.#text.close(how === undefined ? 'the guest ended' : `the guest ended (${how})`);
  }

  async #run(command: string, options: CommandOptions): Promise<CommandResult> {
    const { prompt = true } = options;
    const deadline = new Deadline(options);
    if (prompt) await this.#waitForShell(this.#start, deadline.limits, this.#atShell);
    try {
      const tag = `dom1-${++this.#commands}`;
      return await runCommand(this.#text, (line) => this.write(line), tag, command, options, deadline.limits);
    } catch (error) {
      this.#atShell = false;
      throw error;
    }
  }

  /** @param known that a shell listens, unless a login prompt says otherwise */
  async #waitForShell(from: number, limits: WaitLimits, known = false): Promise<void> {
    if (known && promptAtEnd(this.#text.since(from)) !== 'login') return;
    const kind = await settledPrompt(this.#text, ['shell', 'login'], from, limits, "a shell's prompt", this.#pace);
    if (kind === 'login') {
      this.#atShell = false;
      throw new ConsoleError('login', `the console is at a login prompt; log in first, with login({ user, password })`);
    }
    this.#atShell = true;
  }

  /** Returns where the answer begins. */
  #type(text: string): number {
    const from = this.#text.end;
    this.write(text);
    return from;
  }
}
