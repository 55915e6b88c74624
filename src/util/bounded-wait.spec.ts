import { getEventListeners } from 'node:events';
import { describe, expect, it, vi } from 'vitest';
import { boundedWait, Deadline } from './bounded-wait.ts';

const late = (timeout: number): Error => new Error(`not within ${timeout}`);

describe('a bounded wait', () => {
  it('is settled once by what was begun, and ends it once', async () => {
    const end = vi.fn();
    const wait = boundedWait<number>({ timeout: 1000 }, late, (settle) => {
      queueMicrotask(() => {
        settle.resolve(1);
        settle.resolve(2);
        settle.reject(new Error('too late'));
      });
      return end;
    });
    expect(await wait).toBe(1);
    expect(end).toHaveBeenCalledOnce();
  });

  it('may be settled before it has begun', async () => {
    const end = vi.fn();
    const wait = boundedWait<string>({}, late, ({ resolve }) => {
      resolve('there');
      return end;
    });
    expect(await wait).toBe('there');
    expect(end).toHaveBeenCalledOnce();
  });

  it('is too late after its time, not before', async () => {
    vi.useFakeTimers();
    try {
      const end = vi.fn();
      const wait = boundedWait<never>({ timeout: 50 }, late, () => end);
      const outcome = expect(wait).rejects.toThrow('not within 50');
      await vi.advanceTimersByTimeAsync(49);
      expect(end).not.toHaveBeenCalled();
      await vi.advanceTimersByTimeAsync(1);
      await outcome;
      expect(end).toHaveBeenCalledOnce();
    } finally {
      vi.useRealTimers();
    }
  });

  it('has no limit when its time is longer than a timer can be', async () => {
    vi.useFakeTimers();
    try {
      const wait = boundedWait<number>({ timeout: Number.POSITIVE_INFINITY }, late, ({ resolve }) => {
        const timer = setTimeout(() => resolve(7), 10_000);
        return () => clearTimeout(timer);
      });
      await vi.advanceTimersByTimeAsync(10_000);
      expect(await wait).toBe(7);
    } finally {
      vi.useRealTimers();
    }
  });

  it("rejects with the signal's reason and leaves nothing on the signal", async () => {
    const abort = new AbortController();
    const wait = boundedWait<never>({ signal: abort.signal }, late, () => () => {});
    abort.abort(new Error('enough'));
    await expect(wait).rejects.toThrow('enough');
    expect(getEventListeners(abort.signal, 'abort')).toEqual([]);
  });

  it('begins nothing when the signal is aborted already', async () => {
    const begin = vi.fn(() => () => {});
    await expect(boundedWait({ signal: AbortSignal.abort(new Error('before')) }, late, begin)).rejects.toThrow('before');
    expect(begin).not.toHaveBeenCalled();
  });
});

describe('a deadline', () => {
  it('has less and less time, and then none', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    try {
      const deadline = new Deadline({ timeout: 100 });
      expect(deadline.limits).toEqual({ timeout: 100 });
      vi.advanceTimersByTime(70);
      expect(deadline.limits).toEqual({ timeout: 30 });
      vi.advanceTimersByTime(70);
      expect(deadline.limits).toEqual({ timeout: 0 });
    } finally {
      vi.useRealTimers();
    }
  });

  it('may have no time but a signal', () => {
    const { signal } = new AbortController();
    expect(new Deadline({ signal }).limits).toEqual({ signal });
  });

  it.each([-1, Number.NaN])('does not take %s', (timeout) => {
    expect(() => new Deadline({ timeout })).toThrow(RangeError);
  });
});
