// One at a time, in the order of asking.

export class Mutex {
  #last: Promise<void> = Promise.resolve();

  /** Runs `work` when all that asked before have ended. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    // Who comes next does not care how this one ended.
    this.#last = result.then(
      () => {},
      () => {},
    );
    return result;
  }
}
