import { describe, expect, it, vi } from 'vitest';
import { EventLoopClock } from './event-loop-clock.ts';

/** Runs with fake timers, over a source that the test can stop. */
function stepped(body: (clock: EventLoopClock, move: (ms: number, running?: boolean) => void, at: () => number) => void): void {
  vi.useFakeTimers();
  try {
    let ns = 0;
    const clock = new EventLoopClock(() => ns);
    const move = (ms: number, running = true) => {
      for (let i = 0; i < ms; i++) {
        if (running) ns += 1e6;
        vi.advanceTimersByTime(1);
      }
    };
    body(clock, move, () => ns / 1e6);
    clock.close();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
}

describe('a clock on the event loop', () => {
  it('fires alarms when they are due, also those that are moved', () =>
    stepped((clock, move, at) => {
      const fired: string[] = [];
      const late = clock.timer('late', () => fired.push(`late ${at()}`));
      const soon = clock.timer('soon', () => fired.push(`soon ${at()}`));
      late.arm(50e6);
      soon.arm(10e6);
      move(5);
      soon.arm(20e6);
      late.arm(15e6);
      move(30);
      expect(fired).toEqual(['late 15', 'soon 20']);
      soon.arm(60e6);
      soon.cancel();
      move(100);
      expect(fired.length).toBe(2);
    }));

  it('waits while its source stands still, and goes on with it', () =>
    stepped((clock, move) => {
      let fired = 0;
      clock.timer('one', () => fired++).arm(100e6);
      move(50);
      move(5000, false);
      expect(fired).toBe(0);
      move(49);
      expect(fired).toBe(0);
      move(25);
      expect(fired).toBe(1);
    }));
});
