// Programs of the host that a test cannot do without.
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The Debian package of each program that the tests use beyond node. `.ci/run` installs them. */
const PACKAGE = {
  mmdebstrap: 'mmdebstrap',
  mke2fs: 'e2fsprogs',
  e2fsck: 'e2fsprogs',
  debugfs: 'e2fsprogs',
  'qemu-img': 'qemu-utils',
  ssh: 'openssh-client',
  'ssh-keygen': 'openssh-client',
  iperf3: 'iperf3',
  tar: 'tar',
  'apt-get': 'apt',
  unshare: 'util-linux',
  newuidmap: 'uidmap',
} as const;

export type HostTool = keyof typeof PACKAGE;

/** e2fsprogs is in a place that is not on everybody's path. */
export const TOOL_PATH: string = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'].join(delimiter);

/** @throws Error that names the Debian packages of what is missing. */
export function requireTools(...tools: readonly HostTool[]): void {
  const missing = tools.filter((tool) => !TOOL_PATH.split(delimiter).some((directory) => isExecutable(join(directory, tool))));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((tool) => PACKAGE[tool]))].join(' ');
  throw new Error(`this test needs ${missing.join(', ')}: run \`apt-get install ${packages}\` as root`);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
