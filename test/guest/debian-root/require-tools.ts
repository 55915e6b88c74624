// Programs of the host that a test cannot do without.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The Debian package of each program that the tests use beyond node. `test/host-tools.ts` installs them for root. */
const PACKAGE = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  'qemu-img': 'qemu-utils',
  sfdisk: 'fdisk',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  iperf3: 'iperf3',
  tar: 'tar',
  'apt-get': 'apt',
  unshare: 'util-linux',
  newuidmap: 'uidmap',
  'grub-mkimage': 'grub-common',
  xorriso: 'xorriso',
} as const;

export type HostTool = keyof typeof PACKAGE;

/** e2fsprogs is in a place that is not on everybody's path. */
export const TOOL_PATH: string = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].join(delimiter);

/** @throws Error that names the Debian packages of what is missing. */
export function requireTools(...tools: readonly HostTool[]): void {
  const missing = tools.filter(isMissing);
  if (missing.length === 0) return;
  throw new Error(`this test needs ${missing.join(', ')}: run \`apt-get install ${packagesOf(missing).join(' ')}\` as root`);
}

/** Debian packages of all programs that are not there. Those that only other users than root need do not count. */
export const missingPackages = (): readonly string[] =>
  packagesOf((Object.keys(PACKAGE) as HostTool[]).filter((tool) => tool !== 'newuidmap' && isMissing(tool)));

const packagesOf = (tools: readonly HostTool[]): string[] => [...new Set(tools.map((tool) => PACKAGE[tool]))];
const isMissing = (tool: HostTool): boolean =>
  !TOOL_PATH.split(delimiter).some((directory) => isExecutable(join(directory, tool)));

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
