// A guest to exercise the platform with: Debian's cloud kernel, the demo's shell, the programs for XenStore and kexec, and
// the modules that give programs event channels and grants.
import { readFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { type CpioEntry, cpioFile } from '../../src/image/cpio.ts';
import type { Domain } from '../../src/machine/domain.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { fetchBusybox, fetchKernel, type KernelFiles } from '../../src/node/guest-parts.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { debianFiles, XEN_TOOLS } from './debian-files.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';

const MODULES = ['xen-evtchn', 'xen-gntdev', 'xen-gntalloc', 'xenfs'];
/** Loads what is in /modules in the order of its names: dependencies first. */
const LOAD_MODULES = '#!/bin/sh\nfor module in /modules/*; do insmod "$module" || exit 1; done\n';

export interface XenGuestParts extends KernelFiles {
  /** What is beside busybox in the initramfs. */
  readonly extra: readonly CpioEntry[];
  readonly busybox: Uint8Array;
}

/** The kernel that these guests run, unless the environment names another. */
const KERNEL = process.env.DOM1_KERNEL ?? 'linux-image-cloud-amd64';

/** A line on stderr and undefined where the packages cannot be had. */
export async function xenGuestParts(kernelPattern = KERNEL): Promise<XenGuestParts | undefined> {
  try {
    const kernel = await fetchKernel(kernelPattern);
    const extra = [
      ...(await debianFiles(XEN_TOOLS)),
      ...(await kernelModuleFiles(kernel, MODULES, 'modules')),
      cpioFile('bin/load-modules', LOAD_MODULES, 0o755),
    ];
    return { ...kernel, extra, busybox: await readFile(await fetchBusybox()) };
  } catch (error) {
    process.stderr.write(`skipping guests with ${kernelPattern}: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

export interface ShellOptions {
  /** What the command exits with. Default 0; 'any' takes every status. */
  readonly status?: number | 'any';
  /** Milliseconds. */
  readonly timeout?: number;
}

export interface BootOptions extends Partial<CreateDomainConfig> {
  /** Further files in the guest. */
  readonly files?: readonly CpioEntry[];
  /** After the console's and the log's. */
  readonly commandLine?: string;
}

export interface GuestClocks {
  /** Since the kernel began. */
  readonly monotonicMs: number;
  readonly unixMs: number;
  readonly lagMs: { readonly monotonic: number; readonly unix: number };
}

/** Without the kernel's tests of its ciphers; boot.spec.ts runs them. */
const COMMAND_LINE = 'console=hvc0 loglevel=7 cryptomgr.notests';

export class XenGuest implements AsyncDisposable {
  readonly domain: Domain;

  constructor(domain: Domain) {
    this.domain = domain;
  }

  /** Boots to a shell. @param before is given the domain before it runs */
  static async boot(
    parts: XenGuestParts,
    options: BootOptions = {},
    before: (domain: Domain) => void = () => {},
  ): Promise<XenGuest> {
    const { files = [], commandLine = '', ...config } = options;
    const domain = await dom1.createDomain({
      kernel: parts.kernel,
      initrd: demoInitramfs(parts.busybox, [...parts.extra, ...files]),
      memory: '256MiB',
      ...config,
      commandLine: `${COMMAND_LINE} ${commandLine}`.trimEnd(),
    });
    const guest = new XenGuest(domain);
    before(domain);
    domain.run();
    await guest.prompt();
    return guest;
  }

  /** Waits for the shell to be ready for a command. */
  prompt(): Promise<void> {
    return this.domain.console.prompt({ timeout: BOOT_TIME });
  }

  /** Runs a command and gives what it printed, without the line end. */
  async sh(command: string, options: ShellOptions = {}): Promise<string> {
    const { status: wanted = 0, timeout = 30_000 } = options;
    const { output, status } = await this.domain.console.sh(command, { timeout });
    if (wanted !== 'any') expect({ command, output, status }).toMatchObject({ command, status: wanted });
    return output.trimEnd();
  }

  /** The kernel's log since the last call that cleared it, with its complaints checked. */
  async log(options: { readonly clear?: boolean } = {}): Promise<string> {
    const log = await this.sh(options.clear === true ? 'dmesg -c' : 'dmesg');
    expect(complaints(log)).toEqual([]);
    return log;
  }

  /** The guest's clocks, and how far they are behind the host's: by the time that it takes to ask, at least. */
  async clocks(): Promise<GuestClocks> {
    const text = await this.sh(
      "sed -n 's/^now at \\([0-9]*\\) nsecs$/\\1/p; /^ clock 1:/,/offset/s/.*offset: *\\(-*[0-9]*\\) nsecs$/\\1/p' /proc/timer_list",
    );
    const [monotonicMs = Number.NaN, offsetMs = Number.NaN] = text.split('\n').map((ns) => Number(ns) / 1e6);
    const unixMs = monotonicMs + offsetMs;
    return { monotonicMs, unixMs, lagMs: { monotonic: performance.now() - monotonicMs, unix: Date.now() - unixMs } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.domain.destroy();
  }
}
