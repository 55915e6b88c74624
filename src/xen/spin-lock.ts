// A lock between the threads of one domain, for sections of a microsecond. It spins: a browser's main thread may not wait.

/** Looks at a held lock before giving up: more than a second. */
const PATIENCE = 2 ** 28;

/**
 * Takes the lock in a word of shared memory.
 * @throws Error when the holder does not let go: its thread was ended inside the section.
 */
export function acquireWord(words: Int32Array, index: number): void {
  for (let looks = 0; looks < PATIENCE; ) {
    if (Atomics.compareExchange(words, index, 0, 1) === 0) return;
    while (looks++ < PATIENCE && Atomics.load(words, index) !== 0);
  }
  throw new Error('the thread that holds a lock of the domain has ended');
}

export function releaseWord(words: Int32Array, index: number): void {
  Atomics.store(words, index, 0);
}

export class SpinLock {
  readonly #words: Int32Array;
  readonly #index: number;

  /** `at`: byte address of the word, a multiple of 4. */
  constructor(words: Int32Array, at: number) {
    this.#words = words;
    this.#index = at >>> 2;
  }

  /** @throws Error when the holder does not let go: its thread was ended inside the section. */
  acquire(): void {
    acquireWord(this.#words, this.#index);
  }

  release(): void {
    releaseWord(this.#words, this.#index);
  }
}
