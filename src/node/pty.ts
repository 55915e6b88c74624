// A pseudo-terminal whose master is ours: minicom, screen or cat open the other end by its path. Node has no call for it, so
// Linux's ioctls are made through koffi (asm-generic/ioctls.h, pty(7)).
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { ReadStream } from 'node:tty';

const TIOCSPTLCK = 0x40045431;
const TIOCGPTN = 0x80045430;
const TCSANOW = 0;
/** More than a struct termios of any libc has. */
const TERMIOS_BYTES = 256;
/** When to offer again what the other end had no room for, in milliseconds: at first, and at most. */
const RETRY = { first: 1, most: 100 } as const;

/** Why there is no pty. `code` is the host's errno, or ENOSYS without koffi or Linux. */
export class PtyError extends Error {
  override readonly name = 'PtyError';
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Libc {
  ioctl(fd: number, request: number, argument: Uint8Array): number;
  /** Raw mode: no echo, nothing translated. */
  makeRaw(fd: number): number;
  errno(): string;
}

function loadLibc(): Libc {
  if (process.platform !== 'linux')
    throw new PtyError('ENOSYS', 'a pty for a console is only known on Linux; use a channel with connection=socket');
  try {
    const koffi = createRequire(import.meta.url)('koffi');
    const libc = koffi.load(null);
    const ioctl = libc.func('int ioctl(int fd, unsigned long request, _Inout_ void *argument)');
    const tcgetattr = libc.func('int tcgetattr(int fd, _Out_ void *termios)');
    const cfmakeraw = libc.func('void cfmakeraw(_Inout_ void *termios)');
    const tcsetattr = libc.func('int tcsetattr(int fd, int when, _In_ void *termios)');
    return {
      ioctl,
      makeRaw(fd) {
        const termios = new Uint8Array(TERMIOS_BYTES);
        if (tcgetattr(fd, termios) !== 0) return -1;
        cfmakeraw(termios);
        return tcsetattr(fd, TCSANOW, termios);
      },
      errno: () =>
        Object.entries(koffi.os.errno as Record<string, number>).find(([, value]) => value === koffi.errno())?.[0] ?? 'EIO',
    };
  } catch (error) {
    const { message } = error as Error;
    throw new PtyError('ENOSYS', `a pty needs the optional package koffi (npm install koffi): ${message.split('\n')[0]}`);
  }
}

export class Pty implements Disposable {
  /** Of the other end: /dev/pts/<n>. */
  readonly path: string;
  readonly #master: number;
  /** The other end, kept open: without it the master reads EIO while nobody else has it open. */
  readonly #slave: number;
  readonly #reader: ReadStream;
  #written: Uint8Array[] = [];
  #retry: ReturnType<typeof setTimeout> | undefined;
  #delay: number = RETRY.first;
  #closed = false;
  /** What the person at the other end types. */
  onData: (bytes: Uint8Array) => void = () => {};
  /** Everything written has found room. */
  onDrain: () => void = () => {};

  private constructor(master: number, slave: number, path: string) {
    this.#master = master;
    this.#slave = slave;
    this.path = path;
    this.#reader = new ReadStream(master);
    this.#reader.on('data', (bytes) => this.onData(bytes));
    // The other end is open until `close`.
    this.#reader.on('error', () => {});
  }

  /** @throws PtyError */
  static open(): Pty {
    const libc = loadLibc();
    const opened: number[] = [];
    const open = (path: string): number => {
      const fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
      opened.push(fd);
      return fd;
    };
    const check = (result: number, what: string): void => {
      if (result !== 0) throw new PtyError(libc.errno(), `a pty cannot be made: ${what}: ${libc.errno()}`);
    };
    try {
      const master = open('/dev/ptmx');
      check(libc.ioctl(master, TIOCSPTLCK, new Uint8Array(4)), 'TIOCSPTLCK');
      const number = new Uint8Array(4);
      check(libc.ioctl(master, TIOCGPTN, number), 'TIOCGPTN');
      const path = `/dev/pts/${new DataView(number.buffer).getUint32(0, true)}`;
      const slave = open(path);
      check(libc.makeRaw(slave), 'tcsetattr');
      return new Pty(master, slave, path);
    } catch (error) {
      for (const fd of opened) closeSync(fd);
      if (error instanceof PtyError) throw error;
      const { code = 'EIO', message } = error as NodeJS.ErrnoException;
      throw new PtyError(code, `a pty cannot be made: ${message}`);
    }
  }

  /** Shows bytes at the other end. False: some of them wait for room; write no more until `onDrain`. */
  write(bytes: Uint8Array): boolean {
    if (this.#closed) return true;
    if (bytes.length > 0) this.#written.push(bytes);
    return this.#flush();
  }

  /** Takes what is typed, or leaves it there. */
  reading(on: boolean): void {
    if (this.#closed) return;
    if (on) this.#reader.resume();
    else this.#reader.pause();
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    clearTimeout(this.#retry);
    // It closes the master.
    this.#reader.destroy();
    closeSync(this.#slave);
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #flush(): boolean {
    if (this.#retry !== undefined) return false;
    for (let next = this.#written[0]; next !== undefined; next = this.#written[0]) {
      let done = 0;
      try {
        done = writeSync(this.#master, next);
        this.#delay = RETRY.first;
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        // Nobody is there to be told of anything else; what is lost is what they would have seen.
        if (code !== 'EAGAIN') done = next.length;
      }
      if (done === next.length) {
        this.#written.shift();
        continue;
      }
      this.#written[0] = next.subarray(done);
      this.#retry = setTimeout(() => {
        this.#retry = undefined;
        if (this.#flush()) this.onDrain();
      }, this.#delay);
      if (done === 0) this.#delay = Math.min(this.#delay * 2, RETRY.most);
      // A pty keeps no process alive.
      this.#retry.unref();
      return false;
    }
    return true;
  }
}
