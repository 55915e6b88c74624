// The demo's guest for programs: Debian's kernel for virtual machines with a busybox userspace, and what one wants to have in it.
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path/posix';
import { type CpioEntry, cpioDirectory, cpioFile } from '../image/cpio.ts';
import { BOOT_MODULES, DEMO_DIRECTORIES, demoInitramfs } from './demo-initramfs.ts';
import { DEMO_KERNEL, fetchBusybox, fetchKernel, type GuestPartsOptions } from './guest-parts.ts';
import { kernelModuleFiles } from './kernel-modules.ts';

/** What the demo's guest has in it. */
export interface DemoGuestOptions extends GuestPartsOptions {
  /** A Debian package with a kernel; `*` stands for anything, and the newest is taken. Default "linux-image-cloud-amd64". */
  readonly kernelPackage?: string;
  /** Modules that are loaded at boot, with those they depend on: "xen-blkfront", "xen-netfront". Default: none. */
  readonly modules?: readonly string[];
  /** Further files by their absolute paths in the guest. Those that begin with "#!" or an ELF header can be run. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>;
}

/** What `createDomain` takes. */
export interface DemoGuest {
  readonly kernel: string;
  readonly initrd: Uint8Array;
  readonly commandLine: string;
}

/** Without the kernel's tests of its ciphers, which take two thirds of its time until the shell. */
const COMMAND_LINE = 'console=hvc0 quiet cryptomgr.notests';

/** What busybox's udhcpc runs with each lease. */
const LEASE_SCRIPT = `#!/bin/sh
[ -n "$ip" ] || exit 0
ip link set "$interface" up
ip addr flush dev "$interface"
ip addr add "$ip/$mask" dev "$interface"
[ -n "$router" ] && ip route add default via "$router"
for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
`;

/**
 * Debian's kernel and an initramfs with a busybox root shell on the Xen console: from the cache, or fetched with the host's
 * apt-get (no root needed) and kept there. `createDomain({ ...await fetchDemoGuest() })` boots it.
 * @throws GuestPartsError, ImageError
 */
export async function fetchDemoGuest(options: DemoGuestOptions = {}): Promise<DemoGuest> {
  const { kernelPackage = DEMO_KERNEL, modules = [], files = {}, ...fetching } = options;
  const parts = await fetchKernel(kernelPackage, fetching);
  const busybox = await readFile(await fetchBusybox(fetching));
  const entries = [
    ...withDirectories({ '/etc/udhcpc/default.script': LEASE_SCRIPT, ...files }),
    ...(modules.length > 0 ? await kernelModuleFiles(parts, modules, BOOT_MODULES, fetching) : []),
  ];
  return { kernel: parts.kernel, initrd: demoInitramfs(busybox, entries), commandLine: COMMAND_LINE };
}

/** What the demo's initramfs has, with directories for the rest; a file that is given twice is the last one. */
function withDirectories(files: Readonly<Record<string, string | Uint8Array>>): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  for (const [path, data] of Object.entries(files)) {
    const name = path.replace(/^\/+/, '');
    const missing: string[] = [];
    for (let directory = dirname(name); directory !== '.'; directory = dirname(directory)) missing.unshift(directory);
    for (const directory of missing)
      if (!DEMO_DIRECTORIES.includes(directory) && !entries.has(directory)) entries.set(directory, cpioDirectory(directory));
    entries.set(name, cpioFile(name, data, isProgram(data) ? 0o755 : 0o644));
  }
  return [...entries.values()];
}

const isProgram = (data: string | Uint8Array): boolean => {
  const start = typeof data === 'string' ? data.slice(0, 4) : new TextDecoder('latin1').decode(data.subarray(0, 4));
  return start.startsWith('#!') || start === '\x7fELF';
};
