// A further PV console (hvc1, hvc2, … in Linux) as a program uses it: a device to give to a domain, with the console on it.
import { ConsoleDevice, type ConsoleDeviceOptions } from '../backends/console/console-device.ts';
import type { ConsolePipe } from '../backends/console/console-pipe.ts';
import type { PvDevice } from '../backends/pv-device.ts';
import type { BackendBus } from '../backends/xenbus/backend-bus.ts';
import type { BackendDevice } from '../backends/xenbus/backend-device.ts';
import type { DomainDevices } from './domain-devices.ts';
import { GuestConsole } from './guest-console.ts';

/** A further console of the guest, with what a program does with consoles. */
export class GuestConsoleDevice implements PvDevice {
  readonly type = 'console';
  /** Listens, types, waits for text, runs commands in a shell that the guest has there. */
  readonly console: GuestConsole;
  readonly #device: ConsoleDevice;
  #attached = false;

  /** @throws RangeError when the number is none that a further console can have */
  constructor(options: ConsoleDeviceOptions = {}) {
    this.#device = new ConsoleDevice(options);
    const { pipe } = this.#device;
    this.console = new GuestConsole((bytes) => pipe.write(bytes));
    pipe.onOutput((bytes) => this.console.receive(bytes));
  }

  /** Its number as text. */
  get name(): string {
    return this.#device.name;
  }

  get id(): number {
    return this.#device.id;
  }

  /** What the guest calls it, if it is a channel. */
  get channel(): string | undefined {
    return this.#device.channel;
  }

  /** The pty that a user may open, if it has one. */
  get tty(): string | undefined {
    return this.#device.tty;
  }

  /** Its bytes, for who can be too slow for them. */
  get pipe(): ConsolePipe {
    return this.#device.pipe;
  }

  attach(bus: BackendBus): BackendDevice {
    const backend = this.#device.attach(bus);
    if (this.#attached) this.console.restart();
    this.#attached = true;
    return backend;
  }

  async close(): Promise<void> {
    this.console.close();
    await this.#device.close();
  }
}

/** A further console for `DomainConfig.devices` or `domain.devices.attach`. @throws RangeError */
export const consoleDevice = (options: ConsoleDeviceOptions = {}): GuestConsoleDevice => new GuestConsoleDevice(options);

/** The further consoles that a domain has now, by number. */
export function furtherConsoles(devices: DomainDevices): ReadonlyMap<number, GuestConsoleDevice> {
  const found = new Map<number, GuestConsoleDevice>();
  for (const { type, name, id } of devices.list()) {
    const device = type === 'console' ? devices.get(type, name) : undefined;
    if (device instanceof GuestConsoleDevice) found.set(id, device);
  }
  return found;
}
