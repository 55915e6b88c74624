import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadTrim, returnFreedMemory } from './freed-memory.ts';

const MIB = 1 << 20;

describe('returning freed memory', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('trims while the process works, not while it idles, and not any more after its end', async () => {
    let used = 5e6;
    const trim = vi.fn(async () => {});
    const returning = returnFreedMemory({ load: () => trim, usedUs: () => used });
    await vi.advanceTimersByTimeAsync(60_000);
    expect(trim).toHaveBeenCalledTimes(1);
    used += 0.4e6;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(trim).toHaveBeenCalledTimes(1);
    used += 0.4e6;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(trim).toHaveBeenCalledTimes(2);
    returning[Symbol.dispose]();
    used += 100e6;
    await vi.advanceTimersByTimeAsync(60_000);
    expect(trim).toHaveBeenCalledTimes(2);
  });

  it('looks no more where it cannot trim', async () => {
    const load = vi.fn(() => undefined);
    returnFreedMemory({ load, usedUs: () => 5e6 });
    await vi.advanceTimersByTimeAsync(100_000);
    expect(load).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });
});

const trim = loadTrim();
describe.skipIf(trim === undefined)('malloc_trim', () => {
  it('gives back what lies freed below something that is in use', async () => {
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    let buffers: Uint8Array[] = Array.from({ length: 4000 }, () => new Uint8Array(32 << 10).fill(1));
    const last = buffers.at(-1) as Uint8Array;
    buffers = [];
    collect();
    await sleep(100);
    const before = process.memoryUsage.rss();
    await trim?.();
    expect(before - process.memoryUsage.rss()).toBeGreaterThan(60 * MIB);
    expect(last[0]).toBe(1);
  });
});
