// A further PV console as its owner has it, with the nodes that libxl writes for one (libxl__device_console_add).
import type { PvDevice } from '../pv-device.ts';
import type { BackendBus } from '../xenbus/backend-bus.ts';
import type { BackendDevice } from '../xenbus/backend-device.ts';
import { ConsoleBackend } from './console-backend.ts';
import { ConsolePipe, type WhenFull } from './console-pipe.ts';
import { OUTPUT_LIMIT } from './output-reader.ts';

/** What a further console is like. */
export interface ConsoleDeviceOptions {
  /** 1 and up, default 1. Linux looks at the last digit alone and has no console for 10, 20, … */
  readonly id?: number;
  /** What a channel is called in the guest: its node `name`. Default: it is a console, and no channel. */
  readonly channel?: string;
  /** What it is connected to on the host, for those who look into XenStore. */
  readonly connection?: 'pty' | 'socket';
  /** Of the socket. */
  readonly path?: string;
  /** Of the pty's other end, which a user may open. */
  readonly tty?: string;
  /** What happens to output when 1 MiB waits for a reader. Default drop, as Xen. */
  readonly whenFull?: WhenFull;
  /** Closes what it is connected to. */
  readonly close?: () => Promise<void> | void;
}

/** xenconsole's protocol. */
const PROTOCOL = 'vt100';
const MAX_ID = 0xffff;

export class ConsoleDevice implements PvDevice {
  readonly type = 'console';
  readonly name: string;
  readonly id: number;
  /** The host's end. */
  readonly pipe: ConsolePipe;
  readonly #options: ConsoleDeviceOptions;

  /** @throws RangeError when the number is none that a further console can have */
  constructor(options: ConsoleDeviceOptions = {}) {
    const { id = 1, whenFull = 'drop' } = options;
    if (!Number.isInteger(id) || id < 1 || id > MAX_ID)
      throw new RangeError(`a console cannot have the number ${id}; 0 is the primary one, others begin with 1`);
    this.#options = options;
    this.id = id;
    this.name = String(id);
    this.pipe = new ConsolePipe(whenFull);
  }

  get channel(): string | undefined {
    return this.#options.channel;
  }

  get tty(): string | undefined {
    return this.#options.tty;
  }

  attach(bus: BackendBus): BackendDevice {
    const { channel, connection, path, tty = '' } = this.#options;
    const name = channel !== undefined && { name: channel };
    return bus.attach(new ConsoleBackend(this.pipe), {
      id: this.id,
      frontend: { protocol: PROTOCOL },
      readOnlyFrontend: {
        ...name,
        limit: OUTPUT_LIMIT,
        type: 'ioemu',
        output: connection === 'socket' ? `chardev:libxl-channel${this.id}` : 'pty',
        tty,
      },
      backend: {
        protocol: PROTOCOL,
        ...name,
        ...(connection !== undefined && { connection }),
        ...(path !== undefined && { path }),
      },
    });
  }

  async close(): Promise<void> {
    await this.#options.close?.();
  }
}
