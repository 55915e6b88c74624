// The initramfs that a Debian guest starts from: it loads the drivers of PV disks and network cards, mounts the root and goes
// on from there. Debian's cloud kernel has ext4 built in.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { cpioCharDevice, cpioDirectory, cpioFile, cpioLink, readCpio, writeCpio } from '../../../src/image/cpio.ts';
import { fetchBusybox, type KernelFiles, readKernelModules } from '../../../src/node/guest-parts.ts';
import { PackageCache } from '../../../src/node/package-cache.ts';

const MODULES = ['xen-blkfront', 'xen-netfront'];

/** The root is what `root=` of the command line names, and appears when the driver has connected. */
const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs devtmpfs /dev
mount -t proc proc /proc
for module in /modules/*; do insmod "$module" || exit 1; done
read -r line < /proc/cmdline
for word in $line; do
  case $word in root=*) root=\${word#root=} ;; esac
done
until [ -b "$root" ]; do sleep 0.05; done
mount -t ext4 -o rw "$root" /root || exit 1
umount /proc
mount -o move /dev /root/dev
exec switch_root /root /sbin/init
`;

/** A kernel's boot image; made once and kept beside the kernel. */
export async function bootImage(kernel: KernelFiles): Promise<Uint8Array> {
  const modules = readCpio(await readFile(await modulesArchive(kernel)));
  return writeCpio([
    ...['bin', 'dev', 'modules', 'proc', 'root'].map((path) => cpioDirectory(path)),
    cpioCharDevice('dev/console', 5, 1),
    cpioFile('bin/busybox', await readFile(await fetchBusybox()), 0o755),
    cpioLink('bin/sh', 'busybox'),
    ...modules,
    cpioFile('init', INIT, 0o755),
  ]);
}

/** Finding them in the kernel's package takes seconds. */
async function modulesArchive(kernel: KernelFiles): Promise<string> {
  const cache = new PackageCache();
  const path = cache.path(`${kernel.packageName}+pv-modules`, kernel.version, '.cpio');
  return cache.provide(path, async (directory) => {
    const modules = await readKernelModules(kernel, MODULES);
    const file = join(directory, 'modules.cpio');
    // The order of the names is the order to load them in.
    await writeFile(file, writeCpio(modules.map(({ name, data }, i) => cpioFile(`modules/${i}-${name}.ko`, data))));
    return file;
  });
}
