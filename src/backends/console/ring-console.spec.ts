// The pace of a console: how many events and interrupts its output costs.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { XENCONS } from '../../abi/xen/console.ts';
import { TestGuest } from '../../xen/fixtures/test-guest.ts';
import { XenConsole } from './primary-console.ts';

const RING = 0xfefff000;

function setUp() {
  const g = new TestGuest();
  const shared = g.mapSharedInfo(0x10);
  const port = g.domain.offerRing('console');
  const pieces: string[] = [];
  const console = new XenConsole({
    domain: g.domain,
    channels: g.channels,
    onOutput: (bytes) => pieces.push(new TextDecoder().decode(bytes)),
  });
  let heard = 0;
  const notified = (): boolean => {
    const was = (g.peek(shared + 0x800) >>> port) & 1;
    g.poke(shared + 0x800, 0);
    return was === 1;
  };
  notified();
  return {
    console,
    pieces,
    notified,
    /** How many events reached the I/O thread. */
    heard: () => heard,
    drained: () => g.peek(RING + XENCONS.out_cons) === g.peek(RING + XENCONS.out_prod),
    /** As a driver's write: bytes, index, event. */
    print(text: string) {
      let prod = g.peek(RING + XENCONS.out_prod);
      for (const byte of new TextEncoder().encode(text))
        g.memory.write((RING + XENCONS.out + (prod++ & 2047)) as never, Uint8Array.of(byte));
      g.poke(RING + XENCONS.out_prod, prod >>> 0);
      g.call('event_channel_op', 4, g.poke(0x2000, port));
      heard += g.channels.dispatch();
    },
  };
}

describe('output in small pieces', () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  it('is taken at once after a silence', () => {
    const c = setUp();
    c.print('#');
    expect([c.pieces, c.notified()]).toEqual([['#'], true]);
  });

  it('is gathered when the guest goes on: one event, one interrupt, nothing lost', () => {
    const c = setUp();
    c.print('a');
    c.notified();
    for (let i = 0; i < 50; i++) c.print('line\r\n');
    expect([c.heard(), c.notified()]).toEqual([1, false]);
    vi.advanceTimersByTime(1);
    expect([c.pieces, c.notified()]).toEqual([['a', 'line\r\n'.repeat(50)], true]);
    for (let i = 0; i < 10; i++) c.print('more');
    vi.advanceTimersByTime(1);
    expect(c.pieces.join('')).toBe(`a${'line\r\n'.repeat(50)}${'more'.repeat(10)}`);
    expect(c.heard()).toBe(1);
  });

  it('is heard of again when the guest has paused', () => {
    const c = setUp();
    c.print('a');
    vi.advanceTimersByTime(1);
    expect(vi.getTimerCount()).toBe(0);
    c.print('b');
    expect([c.pieces, c.heard()]).toEqual([['a', 'b'], 2]);
  });

  it('is served piece by piece for a guest that waits for each to be taken', () => {
    const c = setUp();
    let waits = 0;
    for (let i = 0; i < 200; i++) {
      c.print('1234567890123456');
      for (; !c.drained(); waits++) vi.advanceTimersByTime(1);
    }
    expect(c.pieces.join('')).toHaveLength(3200);
    expect(waits).toBeLessThan(3);
  });

  it('that came with no event is found while input is given', () => {
    const c = setUp();
    c.print('a');
    c.print('bc');
    c.console.write(Uint8Array.of(65));
    expect(c.notified()).toBe(true);
    vi.advanceTimersByTime(5);
    expect(c.pieces.join('')).toBe('abc');
  });

  it('ends with the console: no timer is left, and its port can be heard by the next one', () => {
    const c = setUp();
    c.print('a');
    c.console.close();
    expect(vi.getTimerCount()).toBe(0);
    const next = setUp();
    next.print('b');
    expect([next.pieces, next.heard()]).toEqual([['b'], 1]);
  });
});

describe('output in large pieces', () => {
  it('has an event for each', () => {
    const c = setUp();
    for (let i = 0; i < 5; i++) c.print('x'.repeat(500));
    expect([c.heard(), c.pieces.length]).toEqual([5, 5]);
  });
});
