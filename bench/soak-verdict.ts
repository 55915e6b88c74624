// What the guest's console says of a soak: turns that passed and failed, and what its kernel complains of.
import { STRESS_SKIPPED } from './soak-stress.ts';

/** What the guest's kernel says when something is wrong with it. */
const COMPLAINT =
  /BUG:|Oops|WARNING: CPU|general protection|Kernel panic|invalid opcode|double fault|bad page|EXT4-fs error|I\/O error/i;
/** What it says when something has waited for long: a busy host does that too. */
const STALL = /soft lockup|blocked for more than|rcu.*stall/i;
/** stress-ng's way to succeed without having done anything. */
const NOT_DONE = /skipping the stressor|No stress workers invoked/;
/** Lines of a turn that are kept until it has passed. */
const KEPT = 60;

export class SoakVerdict {
  /** One line each. */
  readonly failures: string[] = [];
  /** Names of turns that this guest cannot run. */
  readonly skipped = new Set<string>();
  /** Turns that have passed. */
  passed = 0;
  /** Reports of stalls, no failures. */
  stalls = 0;
  /** The guest has come to its end by itself. */
  ended = false;
  readonly #log: (text: string) => void;
  #printed: string[] = [];
  #began: number | undefined;

  /** @param log gets a line for each turn, and what a turn that failed has printed */
  constructor(log: (text: string) => void) {
    this.#log = log;
  }

  /** A line of the console, or one that is still growing; it comes again when it has. @param ms when it came */
  line(text: string, ms: number): void {
    // The marks end with a full stop, so that a piece of one is none.
    const [, mark, name = '', status = ''] = /^@@([BE]) (\S+)(?: (\d+))?\.$/.exec(text) ?? [];
    if (text === '@@D') this.ended = true;
    else if (mark === 'B') [this.#printed, this.#began] = [[], ms];
    else if (mark === 'E' && this.#began !== undefined) {
      this.#turn(name, Number(status), ((ms - this.#began) / 1000).toFixed(0));
      this.#began = undefined;
    } else if (mark === undefined) this.#other(text);
  }

  #turn(name: string, status: number, seconds: string): void {
    const idle = this.#printed.find((text) => NOT_DONE.test(text));
    if (STRESS_SKIPPED.has(status) || (status === 0 && idle !== undefined)) {
      this.skipped.add(name);
      this.#log(`${name}: not available in this guest: ${idle ?? this.#printed.at(-1) ?? ''}`);
    } else if (status === 0) {
      this.passed++;
      this.#log(`${name}: passed, ${seconds} s`);
    } else {
      this.failures.push(`${name} ended with status ${status}`);
      this.#log(`${name}: FAILED, status ${status} after ${seconds} s\n  ${this.#printed.join('\n  ')}`);
    }
  }

  #other(text: string): void {
    const last = this.#printed.at(-1) ?? '';
    const before = last !== '' && text.startsWith(last) ? (this.#printed.pop() as string) : '';
    this.#printed.push(text);
    if (this.#printed.length > KEPT) this.#printed.shift();
    if (STALL.test(text)) {
      if (STALL.test(before)) return;
      this.stalls++;
      this.#log(`the guest has waited: ${text}`);
    } else if (COMPLAINT.test(text) && !COMPLAINT.test(before)) {
      this.failures.push(`the guest's kernel: ${text}`);
      this.#log(`COMPLAINT: ${text}`);
    }
  }
}
