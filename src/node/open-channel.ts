// Channels of a configuration: PV consoles whose host's end is a Unix socket or a pty. xen-pv-channel(7)
import { chmod, lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ConsolePipe } from '../backends/console/console-pipe.ts';
import type { OutputReader } from '../backends/console/output-reader.ts';
import { GuestConsoleDevice } from '../machine/guest-console-device.ts';
import { nodeErrorCode } from './control-error.ts';
import { Pty } from './pty.ts';

/** A channel, and what it leads to on the host. */
export interface ChannelConfig {
  /** 1 and up: its place among the consoles of the guest. */
  readonly id: number;
  /** What the guest finds it by. */
  readonly name: string;
  readonly connection: 'socket' | 'pty';
  /** Of the socket. */
  readonly path?: string;
}

/** The host's end cannot be had. `message` is one line with the next step. */
export class ChannelError extends Error {
  override readonly name = 'ChannelError';
}

/** sun_path of Linux, less its NUL. */
const MAX_SOCKET_PATH = 107;
/** Connections that wait for the one before them to end. */
const MAX_WAITING = 16;

/** Opens the host's end; the domain that is given the device closes it. @throws ChannelError, PtyError */
export async function openChannel({ id, name, connection, path }: ChannelConfig): Promise<GuestConsoleDevice> {
  if (connection === 'pty') return openPtyConsole({ id, channel: name });
  if (path === undefined) throw new ChannelError(`the channel ${name} has no path for its socket; add path=…`);
  return openSocketChannel(id, name, path);
}

/** A further console at a pty; `channel` names it if it is a channel. @throws PtyError */
export function openPtyConsole({ id, channel }: { readonly id: number; readonly channel?: string }): GuestConsoleDevice {
  const pty = Pty.open();
  const device = new GuestConsoleDevice({
    id,
    ...(channel !== undefined && { channel }),
    connection: 'pty',
    tty: pty.path,
    close: () => pty.close(),
  });
  joinPty(pty, device.pipe);
  return device;
}

function joinPty(pty: Pty, pipe: ConsolePipe): void {
  const reader = pipe.reader((bytes) => {
    if (!pty.write(bytes)) reader.hold();
  });
  pty.onDrain = () => reader.resume();
  let rest: Uint8Array = new Uint8Array();
  const type = (): void => {
    rest = rest.subarray(pipe.write(rest));
    pty.reading(rest.length === 0);
  };
  pty.onData = (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes]);
    type();
  };
  pipe.onRoom(() => void (rest.length > 0 && type()));
}

async function openSocketChannel(id: number, name: string, path: string): Promise<GuestConsoleDevice> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH)
    throw new ChannelError(`${path}: a socket's path has ${MAX_SOCKET_PATH} bytes at most; choose a shorter one`);
  const clients = new ChannelClients();
  const server = createServer((client) => clients.add(client));
  await removeOldSocket(path);
  await listen(server, path);
  server.on('error', () => {}); // of a connection that could not be accepted
  // The domain keeps the process alive.
  server.unref();
  const device = new GuestConsoleDevice({
    id,
    channel: name,
    connection: 'socket',
    path,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      clients.close();
      await closed;
    },
  });
  clients.join(device.pipe);
  return device;
}

/** What a process that is gone has left. @throws ChannelError for anything else */
async function removeOldSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new ChannelError(`${path}: there is something that is not a socket; choose another path`);
  const listening = await new Promise<boolean>((resolve) => {
    const socket = connect(path, () => resolve(true)).on('error', () => resolve(false));
    socket.on('connect', () => socket.destroy());
  });
  if (listening) throw new ChannelError(`${path}: somebody listens there already; choose another path`);
  await unlink(path).catch(() => {});
}

async function listen(server: Server, path: string): Promise<void> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, () => {
        server.off('error', reject);
        resolve();
      });
    });
    await chmod(path, 0o600);
  } catch (cause) {
    throw new ChannelError(`${path}: cannot listen there (${nodeErrorCode(cause) ?? String(cause)}); check the directory`, {
      cause,
    });
  }
}

/** Milliseconds that a client has to take what the guest said last. */
const LINGER = 1000;

/**
 * One client at a time; others wait for it to go. What the guest writes while there is none is lost, as with QEMU's sockets,
 * which serve channels on real Xen.
 */
class ChannelClients {
  #pipe: ConsolePipe | undefined;
  #reader: OutputReader | undefined;
  readonly #waiting: Socket[] = [];
  #client: Socket | undefined;
  /** What the client sent and the guest has no room for. */
  #rest: Uint8Array = new Uint8Array();

  join(pipe: ConsolePipe): void {
    this.#pipe = pipe;
    const reader = pipe.reader((bytes) => {
      const client = this.#client;
      if (client?.writable === true && !client.write(bytes)) reader.hold();
    });
    this.#reader = reader;
    pipe.onRoom(() => void (this.#rest.length > 0 && this.#type()));
  }

  add(client: Socket): void {
    client.on('error', () => client.destroy()); // it has gone; 'close' follows
    client.unref();
    client.pause();
    if (this.#client === undefined) this.#serve(client);
    else if (this.#waiting.length < MAX_WAITING) this.#waiting.push(client);
    else client.destroy();
  }

  close(): void {
    this.#pipe = undefined;
    for (const client of this.#waiting.splice(0)) client.destroy();
    // What the guest said last is still sent, to a client that takes it.
    const client = this.#client;
    client?.destroySoon();
    setTimeout(() => client?.destroy(), LINGER).unref();
    this.#client = undefined;
  }

  #serve(client: Socket): void {
    this.#client = client;
    client.on('data', (bytes) => {
      this.#rest = bytes;
      this.#type();
    });
    client.on('drain', () => this.#reader?.resume());
    client.on('close', () => {
      if (this.#client !== client) return;
      this.#client = undefined;
      this.#rest = new Uint8Array();
      this.#reader?.resume();
      let next = this.#waiting.shift();
      while (next?.destroyed === true) next = this.#waiting.shift();
      if (next !== undefined && this.#pipe !== undefined) this.#serve(next);
    });
    client.resume();
  }

  /** Gives the guest what it has room for; the client is not read meanwhile. */
  #type(): void {
    if (this.#pipe === undefined) return;
    this.#rest = this.#rest.subarray(this.#pipe.write(this.#rest));
    if (this.#rest.length > 0) this.#client?.pause();
    else this.#client?.resume();
  }
}
