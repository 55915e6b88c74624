// Transactions. tools/xenstored/transaction.c for errors and events; conflicts are finer here, see transaction.ts.
import { beforeEach, describe, expect, it } from 'vitest';
import { type RequestName, WireClient } from './fixtures/wire-client.ts';
import { XenStore } from './store.ts';

let store: XenStore;
let zero: WireClient;
let other: WireClient;
beforeEach(() => {
  store = new XenStore();
  zero = new WireClient(store, 0);
  other = new WireClient(store, 0);
  for (const path of ['/d/a', '/d/b', '/e/x/y']) zero.call('WRITE', `${path}\0old`);
});
const end = (id: number, how: 'T' | 'F' = 'T') => zero.call('TRANSACTION_END', `${how}\0`, id);

it('sees its own writes; others see them when it is committed, or never', () => {
  const [first, second] = [zero.begin(), zero.begin()];
  expect([first, second]).toEqual([1, 2]);
  zero.call('WRITE', '/d/a\0new', first);
  zero.call('WRITE', '/d/c\0new', second);
  expect([zero.call('READ', '/d/a\0', first), zero.call('READ', '/d/a\0', second), other.call('READ', '/d/a\0')]).toEqual([
    'new',
    'old',
    'old',
  ]);
  expect([end(first), end(second, 'F')]).toEqual(['OK\0', 'OK\0']);
  expect([other.call('READ', '/d/a\0'), other.call('READ', '/d/c\0')]).toEqual(['new', 'ENOENT']);
});

it('keeps seeing the tree as it was', () => {
  const id = zero.begin();
  other.call('WRITE', '/d/a\0new');
  other.call('RM', '/e\0');
  expect([zero.call('READ', '/d/a\0', id), zero.call('READ', '/e/x/y\0', id)]).toEqual(['old', 'old']);
  expect(end(id)).toBe('EAGAIN');
});

it('is gone after its end, also after a conflict', () => {
  const id = zero.begin();
  zero.call('READ', '/d/a\0', id);
  other.call('WRITE', '/d/a\0new');
  expect([end(id), end(id)]).toEqual(['EAGAIN', 'ENOENT']);
  expect(store.domain(0)?.transactions).toBe(0);
});

describe('a conflict', () => {
  type Act = readonly [RequestName, string];
  const conflicts: [string, Act, Act][] = [
    ['a value read and written', ['READ', '/d/a\0'], ['WRITE', '/d/a\0v']],
    ['a value read and written as it was', ['READ', '/d/a\0'], ['WRITE', '/d/a\0old']],
    ['a value written twice', ['WRITE', '/d/a\0v'], ['WRITE', '/d/a\0w']],
    ['a node missed and made', ['READ', '/d/c\0'], ['WRITE', '/d/c\0v']],
    ['a node made twice', ['WRITE', '/d/c\0v'], ['MKDIR', '/d/c\0']],
    ['a node read and removed', ['READ', '/d/a\0'], ['RM', '/d/a\0']],
    ['a node written and its parent removed', ['WRITE', '/d/a\0v'], ['RM', '/d\0']],
    ['a node made and its parent removed', ['WRITE', '/d/c\0v'], ['RM', '/d\0']],
    ['a node removed and grown below', ['RM', '/e\0'], ['WRITE', '/e/x/z\0v']],
    ['a node removed and written below', ['RM', '/e\0'], ['WRITE', '/e/x/y\0v']],
    ['a list read and a name added', ['DIRECTORY', '/d\0'], ['MKDIR', '/d/c\0']],
    ['a list read and a name removed', ['DIRECTORY', '/d\0'], ['RM', '/d/b\0']],
    ['part of a list read and a name added', ['DIRECTORY_PART', '/d\0' + '0\0'], ['MKDIR', '/d/c\0']],
    ['permissions read and set', ['GET_PERMS', '/d/a\0'], ['SET_PERMS', '/d/a\0r0\0']],
    ['a node made, and the permissions it inherits set', ['MKDIR', '/d/c\0'], ['SET_PERMS', '/d\0r0\0']],
  ];
  it.each(conflicts)('is %s', (_, mine, theirs) => {
    const id = zero.begin();
    zero.call(...mine, id);
    other.call(...theirs);
    expect(end(id)).toBe('EAGAIN');
  });

  const compatible: [string, Act, Act][] = [
    ['changes of siblings', ['WRITE', '/d/a\0v'], ['WRITE', '/d/b\0w']],
    ['two new siblings', ['WRITE', '/d/c\0v'], ['WRITE', '/d/f\0w']],
    ['a sibling removed', ['WRITE', '/d/c\0v'], ['RM', '/d/b\0']],
    ['a list read and a value below written', ['DIRECTORY', '/d\0'], ['WRITE', '/d/a\0v']],
    ['a value read and a child made', ['READ', '/d\0'], ['MKDIR', '/d/c\0']],
    ['a child made and its parent’s list changed', ['MKDIR', '/d/c\0'], ['RM', '/d/a\0']],
    ['something elsewhere', ['RM', '/e\0'], ['WRITE', '/d/a\0v']],
  ];
  it.each(compatible)('is not %s', (_, mine, theirs) => {
    const id = zero.begin();
    zero.call(...mine, id);
    other.call(...theirs);
    expect(end(id)).toBe('OK\0');
  });

  it('that is none keeps both changes', () => {
    const id = zero.begin();
    zero.call('WRITE', '/d/c/deep\0mine', id);
    zero.call('RM', '/d/b\0', id);
    other.call('WRITE', '/d/f\0theirs');
    other.call('WRITE', '/e/x/y\0theirs');
    expect(end(id)).toBe('OK\0');
    expect(zero.call('DIRECTORY', '/d\0')).toBe('a\0f\0c\0');
    expect([zero.call('READ', '/d/c/deep\0'), zero.call('READ', '/d/f\0'), zero.call('READ', '/e/x/y\0')]).toEqual([
      'mine',
      'theirs',
      'theirs',
    ]);
  });

  it('is not with a transaction that was given up', () => {
    const [first, second] = [zero.begin(), zero.begin()];
    zero.call('WRITE', '/d/a\0one', first);
    zero.call('WRITE', '/d/a\0two', second);
    expect([end(first, 'F'), end(second)]).toEqual(['OK\0', 'OK\0']);
  });
});

describe('events', () => {
  const watch = (path: string) => {
    other.call('WATCH', `${path}\0t\0`);
    other.drain();
  };
  it('come with the commit, one for each node, in the order the nodes were first touched', () => {
    watch('/');
    const id = zero.begin();
    zero.call('READ', '/d/b\0', id);
    for (const path of ['/d/a', '/d/b', '/d/a']) zero.call('WRITE', `${path}\0v`, id);
    expect(other.drain()).toEqual([]);
    end(id);
    expect(other.drain()).toEqual(['/d/b t', '/d/a t']);
  });
  it('do not come when it is given up or in conflict', () => {
    watch('/d');
    const id = zero.begin();
    zero.call('WRITE', '/d/c\0v', id);
    end(id, 'F');
    const again = zero.begin();
    zero.call('READ', '/e/x/y\0', again);
    zero.call('WRITE', '/d/c\0v', again);
    zero.call('WRITE', '/e/x/y\0v');
    expect(end(again)).toBe('EAGAIN');
    expect(other.drain()).toEqual([]);
  });
  it('of a removal reach the watches below it', () => {
    for (const path of ['/e', '/e/x/y', '/e/none']) watch(path);
    const id = zero.begin();
    zero.call('RM', '/e\0', id);
    end(id);
    expect(other.drain()).toEqual(['/e t', '/e/x/y t']);
  });
  it('of a watch set within it come at once', () => {
    const id = zero.begin();
    expect(zero.call('WATCH', '/d\0t\0', id)).toBe('OK\0');
    expect(zero.drain()).toEqual(['/d t']);
    expect(zero.call('WATCH', '/d\0u\0', 99)).toBe('OK\0');
  });
});

describe('requests', () => {
  it('cannot begin one within another', () => expect(zero.call('TRANSACTION_START', '\0', zero.begin())).toBe('EBUSY'));
  it('with an unknown number are ENOENT', () => {
    for (const name of ['READ', 'TRANSACTION_START', 'GET_DOMAIN_PATH', 'RESET_WATCHES'] as const)
      expect(zero.call(name, '0\0', 5)).toBe('ENOENT');
  });
  it('that end one say how', () => {
    const id = zero.begin();
    for (const payload of ['', 'T', 'X\0', 'TT\0', 'T\0F\0', 't\0'])
      expect(zero.call('TRANSACTION_END', payload, id)).toBe('EINVAL');
    expect(zero.call('TRANSACTION_END', 'T\0')).toBe('ENOENT');
    expect(end(id)).toBe('OK\0');
  });
  it('cannot use another connection’s', () => {
    const id = zero.begin();
    expect(other.call('READ', '/d/a\0', id)).toBe('ENOENT');
  });
});

it('counts as owner of nodes only once it is committed', () => {
  const guest = new WireClient(store, 7);
  zero.call('WRITE', '/g\0');
  zero.call('SET_PERMS', '/g\0n7\0');
  const id = guest.begin();
  for (const name of ['a', 'b', 'c/d']) guest.call('WRITE', `/g/${name}\0`, id);
  expect(store.domain(7)?.nodes).toBe(1);
  guest.call('TRANSACTION_END', 'T\0', id);
  expect(store.domain(7)?.nodes).toBe(5);
});
