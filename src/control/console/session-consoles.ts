// The consoles of one connection, by number: 0 is the primary one. Each is made when it is first asked for.
import type { ConsoleHub } from './console-hub.ts';
import { SessionConsole, type SessionConsoleOptions } from './session-console.ts';

export class SessionConsoles implements Disposable {
  readonly #options: Omit<SessionConsoleOptions, 'hub' | 'number'>;
  readonly #consoles = new Map<number, SessionConsole>();

  constructor(options: Omit<SessionConsoleOptions, 'hub' | 'number'>) {
    this.#options = options;
  }

  /** This connection's end of a console. Another hub under the same number is another console: what was attached is not any more. */
  of(number: number, hub: ConsoleHub): SessionConsole {
    const known = this.#consoles.get(number);
    if (known?.hub === hub) return known;
    known?.detach();
    const console = new SessionConsole({ ...this.#options, number, hub });
    this.#consoles.set(number, console);
    return console;
  }

  /** See `SessionConsole.pump`. */
  pump(rest = false): void {
    for (const console of this.#consoles.values()) console.pump(rest);
  }

  [Symbol.dispose](): void {
    for (const console of this.#consoles.values()) console.detach();
  }
}
