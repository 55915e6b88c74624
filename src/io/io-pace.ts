// The pace of the I/O side: when what it puts off is done, and who waits for what it has under way.

/** What backends put work off with. */
export interface IoPace {
  /**
   * Runs `run` after so many milliseconds; 0: soon, after what else waits on the thread. Disposing of the result prevents it.
   */
  after(ms: number, run: () => void): Disposable;
  /**
   * Work that a guest waits for, such as a request to a disk. The result settles as `work` does; where runs are repeatable, in the
   * order in which works were begun, so no work may wait for one that is begun later.
   */
  during<T>(work: Promise<T>): Promise<T>;
}

/** Real time, and nobody waits. */
export const REAL_PACE: IoPace = {
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return { [Symbol.dispose]: () => clearTimeout(timer) };
  },
  during: (work) => work,
};
