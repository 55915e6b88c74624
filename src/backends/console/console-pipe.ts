// The host's end of a console: bytes both ways, each with a limit. It outlives the guest's connections.
import type { InspectTree } from '../../util/inspect/inspect-node.ts';
import { ByteQueue } from './byte-queue.ts';
import { OutputReader } from './output-reader.ts';
import { INPUT_LIMIT, type RingConsole } from './ring-console.ts';

/**
 * What happens to output when 1 MiB waits for a reader. `drop`: it is lost for that one, as with Xen's own backends. `wait`: the
 * guest waits; Linux does so with interrupts off, and a reader who never reads holds up all of a guest with one vCPU.
 */
export type WhenFull = 'drop' | 'wait';

/** The host's end of a console: bytes in both directions. */
export class ConsolePipe {
  /** What was typed and has not reached the guest. */
  readonly input = new ByteQueue(INPUT_LIMIT);
  readonly #whenFull: WhenFull;
  readonly #outputListeners = new Set<(bytes: Uint8Array) => void>();
  readonly #readers = new Set<OutputReader>();
  readonly #roomListeners = new Set<() => void>();
  #console: RingConsole | undefined;
  #printed = 0;

  constructor(whenFull: WhenFull) {
    this.#whenFull = whenFull;
  }

  /** Bytes the guest prints, as they come. The result stops it. */
  onOutput(listener: (bytes: Uint8Array) => void): Disposable {
    this.#outputListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#outputListeners.delete(listener) };
  }

  /** The same for one who can be too slow for them, and says so: `hold` and `resume` of the result. */
  reader(listener: (bytes: Uint8Array) => void): OutputReader {
    const reader = new OutputReader(listener, () => this.#console?.service());
    this.#readers.add(reader);
    return reader;
  }

  /** Called when the guest has read some of what was typed: `write` takes more then. */
  onRoom(listener: () => void): Disposable {
    this.#roomListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#roomListeners.delete(listener) };
  }

  /** Types into the guest; returns how many bytes were taken, less than all when 64 KiB wait for a guest that does not read. */
  write(bytes: Uint8Array): number {
    const taken = this.input.add(bytes);
    if (taken > 0) this.#console?.fill();
    return taken;
  }

  /** The backend's side: the guest that is connected, or none. */
  connect(console: RingConsole | undefined): void {
    this.#console = console;
  }

  /** The backend's side: bytes that `receive` has a place for. */
  get room(): number {
    let room = Number.POSITIVE_INFINITY;
    if (this.#whenFull === 'wait') for (const reader of this.#readers) room = Math.min(room, reader.room);
    return room;
  }

  /** The backend's side: the guest printed something. */
  receive(bytes: Uint8Array): void {
    this.#printed += bytes.length;
    for (const listener of this.#outputListeners) listener(bytes);
    for (const reader of this.#readers) reader.receive(bytes);
  }

  /** The backend's side: the guest read something. */
  inputTaken(): void {
    for (const listener of this.#roomListeners) listener();
  }

  inspect(): InspectTree {
    const sum = (of: (reader: OutputReader) => number): number =>
      [...this.#readers].reduce((total, reader) => total + of(reader), 0);
    return {
      connected: this.#console !== undefined,
      printed: this.#printed,
      output_waits: sum(({ waiting }) => waiting),
      output_dropped: sum(({ dropped }) => dropped),
      input_waits: this.input.length,
    };
  }
}
