// A cable between two processes: a Unix or TCP stream with frames in it, as QEMU's "-netdev stream" makes one too.
import { lstat, unlink } from 'node:fs/promises';
import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';
import type { LinkAddress } from '../control/xl-config/link-spec.ts';
import { type Frame, type FrameFilter, type FrameReceiver, type FrameSink, NO_OFFLOADS, plainFrame } from '../io/frame-sink.ts';
import { FrameStreamReader, packFrame } from '../net/frame-stream.ts';

/** Bytes on the way to the other process before the card is told to wait. */
const FULL_BYTES = 1024 * 1024;
/** Frames that came in one chunk after the card was full. The socket is paused at the first, so they are few. */
const MAX_REFUSED = 8192;

/** Between two attempts to reach a process that has gone. */
const RETRY_MS = 500;

export class SocketLink implements FrameSink {
  readonly mtu: number;
  readonly offloads = NO_OFFLOADS;
  #server: Server | undefined;
  #socket: Socket | undefined;
  #receiver: FrameReceiver | undefined;
  #refused: Uint8Array[] = [];
  #full = false;
  #closed = false;
  /** Where to connect again; undefined: the other end comes. */
  #peer: LinkAddress | undefined;
  #retry: NodeJS.Timeout | undefined;

  private constructor(mtu: number) {
    this.mtu = mtu;
  }

  get linkUp(): boolean {
    return this.#socket !== undefined;
  }

  /** Connects to a process that listens, and again when that one has gone and come back. Rejects with the host's error. */
  static async connect(address: LinkAddress, mtu = 1500): Promise<SocketLink> {
    const link = new SocketLink(mtu);
    const socket = await connected(address);
    link.#peer = address;
    link.#adopt(socket);
    return link;
  }

  /**
   * Waits for another process: the link is up while one is connected, and a second is turned away. Rejects with the host's error.
   * `bound` is where the link listens, with the port the host chose.
   */
  static async listen(address: LinkAddress, mtu = 1500): Promise<{ readonly link: SocketLink; readonly bound: LinkAddress }> {
    if ('path' in address) await removeStaleSocket(address.path);
    const link = new SocketLink(mtu);
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => (link.#socket === undefined ? link.#adopt(socket) : socket.destroy()));
      server.once('error', reject);
      server.listen(address, () => {
        server.off('error', reject);
        link.#server = server;
        const at = server.address();
        resolve({ link, bound: typeof at === 'object' && at !== null ? { host: at.address, port: at.port } : address });
      });
    });
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#receiver = receiver;
    this.#refused = [];
    this.#socket?.resume();
  }

  send(frame: Frame): boolean {
    const socket = this.#socket;
    if (socket === undefined || frame.bytes.length === 0) return true;
    if (socket.writableLength >= FULL_BYTES) {
      this.#full = true;
      return false;
    }
    socket.write(packFrame(frame.bytes));
    return true;
  }

  resume(): void {
    while (this.#refused[0] !== undefined && this.#receiver?.receive(plainFrame(this.#refused[0]))) this.#refused.shift();
    if (this.#refused.length === 0) this.#socket?.resume();
  }

  setFilter(_filter: FrameFilter): void {}

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    this.#receiver = undefined;
    this.#socket?.destroy();
    const server = this.#server;
    if (server !== undefined) await new Promise<void>((done) => server.close(() => done()));
  }

  #adopt(socket: Socket): void {
    const reader = new FrameStreamReader();
    this.#socket = socket;
    socket.on('data', (chunk: Uint8Array) => {
      if (!reader.push(chunk, (bytes) => this.#received(bytes))) socket.destroy();
    });
    socket.on('drain', () => {
      if (!this.#full) return;
      this.#full = false;
      this.#receiver?.writable();
    });
    socket.on('error', () => {}); // 'close' follows, and says all there is to say
    socket.on('close', () => {
      this.#socket = undefined;
      this.#full = false;
      this.#receiver?.linkChanged(false);
      this.#receiver?.writable();
      this.#reconnect();
    });
    this.#receiver?.linkChanged(true);
  }

  #reconnect(): void {
    const peer = this.#peer;
    if (peer === undefined || this.#closed) return;
    this.#retry = setTimeout(() => {
      connected(peer).then(
        (socket) => (this.#closed ? socket.destroy() : this.#adopt(socket)),
        () => this.#reconnect(),
      );
    }, RETRY_MS);
  }

  #received(bytes: Uint8Array): void {
    if (this.#receiver === undefined) return;
    if (this.#refused.length === 0 && this.#receiver.receive(plainFrame(bytes))) return;
    if (this.#refused.length < MAX_REFUSED) this.#refused.push(bytes.slice());
    this.#socket?.pause();
  }
}

function connected(address: LinkAddress): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(address as NetConnectOpts, () => {
      socket.off('error', reject);
      resolve(socket);
    });
    socket.once('error', reject);
  });
}

/** A process that was killed leaves its socket behind; nobody can listen there until it is gone. */
async function removeStaleSocket(path: string): Promise<void> {
  const status = await lstat(path).catch(() => undefined);
  if (status?.isSocket() !== true) return;
  try {
    (await connected({ path })).destroy();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') await unlink(path).catch(() => {});
  }
}
