// What each command of the monitor answers.
import { describe, expect, it } from 'vitest';
import { PERM } from '../xen/store/permissions.ts';
import { CONTROL_COMMANDS } from './command-table.ts';
import { TestSession } from './fixtures/test-session.ts';

describe('the table of commands', () => {
  it('has each name once, and query-commands tells it with arguments and help', async () => {
    const names = CONTROL_COMMANDS.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    using session = new TestSession();
    const [reply] = (await session.execute('query-commands')) as [{ return: { name: string; help: string }[] }];
    expect(reply.return.map(({ name }) => name)).toEqual(names);
    expect(reply.return).toContainEqual({
      name: 'xen-event-inject',
      help: expect.any(String),
      arguments: { port: { type: 'integer', min: 0, max: 0xffff_ffff, help: 'the port' } },
    });
    for (const { help } of reply.return) expect(help).toMatch(/^[^\n]{5,120}$/);
  });
});

describe('a command', () => {
  it.each([
    ['qmp_capabilities', undefined, {}],
    ['query-status', undefined, { status: 'running', running: true }],
    ['query-version', undefined, { dom1: { major: 0, minor: 1, micro: 0 }, package: '0.1.0' }],
    ['query-uuid', undefined, { UUID: '12345678-9abc-4def-8123-456789abcdef' }],
    ['query-domain', undefined, { domid: 1, state: 'running', vcpus: 1, memory: 256 * 2 ** 20 }],
    [
      'xen-event-list',
      undefined,
      [
        { port: 1, vcpu: 0, type: 'interdomain', 'remote-domain': 'dom0', target: 3, pending: false, masked: false },
        { port: 2, vcpu: 0, type: 'virq', 'remote-domain': '', target: 0, pending: true, masked: true },
        { port: 5, vcpu: 0, type: 'interdomain', 'remote-domain': 'loopback', target: 6, pending: false, masked: false },
      ],
    ],
    [
      'xen-grant-table',
      undefined,
      [
        {
          ref: 8,
          type: 'access',
          domid: 0,
          frame: 0x1234,
          readonly: true,
          reading: true,
          writing: false,
          readers: 1,
          writers: 0,
        },
      ],
    ],
    ['query-registers', undefined, { vcpu: 0, registers: { rip: '0xffffffff81000000' }, control: { cr0: '0x80050033' } }],
    ['inspect', { path: '/vcpu/0' }, { rip: '0xffffffff81000000' }],
    ['inspect', undefined, { name: 'web', xen: { evtchn: { 1: { target: 3 } } } }],
    ['xenstore-read', { path: 'data/greeting' }, { value: 'hello' }],
    ['xenstore-read', { path: '/local/domain/1/name' }, { value: 'web' }],
    ['xenstore-list', { path: '/local/domain/1' }, ['name', 'data', 'control']],
    ['xenstore-exists', { path: 'name' }, true],
    ['xenstore-exists', { path: 'nome' }, false],
    ['xenstore-permissions', { path: 'name' }, ['n0']],
    ['xenstore-ls', { path: '/local/domain/1/data' }, [{ path: '/greeting', value: 'hello', permissions: ['n0'] }]],
  ])('%s %j', async (name, given, result) => {
    using session = new TestSession();
    const [reply, ...rest] = await session.execute(name, given);
    expect(reply).toMatchObject({ return: result });
    expect(rest).toEqual([]);
  });

  it.each([
    ['xen-event-inject', { port: 2 }, 'inject 2'],
    ['inject-nmi', undefined, 'nmi 0'],
    ['inject-nmi', { vcpu: 0 }, 'nmi 0'],
    ['system_powerdown', undefined, 'shutdown poweroff'],
    ['xen-shutdown', { kind: 'suspend' }, 'shutdown suspend'],
  ])('%s %j acts on the domain', async (name, given, call) => {
    using session = new TestSession();
    expect(await session.execute(name, given)).toEqual([{ return: {} }]);
    expect(session.target.calls).toEqual([call]);
  });

  it.each([
    ['xen-event-inject', { port: 4096 }, 'GenericError', /port 4096/],
    ['inject-nmi', { vcpu: 3 }, 'GenericError', /no vCPU 3/],
    ['query-registers', { vcpu: 3 }, 'GenericError', /no vCPU 3/],
    ['inspect', { path: '/xen/grants' }, 'InvalidArgument', /nothing at \/xen\/grants; \/xen has evtchn/],
    ['xenstore-read', { path: 'nope' }, 'StoreError', /^nope: there is no such node \(ENOENT\)$/],
    ['xenstore-write', { path: '//', value: '' }, 'StoreError', /malformed \(EINVAL\)$/],
    ['xenstore-write', { path: 'a' }, 'InvalidArgument', /give one of them/],
    ['xenstore-write', { path: 'a', value: 'x', hex: '00' }, 'InvalidArgument', /give one of them/],
    ['xenstore-write', { path: 'a', hex: '0' }, 'InvalidArgument', /two hexadecimal digits/],
    ['xenstore-chmod', { path: 'name', permissions: ['x1'] }, 'InvalidArgument', /"x1" is no permission/],
    ['xenstore-chmod', { path: 'name', permissions: ['n65536'] }, 'StoreError', /^name: there is no domain 65536 \(ENOENT\)$/],
    ['xenstore-chmod', { path: 'nope', permissions: ['n0'] }, 'StoreError', /^nope: there is no such node \(ENOENT\)$/],
    ['xenstore-chmod', { path: 'name', permissions: [] }, 'InvalidArgument', /the owner at least/],
    ['xenstore-unwatch', { path: 'name' }, 'StoreError', /is not watched/],
  ])('%s %j is refused', async (name, given, kind, text) => {
    using session = new TestSession();
    const [reply] = await session.execute(name, given);
    expect(reply).toMatchObject({ error: { class: kind, desc: expect.stringMatching(text) } });
    expect(session.target.calls).toEqual([]);
  });
});

describe('XenStore through the monitor', () => {
  it('keeps any bytes', async () => {
    using session = new TestSession();
    expect(await session.execute('xenstore-write', { path: 'data/raw', hex: '00ff0a' })).toEqual([{ return: {} }]);
    expect(await session.execute('xenstore-read', { path: 'data/raw' })).toEqual([{ return: { hex: '00ff0a' } }]);
    await session.execute('xenstore-write', { path: 'data/text', value: 'Grüße\n\u0000' });
    expect(await session.execute('xenstore-read', { path: 'data/text' })).toEqual([{ return: { value: 'Grüße\n\u0000' } }]);
  });

  it('removes empty parents when asked to, but not the directory of the guest', async () => {
    using session = new TestSession();
    await session.execute('xenstore-write', { path: 'a/b/c', value: '' });
    await session.execute('xenstore-rm', { path: 'a/b/c', tidy: true });
    expect(session.target.xenstore.exists('/local/domain/1/a')).toBe(false);
    expect(session.target.xenstore.exists('/local/domain/1')).toBe(true);
    await session.execute('xenstore-write', { path: 'd/e/f', value: '' });
    await session.execute('xenstore-rm', { path: 'd/e/f' });
    expect(session.target.xenstore.exists('/local/domain/1/d/e')).toBe(true);
  });

  it('sets permissions', async () => {
    using session = new TestSession();
    session.target.xenstore.store.addDomain(2);
    await session.execute('xenstore-chmod', { path: 'name', permissions: ['n0', 'r1', 'b2'] });
    expect(await session.execute('xenstore-permissions', { path: 'name' })).toEqual([{ return: ['n0', 'r1', 'b2'] }]);
    expect(session.target.xenstore.permissions('/local/domain/1/name')).toEqual([
      { domid: 0, access: PERM.none },
      { domid: 1, access: PERM.read },
      { domid: 2, access: PERM.read | PERM.write },
    ]);
  });

  it('tells of changes under a watch, in the form of its path, until it is taken away', async () => {
    using session = new TestSession();
    const event = (path: string, token: string): object => ({
      event: 'XENSTORE_WATCH',
      data: { path, token },
      timestamp: expect.anything(),
    });
    expect(await session.execute('xenstore-watch', { path: 'data', token: 't' })).toEqual([event('data', 't'), { return: {} }]);
    expect(await session.execute('xenstore-watch', { path: '/local/domain/1/data' })).toMatchObject([
      { data: { path: '/local/domain/1/data' } },
      { return: {} },
    ]);
    expect(await session.execute('xenstore-write', { path: 'data/x', value: '1' })).toEqual([
      event('data/x', 't'),
      event('/local/domain/1/data/x', '/local/domain/1/data'),
      { return: {} },
    ]);
    expect(await session.execute('xenstore-watch', { path: 'data', token: 't' })).toMatchObject([{ error: { errno: 'EEXIST' } }]);
    await session.execute('xenstore-unwatch', { path: 'data', token: 't' });
    await session.execute('xenstore-unwatch', { path: '/local/domain/1/data' });
    expect(await session.execute('xenstore-write', { path: 'data/x', value: '2' })).toEqual([{ return: {} }]);
  });

  it('gives a connection 128 watches', async () => {
    using session = new TestSession();
    for (let i = 0; i < 128; i++) await session.execute('xenstore-watch', { path: 'data', token: `${i}` });
    expect(await session.execute('xenstore-watch', { path: 'data', token: 'more' })).toMatchObject([
      { error: { class: 'StoreError', errno: 'E2BIG' } },
    ]);
    expect(session.target.xenstore.watches.length).toBe(128);
  });
});
