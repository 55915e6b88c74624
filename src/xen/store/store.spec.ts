// Domains as they come and go.
import { beforeEach, describe, expect, it } from 'vitest';
import { WireClient } from './fixtures/wire-client.ts';
import { XenStore } from './store.ts';

let store: XenStore;
let zero: WireClient;
beforeEach(() => {
  store = new XenStore();
  zero = new WireClient(store, 0);
});

describe('a domain that is released', () => {
  it('takes the nodes it owns along, wherever they are', () => {
    const guest = new WireClient(store, 7);
    zero.call('WRITE', '/shared\0');
    zero.call('SET_PERMS', '/shared\0b0\0');
    guest.call('WRITE', '/shared/mine/below\0');
    zero.call('SET_PERMS', '/shared/mine/below\0n0\0');
    zero.call('WRITE', '/shared/zeros\0');
    store.release(7);
    expect(zero.call('DIRECTORY', '/shared\0')).toBe('zeros\0');
    expect([...store.domains].map(({ domid }) => domid)).toEqual([0]);
  });

  it('takes its connection along, and what it waited for', () => {
    const guest = new WireClient(store, 7);
    guest.call('WATCH', 'x\0t\0');
    store.release(7);
    guest.connection.handle({ type: 2, requestId: 1, transactionId: 0, payload: new Uint8Array(0) });
    expect([guest.connection.queued, guest.connection.ready]).toEqual([0, false]);
    expect(store.domain(7)).toBeUndefined();
  });

  it('leaves no permissions to the next domain of its number', () => {
    const guest = new WireClient(store, 7);
    zero.call('WRITE', '/x\0v');
    zero.call('SET_PERMS', '/x\0n0\0r7\0');
    expect(guest.call('READ', '/x\0')).toBe('v');
    store.release(7);
    const next = new WireClient(store, 7);
    expect(next.call('READ', '/x\0')).toBe('EACCES');
    zero.call('WRITE', '/x\0w'); // writing the value again does not bring them back
    expect(next.call('READ', '/x\0')).toBe('EACCES');
    zero.call('MKDIR', '/x/child\0');
    expect(next.call('READ', '/x/child\0')).toBe('EACCES');
    zero.call('SET_PERMS', '/x\0n0\0r7\0');
    expect(next.call('READ', '/x\0')).toBe('w');
  });

  it('is announced; domain 0 stays', () => {
    store.introduce(7);
    zero.call('WATCH', '@releaseDomain\0t\0');
    zero.drain();
    store.release(7);
    store.release(7);
    store.release(0);
    expect(zero.drain()).toEqual(['@releaseDomain t']);
    expect(zero.call('READ', '/tool\0')).toBe('');
  });
});

it('a shutdown is announced once, until the domain resumes', () => {
  store.introduce(7);
  zero.call('WATCH', '@releaseDomain\0t\0');
  zero.drain();
  store.shutdown(7);
  store.shutdown(7);
  expect(zero.drain()).toEqual(['@releaseDomain t']);
  store.resume(7);
  store.shutdown(7);
  expect(zero.drain()).toEqual(['@releaseDomain t']);
});

it('a domain can be named in permissions before it is introduced', () => {
  store.addDomain(7);
  zero.call('WRITE', '/x\0v');
  expect(zero.call('SET_PERMS', '/x\0n0\0r7\0')).toBe('OK\0');
  expect(new WireClient(store, 7).call('READ', '/x\0')).toBe('v');
});

it('a root is a snapshot', () => {
  const root = store.root;
  zero.call('WRITE', '/x\0v');
  expect([root.children.get('')?.children.has('x'), store.root.children.get('')?.children.has('x')]).toEqual([false, true]);
});
