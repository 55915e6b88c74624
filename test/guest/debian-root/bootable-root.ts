// A Debian that brings its own kernel, initramfs and GRUB: what a disk image from anywhere is like.
import { type DebianRecipe, TEST_ROOT } from './recipe.ts';

/** Its root's partition; the disk has no other. */
export const ROOT_PARTITION = '/dev/xvda1';

/** What the kernel is told in all of its boots. */
export const GUEST_WORDS = 'console=hvc0 net.ifnames=0 cryptomgr.notests systemd.show_status=0';

const PACKAGES = [
  'systemd-sysv',
  'udev',
  'kmod',
  'e2fsprogs',
  'ifupdown',
  'iproute2',
  'isc-dhcp-client',
  'netbase',
  'initramfs-tools',
  'linux-image-cloud-amd64',
  'grub2-common',
  'grub-pc-bin',
] as const;

const FILES: Readonly<Record<string, string>> = {
  ...TEST_ROOT.files,
  'etc/fstab': `${ROOT_PARTITION} / ext4 defaults,errors=remount-ro 0 1\n`,
  // What is read by update-grub, beside Debian's /etc/grub.d.
  'etc/default/grub': [
    'GRUB_DEFAULT=0',
    'GRUB_TIMEOUT=0',
    'GRUB_DISTRIBUTOR=Debian',
    'GRUB_CMDLINE_LINUX_DEFAULT=""',
    `GRUB_CMDLINE_LINUX="${GUEST_WORDS}"`,
    'GRUB_TERMINAL=console',
    '',
  ].join('\n'),
  // With Debian's default, all drivers that there are, unpacking the initramfs is most of a boot.
  'etc/initramfs-tools/conf.d/dom1': 'MODULES=list\nCOMPRESS=gzip\n',
  'etc/initramfs-tools/modules': 'xen-blkfront\next4\n',
};

/** File systems and modules that nothing here uses: each unit is a process or two of a boot. */
const UNUSED = [
  ...['configfs', 'dm_mod', 'drm', 'efi_pstore', 'fuse', 'loop'].map((module) => `modprobe@${module}.service`),
  ...['dev-hugepages', 'dev-mqueue', 'sys-kernel-debug', 'sys-kernel-tracing', 'sys-fs-fuse-connections'].map(
    (name) => `${name}.mount`,
  ),
  'systemd-random-seed.service',
  'systemd-update-utmp.service',
  'systemd-update-utmp-runlevel.service',
  'systemd-pstore.service',
];

export const BOOTABLE_ROOT: DebianRecipe = {
  packages: PACKAGES,
  size: '1200M',
  files: FILES,
  // The packages' own initramfs was made before these files were there.
  customise: `${TEST_ROOT.customise}
chroot "$1" systemctl mask ${UNUSED.join(' ')}
chroot "$1" update-initramfs -u -k all`,
};
