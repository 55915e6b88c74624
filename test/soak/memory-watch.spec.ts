import { describe, expect, it } from 'vitest';
import { growth } from '../../bench/memory-watch.ts';

describe('growth of memory', () => {
  const samples = (rssMiB: (hours: number) => number) =>
    Array.from({ length: 360 }, (_, i) => ({ seconds: i * 10, rssMiB: rssMiB(i / 360), heapMiB: 0, cpuSeconds: i }));

  it('is the slope of the second half alone', () => {
    expect(growth(samples((hours) => 100 + 30 * hours))).toBeCloseTo(30);
    expect(growth(samples((hours) => Math.min(800, 2000 * hours)))).toBeCloseTo(0);
  });

  it('is not that of a saw that goes up and down', () => {
    expect(Math.abs(growth(samples((hours) => 700 + 20 * ((hours * 60) % 1))))).toBeLessThan(5);
  });
});
