import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { GuestConsoleDevice } from '../machine/guest-console-device.ts';
import { openChannel } from './open-channel.ts';

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
const bytes = (string: string): Uint8Array => new TextEncoder().encode(string);

/** As a process does that is killed. */
async function leaveSocket(path: string): Promise<void> {
  const program = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
  await new Promise((resolve) => spawn(process.execPath, ['-e', program]).once('exit', resolve));
  expect(existsSync(path)).toBe(true);
}

describe('a channel at a Unix socket', () => {
  let directory: string;
  let path: string;
  let device: GuestConsoleDevice;
  const sockets: Socket[] = [];
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dom1-channel-'));
    path = join(directory, 'agent');
    device = await openChannel({ id: 1, name: 'org.x.agent', connection: 'socket', path });
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await device.close();
    await rm(directory, { recursive: true });
  });

  const client = async () => {
    const socket = connect(path);
    sockets.push(socket);
    const got: Uint8Array[] = [];
    socket.on('data', (chunk) => got.push(chunk));
    await new Promise((resolve) => socket.once('connect', resolve));
    return { socket, got: () => text(Buffer.concat(got)), all: () => Buffer.concat(got) };
  };
  /** What the guest has not read yet. */
  const input = (): string => text(device.pipe.input.takeAll());

  it('carries bytes both ways', async () => {
    const c = await client();
    c.socket.write('to the guest');
    await expect.poll(() => device.pipe.input.length).toBe(12);
    expect(input()).toBe('to the guest');
    device.pipe.receive(bytes('from the guest'));
    await expect.poll(c.got).toBe('from the guest');
  });

  it('serves one client at a time; the next one waits for it to go, and what nobody hears is lost', async () => {
    device.pipe.receive(bytes('nobody'));
    const [first, second] = [await client(), await client()];
    second.socket.write('second');
    first.socket.write('first');
    await expect.poll(() => device.pipe.input.length).toBe(5);
    device.pipe.receive(bytes('one'));
    await expect.poll(first.got).toBe('one');
    first.socket.destroy();
    await expect.poll(() => device.pipe.input.length).toBe(11);
    device.pipe.receive(bytes('two'));
    await expect.poll(second.got).toBe('two');
    expect([first.got(), input()]).toEqual(['one', 'firstsecond']);
  });

  it('reads no more than the guest does', async () => {
    const data = randomBytes(1 << 20);
    const c = await client();
    c.socket.write(data);
    await expect.poll(() => device.pipe.input.room).toBe(0);
    const got: Uint8Array[] = [];
    for (let length = 0; length < data.length; ) {
      const next = device.pipe.input.takeAll();
      got.push(next);
      length += next.length;
      device.pipe.inputTaken();
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(createHash('md5').update(Buffer.concat(got)).digest('hex')).toBe(createHash('md5').update(data).digest('hex'));
  });

  it('keeps what a client is too slow for, and sends it later', async () => {
    const c = await client();
    c.socket.pause();
    const data = randomBytes(1 << 20);
    await expect.poll(() => sockets.length).toBe(1);
    for (let at = 0; at < data.length; at += 4096) device.pipe.receive(data.subarray(at, at + 4096));
    expect(device.pipe.inspect()).toMatchObject({ output_dropped: 0 });
    c.socket.resume();
    await expect.poll(() => c.all().length, { timeout: 10_000 }).toBe(data.length);
    expect(c.all().equals(data)).toBe(true);
  });

  it('hears a client to the end that says a word and goes', async () => {
    const c = await client();
    c.socket.end('bye');
    await new Promise((resolve) => c.socket.once('close', resolve));
    expect(input()).toBe('bye');
  });

  it('is gone with its domain', async () => {
    const c = await client();
    device.pipe.receive(bytes('last words'));
    await device.close();
    await expect.poll(() => c.socket.closed).toBe(true);
    expect([c.got(), existsSync(path)]).toEqual(['last words', false]);
    device = await openChannel({ id: 1, name: 'again', connection: 'socket', path });
  });

  it('takes the place of a socket that was left behind, and of nothing else', async () => {
    const other = join(directory, 'file');
    await writeFile(other, 'precious');
    const left = join(directory, 'left');
    await leaveSocket(left);
    await (await openChannel({ id: 2, name: 'a', connection: 'socket', path: left })).close();
    await expect(openChannel({ id: 2, name: 'a', connection: 'socket', path: other })).rejects.toThrow('not a socket');
    await expect(openChannel({ id: 2, name: 'a', connection: 'socket', path: join(directory, 'no', 'a') })).rejects.toThrow(
      'cannot listen',
    );
    await expect(openChannel({ id: 2, name: 'a', connection: 'socket', path: `/${'x'.repeat(120)}` })).rejects.toThrow('107');
    await expect(openChannel({ id: 2, name: 'a', connection: 'socket' })).rejects.toThrow('no path');
    await expect(openChannel({ id: 2, name: 'a', connection: 'socket', path })).rejects.toThrow('somebody listens');
  });
});
