// The demo guest's userspace: busybox, a link for each of its applets, and an /init that gives a root shell on the console.
import { type CpioEntry, cpioCharDevice, cpioDirectory, cpioFile, cpioLink, writeCpio } from '../image/cpio.ts';
import { ImageError } from '../image/image-error.ts';

/** Kernel modules that lie here are loaded at boot, in the order of their names. */
export const BOOT_MODULES = 'lib/modules/boot';

/**
 * What PID 1 does before it becomes busybox init. The console is the last one that `console/active` lists, which is what
 * /dev/console stands for; init must open it by its own name, or it is no controlling terminal and ^C does nothing.
 * Printk level 1 keeps the kernel's messages off the prompt; `dmesg` has them, and a panic is still printed.
 */
const INIT = `#!/bin/sh
export PATH=/sbin:/bin HOME=/root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir /dev/pts
mount -t devpts devpts /dev/pts
echo 1 > /proc/sys/kernel/printk
for module in /${BOOT_MODULES}/*; do
  [ ! -e "$module" ] || insmod "$module"
done
hostname guest
read -r consoles < /sys/class/tty/console/active
tty=\${consoles##* }
[ -c "/dev/$tty" ] || tty=console
echo "$tty::once:-/etc/session" > /etc/inittab
exec init
`;

/** The session on the console. COLUMNS and LINES are in the environment when they are on the kernel's command line. */
const SESSION = `#!/bin/sh
cd /root
[ -n "$COLUMNS" ] && [ -n "$LINES" ] && stty columns "$COLUMNS" rows "$LINES"
sh -l
sync
poweroff -f
`;

const PROFILE = `export PATH=/sbin:/bin HOME=/root USER=root
PS1='guest:\\w# '
echo "Linux $(uname -r). This shell is all there is: exit powers the guest off."
`;

/** What the kernel runs when it is told from outside to go down: kernel/reboot.c, orderly_poweroff and orderly_reboot. */
const ORDERLY = ['poweroff', 'reboot'];

/** Those that every initramfs has. */
export const DEMO_DIRECTORIES = ['bin', 'dev', 'etc', 'mnt', 'proc', 'root', 'run', 'sbin', 'sys', 'tmp'];

/**
 * The names busybox answers to. They are in the binary as a sorted list of NUL-terminated strings that starts with "[",
 * so it need not be run, and its architecture need not be the host's.
 */
export function busyboxApplets(busybox: Uint8Array): string[] {
  const head = [0x5b, 0, 0x5b, 0x5b, 0]; // "[" and "[["
  for (let at = busybox.indexOf(0x5b); at >= 0; at = busybox.indexOf(0x5b, at + 1)) {
    if (!head.every((byte, i) => busybox[at + i] === byte)) continue;
    const applets: string[] = [];
    for (;;) {
      const end = busybox.indexOf(0, at);
      if (end <= at) break;
      applets.push(new TextDecoder('latin1').decode(busybox.subarray(at, end)));
      at = end + 1;
    }
    if (applets.includes('sh')) return applets;
  }
  throw new ImageError(
    'unsupported',
    'the busybox binary has no list of applets',
    'use the busybox of the Debian package busybox-static',
  );
}

/**
 * Builds the initramfs, uncompressed: the guest then has nothing to decompress while it boots.
 * @param busybox a statically linked x86-64 busybox with sh, mount, setsid and poweroff
 * @param extra further entries, such as kernel modules; their directories must be among them
 */
export function demoInitramfs(busybox: Uint8Array, extra: readonly CpioEntry[] = []): Uint8Array {
  const links = busyboxApplets(busybox).filter((name) => name !== 'busybox' && !name.includes('/'));
  return writeCpio([
    ...DEMO_DIRECTORIES.map((path) => cpioDirectory(path, path === 'tmp' ? 0o1777 : 0o755)),
    cpioCharDevice('dev/console', 5, 1), // the kernel opens it for PID 1 before anything is mounted
    cpioCharDevice('dev/null', 1, 3, 0o666),
    cpioFile('bin/busybox', busybox, 0o755),
    ...links.map((name) => cpioLink(`bin/${name}`, 'busybox')),
    ...ORDERLY.map((name) => cpioLink(`sbin/${name}`, '../bin/busybox')),
    cpioFile('etc/profile', PROFILE),
    cpioFile('etc/session', SESSION, 0o755),
    cpioFile('etc/passwd', 'root:x:0:0:root:/root:/bin/sh\n'),
    cpioFile('etc/group', 'root:x:0:\n'),
    cpioFile('init', INIT, 0o755),
    ...extra,
  ]);
}
