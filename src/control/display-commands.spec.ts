import { describe, expect, it } from 'vitest';
import type { PointerChange } from '../backends/vkbd/pointer-change.ts';
import type { Picture } from '../image/picture.ts';
import { fromBase64 } from './console/base64.ts';
import { FakeTarget } from './fixtures/fake-target.ts';
import { TestSession } from './fixtures/test-session.ts';

const errorOf = (replies: readonly Readonly<Record<string, unknown>>[]) =>
  replies[0]?.['error'] as { readonly class: string; readonly desc: string };

/** A session whose target has a keyboard; what it was told, as text. */
function withInput(fail?: () => Error): { readonly session: TestSession; readonly told: string[] } {
  const told: string[] = [];
  const target = new FakeTarget();
  target.input = {
    key(code, pressed) {
      if (fail !== undefined && pressed) throw fail();
      told.push(`${pressed ? '+' : '-'}${code}`);
    },
    pointer: (change: PointerChange) => void told.push(JSON.stringify(change)),
  };
  return { session: new TestSession(target), told };
}

describe('screendump', () => {
  it('is a PNG of the screen', async () => {
    const target = new FakeTarget();
    target.display = { snapshot: () => ({ width: 2, height: 1, rgba: Uint8Array.of(1, 2, 3, 255, 4, 5, 6, 255) }) };
    using session = new TestSession(target);
    const [reply] = (await session.execute('screendump')) as [{ readonly return: { readonly data: string } }];
    const { data, ...rest } = reply.return;
    expect(rest).toEqual({ width: 2, height: 1, format: 'png' });
    expect([...(fromBase64(data) ?? []).slice(0, 8)]).toEqual([137, 80, 78, 71, 13, 10, 26, 10]);
  });

  it.each<[string, (() => Picture | undefined) | undefined, string]>([
    ['no frame buffer', undefined, 'the domain has no frame buffer; add vfb = [ "vnc=0" ] to its configuration'],
    ['a guest that does not use it', () => undefined, 'the guest does not use its frame buffer; has it a driver?'],
    ['nothing to see', () => ({ width: 0, height: 5, rgba: new Uint8Array(0) }), 'the screen has 0 by 5 pixels'],
  ])('says that there is %s', async (_, snapshot, desc) => {
    const target = new FakeTarget();
    if (snapshot !== undefined) target.display = { snapshot };
    using session = new TestSession(target);
    expect(errorOf(await session.execute('screendump'))).toEqual({ class: 'GenericError', desc });
  });
});

describe('keys', () => {
  it('are pressed in order, held, and let go of in reverse', async () => {
    const { session, told } = withInput();
    using _ = session;
    await session.execute('send-key', { keys: ['ctrl-alt-f1', 'a'], 'hold-time': 0 });
    expect(told).toEqual(['+29', '+56', '+59', '-59', '-56', '-29', '+30', '-30']);
    const began = performance.now();
    await session.execute('send-key', { keys: ['a'] });
    expect(performance.now() - began).toBeGreaterThan(95);
  });

  it('make a text', async () => {
    const { session, told } = withInput();
    using _ = session;
    await session.execute('send-text', { text: 'aB\n', 'hold-time': 0 });
    expect(told).toEqual(['+30', '-30', '+42', '+48', '-48', '-42', '+28', '-28']);
  });

  it.each<[string, object, string]>([
    ['send-key', { keys: ['a', 'f99'] }, "there is no key 'f99'"],
    ['send-text', { text: 'aé' }, 'no key of a US keyboard types "é"'],
    ['send-key', { keys: Array(7).fill('a'), 'hold-time': 10_000 }, '7 keys of 10000 ms take longer than 60 s'],
    ['send-text', { text: 'x'.repeat(6001) }, '6001 keys of 10 ms take longer'],
  ])('%s with %j is refused before anything is pressed', async (command, given, desc) => {
    const { session, told } = withInput();
    using _ = session;
    const error = errorOf(await session.execute(command, given));
    expect(error.class).toBe('InvalidArgument');
    expect(error.desc).toContain(desc);
    expect(told).toEqual([]);
  });

  it('do not stay down when the guest takes no more', async () => {
    let presses = 0;
    const { session, told } = withInput(() => new Error('the guest does not read'));
    using _ = session;
    const input = session.target.input;
    session.target.input = {
      pointer: () => {},
      key(code, pressed) {
        if (pressed && ++presses < 3) told.push(`+${code}`);
        else input?.key(code, pressed);
      },
    };
    expect(errorOf(await session.execute('send-key', { keys: ['ctrl-alt-f1'], 'hold-time': 0 })).desc).toBe(
      'the guest does not read',
    );
    expect(told).toEqual(['+29', '+56', '-56', '-29']);
  });
});

describe('send-pointer', () => {
  it.each<[object, string]>([
    [{ x: 3, y: 4 }, '{"x":3,"y":4}'],
    [{ dx: -3, wheel: 1 }, '{"dx":-3,"wheel":1}'],
    [{ button: 'left' }, '{"buttons":{"left":true}}'],
    [{ x: 1, button: 'extra', pressed: false }, '{"x":1,"buttons":{"extra":false}}'],
  ])('%j', async (given, change) => {
    const { session, told } = withInput();
    using _ = session;
    expect(await session.execute('send-pointer', given)).toEqual([{ return: {} }]);
    expect(told).toEqual([change]);
  });
});

it.each(['send-key', 'send-text', 'send-pointer'])(
  '%s says that there is no keyboard, and that the domain has ended',
  async (name) => {
    const given = name === 'send-key' ? { keys: ['a'] } : name === 'send-text' ? { text: 'a' } : {};
    using session = new TestSession();
    expect(errorOf(await session.execute(name, given)).desc).toContain('add vfb = [ "vnc=0" ] to its configuration');
    session.target.state = 'crashed';
    expect(errorOf(await session.execute(name, given)).class).toBe('WrongState');
  },
);
