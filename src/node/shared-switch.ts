// A switch that cards in several processes share, by its name. There is no hub that could go away: every card has a switch of its
// own, each of which is connected to each other by a Unix socket, and what comes from another one goes to the card alone. Who is
// there shows in a directory: a socket for each card. A card that comes connects to all that it finds.
import { randomBytes } from 'node:crypto';
import { unlinkSync } from 'node:fs';
import { mkdir, readdir, rename, rmdir, unlink } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { SWITCH_NAME } from '../control/xl-config/link-spec.ts';
import type { Frame, FrameFilter, FrameReceiver, FrameSink } from '../io/frame-sink.ts';
import { FrameStreamReader, packFrame } from '../net/frame-stream.ts';
import { Switch } from '../net/switch.ts';
import { ControlConnectionError, nodeErrorCode } from './control-error.ts';
import { defaultRuntimeDirectory, MAX_SOCKET_PATH, openRuntimeDirectory, requireUnixSockets } from './runtime-directory.ts';
import { MAX_MEMBER_FRAME, SwitchMember } from './switch-member.ts';

/** The first frame of who connects: which protocol, and who it is. */
const HELLO = 'dom1-switch-1 ';
const ID = /^[0-9a-f]{12}$/;
const SOCKET_FILE = /^([0-9a-f]{12})\.sock$/;
/** How long a stranger may take to say who it is, in milliseconds. */
const HELLO_TIMEOUT = 5000;
const MAX_TRIES = 20;

export interface SharedSwitchOptions {
  /** Letters, digits, dots and dashes; at most 32. */
  readonly name: string;
  /** Default: the directory in which running domains are found. */
  readonly directory?: string;
  /** Default 1500. */
  readonly mtu?: number;
}

export class SharedSwitch implements FrameSink {
  readonly mtu: number;
  readonly #switch: Switch;
  readonly #port: FrameSink;
  readonly #directory: string;
  readonly #id = randomBytes(6).toString('hex');
  readonly #members = new Map<string, SwitchMember>();
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;
  readonly #onExit: () => void;
  #closed = false;

  private constructor(directory: string, mtu: number) {
    this.mtu = mtu;
    this.#directory = directory;
    this.#switch = new Switch(mtu);
    this.#port = this.#switch.port();
    this.#server = createServer((socket) => this.#accept(socket));
    // The last chance of a process that ends without closing. What a killed one leaves, the next to come cleans away.
    this.#onExit = () => {
      try {
        unlinkSync(this.#path);
      } catch {
        // It is gone already.
      }
    };
  }

  /** @throws ControlConnectionError when the directory cannot be used, and the host's errors */
  static async join(options: SharedSwitchOptions): Promise<SharedSwitch> {
    const { name, mtu = 1500 } = options;
    requireUnixSockets();
    if (!SWITCH_NAME.test(name)) throw new RangeError(`'${name}' is no name for a switch`);
    const runtime = options.directory ?? (await defaultRuntimeDirectory());
    await openRuntimeDirectory(runtime);
    const directory = join(runtime, 'switch', name);
    const shared = new SharedSwitch(directory, mtu);
    if (Buffer.byteLength(shared.#path) > MAX_SOCKET_PATH)
      throw new ControlConnectionError(
        'path-too-long',
        `${directory}: the path is too long for sockets in it`,
        'give the switch a shorter name, or set XDG_RUNTIME_DIR to a directory with a shorter path',
      );
    try {
      await shared.#listen();
      await shared.#greetAll();
    } catch (error) {
      await shared.close();
      throw error;
    }
    return shared;
  }

  /** Cards of others that it is connected to. */
  get members(): number {
    return this.#members.size;
  }

  get linkUp(): boolean {
    return this.#port.linkUp;
  }

  get offloads(): FrameSink['offloads'] {
    return this.#port.offloads;
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#port.attach(receiver);
  }

  send(frame: Frame): boolean {
    return this.#port.send(frame);
  }

  resume(): void {
    this.#port.resume();
  }

  setFilter(filter: FrameFilter): void {
    this.#port.setFilter(filter);
  }

  forgetGuest(): void {
    this.#port.forgetGuest?.();
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    process.off('exit', this.#onExit);
    await unlink(this.#path).catch(() => {});
    await this.#port.close();
    const ended = new Promise<void>((resolve) => {
      if (this.#server.listening) this.#server.close(() => resolve());
      else resolve();
    });
    for (const socket of this.#sockets) socket.destroy();
    await ended;
    // The last one to leave; another one's socket keeps them.
    for (const directory of [this.#directory, dirname(this.#directory)]) await rmdir(directory).catch(() => {});
  }

  get #path(): string {
    return join(this.#directory, `${this.#id}.sock`);
  }

  /** The socket appears under its name when it takes connections: one that refuses is one that was left behind. */
  async #listen(): Promise<void> {
    for (let tries = 1; ; tries++) {
      await mkdir(this.#directory, { recursive: true, mode: 0o700 });
      try {
        await this.#appear();
        return;
      } catch (error) {
        // Somebody left at this moment, and took the empty directory along.
        if (nodeErrorCode(error) !== 'ENOENT' || tries > MAX_TRIES) throw error;
      }
    }
  }

  async #appear(): Promise<void> {
    const unready = join(this.#directory, `${this.#id}.new`);
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(unready, () => {
        this.#server.off('error', reject);
        this.#server.on('error', () => {}); // of a connection that could not be accepted; its other end sees it
        resolve();
      });
    });
    process.once('exit', this.#onExit);
    await rename(unready, this.#path);
  }

  async #greetAll(): Promise<void> {
    const ids = (await readdir(this.#directory)).flatMap((file) => SOCKET_FILE.exec(file)?.[1] ?? []);
    await Promise.all(ids.filter((id) => id !== this.#id).map((id) => this.#greet(id)));
  }

  /** Resolves when it is connected, or not there any more. */
  #greet(id: string): Promise<void> {
    const path = join(this.#directory, `${id}.sock`);
    return new Promise((resolve) => {
      const socket = connect({ path }, () => {
        socket.write(packFrame(new TextEncoder().encode(`${HELLO}${this.#id}`)));
        this.#member(id).addStream(socket);
        resolve();
      });
      this.#keep(socket);
      socket.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED') void unlink(path).catch(() => {});
        resolve();
      });
    });
  }

  #accept(socket: Socket): void {
    this.#keep(socket);
    socket.on('error', () => {}); // 'close' follows, and says all there is to say
    const reader = new FrameStreamReader(MAX_MEMBER_FRAME);
    const timeout = setTimeout(() => socket.destroy(), HELLO_TIMEOUT);
    socket.once('close', () => clearTimeout(timeout));
    let from: string | undefined;
    const early: Uint8Array[] = [];
    const first = (chunk: Uint8Array): void => {
      const whole = reader.push(chunk, (bytes) => {
        if (from !== undefined) return void early.push(bytes.slice());
        const hello = new TextDecoder().decode(bytes);
        const id = hello.slice(HELLO.length);
        if (!hello.startsWith(HELLO) || !ID.test(id)) return void socket.destroy();
        clearTimeout(timeout);
        from = id;
      });
      if (!whole) socket.destroy();
      if (from === undefined || socket.destroyed) return;
      socket.off('data', first);
      const member = this.#member(from);
      member.addStream(socket, reader);
      for (const bytes of early) member.received(bytes);
    };
    socket.on('data', first);
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
  }

  #member(id: string): SwitchMember {
    const known = this.#members.get(id);
    if (known !== undefined) return known;
    const member: SwitchMember = new SwitchMember(this.mtu, () => {
      this.#members.delete(id);
      leave();
    });
    this.#members.set(id, member);
    const leave = this.#switch.connect(member, { trunk: true });
    return member;
  }
}
