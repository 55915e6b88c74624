// The Debian roots that soak runs boot: one with stress-ng, one with a kernel's source and what builds it.
import type { DebianRecipe } from '../test/guest/debian-root/recipe.ts';

export const STRESS_ROOT: DebianRecipe = {
  packages: ['stress-ng'],
  size: '1G',
  files: {},
  customise: 'rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*',
};

/** On top of tinyconfig: what a PVH guest needs to run a script of busybox's from an initramfs. */
const CONFIG = [
  '64BIT',
  'SMP',
  'PRINTK',
  'TTY',
  'HYPERVISOR_GUEST',
  'PARAVIRT',
  'XEN',
  'PVH',
  'HVC_XEN',
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

/** Files that the guest's build must give bit by bit. */
export const BUILT = ['vmlinux', 'arch/x86/boot/bzImage'] as const;
/** Directories of the root: the source, the builds' output, and what the build on the host gave. */
export const BUILD = { source: '/usr/src/linux', output: '/build', native: '/soak/native.sha256' } as const;

/** Path of the script that builds the kernel; what it prints on standard output is the files' hashes. */
export const BUILD_SCRIPT = 'soak/build';

const BUILD_TEXT = `set -e
# Nothing of the machine, the day or the user gets into the kernel.
export KBUILD_BUILD_TIMESTAMP='2025-01-01' KBUILD_BUILD_USER=soak KBUILD_BUILD_HOST=soak KBUILD_BUILD_VERSION=1 LC_ALL=C
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
rm -rf ${BUILD.output}
mkdir ${BUILD.output}
make="make -C ${BUILD.source} O=${BUILD.output}"
$make tinyconfig >&2
${BUILD.source}/scripts/config --file ${BUILD.output}/.config -d KERNEL_XZ ${CONFIG.map((name) => `-e ${name}`).join(' ')} >&2
$make olddefconfig >&2
for name in ${CONFIG.join(' ')}; do
  grep -q "^CONFIG_$name=y" ${BUILD.output}/.config || { echo "CONFIG_$name is not set" >&2; exit 1; }
done
$make vmlinux bzImage >&2
cd ${BUILD.output}
sha256sum ${BUILT.join(' ')}
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
  files: { [BUILD_SCRIPT]: BUILD_TEXT },
  // The register descriptions of AMD's graphics chips are a quarter of the source.
  customise: `set -e
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/*
mkdir "$1${BUILD.source}"
tar -xJf "$1"/usr/src/linux-source-6.1.tar.xz --strip-components=1 --exclude='*/drivers/gpu/drm/amd/include/asic_reg' -C "$1${BUILD.source}"
rm "$1"/usr/src/linux-source-6.1.tar.xz
chroot "$1" sh /${BUILD_SCRIPT} > "$1${BUILD.native}"
rm -rf "$1${BUILD.output}"`,
};
