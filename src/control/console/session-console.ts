// One console of one connection: what the guest prints goes out as fast as the other side reads it.
import type { ControlEvent } from '../lifecycle-events.ts';
import { toBase64 } from './base64.ts';
import type { ConsoleClient, ConsoleHub, ConsoleSize } from './console-hub.ts';

/** Bytes of one event. */
const CHUNK = 16 * 1024;

export interface SessionConsoleOptions {
  readonly hub: ConsoleHub;
  /** 0: the primary one. */
  readonly number: number;
  readonly send: (event: ControlEvent) => void;
  /** Whether the other side has read enough to be sent more. */
  readonly ready: () => boolean;
}

export class SessionConsole implements ConsoleClient {
  readonly hub: ConsoleHub;
  /** What events say beside their data: the number, unless it is the primary console. */
  readonly #which: { readonly console?: number };
  readonly #send: (event: ControlEvent) => void;
  readonly #ready: () => boolean;
  #more: Disposable | undefined;
  #at = 0;

  constructor({ hub, number, send, ready }: SessionConsoleOptions) {
    this.hub = hub;
    this.#which = number === 0 ? {} : { console: number };
    this.#send = send;
    this.#ready = ready;
  }

  get attached(): boolean {
    return this.#more !== undefined;
  }

  /** Begins to send what the guest prints, and before that, with `history`, what it has printed. False: somebody else has it alone. */
  attach({ exclusive = false, history = true }): boolean {
    if (!this.hub.attach(this, exclusive)) return false;
    if (this.#more === undefined) {
      this.#at = history ? this.hub.history.start : this.hub.history.end;
      this.#more = this.hub.history.onMore(() => this.pump());
    }
    return true;
  }

  detach(): void {
    this.#more?.[Symbol.dispose]();
    this.#more = undefined;
    this.hub.detach(this);
  }

  resized(size: ConsoleSize): void {
    this.#send({ event: 'CONSOLE_RESIZE', data: { ...this.#which, ...size } });
  }

  /** Sends what there is. Somebody who reads too slowly misses what is no longer kept, and is told how much that was. */
  pump(rest = false): void {
    const { history } = this.hub;
    if (this.#more === undefined) return;
    while (this.#at < history.end && (rest || this.#ready())) {
      const { from, bytes } = history.read(this.#at, CHUNK);
      const lost = from - this.#at;
      this.#at = from + bytes.length;
      if (bytes.length === 0 && lost === 0) return;
      this.#send({ event: 'CONSOLE_OUTPUT', data: { ...this.#which, data: toBase64(bytes), ...(lost > 0 && { lost }) } });
    }
  }
}
