// What an unprivileged domain may use: Xen 4.20's numbers, and the errors of tools/xenstored for what is beyond.
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
/** Makes nodes until the guest owns `count`. */
const own = (count: number) => {
  for (let i = store.domain(7)?.nodes ?? 0; i < count; i++)
    expect(guest.call('MKDIR', `n${i >> 6}/${i}\0`.slice(0))).toBe('OK\0');
};

describe('nodes', () => {
  it('end at 1000', () => {
    own(970);
    while ((store.domain(7)?.nodes ?? 0) < 1000) expect(guest.call('MKDIR', `m${store.domain(7)?.nodes}\0`)).toBe('OK\0');
    expect(guest.call('MKDIR', 'more\0')).toBe('ENOSPC');
    expect(guest.call('WRITE', 'm999\0v')).toBe('OK\0');
    expect(zero.call('MKDIR', '/local/domain/7/zeros\0')).toBe('OK\0'); // owned by the guest, as its parent is
    guest.call('RM', 'n3\0');
    expect(guest.call('MKDIR', 'more\0')).toBe('OK\0');
  });
  it('that would not all fit are not made at all', () => {
    const small = new XenStore({ quotas: { nodes: 5 } });
    const owner = new WireClient(small, 0);
    const client = new WireClient(small, 7);
    owner.call('WRITE', '/g\0');
    owner.call('SET_PERMS', '/g\0n7\0');
    expect(client.call('MKDIR', '/g/1/2/3/4/5\0')).toBe('ENOSPC');
    expect(client.call('DIRECTORY', '/g\0')).toBe('');
    expect(client.call('MKDIR', '/g/1/2/3/4\0')).toBe('OK\0');
  });
  it('made in a transaction are counted in the end, and reaching the limit is too much there', () => {
    const small = new XenStore({ quotas: { nodes: 3 } });
    const owner = new WireClient(small, 0);
    const client = new WireClient(small, 7);
    owner.call('WRITE', '/g\0');
    owner.call('SET_PERMS', '/g\0n7\0');
    const run = (path: string) => {
      const id = client.begin();
      client.call('MKDIR', path, id);
      return client.call('TRANSACTION_END', 'T\0', id);
    };
    expect([run('/g/1\0'), run('/g/2\0')]).toEqual(['OK\0', 'ENOSPC']);
    const id = client.begin();
    client.call('MKDIR', '/g/2\0', id);
    expect(client.call('MKDIR', '/g/3\0', id)).toBe('ENOSPC');
  });
});

describe('the size of a node', () => {
  it('is 2048 with header, permissions and children', () => {
    const room = 2048 - 16 - 8;
    expect(guest.call('WRITE', `x\0${'v'.repeat(room)}`)).toBe('OK\0');
    expect(guest.call('WRITE', `x\0${'v'.repeat(room + 1)}`)).toBe('ENOSPC');
    expect(guest.call('WRITE', `y\0${'v'.repeat(room + 1)}`)).toBe('ENOSPC');
    expect(guest.call('READ', 'y\0')).toBe('ENOENT');
    expect(guest.call('MKDIR', 'x/c\0')).toBe('ENOSPC');
    expect(guest.call('SET_PERMS', 'x\0n7\0r0\0')).toBe('ENOSPC');
    guest.call('WRITE', `x\0${'v'.repeat(room - 2)}`);
    expect([guest.call('MKDIR', 'x/c\0'), guest.call('MKDIR', 'x/d\0')]).toEqual(['OK\0', 'ENOSPC']);
  });
  it('exceeded in a transaction makes it fail', () => {
    const id = guest.begin();
    expect(guest.call('WRITE', `x\0${'v'.repeat(2048)}`, id)).toBe('ENOSPC');
    expect(guest.call('TRANSACTION_END', 'T\0', id)).toBe('ENOMEM');
  });
});

it('permissions end at 5', () => {
  guest.call('MKDIR', 'x\0');
  expect(guest.call('SET_PERMS', `x\0n7\0${'r0\0'.repeat(4)}`)).toBe('OK\0');
  expect(guest.call('SET_PERMS', `x\0n7\0${'r0\0'.repeat(5)}`)).toBe('ENOSPC');
});

it('watches end when there are more than 128', () => {
  for (let i = 0; i < 129; i++) expect(guest.call('WATCH', `x\0${i}\0`)).toBe('OK\0');
  expect(guest.call('WATCH', 'x\0more\0')).toBe('E2BIG');
  guest.call('UNWATCH', 'x\x007\0');
  expect(guest.call('WATCH', 'x\0more\0')).toBe('OK\0');
});

it('transactions end when there are more than 10', () => {
  for (let i = 0; i < 11; i++) guest.begin();
  expect(guest.call('TRANSACTION_START', '\0')).toBe('ENOSPC');
  guest.call('TRANSACTION_END', 'F\0', 3);
  expect(guest.begin()).toBe(12);
});

it('a transaction that touches more than 1024 nodes fails', () => {
  const id = guest.begin();
  for (let i = 0; i < 1023; i++) guest.call('READ', `none${i}\0`, id); // and their parent
  expect(guest.call('READ', 'none5\0', id)).toBe('ENOENT');
  expect(guest.call('READ', 'another\0', id)).toBe('ENOSPC');
  expect(guest.call('TRANSACTION_END', 'T\0', id)).toBe('ENOMEM');
});

describe('outstanding requests', () => {
  const read = (client: WireClient) =>
    client.connection.handle({ type: XS.READ, requestId: 1, transactionId: 0, payload: bytesOf('x\0') });
  it('end at 20 until replies are taken', () => {
    for (let i = 0; i < 20; i++) {
      expect(guest.connection.ready).toBe(true);
      read(guest);
    }
    expect(guest.connection.ready).toBe(false);
    guest.connection.shift();
    expect(guest.connection.ready).toBe(true);
  });
  it('include those whose events others have not taken', () => {
    const watcher = new WireClient(store, 0);
    watcher.call('WATCH', '/local/domain/7\0t\0');
    watcher.drain();
    for (let i = 0; i < 20; i++) guest.call('WRITE', `x${i}\0`);
    expect([guest.connection.ready, guest.connection.queued]).toEqual([false, 0]);
    watcher.drain();
    expect(guest.connection.ready).toBe(true);
  });
  it('are not counted against a watcher that goes away', () => {
    const watcher = new WireClient(store, 0);
    watcher.call('WATCH', '/local/domain/7\0t\0');
    for (let i = 0; i < 20; i++) guest.call('WRITE', `x${i}\0`);
    watcher.connection.close();
    expect(guest.connection.ready).toBe(true);
  });
});

describe('memory', () => {
  const quotas = { memory: 3000 };
  it('that is used up refuses nodes, watches and events', () => {
    const small = new XenStore({ quotas });
    const owner = new WireClient(small, 0);
    const client = new WireClient(small, 7);
    owner.call('WRITE', '/g\0');
    owner.call('SET_PERMS', '/g\0b7\0');
    expect(client.call('WRITE', `/g/a\0${'v'.repeat(1500)}`)).toBe('OK\0');
    expect(client.call('WRITE', `/g/b\0${'v'.repeat(1500)}`)).toBe('EIO');
    expect(client.call('WATCH', `/g\0${'t'.repeat(1500)}\0`)).toBe('ENOMEM');
    expect(client.call('WATCH', '/g\0t\0')).toBe('OK\0');
    client.drain();
    const waiting = client.connection;
    for (let i = 0; i < 100; i++) owner.call('WRITE', `/g/${i}\0`);
    expect(waiting.queued).toBeLessThan(60);
    expect(waiting.ready).toBe(false);
  });
  it('is given back', () => {
    const before = store.domain(7)?.memory;
    guest.call('WRITE', 'a/b\0v');
    guest.call('WATCH', 'a\0t\0');
    const id = guest.begin();
    guest.call('WRITE', 'a/c\0v', id);
    guest.call('TRANSACTION_END', 'F\0', id);
    guest.call('UNWATCH', 'a\0t\0');
    guest.call('RM', 'a\0');
    guest.drain();
    expect(store.domain(7)?.memory).toBe(before);
  });
});

it('domain 0 has none of these limits', () => {
  for (let i = 0; i < 1100; i++) zero.call('MKDIR', `/z/${i}\0`);
  for (let i = 0; i < 140; i++) expect(zero.call('WATCH', `/x\0${i}\0`)).toBe('OK\0');
  for (let i = 0; i < 30; i++) zero.begin();
  expect(zero.call('WRITE', `/y\0${'v'.repeat(4000)}`)).toBe('OK\0');
  expect(store.domain(0)?.nodes).toBeGreaterThan(1100);
});
