// A Debian guest on a copy of the root image, up to a shell on hvc0.
import { expect } from 'vitest';
import type { Domain } from '../../../src/machine/domain.ts';
import type { DomainEnd } from '../../../src/machine/domain-config.ts';
import type { CreateDomainConfig } from '../../../src/node/create-domain.ts';
import { fetchKernel, type KernelFiles } from '../../../src/node/guest-parts.ts';
import type { DiskConfig } from '../../../src/node/open-devices.ts';
import { dom1 } from '../kernels.ts';
import { bootImage } from './boot-image.ts';

/** The kernel that these guests run, unless the environment names another. */
const KERNEL = process.env.DOM1_KERNEL ?? 'linux-image-cloud-amd64';
const COMMAND_LINE = 'console=hvc0 root=/dev/xvda rw cryptomgr.notests net.ifnames=0 systemd.show_status=0';

/** Milliseconds from the start to `login:`, on a slow, busy host. */
export const LOGIN_TIME = 300_000;

export interface DebianBootOptions extends Omit<Partial<CreateDomainConfig>, 'disks'> {
  /** What is xvda. */
  readonly root: Omit<DiskConfig, 'vdev'>;
  /** Further disks. */
  readonly disks?: readonly DiskConfig[];
  /** After what every guest is told. */
  readonly commandLine?: string;
}

export interface ShellOptions {
  /** What the command exits with. Default 0; 'any' takes every status. */
  readonly status?: number | 'any';
  /** Milliseconds. */
  readonly timeout?: number;
}

export class DebianGuest implements AsyncDisposable {
  readonly domain: Domain;
  readonly #kernel: KernelFiles | undefined;

  private constructor(domain: Domain, kernel?: KernelFiles) {
    this.domain = domain;
    this.#kernel = kernel;
  }

  /** What `boot` gave it. */
  get kernel(): KernelFiles {
    if (this.#kernel === undefined) throw new Error('this guest has a kernel of its own');
    return this.#kernel;
  }

  /** Boots to `login:`, and logs in as root. */
  static async boot(options: DebianBootOptions): Promise<DebianGuest> {
    const { root, disks = [], commandLine = '', ...config } = options;
    const kernel = await fetchKernel(KERNEL);
    const domain = await dom1.createDomain({
      kernel: kernel.kernel,
      initrd: await bootImage(kernel),
      memory: '512MiB',
      ...config,
      disks: [{ ...root, vdev: 'xvda' }, ...disks],
      commandLine: `${COMMAND_LINE} ${commandLine}`.trimEnd(),
    });
    return await DebianGuest.#started(new DebianGuest(domain, kernel));
  }

  /** As `boot`, with nothing but what is said. */
  static async bootAs(config: CreateDomainConfig): Promise<DebianGuest> {
    return await DebianGuest.#started(new DebianGuest(await dom1.createDomain(config)));
  }

  static async #started(guest: DebianGuest): Promise<DebianGuest> {
    try {
      guest.domain.run();
      await guest.#logIn();
    } catch (error) {
      await guest.domain.destroy();
      throw error;
    }
    return guest;
  }

  async #logIn(): Promise<void> {
    const { console: terminal } = this.domain;
    try {
      await terminal.expect(/debian login: /, { timeout: LOGIN_TIME });
      terminal.write('root\n');
      await terminal.prompt({ timeout: LOGIN_TIME });
      // The kernel's messages would come in the middle of what a command prints; a panic is still printed.
      await this.sh('dmesg -n 1', { timeout: LOGIN_TIME });
    } catch (cause) {
      throw new Error(`no shell; the console's last lines:\n${terminal.lastLines(20).join('\n')}`, { cause });
    }
  }

  /** Runs a command and gives what it printed, without the line end. */
  async sh(command: string, options: ShellOptions = {}): Promise<string> {
    const { status: wanted = 0, timeout = 60_000 } = options;
    const { output, status } = await this.domain.console.sh(command, { timeout });
    if (wanted !== 'any') expect({ command, output, status }).toMatchObject({ command, status: wanted });
    return output.trimEnd();
  }

  /** Lets the guest power itself off, as its administrator would. */
  async powerOff(): Promise<DomainEnd> {
    this.domain.console.write('systemctl poweroff\n');
    const timeout = AbortSignal.timeout(LOGIN_TIME);
    return await Promise.race([
      this.domain.ended,
      new Promise<never>((_, reject) => {
        timeout.addEventListener('abort', () => reject(new Error('the guest did not power off')), { once: true });
      }),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.domain.destroy();
  }
}
