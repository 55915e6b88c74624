// What the guests of a run boot: kernel and busybox from Debian's packages, and initramfs archives with the suite in them.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cpioDirectory, cpioFile } from '../src/image/cpio.ts';
import { demoInitramfs } from '../src/node/demo-initramfs.ts';
import { fetchGuestParts, type GuestParts, readKernelModules } from '../src/node/guest-parts.ts';
import { fetchI386Parts } from './i386-packages.ts';
import type { Bits, Row } from './rows.ts';

export interface GuestImage extends Disposable {
  /** Path of the bzImage. */
  readonly kernel: string;
  /** Path of the uncompressed initramfs. */
  readonly initrd: string;
  /** Such as "6.1.0-56-cloud-amd64". */
  readonly release: string;
}

/** A guest that boots to a shell. */
export const shellImage = (): Promise<GuestImage> => build((busybox) => demoInitramfs(busybox));

/** How the suite is compiled: both with SSE2. gcc needs Debian's gcc-multilib for 32 bits. */
const TARGET: Readonly<Record<Bits, readonly string[]>> = { 64: [], 32: ['-m32', '-msse2', '-mfpmath=sse'] };

/** A guest that runs rows and powers off. @param limit seconds that one row may take */
export async function suiteImage(rows: readonly Row[], scale: number, limit: number, bits: Bits = 64): Promise<GuestImage> {
  const target = TARGET[bits];
  return build(
    (busybox, directory) =>
      demoInitramfs(busybox, [
        cpioDirectory('bench'),
        cpioFile('bench/bench', compile(directory, 'bench', 'bench.c', ...target), 0o755),
        cpioFile('bench/bench_x87', compile(directory, 'bench_x87', 'bench.c', ...target, '-mfpmath=387'), 0o755),
        cpioFile('bench/init', script(rows, scale, limit), 0o755),
      ]),
    bits === 32 ? await fetchI386Parts() : await fetchGuestParts(),
  );
}

/** Drivers of both monitors' disks and network cards. */
const IO_MODULES = ['xen-blkfront', 'xen-netfront', 'virtio-pci', 'virtio-blk', 'virtio-net'];

/**
 * A guest that has its drivers loaded, its card up as 10.0.2.15, and $disk the letters that its disks begin with, runs what it
 * is told to, and powers off. `/bench/io` is guest/io.c.
 */
export function ioImage(commands: readonly string[]): Promise<GuestImage> {
  return build(async (busybox, directory, parts) => {
    const modules = await readKernelModules(parts, IO_MODULES);
    const script = `#!/bin/sh
export PATH=/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 1 > /proc/sys/kernel/printk
${modules.map(({ name }) => `insmod /bench/${name}.ko 2>/dev/null`).join('\n')}
ip link set lo up
disk=/dev/vd
[ -f /sys/hypervisor/type ] && disk=/dev/xvd
if [ -n "$io_disks" ]; then while ! [ -b "$disk$io_disks" ]; do sleep 0.1; done; fi
if [ -n "$io_card" ]; then
  while ! [ -d /sys/class/net/eth0 ]; do sleep 0.1; done
  ip link set eth0 up
  ip addr add 10.0.2.15/24 dev eth0
  ip route add default via 10.0.2.2
  ping -c 1 -W 5 10.0.2.2 > /dev/null
fi
echo
${commands.join('\n')}
echo "@@D"
poweroff -f
`;
    return demoInitramfs(busybox, [
      cpioDirectory('bench'),
      cpioFile('bench/io', compile(directory, 'io', 'io.c'), 0o755),
      cpioFile('bench/init', script, 0o755),
      ...modules.map(({ name, data }) => cpioFile(`bench/${name}.ko`, data)),
    ]);
  });
}

type Archive = (busybox: Uint8Array, directory: string, parts: GuestParts) => Uint8Array | Promise<Uint8Array>;

async function build(archive: Archive, given?: GuestParts): Promise<GuestImage> {
  const parts = given ?? (await fetchGuestParts());
  const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-'));
  const initrd = join(directory, 'initrd.cpio');
  writeFileSync(initrd, await archive(readFileSync(parts.busybox), directory, parts));
  const release = parts.packageName.replace('linux-image-', '');
  return { kernel: parts.kernel, initrd, release, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

function compile(directory: string, name: string, file: string, ...options: string[]): Uint8Array {
  const source = new URL(`../../guest/${file}`, import.meta.url).pathname;
  const output = join(directory, name);
  execFileSync('gcc', ['-O2', '-static', '-w', ...options, '-o', output, source, '-lm'], { stdio: 'inherit' });
  return readFileSync(output);
}

/** PID 1 of the guest. A row's lines on the console are @@B and its name, what it prints, @@E with its name and exit status. */
function script(rows: readonly Row[], scale: number, limit: number): string {
  const run = ({ name, command }: Row): string =>
    `echo "@@B ${name}"\ntimeout -s KILL ${limit} sh -c '${command(scale)}'\necho "@@E ${name} $?"\n`;
  return `#!/bin/sh
export PATH=/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
echo 1 > /proc/sys/kernel/printk
echo
${rows.map(run).join('')}echo "@@D"
poweroff -f
`;
}
