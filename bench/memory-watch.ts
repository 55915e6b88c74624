// The memory of a monitor's process over a long run: samples, and whether it grows.
import { readFileSync } from 'node:fs';
import type { Machine } from './machine.ts';

export interface MemorySample {
  /** Since the process was started. */
  readonly seconds: number;
  /** Resident memory of the whole process, the guest's RAM in it as far as the guest has used it. */
  readonly rssMiB: number;
  /** Of these, all but the machine's own memory: the guest's RAM and the engine's tables, which the guest fills as it likes. */
  readonly ownMiB: number;
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
      const { residentMiB } = largestMapping(readFileSync(`/proc/${machine.pid}/smaps`, 'latin1'));
      const rssMiB = usage.rss / MIB;
      const sample = { seconds, rssMiB, ownMiB: rssMiB - residentMiB, heapMiB: usage.heapUsed / MIB, cpuSeconds };
      this.samples.push(sample);
      onSample(sample);
    }, everyMs);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** The largest mapping that can be written, which is the machine's memory. @param smaps /proc/<pid>/smaps, see proc(5) */
export function largestMapping(smaps: string): { readonly sizeMiB: number; readonly residentMiB: number } {
  let largest = { sizeMiB: 0, residentMiB: 0 };
  for (const mapping of smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(mapping)?.[1] ?? 0);
    if (/^\S+ rw/.test(mapping) && kib('Size') / 1024 > largest.sizeMiB)
      largest = { sizeMiB: kib('Size') / 1024, residentMiB: kib('Rss') / 1024 };
  }
  return largest;
}

/** MiB an hour by which the monitor's own memory grows over the second half of the samples: the slope of the line nearest to them. */
export function growth(samples: readonly MemorySample[]): number {
  const half = samples.slice(samples.length >> 1);
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  const [x, y] = [mean(half.map(({ seconds }) => seconds)), mean(half.map(({ ownMiB }) => ownMiB))];
  const sum = (of: (sample: MemorySample) => number): number => half.reduce((total, sample) => total + of(sample), 0);
  return (3600 * sum(({ seconds, ownMiB }) => (seconds - x) * (ownMiB - y))) / sum(({ seconds }) => (seconds - x) ** 2);
}
