import { describe, expect, it } from 'vitest';
import { growth, largestMapping } from '../../bench/memory-watch.ts';

describe('growth of memory', () => {
  const samples = (ownMiB: (hours: number) => number) =>
    Array.from({ length: 360 }, (_, i) => ({ seconds: i * 10, rssMiB: 900, ownMiB: ownMiB(i / 360), heapMiB: 0, cpuSeconds: i }));

  it('is the slope of the second half alone', () => {
    expect(growth(samples((hours) => 100 + 30 * hours))).toBeCloseTo(30);
    expect(growth(samples((hours) => Math.min(800, 2000 * hours)))).toBeCloseTo(0);
  });

  it('is not that of a saw that goes up and down', () => {
    expect(Math.abs(growth(samples((hours) => 700 + 20 * ((hours * 60) % 1))))).toBeLessThan(5);
  });
});

describe("the machine's memory among a process's mappings", () => {
  it('is the largest that can be written, in whatever order they come', () => {
    const mapping = (range: string, access: string, size: number, resident: number): string =>
      `${range} ${access} 00000000 00:00 0 \nSize: ${size} kB\nKernelPageSize: 4 kB\nRss: ${resident} kB\nPss: 4 kB\n`;
    const smaps = [
      mapping('7f00-7f10', 'rw-p', 65536, 60000),
      mapping('7f20-7f90', 'rw-p', 595968, 262144),
      mapping('8f20-9f90', '---p', 9595968, 0),
      mapping('af20-af90', 'r-xp', 895968, 4),
    ].join('');
    expect(largestMapping(smaps)).toEqual({ sizeMiB: 582, residentMiB: 256 });
  });
});
