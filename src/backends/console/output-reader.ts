// One who reads a console's output and can be too slow for it: what it cannot take yet is kept, up to a limit.
import { ByteQueue } from './byte-queue.ts';

/** Bytes of output that are kept for a reader who is slow: LIBXL_XENCONSOLE_LIMIT. */
export const OUTPUT_LIMIT = 1048576;

/** Who takes what a guest prints on a console. */
export class OutputReader {
  readonly #listener: (bytes: Uint8Array) => void;
  readonly #onRoom: () => void;
  readonly #kept = new ByteQueue(OUTPUT_LIMIT);
  #held = false;
  #dropped = 0;

  /** @param onRoom called when there is more room */
  constructor(listener: (bytes: Uint8Array) => void, onRoom: () => void = () => {}) {
    this.#listener = listener;
    this.#onRoom = onRoom;
  }

  /** Bytes that wait for it. */
  get waiting(): number {
    return this.#kept.length;
  }

  /** Bytes that were lost, because more than the limit waited. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Bytes that may come without any of them being lost. */
  get room(): number {
    return this.#held ? this.#kept.room : Number.POSITIVE_INFINITY;
  }

  /** It takes no more for now. */
  hold(): void {
    this.#held = true;
  }

  /** It takes bytes again: first those that were kept. */
  resume(): void {
    if (!this.#held) return;
    this.#held = false;
    if (this.#kept.length > 0) this.#listener(this.#kept.takeAll());
    this.#onRoom();
  }

  /** The other side: there is output. */
  receive(bytes: Uint8Array): void {
    if (this.#held) this.#dropped += bytes.length - this.#kept.add(bytes);
    else this.#listener(bytes);
  }
}
