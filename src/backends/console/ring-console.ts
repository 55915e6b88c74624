// One console as the host's end serves it: its page, its event channel, and the pace between them. On the I/O thread.
//
// A guest sends an event with each piece that it writes, and a terminal's driver writes small pieces: four bytes of a line, then
// its line end. Each costs an event to us and, when the bytes are taken at once, an interrupt to the guest. So after an event the
// channel is held, which costs the guest's next sends nothing, and the ring is looked at again a little later, as long as there is
// more in it than a single piece. A guest that waits for each piece to be taken gains nothing by that: for it, events are served
// one by one.
import { type IoPace, REAL_PACE } from '../../io/io-pace.ts';
import type { BackendChannel } from '../../xen/events/backend-channels.ts';
import type { ByteQueue } from './byte-queue.ts';
import type { ConsoleRing } from './console-ring.ts';

/** Bytes of input that wait for a guest that does not read. */
export const INPUT_LIMIT = 65536;

export interface RingConsoleOptions {
  readonly ring: ConsoleRing;
  /** What is typed. */
  readonly input: ByteQueue;
  /** Binds the guest's port: a negated errno when that is not possible. */
  readonly bind: (onEvent: () => void) => BackendChannel | number;
  /** What the guest printed. The bytes are the callee's to keep. */
  readonly onOutput: (bytes: Uint8Array) => void;
  /** Bytes of output that may come now; `service` is to be called when there is room again. Default: any number. */
  readonly room?: () => number;
  /** Input has moved from the queue to the guest. */
  readonly onInputTaken?: () => void;
  readonly pace?: IoPace | undefined;
}

/** How long the ring is left to fill, in milliseconds. */
const FILL_MS = 1;
/** A piece of so many bytes is worth an event of its own. */
const LARGE_PIECE = 256;
/** Events that are served one by one when waiting has gained nothing, before it is tried again. */
const PATIENCE = 256;

export class RingConsole {
  readonly #ring: ConsoleRing;
  readonly #input: ByteQueue;
  readonly #onOutput: (bytes: Uint8Array) => void;
  readonly #room: () => number;
  readonly #onInputTaken: () => void;
  readonly #channel: BackendChannel;
  /** Bytes of the last piece that came with an event of its own. */
  #piece = 0;
  /** Events to serve one by one. */
  #singly = 0;
  readonly #pace: IoPace;
  #timer: Disposable | undefined;
  #closed = false;

  /** Nothing is moved yet: `service` does that. @throws ConsoleBindError when the port cannot be bound */
  constructor(options: RingConsoleOptions) {
    this.#ring = options.ring;
    this.#input = options.input;
    this.#onOutput = options.onOutput;
    this.#room = options.room ?? (() => Number.POSITIVE_INFINITY);
    this.#onInputTaken = options.onInputTaken ?? (() => {});
    this.#pace = options.pace ?? REAL_PACE;
    // The listener runs once inside of `bind`, before there is a channel to answer on.
    let bound = false;
    const channel = options.bind(() => void (bound && this.#event()));
    if (typeof channel === 'number') throw new ConsoleBindError(channel);
    this.#channel = channel;
    bound = true;
  }

  /** Looks at both rings now: for a guest that sent no event, and when there is room for output again. */
  service(): void {
    if (!this.#closed) this.#serve();
  }

  /** There is more input. */
  fill(): void {
    if (!this.#closed && this.#ring.put(this.#input) > 0) this.#channel.notify();
  }

  close(): void {
    this.#closed = true;
    this.#timer?.[Symbol.dispose]();
    this.#channel.close();
  }

  #event(): void {
    const output = this.#serve();
    if (this.#singly > 0) this.#singly--;
    else if (output > 0 && output < LARGE_PIECE) {
      this.#piece = output;
      this.#channel.hold();
      this.#wait();
    }
  }

  #wait(): void {
    this.#timer = this.#pace.after(FILL_MS, () => this.#lookAgain());
  }

  /** The channel is held. */
  #lookAgain(): void {
    const output = this.#serve();
    if (output > this.#piece * 2) return this.#wait();
    if (output > 0) this.#singly = PATIENCE;
    this.#channel.release();
    // What came between the look and the release sent no event.
    this.#serve();
  }

  /** Moves what there is both ways, and tells the guest. Returns the bytes of output. */
  #serve(): number {
    const bytes = this.#ring.take(this.#room());
    const typed = this.#ring.put(this.#input);
    if (bytes !== undefined || typed > 0) this.#channel.notify();
    if (typed > 0) this.#onInputTaken();
    if (bytes === undefined) return 0;
    this.#onOutput(bytes);
    return bytes.length;
  }
}

export class ConsoleBindError extends Error {
  override readonly name = 'ConsoleBindError';
  /** Negated. */
  readonly errno: number;
  constructor(errno: number) {
    super(`the console's event channel cannot be bound: ${errno}`);
    this.errno = errno;
  }
}
