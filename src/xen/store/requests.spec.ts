// Payload grammar and errors, each as Xen 4.20's xenstored has them (tools/xenstored/core.c, domain.c).
import { beforeEach, describe, expect, it } from 'vitest';
import { XS } from '../../abi/xen/xenstore.ts';
import { textOf } from './bytes.ts';
import { type RequestName, WireClient } from './fixtures/wire-client.ts';
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
  zero.call('WRITE', '/secret/x\0hidden');
  zero.call('WRITE', '/shown\0');
  zero.call('SET_PERMS', '/shown\0n0\0r7\0');
});

it('echoes the ids of a request in its reply, and in its error', () => {
  guest.connection.handle({ type: XS.READ, requestId: 77, transactionId: 0, payload: new Uint8Array(0) });
  guest.connection.handle({ type: XS.READ, requestId: 78, transactionId: 9, payload: new Uint8Array(0) });
  const [first, second] = guest.take();
  expect([first?.type, first?.requestId, textOf(first?.payload ?? new Uint8Array(0))]).toEqual([XS.ERROR, 77, 'EINVAL\0']);
  expect([second?.requestId, second?.transactionId, textOf(second?.payload ?? new Uint8Array(0))]).toEqual([78, 9, 'ENOENT\0']);
});

it('begins with /tool/xenstored', () => {
  expect(zero.call('DIRECTORY', '/\0')).toBe('tool\0local\0secret\0shown\0');
  expect(zero.call('GET_PERMS', '/\0')).toBe('n0\0');
  expect(zero.call('DIRECTORY', '/tool\0')).toBe('xenstored\0');
});

describe('a path argument', () => {
  const sole = ['DIRECTORY', 'READ', 'GET_PERMS', 'MKDIR', 'RM'] as const;
  it.each(sole)('of %s has one NUL, at its end', (name) => {
    for (const payload of ['', '/a', '/a\0x', '/a\0\0']) expect(zero.call(name, payload)).toBe('EINVAL');
  });
  it.each([...sole, 'WRITE', 'SET_PERMS', 'WATCH', 'UNWATCH', 'DIRECTORY_PART'] as const)('of %s must be valid', (name) => {
    const rest = name === 'SET_PERMS' ? 'n0\0' : name.endsWith('WATCH') || name === 'DIRECTORY_PART' ? '0\0' : '';
    for (const path of ['', '/a/', '//', '/a b']) expect(zero.call(name, `${path}\0${rest}`)).toBe('EINVAL');
  });
  it.each(['DIRECTORY', 'READ', 'WRITE', 'MKDIR', 'RM'] as const)('of %s is no special node', (name) => {
    expect(zero.call(name, '@releaseDomain\0')).toBe('EINVAL');
  });
});

describe('READ and WRITE', () => {
  it('carry any bytes', () => {
    expect(guest.call('WRITE', 'x\0a\0\xff\0')).toBe('OK\0');
    expect(guest.call('READ', 'x\0')).toBe('a\0\xff\0');
    expect(zero.call('READ', '/local/domain/7/x\0')).toBe('a\0\xff\0');
  });
  it('make what is missing above, empty', () => {
    expect(guest.call('WRITE', 'a/b/c\0v')).toBe('OK\0');
    expect([guest.call('READ', 'a\0'), guest.call('READ', 'a/b\0'), guest.call('READ', 'a/b/c\0')]).toEqual(['', '', 'v']);
  });
  it('need a NUL after the path', () => expect(guest.call('WRITE', 'x')).toBe('EINVAL'));
  it('tell of a missing node only who could see it', () => {
    expect(guest.call('READ', 'none\0')).toBe('ENOENT');
    expect(guest.call('READ', '/shown/none/deeper\0')).toBe('ENOENT');
    expect(guest.call('READ', '/secret/x\0')).toBe('EACCES');
    expect(guest.call('READ', '/secret/none\0')).toBe('EACCES');
    expect(guest.call('WRITE', '/shown/none\0')).toBe('EACCES');
    expect(zero.call('READ', '/none\0')).toBe('ENOENT');
  });
});

describe('DIRECTORY', () => {
  it('lists names in the order they were made', () => {
    for (const name of ['z', 'a', 'm']) guest.call('MKDIR', `d/${name}\0`);
    expect(guest.call('DIRECTORY', 'd\0')).toBe('z\0a\0m\0');
    expect(guest.call('DIRECTORY', 'd/z\0')).toBe('');
  });
  it('of more than 4096 bytes is E2BIG, but comes in parts', () => {
    const names = Array.from({ length: 500 }, (_, i) => `name-${i}`);
    for (const name of names) zero.call('MKDIR', `/many/${name}\0`);
    expect(zero.call('DIRECTORY', '/many\0')).toBe('E2BIG');
    let list = '';
    const generations = new Set<string>();
    while (!list.endsWith('\0\0')) {
      const reply = zero.call('DIRECTORY_PART', `/many\0${list.length}\0`);
      const nul = reply.indexOf('\0') + 1;
      generations.add(reply.slice(0, nul));
      expect(reply.length).toBeLessThanOrEqual(4096);
      list += reply.slice(nul);
    }
    expect(list).toBe(`${names.join('\0')}\0\0`);
    expect(generations.size).toBe(1);
  });
  it('in parts is empty behind its end, and says when it changed', () => {
    zero.call('MKDIR', '/d/a\0');
    const before = zero.call('DIRECTORY_PART', '/d\0' + '0\0');
    expect(before).toMatch(/^\d+\0a\0\0$/);
    expect(zero.call('DIRECTORY_PART', '/d\x0099\0')).toMatch(/^\d+\0\0$/);
    expect(zero.call('DIRECTORY_PART', '/d\0-1\0')).toMatch(/^\d+\0\0$/);
    zero.call('MKDIR', '/d/b\0');
    expect(zero.call('DIRECTORY_PART', '/d\0' + '0\0').split('\0')[0]).not.toBe(before.split('\0')[0]);
    expect(zero.call('DIRECTORY_PART', '/d\0')).toBe('EINVAL');
    expect(zero.call('DIRECTORY_PART', '/d\0' + '0\0x\0')).toBe('EINVAL');
  });
});

it('MKDIR leaves a node that exists as it is', () => {
  guest.call('WRITE', 'x\0v');
  expect([guest.call('MKDIR', 'x\0'), guest.call('READ', 'x\0')]).toEqual(['OK\0', 'v']);
});

describe('RM', () => {
  it('takes everything below along', () => {
    guest.call('WRITE', 'a/b/c\0');
    expect([guest.call('RM', 'a\0'), guest.call('READ', 'a/b\0'), guest.call('DIRECTORY', 'a\0')]).toEqual([
      'OK\0',
      'ENOENT',
      'ENOENT',
    ]);
  });
  it('of a missing node is fine while its parent exists', () => {
    expect([guest.call('RM', 'none\0'), guest.call('RM', 'none/below\0')]).toEqual(['OK\0', 'ENOENT']);
  });
  it('of the root is EINVAL, or EACCES', () => {
    expect([zero.call('RM', '/\0'), guest.call('RM', '/\0')]).toEqual(['EINVAL', 'EACCES']);
  });
});

describe('permissions', () => {
  it('are inherited, with the creator as owner', () => {
    zero.call('SET_PERMS', '/local/domain/7\0b7\0r3\0');
    guest.call('MKDIR', 'sub\0');
    zero.call('MKDIR', '/local/domain/7/zeros\0');
    expect([guest.call('GET_PERMS', 'sub\0'), guest.call('GET_PERMS', 'zeros\0')]).toEqual(['b7\0r3\0', 'b7\0r3\0']);
    zero.call('SET_PERMS', '/shown\0w0\0');
    guest.call('MKDIR', '/shown/mine\0');
    expect(zero.call('GET_PERMS', '/shown/mine\0')).toBe('w7\0');
  });
  it('are changed by the owner, who cannot give the node away', () => {
    guest.call('MKDIR', 'x\0');
    expect(guest.call('SET_PERMS', 'x\0r7\0b0\0')).toBe('OK\0');
    expect(guest.call('GET_PERMS', 'x\0')).toBe('r7\0b0\0');
    expect(guest.call('SET_PERMS', 'x\0n0\0')).toBe('EPERM');
    expect(zero.call('SET_PERMS', '/local/domain/7/x\0n0\0b7\0')).toBe('OK\0');
    expect(guest.call('SET_PERMS', 'x\0n7\0')).toBe('EACCES');
    expect(guest.call('WRITE', 'x\0still writable')).toBe('OK\0');
  });
  it('of a missing node follow what is above', () => {
    expect([guest.call('SET_PERMS', 'none\0n7\0'), guest.call('SET_PERMS', '/none\0n7\0')]).toEqual(['ENOENT', 'EACCES']);
  });
  it.each(['x\0', 'x', '', 'x\0q7\0', 'x\0n\0', 'x\0n7x\0'])('%j is EINVAL', (payload) => {
    guest.call('MKDIR', 'x\0');
    expect(guest.call('SET_PERMS', payload)).toBe('EINVAL');
  });
  it('cannot name an owner that does not exist', () => {
    guest.call('MKDIR', 'x\0');
    expect(zero.call('SET_PERMS', '/local/domain/7/x\0n99\0')).toBe('ENOENT');
    expect(guest.call('SET_PERMS', 'x\0n7\0r99\0')).toBe('OK\0');
    expect(guest.call('GET_PERMS', 'x\0')).toBe('n7\0r99\0');
  });
  it('grant access to a listed domain, and the default to others', () => {
    const other = new WireClient(store, 8);
    for (const [perms, mine, others] of [
      ['n0\0r7\0', ['', 'EACCES'], ['EACCES', 'EACCES']],
      ['r0\0w7\0', ['EACCES', 'OK\0'], ['', 'EACCES']],
      ['b0\0n7\0', ['EACCES', 'EACCES'], ['', 'OK\0']],
    ] as const) {
      zero.call('SET_PERMS', `/shown\0${perms}`);
      expect([guest.call('READ', '/shown\0'), guest.call('WRITE', '/shown\0')]).toEqual(mine);
      expect([other.call('READ', '/shown\0'), other.call('WRITE', '/shown\0')]).toEqual(others);
    }
  });
  it('of special nodes can be read and set', () => {
    expect(zero.call('GET_PERMS', '@releaseDomain\0')).toBe('n0\0');
    expect(guest.call('GET_PERMS', '@releaseDomain\0')).toBe('EACCES');
    expect(zero.call('SET_PERMS', '@releaseDomain\0n0\0r7\0')).toBe('OK\0');
    expect(guest.call('GET_PERMS', '@releaseDomain\0')).toBe('n0\0r7\0');
    expect(zero.call('GET_PERMS', '@nothing\0')).toBe('ENOENT');
  });
});

describe('domains', () => {
  it('GET_DOMAIN_PATH makes a path of any number', () => {
    expect(guest.call('GET_DOMAIN_PATH', '7\0')).toBe('/local/domain/7\0');
    expect(guest.call('GET_DOMAIN_PATH', '999\0')).toBe('/local/domain/999\0');
    expect(guest.call('GET_DOMAIN_PATH', 'x\0')).toBe('/local/domain/0\0');
    expect(guest.call('GET_DOMAIN_PATH', '7')).toBe('EINVAL');
  });
  it('IS_DOMAIN_INTRODUCED knows those that are', () => {
    store.addDomain(9);
    expect(['0', '7', '9', '55', '32752'].map((id) => zero.call('IS_DOMAIN_INTRODUCED', `${id}\0`))).toEqual([
      'T\0',
      'T\0',
      'F\0',
      'F\0',
      'T\0',
    ]);
    expect(zero.call('IS_DOMAIN_INTRODUCED', '')).toBe('EINVAL');
  });
  it('RELEASE and RESUME are about others than domain 0', () => {
    expect([zero.call('RESUME', '7\0'), zero.call('RESUME', '0\0'), zero.call('RESUME', '9\0'), zero.call('RESUME', '')]).toEqual(
      ['OK\0', 'EINVAL', 'ENOENT', 'EINVAL'],
    );
    expect(zero.call('RELEASE', '7\0')).toBe('OK\0');
    expect(zero.call('IS_DOMAIN_INTRODUCED', '7\0')).toBe('F\0');
    expect(zero.call('RELEASE', '7\0')).toBe('ENOENT');
  });
  it('INTRODUCE starts a domain’s connection afresh', () => {
    guest.call('WATCH', 'x\0t\0');
    expect([
      zero.call('INTRODUCE', '7\x001\x001\0'),
      zero.call('INTRODUCE', '7\x001\x000\0'),
      zero.call('INTRODUCE', '7\0'),
    ]).toEqual(['OK\0', 'EINVAL', 'EINVAL']);
    expect(guest.connection.watches).toEqual([]);
  });
  it('SET_TARGET gives one domain another’s rights', () => {
    const stub = new WireClient(store, 8);
    guest.call('WRITE', 'x\0v');
    expect(stub.call('READ', '/local/domain/7/x\0')).toBe('EACCES');
    expect([zero.call('SET_TARGET', '8\x007\0'), zero.call('SET_TARGET', '8\0'), zero.call('SET_TARGET', '8\x0099\0')]).toEqual([
      'OK\0',
      'EINVAL',
      'ENOENT',
    ]);
    expect(stub.call('READ', '/local/domain/7/x\0')).toBe('v');
  });
  it.each(['CONTROL', 'INTRODUCE', 'RELEASE', 'IS_DOMAIN_INTRODUCED', 'RESUME', 'SET_TARGET'] as RequestName[])(
    '%s is for the privileged',
    (name) => {
      expect(guest.call(name, 'whatever')).toBe('EACCES');
    },
  );
});

it.each([15, 16, 20, 23, 26, 65535, 0xffff_ffff])('a request of type %d is ENOSYS', (type) => {
  expect(textOf(zero.message(type, '/\0').payload)).toBe('ENOSYS\0');
});

it('RESET_WATCHES drops watches and transactions', () => {
  guest.call('WATCH', 'x\0t\0');
  const id = guest.begin();
  expect(guest.call('RESET_WATCHES', '\0')).toBe('OK\0');
  expect([guest.call('UNWATCH', 'x\0t\0'), guest.call('READ', 'x\0', id)]).toEqual(['ENOENT', 'ENOENT']);
});
