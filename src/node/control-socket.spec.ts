// Server and client of the monitor over real sockets.
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import { connectControl } from './connect-control.ts';
import type { ClientEvent } from './control-client.ts';
import { claimDomain } from './domain-registry.ts';
import { serveControl } from './serve-control.ts';

const VERSION = '0.1.0';
let parent: string;
let directory: string;

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-socket-'));
  directory = join(parent, 'dom1');
});
afterEach(() => rmSync(parent, { recursive: true }));

/** Everything a socket sends until it closes. */
const readAll = (socket: Socket): Promise<string> =>
  new Promise((resolve, reject) => {
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    socket.on('close', () => resolve(text));
    socket.on('error', reject);
  });

const listenOn = (path: string, onConnection: (socket: Socket) => void): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer(onConnection).listen(path, () => resolve(server));
  });

describe('a served domain', () => {
  it('answers, by name and by id, beside others', async () => {
    const [web, db] = [new FakeTarget({ name: 'web' }), new FakeTarget({ id: 7, name: 'db' })];
    await using first = await serveControl(web, { directory, version: VERSION });
    await using second = await serveControl(db, { directory, version: VERSION });
    expect([first.id, second.id]).toEqual([1, 2]);
    using byName = await connectControl('db', { directory });
    using byId = await connectControl(1, { directory });
    expect(await byName.greeting).toMatchObject({ version: { package: VERSION }, domain: { id: 2, domid: 7, name: 'db' } });
    expect(await byName.execute('query-name')).toEqual({ name: 'db' });
    await byId.execute('stop');
    expect([web.state, db.state]).toEqual(['paused', 'running']);
  });

  it('uses what was claimed before the domain was built', async () => {
    const claim = await claimDomain({ directory, name: 'early' });
    await using control = await serveControl(new FakeTarget(), { directory, version: VERSION, claim });
    expect(control.name).toBe('early');
    using client = await connectControl('early', { directory });
    expect((await client.greeting).domain.id).toBe(claim.record.id);
  });

  it('is for its owner alone, and is gone when it is disposed of', async () => {
    const control = await serveControl(new FakeTarget(), { directory, version: VERSION });
    expect(statSync(control.socket).mode & 0o777).toBe(0o600);
    expect(readdirSync(directory).sort()).toEqual(['1.json', '1.sock']);
    await control[Symbol.asyncDispose]();
    expect(readdirSync(directory)).toEqual([]);
    await expect(connectControl('web', { directory })).rejects.toMatchObject({ code: 'no-such-domain', known: [] });
  });

  it('takes the place of a socket that a dead process left', async () => {
    const claim = await claimDomain({ directory });
    writeFileSync(join(directory, '1.sock'), '');
    await using _ = await serveControl(new FakeTarget(), { directory, version: VERSION, claim });
    using client = await connectControl('1', { directory });
    expect(await client.execute('query-status')).toEqual({ status: 'running', running: true });
  });

  it('answers everything a client asked before it closed its half', async () => {
    await using control = await serveControl(new FakeTarget(), { directory, version: VERSION });
    const socket = connect(control.socket);
    const text = readAll(socket);
    socket.end('{"execute":"stop"}\n{"execute":"query-status","id":1}\n'.concat('{"execute":"query-name"}\n'.repeat(200)));
    const lines = (await text)
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    expect(lines).toHaveLength(1 + 1 + 2 + 200);
    expect(lines).toContainEqual({ return: { status: 'paused', running: false }, id: 1 });
  });

  it('serves 32 connections and says so to the next one', async () => {
    await using control = await serveControl(new FakeTarget(), { directory, version: VERSION });
    const clients = await Promise.all(Array.from({ length: 32 }, () => connectControl('web', { directory })));
    await expect(connectControl('web', { directory })).rejects.toMatchObject({
      code: 'busy',
      message: expect.stringContaining('too many connections'),
    });
    for (const client of clients) expect(await client.execute('query-name')).toEqual({ name: 'web' });
    clients[0]?.[Symbol.dispose]();
    await clients[0]?.closed;
    await expect
      .poll(() =>
        connectControl('web', { directory }).then(
          (client) => client[Symbol.dispose](),
          (error: unknown) => error,
        ),
      )
      .toBeUndefined();
    for (const client of clients) client[Symbol.dispose]();
    expect(existsSync(control.socket)).toBe(true);
  });

  it('cuts a client off that never reads', async () => {
    const target = new FakeTarget();
    await using control = await serveControl(target, { directory, version: VERSION });
    const socket = connect(control.socket);
    await new Promise((resolve) => socket.once('connect', resolve));
    // Each event carries its token.
    const given = { path: 'data', token: 'x'.repeat(60_000) };
    socket.write(`${JSON.stringify({ execute: 'xenstore-watch', arguments: given })}\n`);
    await expect.poll(() => target.xenstore.watches.length).toBe(1);
    for (let i = 0; i < 2000 && target.xenstore.watches.length > 0; i++) {
      target.xenstore.write('/local/domain/1/data/x', '');
      await new Promise((resolve) => setImmediate(resolve));
    }
    await expect.poll(() => target.xenstore.watches.length).toBe(0);
    socket.destroy();
  });
});

describe('a client', () => {
  it('is told of events', async () => {
    const target = new FakeTarget();
    await using _ = await serveControl(target, { directory, version: VERSION });
    using client = await connectControl('web', { directory });
    const events: ClientEvent[] = [];
    using __ = client.onEvent((event) => events.push(event));
    await client.execute('xenstore-watch', { path: 'data', token: 't' });
    await client.execute('stop');
    expect(events.map(({ event, data }) => [event, data])).toEqual([
      ['XENSTORE_WATCH', { path: 'data', token: 't' }],
      ['STOP', {}],
    ]);
    expect(Math.abs((events[0]?.timestamp.seconds ?? 0) - Date.now() / 1000)).toBeLessThan(60);
  });

  it('is given the reason when a command is refused', async () => {
    await using _ = await serveControl(new FakeTarget(), { directory, version: VERSION });
    using client = await connectControl('web', { directory });
    await expect(client.execute('xenstore-read', { path: 'nope' })).rejects.toMatchObject({
      name: 'ControlCommandError',
      class: 'StoreError',
      errno: 'ENOENT',
    });
    await expect(client.execute('nope')).rejects.toMatchObject({ class: 'CommandNotFound' });
    expect(await client.execute('query-name')).toEqual({ name: 'web' });
  });

  it('hears the last replies and events when the domain ends, and then that it has', async () => {
    const target = new FakeTarget();
    await using _ = await serveControl(target, { directory, version: VERSION });
    using client = await connectControl('web', { directory });
    const events: string[] = [];
    client.onEvent(({ event }) => events.push(event));
    expect(await client.execute('quit')).toEqual({});
    await client.closed;
    expect(events).toEqual(['SHUTDOWN']);
    await expect(client.execute('query-name')).rejects.toMatchObject({
      code: 'ended',
      message: expect.stringContaining('web has ended'),
    });
  });

  it('has its commands refused when the server goes away under them', async () => {
    const target = new FakeTarget();
    target.reset = () => new Promise(() => {});
    const control = await serveControl(target, { directory, version: VERSION });
    using client = await connectControl('web', { directory });
    const never = client.execute('system_reset');
    const [result] = await Promise.allSettled([never, control[Symbol.asyncDispose]()]);
    expect(result).toMatchObject({ status: 'rejected', reason: { code: 'ended' } });
    expect(readdirSync(directory)).toEqual([]);
  });

  it('says which domains there are when the one it wants is not there', async () => {
    await using _ = await serveControl(new FakeTarget({ name: 'web' }), { directory, version: VERSION });
    await expect(connectControl('wbe', { directory })).rejects.toMatchObject({
      code: 'no-such-domain',
      known: ['web'],
      message: "no domain named 'wbe' runs; running: web",
    });
    await expect(connectControl('9', { directory })).rejects.toMatchObject({
      message: 'no domain with the id 9 runs; running: web',
    });
  });

  it('says that nobody answers', async () => {
    await using claim = await claimDomain({ directory, name: 'starting' });
    await expect(connectControl('starting', { directory })).rejects.toMatchObject({
      code: 'ended',
      message: expect.stringContaining('nobody answers'),
    });
    const server = await listenOn(join(directory, `${claim.record.id}.sock`), () => {});
    await expect(connectControl('starting', { directory, timeout: 50 })).rejects.toMatchObject({ code: 'timeout' });
    server.close();
  });

  it.each(['hello\n', '{}\n', 'null\n', '{"QMP":{}}\n', '{"dom1":{"domain":{}}}\n'])(
    'takes no other greeting: %j',
    async (text) => {
      await using claim = await claimDomain({ directory, name: 'odd' });
      const server = await listenOn(join(directory, `${claim.record.id}.sock`), (socket) => socket.end(text));
      await expect(connectControl('odd', { directory })).rejects.toMatchObject({ code: 'protocol' });
      server.close();
    },
  );
});
