// The Debian roots that soak runs boot: one with stress-ng, one with a kernel's source and what builds it.
import type { DebianRecipe } from '../test/guest/debian-root/recipe.ts';

export const STRESS_ROOT: DebianRecipe = {
  packages: ['stress-ng'],
  size: '1G',
  files: {},
  customise: 'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*',
};

/** On top of tinyconfig: what runs a script of busybox's from an initramfs, with a console on the first serial port. */
const WANTED = [
  '64BIT',
  'PRINTK',
  'TTY',
  'SERIAL_8250',
  'SERIAL_8250_CONSOLE',
  'BLK_DEV_INITRD',
  'BINFMT_ELF',
  'BINFMT_SCRIPT',
  'FUTEX',
  'POSIX_TIMERS',
  'MULTIUSER',
  'PROC_FS',
  'SYSFS',
  'DEVTMPFS',
  'KERNEL_GZIP',
] as const;
/** What these would bring along is half of the work. */
const UNWANTED = [
  'KERNEL_XZ',
  'VT',
  'UNIX98_PTYS',
  'INPUT',
  'HID',
  'RD_GZIP',
  'RD_BZIP2',
  'RD_LZMA',
  'RD_XZ',
  'RD_LZO',
  'RD_LZ4',
  'RD_ZSTD',
];

/** Paths in the root: the source, what is built, the script that builds, and what it printed on the host. */
export const BUILD = {
  source: '/usr/src/linux',
  output: '/build',
  script: '/soak/build',
  native: '/soak/native.sha256',
} as const;

/** Makes the kernel, for as many seconds as its argument says, and prints hashes of what there is by then. */
const SCRIPT = `set -e
# Nothing of the machine, the day or the user gets into the kernel.
export KBUILD_BUILD_TIMESTAMP='2025-01-01' KBUILD_BUILD_USER=soak KBUILD_BUILD_HOST=soak KBUILD_BUILD_VERSION=1 LC_ALL=C
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
rm -rf ${BUILD.output}
mkdir ${BUILD.output}
make="make -C ${BUILD.source} O=${BUILD.output}"
$make tinyconfig >&2
${BUILD.source}/scripts/config --file ${BUILD.output}/.config ${WANTED.map((name) => `-e ${name}`).join(' ')} ${UNWANTED.map((name) => `-d ${name}`).join(' ')}
$make olddefconfig >&2
for name in ${WANTED.join(' ')}; do
  grep -q "^CONFIG_$name=y" ${BUILD.output}/.config || { echo "CONFIG_$name is not set" >&2; exit 1; }
done
# When its time is over, make removes what it has not finished.
timeout -s INT "$1" $make vmlinux bzImage >&2 || [ $? = 124 ]
cd ${BUILD.output}
find . -name '*.o' -o -name vmlinux -o -name bzImage | sort | xargs sha256sum
`;

/** The script is run once natively, while the root is made; its hashes are what the guest's are held against. */
export const BUILD_ROOT: DebianRecipe = {
  packages: [
    'linux-source-6.1',
    'gcc',
    'make',
    'flex',
    'bison',
    'bc',
    'libc6-dev',
    'libelf-dev',
    'libssl-dev',
    'xz-utils',
    'perl',
  ],
  size: '4G',
  files: { [BUILD.script.slice(1)]: SCRIPT },
  // The register descriptions of AMD's graphics chips are a quarter of the source.
  customise: `set -e
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*
mkdir "$1${BUILD.source}"
tar -xJf "$1"/usr/src/linux-source-6.1.tar.xz --strip-components=1 --exclude='*/drivers/gpu/drm/amd/include/asic_reg' -C "$1${BUILD.source}"
rm "$1"/usr/src/linux-source-6.1.tar.xz
chroot "$1" sh ${BUILD.script} 100000 > "$1${BUILD.native}"
grep -q bzImage "$1${BUILD.native}"
rm -rf "$1${BUILD.output}"`,
};
