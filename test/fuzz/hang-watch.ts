// Ends the process when a case does not end: code that never returns cannot be interrupted from its own thread.
import { Worker } from 'node:worker_threads';

const WATCH = `
  const { workerData } = require('node:worker_threads');
  const { writeSync } = require('node:fs');
  const words = new Int32Array(workerData.words);
  let last = -1, since = Date.now();
  setInterval(() => {
    const now = Atomics.load(words, 0);
    if (now !== last) { last = now; since = Date.now(); }
    else if (Date.now() - since > workerData.ms && Atomics.load(words, 2) === 1) {
      writeSync(1, '\\nFUZZ_SEED=' + (Atomics.load(words, 1) >>> 0) + ' FUZZ_ROUNDS=1: no progress for ' + workerData.ms + ' ms\\n');
      process.kill(process.pid, 'SIGKILL');
    }
  }, 500);
`;

export class HangWatch {
  readonly #words = new Int32Array(new SharedArrayBuffer(12));
  readonly #worker: Worker;

  /** @param ms a case may take so long without a `step` */
  constructor(ms: number) {
    this.#worker = new Worker(WATCH, { eval: true, workerData: { words: this.#words.buffer, ms } });
    this.#worker.unref();
  }

  begin(seed: number): void {
    Atomics.store(this.#words, 1, seed | 0);
    Atomics.store(this.#words, 2, 1);
    this.step();
  }

  step(): void {
    Atomics.add(this.#words, 0, 1);
  }

  end(): void {
    Atomics.store(this.#words, 2, 0);
  }
}
