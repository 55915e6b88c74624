// Which change is told to whom, and how. tools/xenstored/watch.c.
import { beforeEach, describe, expect, it } from 'vitest';
import { XS } from '../../abi/xen/xenstore.ts';
import { bytesOf } from './bytes.ts';
import { WireClient } from './fixtures/wire-client.ts';
import { XenStore } from './store.ts';

let store: XenStore;
let zero: WireClient;
let guest: WireClient;
beforeEach(() => {
  store = new XenStore();
  zero = new WireClient(store, 0);
  guest = new WireClient(store, 7);
  zero.call('WRITE', '/local/domain/7\0');
  zero.call('SET_PERMS', '/local/domain/7\0n7\0');
});
const watch = (client: WireClient, path: string, token = 't') => {
  const reply = client.call('WATCH', `${path}\0${token}\0`);
  client.drain();
  return reply;
};

it('fires once for its own sake, after the reply', () => {
  guest.connection.handle({ type: XS.WATCH, requestId: 3, transactionId: 0, payload: bytesOf('dev\0tok\0') });
  const types = guest.connection.take().map((bytes) => [bytes[0], bytes[4]]);
  expect(types).toEqual([
    [XS.WATCH, 3],
    [XS.WATCH_EVENT, 0],
  ]);
});

it('hears of its node, of what is below, and not of what is beside or above', () => {
  watch(zero, '/local/domain/7/a');
  for (const path of ['a', 'a/b', 'a/b/c', 'ab', 'x']) guest.call('WRITE', `${path}\0v`);
  expect(zero.drain()).toEqual(['/local/domain/7/a t', '/local/domain/7/a/b t', '/local/domain/7/a/b/c t']);
});

it('hears of a write that changes nothing, and of none that fails', () => {
  guest.call('WRITE', 'a\0v');
  watch(zero, '/');
  guest.call('WRITE', 'a\0v');
  guest.call('MKDIR', 'a\0');
  guest.call('WRITE', '/nope\0v');
  expect(zero.drain()).toEqual(['/local/domain/7/a t']);
});

it('hears of a new node once, whatever had to be made above it', () => {
  watch(guest, 'a');
  watch(guest, 'a/b', 'u');
  guest.call('WRITE', 'a/b/c\0v');
  expect(guest.drain()).toEqual(['a/b/c t', 'a/b/c u']);
});

it('comes back in the form its path was given in', () => {
  watch(guest, 'a', 'relative');
  watch(guest, '/local/domain/7/a', 'absolute');
  guest.call('WRITE', 'a/b\0v');
  expect(guest.drain()).toEqual(['a/b relative', '/local/domain/7/a/b absolute']);
});

it('precedes the reply to the request that caused it', () => {
  watch(guest, 'a');
  guest.connection.handle({ type: XS.WRITE, requestId: 3, transactionId: 0, payload: bytesOf('a\0') });
  expect(guest.connection.take().map((bytes) => bytes[0])).toEqual([XS.WATCH_EVENT, XS.WRITE]);
});

describe('removal', () => {
  it('is told to watches on and above the node, and for what was below to watches on exactly that', () => {
    for (const path of ['a/b/c', 'a/d']) guest.call('WRITE', `${path}\0`);
    for (const path of [
      '/local/domain/7',
      '/local/domain/7/a',
      '/local/domain/7/a/b',
      '/local/domain/7/a/b/c',
      '/local/domain/7/a/none',
    ])
      watch(zero, path, path.slice(15));
    guest.call('RM', 'a\0');
    const path = '/local/domain/7';
    expect(zero.drain()).toEqual([`${path}/a/b/c /a/b/c`, `${path}/a/b /a/b`, `${path}/a `, `${path}/a /a`]);
  });

  it('of nothing is no event', () => {
    watch(zero, '/');
    guest.call('RM', 'none\0');
    expect(zero.drain()).toEqual([]);
  });
});

describe('permission', () => {
  it('to read the node or its parent is needed', () => {
    const other = new WireClient(store, 8);
    watch(other, '/local/domain/7');
    guest.call('WRITE', 'a/b\0');
    expect(other.drain()).toEqual([]);
    guest.call('SET_PERMS', 'a\0n7\0r8\0');
    expect(other.drain()).toEqual(['/local/domain/7/a t']);
    guest.call('SET_PERMS', 'a/b\0n7\0');
    guest.call('WRITE', 'a/b\0');
    expect(other.drain()).toEqual(['/local/domain/7/a/b t']);
  });
  it('that is lost is told of once more', () => {
    const other = new WireClient(store, 8);
    guest.call('MKDIR', 'a\0');
    guest.call('SET_PERMS', 'a\0r7\0');
    watch(other, '/local/domain/7/a');
    guest.call('SET_PERMS', 'a\0n7\0');
    expect(other.drain()).toEqual(['/local/domain/7/a t']);
    guest.call('WRITE', 'a\0');
    expect(other.drain()).toEqual([]);
  });
  it('to be told of domains coming and going is given by domain 0', () => {
    watch(guest, '@introduceDomain');
    watch(guest, '@releaseDomain', 'r');
    watch(zero, '@introduceDomain');
    watch(zero, '@releaseDomain', 'r');
    store.introduce(9);
    store.release(9);
    expect([zero.drain(), guest.drain()]).toEqual([['@introduceDomain t', '@releaseDomain r'], []]);
    zero.call('SET_PERMS', '@releaseDomain\0n0\0r7\0');
    // The change of permissions itself is told to who can read the node now.
    expect([guest.drain(), zero.drain()]).toEqual([['@releaseDomain r'], ['@releaseDomain r']]);
    store.introduce(9);
    store.release(9);
    expect(guest.drain()).toEqual(['@releaseDomain r']);
  });
});

describe('UNWATCH', () => {
  it('needs the very path and token, and any of several goes', () => {
    for (const token of ['a', 'b', 'c']) watch(guest, 'x', token);
    expect(watch(guest, 'x', 'b')).toBe('EEXIST');
    expect(watch(guest, '/local/domain/7/x', 'b')).toBe('EEXIST');
    expect(['x\0d\0', 'y\0b\0', 'x\0b\0', 'x\0b\0'].map((payload) => guest.call('UNWATCH', payload))).toEqual([
      'ENOENT',
      'ENOENT',
      'OK\0',
      'ENOENT',
    ]);
    guest.call('WRITE', 'x\0');
    expect(guest.drain()).toEqual(['x a', 'x c']);
  });
  it.each(['x', 'x\0', 'x\0t', 'x\0t\0u\0'])('and WATCH refuse %j', (payload) => {
    expect([guest.call('WATCH', payload), guest.call('UNWATCH', payload)]).toEqual(['EINVAL', 'EINVAL']);
  });
});

it('is not queued twice while it waits, unless it is about domains', () => {
  watch(zero, '/a');
  watch(zero, '@introduceDomain');
  const other = new WireClient(store, 0);
  for (let i = 0; i < 3; i++) other.call('WRITE', '/a\0');
  for (let i = 20; i < 23; i++) store.introduce(i);
  expect(zero.drain()).toEqual(['/a t', '@introduceDomain t', '@introduceDomain t', '@introduceDomain t']);
});

it('is left out when path and token together are too long for a message', () => {
  const token = 'x'.repeat(4096 - 5);
  expect(zero.call('WATCH', `/a\0${token}\0`)).toBe('OK\0');
  expect(zero.drain().length).toBe(1);
  zero.call('WRITE', '/a/b\0');
  expect(zero.drain()).toEqual([]);
});
