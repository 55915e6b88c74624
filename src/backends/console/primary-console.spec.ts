import { describe, expect, it } from 'vitest';
import { XENCONS } from '../../abi/xen/console.ts';
import { TestGuest } from '../../xen/fixtures/test-guest.ts';
import { XenConsole } from './primary-console.ts';

const RING = 0xfefff000;

function setup(inputLimit?: number) {
  const g = new TestGuest();
  const shared = g.mapSharedInfo(0x10);
  const port = g.domain.offerRing('console');
  let output = '';
  const console = new XenConsole({
    domain: g.domain,
    channels: g.channels,
    onOutput: (bytes) => {
      output += String.fromCharCode(...bytes);
    },
    ...(inputLimit === undefined ? {} : { inputLimit }),
  });
  const index = (offset: number, value?: number) => {
    if (value !== undefined) g.poke(RING + offset, value);
    return g.peek(RING + offset);
  };
  const send = () => {
    g.call('event_channel_op', 4, g.poke(0x2000, port));
    g.channels.dispatch();
  };
  const print = (text: string) => {
    let prod = index(XENCONS.out_prod);
    for (const char of text) {
      g.memory.write((RING + XENCONS.out + (prod & 2047)) as never, Uint8Array.of(char.charCodeAt(0)));
      prod = (prod + 1) >>> 0;
    }
    index(XENCONS.out_prod, prod);
  };
  const read = () => {
    let text = '';
    let cons = index(XENCONS.in_cons);
    while (cons !== index(XENCONS.in_prod)) {
      const byte = new Uint8Array(1);
      g.memory.read((RING + XENCONS.in + (cons & 1023)) as never, byte);
      text += String.fromCharCode(byte[0] ?? 0);
      cons = (cons + 1) >>> 0;
    }
    index(XENCONS.in_cons, cons);
    return text;
  };
  const notified = () => {
    const was = (g.peek(shared + 0x800) >>> port) & 1;
    g.poke(shared + 0x800, 0);
    return was === 1;
  };
  return { g, console, index, send, print, read, notified, output: () => output };
}

describe('output', () => {
  it('is taken on the guest’s event, and the guest told', () => {
    const c = setup();
    c.print('hello');
    c.send();
    expect(c.output()).toBe('hello');
    expect(c.index(XENCONS.out_cons)).toBe(c.index(XENCONS.out_prod));
    expect(c.notified()).toBe(true);
  });

  it('wraps around the ring and the 32-bit index', () => {
    const c = setup();
    c.index(XENCONS.out_cons, 0xffff_ff00);
    c.index(XENCONS.out_prod, 0xffff_ff00);
    const text = 'x'.repeat(1000) + 'y'.repeat(1048);
    c.print(text);
    c.send();
    expect(c.output()).toBe(text);
    expect(c.index(XENCONS.out_cons)).toBe(0xffff_ff00 + 2048 - 2 ** 32);
  });

  it('can be drained without an event', () => {
    const c = setup();
    c.print('oops');
    c.console.drain();
    expect(c.output()).toBe('oops');
  });
});

describe('input', () => {
  it('fills the ring, keeps the rest, and goes on as the guest reads', () => {
    const c = setup();
    const text = Array.from({ length: 2500 }, (_, i) => String.fromCharCode(33 + (i % 90))).join('');
    expect(c.console.write(new TextEncoder().encode(text))).toBe(2500);
    expect(c.notified()).toBe(true);
    let got = c.read();
    expect(got.length).toBe(1024);
    c.send();
    got += c.read();
    c.send();
    got += c.read();
    expect(got).toBe(text);
    expect(c.console.pendingInput).toBe(0);
  });

  it('that has not reached the ring can be taken back, for the next console', () => {
    const c = setup();
    const text = `${'x'.repeat(1024)}the rest`;
    c.console.write(new TextEncoder().encode(text));
    const taken = c.console.takeInput();
    expect(new TextDecoder().decode(Uint8Array.from(taken.flatMap((bytes) => [...bytes])))).toBe('the rest');
    expect(c.console.pendingInput).toBe(0);
    expect(c.read()).toBe('x'.repeat(1024));
  });

  it('is bounded when the guest never reads', () => {
    const c = setup(100);
    c.console.write(new Uint8Array(1024)); // 100 taken, into the ring
    for (let i = 0; i < 20; i++) c.console.write(new Uint8Array(500));
    expect(c.console.write(new Uint8Array(1))).toBe(0);
    expect(c.console.pendingInput).toBe(100);
  });
});

describe('impossible indices', () => {
  it('are counted and left alone', () => {
    const c = setup();
    c.index(XENCONS.out_prod, 2049);
    c.send();
    expect(c.output()).toBe('');
    expect(c.console.ringErrors).toBe(1);
    c.index(XENCONS.in_cons, 5);
    c.console.write(Uint8Array.of(65));
    expect(c.console.ringErrors).toBe(2);
    c.index(XENCONS.out_prod, 3);
    c.send();
    expect(c.output().length).toBe(3);
  });
});

it('cannot be attached to a ring that was not offered', () => {
  const g = new TestGuest();
  expect(() => new XenConsole({ domain: g.domain, channels: g.channels, onOutput: () => {} })).toThrow(/event channel/);
});
