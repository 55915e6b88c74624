// A whole disk around the bootable root, as a raw file: a partition table, GRUB for a BIOS and one partition, made without being root.
import { mkdir, readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readBzImage, unpackPayload } from '../../../src/image/bzimage.ts';
import { type GrubImages, installGrub, SECTOR } from '../install-grub.ts';
import { BOOTABLE_ROOT, GUEST_WORDS } from './bootable-root.ts';
import { debianRoot, FILE_SYSTEM_UUID } from './debian-root.ts';
import { requireTools } from './require-tools.ts';
import { runTool } from './run-tool.ts';
import type { ScratchImages } from './scratch-images.ts';

/** Kinds of partition tables, as sfdisk calls them. */
export type PartitionTable = 'dos' | 'gpt';

export interface BootableDisk {
  readonly path: string;
  /** The disk's own, for a host that boots them directly. */
  readonly kernel: string;
  readonly initrd: string;
}

/** Where the partition begins, as every partitioner has it. */
export const PARTITION_BYTES = 2 ** 20;
/** After the partition: a GUID partition table has a copy of itself at the end. */
const TAIL_BYTES = 2 ** 20;
/** Where GRUB's core image begins: behind the MBR, or in a partition of its own behind the GUID partition table. */
const CORE_SECTOR: Readonly<Record<PartitionTable, number>> = { dos: 1, gpt: 34 };
/** The type of a BIOS boot partition. */
const BIOS_BOOT = '21686148-6449-6E6F-744E-656564454649';
/** What is not read from the disk: drivers of the disk, of its partitions and its file system. As grub-install would have it. */
const CORE_MODULES = ['biosdisk', 'part_msdos', 'part_gpt', 'ext2', 'search_fs_uuid'];

/** In the root, and where update-grub's file expects them from /boot/grub. */
const GRUB_MODULES = '/usr/lib/grub/i386-pc';

/**
 * GRUB 2.06 as a PV guest unpacks gzip, xz and lzo, and Debian's kernels of today are packed with lz4 or zstd: so it gets one that is not.
 * Debian's grub.cfg reads this.
 */
const customEntry = (release: string): string => `if [ "$grub_platform" = xen ]; then
  set default=unpacked
  menuentry 'Debian, with its kernel unpacked' --id unpacked {
    search --no-floppy --fs-uuid --set=root ${FILE_SYSTEM_UUID}
    linux /boot/vmlinux-${release} root=UUID=${FILE_SYSTEM_UUID} ro ${GUEST_WORDS}
    initrd /boot/initrd.img-${release}
  }
fi
`;

/** @param name of the files that are made in `images` */
export async function bootableDisk(images: ScratchImages, name: string, table: PartitionTable): Promise<BootableDisk> {
  requireTools('sfdisk', 'debugfs', 'grub-mkimage');
  const { raw } = await debianRoot({ recipe: BOOTABLE_ROOT });
  const root = await images.copy(raw, `${name}-root.img`);
  const boot = await debugfs(root, ['ls -p /boot']);
  const release = /\/vmlinuz-([^/]+)\//.exec(boot)?.[1];
  if (release === undefined) throw new Error(`the root has no kernel in /boot:\n${boot}`);
  const [kernel, initrd, vmlinux, custom] = ['vmlinuz', 'initrd', 'vmlinux', 'custom.cfg'].map((file) =>
    images.path(`${name}-${file}`),
  ) as [string, string, string, string];
  await debugfs(root, [`dump /boot/vmlinuz-${release} ${kernel}`, `dump /boot/initrd.img-${release} ${initrd}`]);
  const { payload } = readBzImage(await readFile(kernel));
  await writeFile(vmlinux, (await unpackPayload(payload)).vmlinux);
  await writeFile(custom, customEntry(release));
  await debugfs(root, [
    'cd /boot',
    `write ${vmlinux} vmlinux-${release}`,
    // update-grub makes the rest.
    'mkdir grub',
    'cd grub',
    `write ${custom} custom.cfg`,
    `symlink i386-pc ${GRUB_MODULES}`,
  ]);

  const path = images.path(`${name}.img`);
  const { size } = await stat(root);
  await writeFile(path, '');
  await truncate(path, PARTITION_BYTES + size + TAIL_BYTES);
  const core = CORE_SECTOR[table];
  const script = [
    `label: ${table}`,
    ...(table === 'gpt' ? [`first-lba: ${core}`] : []),
    `start=${PARTITION_BYTES / SECTOR}, size=${size / SECTOR}, type=linux, bootable`,
    ...(table === 'gpt' ? [`start=${core}, size=${PARTITION_BYTES / SECTOR - core}, type=${BIOS_BOOT}`] : []),
  ];
  await runTool('sfdisk', ['-q', path], { input: `${script.join('\n')}\n` });
  await installGrub(path, await grubImages(images, name, root), core, PARTITION_BYTES / SECTOR);
  await runTool('dd', [
    `if=${root}`,
    `of=${path}`,
    'bs=1M',
    `seek=${PARTITION_BYTES / 2 ** 20}`,
    'conv=notrunc,sparse',
    'status=none',
  ]);
  return { path, kernel, initrd };
}

/** GRUB for a BIOS, of the modules in the root. */
async function grubImages(images: ScratchImages, name: string, root: string): Promise<GrubImages> {
  const [directory, early, core] = ['grub', 'early.cfg', 'core.img'].map((file) => images.path(`${name}-${file}`)) as [
    string,
    string,
    string,
  ];
  await mkdir(directory);
  await debugfs(root, [`rdump ${GRUB_MODULES} ${directory}`]);
  await writeFile(early, `search.fs_uuid ${FILE_SYSTEM_UUID} root\nset prefix=($root)/boot/grub\n`);
  const modules = join(directory, 'i386-pc');
  const words = ['-O', 'i386-pc', '-d', modules, '-c', early, '-p', '/boot/grub', '-o', core, ...CORE_MODULES];
  await runTool('grub-mkimage', words);
  return { boot: await readFile(join(modules, 'boot.img')), core: await readFile(core) };
}

/** Runs commands of debugfs on a file system, and gives what they print. @throws Error with what it complains of */
async function debugfs(image: string, commands: readonly string[]): Promise<string> {
  const complaints: string[] = [];
  const onError = (line: string): void => {
    // Its name and version come first. What fails does not show in its exit code.
    if (!/^debugfs \d/.test(line)) complaints.push(line);
  };
  const { stdout } = await runTool('debugfs', ['-w', '-f', '-', image], { input: `${commands.join('\n')}\n`, onError });
  if (complaints.length > 0) throw new Error(`debugfs of ${image}:\n${complaints.join('\n')}`);
  return stdout;
}
