// The demo's guest for programs: Debian's kernel for virtual machines with a busybox userspace, and what one wants to have in it.
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path/posix';
import { type CpioEntry, cpioDirectory, cpioFile, readCpio, writeCpio } from '../image/cpio.ts';
import { BOOT_MODULES, DEMO_DIRECTORIES, demoInitramfs } from './demo-initramfs.ts';
import {
  DEMO_KERNEL,
  fetchBusybox,
  fetchKernel,
  type GuestPartsOptions,
  type KernelFiles,
  readKernelModules,
} from './guest-parts.ts';
import { defaultCacheDirectory, PackageCache } from './package-cache.ts';

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
    ...(modules.length > 0 ? await moduleFiles(parts, modules, fetching) : []),
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

/** Finding them in the kernel's package takes seconds, so they are kept beside it. */
async function moduleFiles(kernel: KernelFiles, names: readonly string[], options: GuestPartsOptions): Promise<CpioEntry[]> {
  const cache = new PackageCache(options.cacheDirectory ?? defaultCacheDirectory(options.env));
  const name = [kernel.packageName, ...names].join('+');
  const path = await cache.provide(cache.path(name, kernel.version, '.cpio'), async (directory) => {
    const found = await readKernelModules(kernel, names);
    const file = join(directory, 'modules.cpio');
    const numbered = found.map((module, i) =>
      cpioFile(`${BOOT_MODULES}/${String(i).padStart(3, '0')}-${module.name}.ko`, module.data),
    );
    const parents = BOOT_MODULES.split('/').map((_, i, parts) => cpioDirectory(parts.slice(0, i + 1).join('/')));
    await writeFile(file, writeCpio([...parents, ...numbered]));
    return file;
  });
  return readCpio(await readFile(path));
}
