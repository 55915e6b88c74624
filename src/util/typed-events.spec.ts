import { describe, expect, it } from 'vitest';
import { TypedEvents } from './typed-events.ts';

interface Events {
  count: number;
  text: string;
}

describe('typed events', () => {
  it('reach the listeners of their name, in order, until these are disposed of', () => {
    const events = new TypedEvents<Events>();
    const heard: string[] = [];
    using _ = events.on('count', (n) => void heard.push(`first ${n}`));
    const second = events.on('count', (n) => void heard.push(`second ${n}`));
    events.on('text', (text) => void heard.push(text));
    events.emit('count', 1);
    second[Symbol.dispose]();
    events.emit('count', 2);
    events.emit('text', 'x');
    expect(heard).toEqual(['first 1', 'second 1', 'first 2', 'x']);
  });

  it('count the same listener as often as it was given', () => {
    const events = new TypedEvents<Events>();
    let calls = 0;
    const listener = (): void => void calls++;
    const one = events.on('count', listener);
    events.on('count', listener);
    events.emit('count', 0);
    one[Symbol.dispose]();
    events.emit('count', 0);
    expect(calls).toBe(3);
  });

  it('know whether anybody listens', () => {
    const events = new TypedEvents<Events>();
    const listening = events.on('count', () => {});
    expect([events.has('count'), events.has('text')]).toEqual([true, false]);
    listening[Symbol.dispose]();
    expect(events.has('count')).toBe(false);
  });

  it('go on to the next listener when one throws, whose error is uncaught', async () => {
    const uncaught: unknown[] = [];
    const others = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.on('uncaughtException', (error) => void uncaught.push(error));
    try {
      const events = new TypedEvents<Events>();
      const heard: number[] = [];
      const bug = new Error('a bug');
      events.on('count', () => {
        throw bug;
      });
      events.on('count', (n) => void heard.push(n));
      events.emit('count', 3);
      await new Promise((resolve) => setImmediate(resolve));
      expect(heard).toEqual([3]);
      expect(uncaught).toEqual([bug]);
    } finally {
      process.removeAllListeners('uncaughtException');
      for (const listener of others) process.on('uncaughtException', listener);
    }
  });

  it('can be waited for, the next or the next of a kind', async () => {
    const events = new TypedEvents<Events>();
    const next = events.once('count');
    const large = events.once('count', { where: (n) => n > 10 });
    for (const n of [1, 5, 11, 12]) events.emit('count', n);
    expect([await next, await large]).toEqual([1, 11]);
    expect(events.has('count')).toBe(false);
  });

  it('are waited for within limits', async () => {
    const events = new TypedEvents<Events>();
    await expect(events.once('text', { timeout: 1 })).rejects.toMatchObject({
      name: 'TimeoutError',
      message: "no such event 'text' within 1 ms",
    });
    await expect(events.once('text', { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
    expect(events.has('text')).toBe(false);
  });

  it('reject a wait whose condition throws', async () => {
    const events = new TypedEvents<Events>();
    const wait = events.once('count', {
      where: () => {
        throw new Error('bad condition');
      },
    });
    events.emit('count', 1);
    await expect(wait).rejects.toThrow('bad condition');
  });

  it('end: whoever waits is told, and whoever waits later', async () => {
    const events = new TypedEvents<Events>();
    const wait = events.once('count');
    events.close((name) => new Error(`no more ${name}`));
    await expect(wait).rejects.toThrow('no more count');
    await expect(events.once('text')).rejects.toThrow('no more text');
  });
});
