// The stream, and Xen's own tools as its clients where they are installed (Debian: xenstore-utils).
import { execFile } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { XS } from '../../abi/xen/xenstore.ts';
import { bytesOf, textOf } from './bytes.ts';
import { formatStore } from './format-store.ts';
import { decodeMessages, encodeMessage } from './message.ts';
import { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';
import { StoreStream } from './store-stream.ts';

const request = (type: number, payload: string) =>
  encodeMessage({ type, requestId: 1, transactionId: 0, payload: bytesOf(payload) });

it('answers requests that come in pieces', async () => {
  const sent: number[] = [];
  const stream = new StoreStream({ store: new XenStore(), send: (bytes) => sent.push(...bytes), onBroken: () => {} });
  for (const byte of [...request(XS.WRITE, '/a\0v'), ...request(XS.READ, '/a\0')]) stream.receive(Uint8Array.of(byte));
  await Promise.resolve();
  expect(decodeMessages(Uint8Array.from(sent)).map(({ payload }) => textOf(payload))).toEqual(['OK\0', 'v']);
});

it('gives up a client whose payload is too long', () => {
  const store = new XenStore();
  let broken = 0;
  const stream = new StoreStream({ store, send: () => {}, onBroken: () => broken++ });
  const bytes = request(XS.WATCH, '/a\0t\0');
  stream.receive(bytes);
  bytes[14] = 1;
  stream.receive(bytes);
  expect([broken, stream.connection.watches.length, store.domain(0)?.watches]).toEqual([1, 0, 0]);
});

const TOOLS = '/usr/bin/xenstore-ls';
it.skipIf(!existsSync(TOOLS))('serves xenstore-ls, -write, -read, -list, -chmod, -exists, -watch and -rm', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'xenstore-'));
  const socket = join(directory, 'socket');
  const store = new XenStore();
  const server = createServer((client) => {
    const stream = new StoreStream({ store, send: (bytes) => void client.write(bytes), onBroken: () => client.destroy() });
    client.on('data', (bytes) => stream.receive(bytes));
    client.on('close', () => stream.close());
    client.on('error', () => {});
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  const run = (tool: string, ...args: string[]) =>
    new Promise<string>((resolve) => {
      const env = { ...process.env, XENSTORED_PATH: socket };
      execFile(`/usr/bin/xenstore-${tool}`, args, { env, encoding: 'latin1' }, (error, out, problem) =>
        resolve(error === null ? out : `exit ${error.code}: ${problem}`),
      );
    });
  try {
    const client = new StoreClient(store);
    store.addDomain(7);
    client.write('/bytes', Uint8Array.of(0, 1, 9, 10, 92, 34, 200, 65));
    client.write('/long/'.concat('n'.repeat(90)), 'v'.repeat(100));
    for (let i = 0; i < 600; i++) client.write(`/many/name-${i}`, i);
    expect(await run('write', '/x/y', 'hello', '/x/z', 'world')).toBe('');
    expect(await run('read', '/x/y', '/x/z')).toBe('hello\nworld\n');
    expect(await run('read', '/none')).toMatch(/^exit 1: .*couldn't read path/);
    expect(await run('list', '/x')).toBe('y\nz\n');
    expect((await run('list', '/many')).split('\n').length).toBe(601);
    expect(await run('chmod', '/x/y', 'n0', 'r7')).toBe('');
    expect(await run('exists', '/x/y')).toBe('');
    expect(await run('exists', '/x/none')).toMatch(/^exit 1/);
    expect(await run('watch', '-n', '1', '/x')).toBe('/x\n');
    expect(await run('ls')).toBe(formatStore(store));
    expect(await run('ls', '-p')).toBe(formatStore(store, { permissions: true }));
    expect(await run('ls', '-f')).toBe(formatStore(store, { flat: true }));
    expect(await run('ls', '-fp')).toBe(formatStore(store, { flat: true, permissions: true }));
    expect(await run('rm', '-t', '/x/z')).toBe('');
    expect(client.list('/x')).toEqual(['y']);
  } finally {
    server.close();
    rmSync(directory, { recursive: true });
  }
});
