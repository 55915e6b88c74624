// A tap device of Linux: frames to and from the host's own network stack, with checksums and large segments left to it.
// linux/if_tun.h, linux/virtio_net.h.
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import {
  ALL_OFFLOADS,
  type Frame,
  type FrameFilter,
  type FrameOffloads,
  type FrameReceiver,
  type FrameSink,
  MAX_FRAME_BYTES,
} from '../io/frame-sink.ts';
import { prepareFrame } from '../net/prepare-frame.ts';
import { readVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from '../net/vnet-header.ts';

const TUNSETIFF = 0x400454ca;
const TUNSETOFFLOAD = 0x400454d0;
const IFF = { tap: 0x0002, noPi: 0x1000, vnetHdr: 0x4000 } as const;
const TUN_F = { csum: 0x01, tso4: 0x02, tso6: 0x04 } as const;
const POLLIN = 1;
/** So long `poll` may hold a thread of Node's pool; closing waits for it. */
const POLL_MS = 100;
/** Frames taken in a row before other work has its turn. */
const BATCH = 64;

/** Why there is no tap device. `code` is the host's: ENOENT, EACCES, EPERM, EBUSY, or ENOSYS without koffi or Linux. */
export class TapError extends Error {
  override readonly name = 'TapError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Libc {
  ioctl(fd: number, request: number, argument: Uint8Array | number): number;
  /** Answers through Node's thread pool. */
  poll(fds: Uint8Array, count: number, timeoutMs: number, done: (error: Error | null, ready: number) => void): void;
  errno(): string;
}

function loadLibc(): Libc {
  if (process.platform !== 'linux') throw new TapError('ENOSYS', 'tap devices are only known on Linux; use a user mode network');
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const libc = koffi.load('libc.so.6');
    const byPointer = libc.func('int ioctl(int fd, unsigned long request, void *argument)');
    const byValue = libc.func('ioctl', 'int', ['int', 'unsigned long', 'unsigned long']);
    const poll = libc.func('int poll(_Inout_ void *fds, unsigned long count, int timeout)');
    return {
      ioctl: (fd, request, argument) =>
        typeof argument === 'number' ? byValue(fd, request, argument) : byPointer(fd, request, argument),
      poll: (fds, count, timeoutMs, done) => poll.async(fds, count, timeoutMs, done),
      errno: () =>
        Object.entries(koffi.os.errno as Record<string, number>).find(([, value]) => value === koffi.errno())?.[0] ?? 'EIO',
    };
  } catch (error) {
    throw new TapError('ENOSYS', `tap devices need the optional package koffi: ${(error as Error).message}`);
  }
}

export class Tap implements FrameSink {
  readonly mtu: number;
  readonly offloads: FrameOffloads = ALL_OFFLOADS;
  linkUp = true;
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #buffer = new Uint8Array(VNET_HEADER_BYTES + MAX_FRAME_BYTES);
  readonly #out = new Uint8Array(VNET_HEADER_BYTES + MAX_FRAME_BYTES);
  #receiver: FrameReceiver | undefined;
  /** Frames that the card had no room for; reading stops while there is one. */
  #refused: Frame[] = [];
  #polling: Promise<void> | undefined;

  private constructor(fd: number, libc: Libc, mtu: number) {
    this.#fd = fd;
    this.#libc = libc;
    this.mtu = mtu;
  }

  /** Opens the device, making it if there is none and the caller may. @throws TapError */
  static open(name: string, mtu = 1500): Tap {
    if (!/^[^\s/]{1,15}$/.test(name)) throw new TapError('EINVAL', `'${name}' is no name for a network device`);
    const libc = loadLibc();
    let fd: number;
    try {
      fd = openSync('/dev/net/tun', constants.O_RDWR | constants.O_NONBLOCK);
    } catch (error) {
      const { code = 'EIO', message } = error as NodeJS.ErrnoException;
      throw new TapError(code, `cannot open /dev/net/tun: ${message}`);
    }
    const request = new Uint8Array(40);
    request.set(new TextEncoder().encode(name));
    new DataView(request.buffer).setUint16(16, IFF.tap | IFF.noPi | IFF.vnetHdr, true);
    const made = libc.ioctl(fd, TUNSETIFF, request) === 0;
    if (!made || libc.ioctl(fd, TUNSETOFFLOAD, TUN_F.csum | TUN_F.tso4 | TUN_F.tso6) !== 0) {
      const code = libc.errno();
      closeSync(fd);
      const hint = code === 'EPERM' ? `; as root: ip tuntap add dev ${name} mode tap user $USER` : '';
      throw new TapError(code, `cannot use the tap device ${name}: ${code}${hint}`);
    }
    return new Tap(fd, libc, mtu);
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#receiver = receiver;
    this.#refused = [];
    if (receiver !== undefined) this.#polling ??= this.#poll();
  }

  send(frame: Frame): boolean {
    if (!this.linkUp || frame.bytes.length < 14) return true;
    writeVnetHeader(this.#out, frame);
    this.#out.set(frame.bytes, VNET_HEADER_BYTES);
    try {
      writeSync(this.#fd, this.#out, 0, VNET_HEADER_BYTES + frame.bytes.length);
    } catch {
      // The device is down, or does not like the frame: lost, as on a cable.
    }
    return true;
  }

  resume(): void {
    while (this.#refused[0] !== undefined && this.#receiver?.receive(this.#refused[0])) this.#refused.shift();
    if (this.#refused.length === 0 && this.#receiver !== undefined && this.linkUp) this.#polling ??= this.#poll();
  }

  setFilter(_filter: FrameFilter): void {}

  async close(): Promise<void> {
    if (!this.linkUp) return;
    this.linkUp = false;
    this.#receiver?.linkChanged(false);
    this.#receiver = undefined;
    await this.#polling;
    closeSync(this.#fd);
  }

  /** Reads until the card is full or unplugged. */
  async #poll(): Promise<void> {
    const wanted = new Uint8Array(8);
    while (this.linkUp && this.#receiver !== undefined && this.#refused.length === 0) {
      if (this.#drain()) continue;
      const view = new DataView(wanted.buffer);
      view.setInt32(0, this.#fd, true);
      view.setUint32(4, POLLIN, true);
      await new Promise<void>((done) => this.#libc.poll(wanted, 1, POLL_MS, () => done()));
    }
    this.#polling = undefined;
  }

  /** Takes what is there. True: there may be more, and others have not been kept waiting long. */
  #drain(): boolean {
    for (let i = 0; i < BATCH; i++) {
      let length: number;
      try {
        length = readSync(this.#fd, this.#buffer, 0, this.#buffer.length, null);
      } catch {
        return false; // EAGAIN: nothing; EIO: the device is down
      }
      const receiver = this.#receiver;
      if (length <= VNET_HEADER_BYTES || receiver === undefined) continue;
      const frame = readVnetHeader(this.#buffer.subarray(0, length));
      prepareFrame(frame, receiver.offloads, (part) => {
        if (this.#refused.length > 0 || !receiver.receive(part)) this.#refused.push({ ...part, bytes: part.bytes.slice() });
      });
      if (this.#refused.length > 0) return false;
    }
    return false;
  }
}
