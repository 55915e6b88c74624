// The memory of a monitor's process over a long run: samples, and whether it grows.
import type { Machine } from './machine.ts';

export interface MemorySample {
  /** Since the process was started. */
  readonly seconds: number;
  /** Resident memory of the whole process, the guest's RAM in it as far as the guest has used it. */
  readonly rssMiB: number;
  /** JavaScript objects of the main thread, garbage included. */
  readonly heapMiB: number;
  /** Processor time of all threads so far. */
  readonly cpuSeconds: number;
}

const MIB = 2 ** 20;

export class MemoryWatch implements Disposable {
  readonly samples: MemorySample[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param everyMs milliseconds from sample to sample */
  constructor(machine: Machine, everyMs: number, onSample: (sample: MemorySample) => void) {
    this.#timer = setInterval(async () => {
      const usage = await machine.memoryUsage();
      if (usage === undefined) return;
      const [seconds, cpuSeconds] = [machine.ageMs / 1000, machine.cpuMs / 1000];
      const sample = { seconds, rssMiB: usage.rss / MIB, heapMiB: usage.heapUsed / MIB, cpuSeconds };
      this.samples.push(sample);
      onSample(sample);
    }, everyMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** MiB an hour by which the resident memory grows over the second half of the samples: the slope of the line nearest to them. */
export function growth(samples: readonly MemorySample[]): number {
  const half = samples.slice(samples.length >> 1);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(half.map(({ seconds }) => seconds)), mean(half.map(({ rssMiB }) => rssMiB))];
  const sum = (of: (sample: MemorySample) => number): number => half.reduce((total, sample) => total + of(sample), 0);
  return (3600 * sum(({ seconds, rssMiB }) => (seconds - x) * (rssMiB - y))) / sum(({ seconds }) => (seconds - x) ** 2);
}
