// The further consoles of a domain for any number of clients. They outlive the guest, as the primary one does, and come and go
// with hot plug.
import { ConsoleHub, type ConsolePort } from './console-hub.ts';

/** A further console of a guest. */
export interface FurtherConsole {
  readonly console: ConsolePort;
  /** What the guest calls it, if it is a channel. */
  readonly channel?: string | undefined;
  /** The pty that a user may open, if it has one. */
  readonly tty?: string | undefined;
}

export interface KnownConsole {
  readonly hub: ConsoleHub;
  readonly channel?: string | undefined;
  readonly tty?: string | undefined;
}

interface Entry extends KnownConsole {
  port: ConsolePort;
}

export class ConsoleHubs {
  readonly #consoles: () => ReadonlyMap<number, FurtherConsole>;
  readonly #entries = new Map<number, Entry>();

  /** @param consoles those that the guest has now, by number */
  constructor(consoles: () => ReadonlyMap<number, FurtherConsole>) {
    this.#consoles = consoles;
    this.look();
  }

  /** Connects consoles that have come since the last look. To be called when there may be some, for their first words are kept then. */
  look(): void {
    const now = this.#consoles();
    for (const number of this.#entries.keys()) if (!now.has(number)) this.#entries.delete(number);
    for (const [number, { console, channel, tty }] of now) {
      const hub = this.#entries.get(number)?.hub ?? new ConsoleHub();
      if (this.#entries.get(number)?.port !== console) hub.connect(console);
      this.#entries.set(number, { hub, port: console, channel, tty });
    }
  }

  get(number: number): KnownConsole | undefined {
    this.look();
    return this.#entries.get(number);
  }

  /** In the order of their numbers. */
  list(): readonly (readonly [number: number, known: KnownConsole])[] {
    this.look();
    return [...this.#entries].sort(([a], [b]) => a - b);
  }
}
