// What is in the Debian root that the tests boot. Its cache knows it by all of this.

/** A Debian root file system. */
export interface DebianRecipe {
  /** Beside what Debian calls essential. */
  readonly packages: readonly string[];
  /** Of the image, as mke2fs has it. Its free space is what guests write; the file is sparse. */
  readonly size: string;
  /** Files by path, in place of what is there. */
  readonly files: Readonly<Record<string, string>>;
  /** A shell script that is run outside of the root, whose path is $1. */
  readonly customise: string;
}

/** To be counted up when the way it is built changes. */
export const RECIPE_VERSION = 1;

const PACKAGES = [
  'systemd-sysv',
  'udev',
  'kmod',
  'e2fsprogs',
  'ifupdown',
  'iproute2',
  'isc-dhcp-client',
  'iputils-ping',
  'netbase',
  'openssh-server',
  'wget',
  'fio',
  'iperf3',
] as const;

const SIZE = '2G';

/** In place of what mmdebstrap took from the machine that it ran on, and what would make one boot differ from the next. */
const FILES: Readonly<Record<string, string>> = {
  'etc/hostname': 'debian\n',
  'etc/hosts': '127.0.0.1 localhost\n127.0.1.1 debian\n::1 localhost ip6-localhost ip6-loopback\n',
  'etc/resolv.conf': '',
  'etc/fstab': '/dev/xvda / ext4 defaults,errors=remount-ro 0 1\n',
  // With one, a boot is never the first: units would be preset, and systemd would wait for nothing.
  'etc/machine-id': '5e7d2b6f0c9a4f3e8b1d6a2c4e8f0a1b\n',
  // A guest without a network card has nothing to wait for.
  'etc/network/interfaces':
    'auto lo\niface lo inet loopback\n\nallow-hotplug eth0\niface eth0 inet dhcp\niface eth0 inet6 auto\n',
};

/** Work that comes by the clock would come in the middle of a test; and nobody sits at the virtual terminals. */
const MASKED = [
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'dpkg-db-backup.timer',
  'e2scrub_all.timer',
  'e2scrub_reap.service',
  'fstrim.timer',
  'systemd-tmpfiles-clean.timer',
  'getty-static.service',
  'getty@tty1.service',
];

const CUSTOMISE = `chroot "$1" passwd -d root
chroot "$1" systemctl mask ${MASKED.join(' ')}
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/log/*.log`;

/** systemd, a login without a password on hvc0, ssh, DHCP on eth0, fio and iperf3. */
export const TEST_ROOT: DebianRecipe = { packages: PACKAGES, size: SIZE, files: FILES, customise: CUSTOMISE };
