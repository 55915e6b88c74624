// Bytes that wait for somebody who does not read: a queue with a limit.

export class ByteQueue {
  readonly limit: number;
  #queue: Uint8Array[] = [];
  #length = 0;

  /** @param limit bytes */
  constructor(limit: number) {
    this.limit = limit;
  }

  /** Bytes that wait. */
  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.limit - this.#length;
  }

  /** Keeps a copy of as many bytes as there is room for; returns how many. */
  add(bytes: Uint8Array): number {
    const taken = Math.min(bytes.length, this.room);
    if (taken <= 0) return 0;
    this.#queue.push(bytes.slice(0, taken));
    this.#length += taken;
    return taken;
  }

  /** Moves the oldest bytes into `into`, as many as fit; returns how many. */
  take(into: Uint8Array): number {
    let done = 0;
    let pieces = 0;
    for (let next = this.#queue[0]; next !== undefined && done < into.length; next = this.#queue[pieces]) {
      const count = Math.min(next.length, into.length - done);
      into.set(next.subarray(0, count), done);
      if (count === next.length) pieces++;
      else this.#queue[pieces] = next.subarray(count);
      done += count;
    }
    this.#queue.splice(0, pieces);
    this.#length -= done;
    return done;
  }

  /** Everything, in one piece; the queue is empty then. */
  takeAll(): Uint8Array {
    const bytes = new Uint8Array(this.#length);
    this.take(bytes);
    return bytes;
  }
}
