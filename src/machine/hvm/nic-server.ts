// The I/O side of an emulated network card: what its cable is plugged into is what the vif's is.
import { type Frame, type FrameReceiver, type FrameSink, NO_OFFLOADS, plainFrame } from '../../io/frame-sink.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { FRAMES_IN, NIC, type NicConfig } from './nic-region.ts';

export interface NicServerOptions {
  readonly config: NicConfig;
  /** What it is plugged into; stays open. */
  readonly sink: FrameSink;
  readonly memory: GuestMemory;
  /** Mails a frame to the board, its card's index in front; false when there is no room just now. */
  readonly mail: (bytes: Uint8Array) => boolean;
}

/** How long until a card that had no room is looked at again, in ms. */
const RETRY_MS = 1;
/** Frames that wait for the network to take them. */
const MOST_WAITING = 64;

export class NicServer implements FrameReceiver {
  readonly offloads = NO_OFFLOADS;
  readonly #options: NicServerOptions;
  readonly #waiting: Uint8Array[] = [];
  #mailed = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #closed = false;

  constructor(options: NicServerOptions) {
    this.#options = options;
    this.linkChanged(options.sink.linkUp);
    options.sink.attach(this);
  }

  /** A frame for the card, from the network. */
  receive({ bytes }: Frame): boolean {
    const { config, mail } = this.#options;
    if (this.#closed) return true;
    const onTheWay = (this.#mailed - Atomics.load(this.#options.memory.i32, this.#word(NIC.taken))) | 0;
    if (onTheWay < FRAMES_IN) {
      const message = new Uint8Array(1 + bytes.length);
      message[0] = config.index;
      message.set(bytes, 1);
      if (mail(message)) {
        this.#mailed = (this.#mailed + 1) | 0;
        return true;
      }
    }
    this.#retry ??= setTimeout(() => {
      this.#retry = undefined;
      this.#options.sink.resume();
    }, RETRY_MS);
    return false;
  }

  /** The network has room again. */
  writable(): void {
    for (let frame = this.#waiting[0]; frame !== undefined; frame = this.#waiting[0]) {
      if (!this.#options.sink.send(plainFrame(frame))) return;
      this.#waiting.shift();
    }
  }

  linkChanged(up: boolean): void {
    Atomics.store(this.#options.memory.i32, this.#word(NIC.linkUp), up ? 1 : 0);
  }

  /** A frame that the card sends. */
  send(bytes: Uint8Array): void {
    if (this.#closed) return;
    Atomics.add(this.#options.memory.i32, this.#word(NIC.handled), 1);
    if (this.#waiting.length > 0 || !this.#options.sink.send(plainFrame(bytes))) {
      if (this.#waiting.length < MOST_WAITING) this.#waiting.push(bytes);
    }
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#options.sink.attach(undefined);
  }

  #word(offset: number): number {
    return (this.#options.config.region.at + offset) >>> 2;
  }
}
