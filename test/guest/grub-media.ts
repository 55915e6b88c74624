// Media that a PC's BIOS boots: a disk with a partition table and GRUB in front of the partition, and a CD with GRUB by El Torito. GRUB is made
// of Debian's grub-pc-bin.
import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { readDeb } from '../../src/image/deb.ts';
import { fetchPackage } from '../../src/node/guest-parts.ts';
import { requireTools } from './debian-root/require-tools.ts';
import { runTool } from './debian-root/run-tool.ts';
import { installGrub, SECTOR } from './install-grub.ts';

/** Where the partition begins, in sectors: the usual 1 MiB. */
const PARTITION_AT = 2048;
const PARTITION_TABLE = 446;
const COMMON_MODULES = ['biosdisk', 'normal', 'linux', 'configfile', 'serial', 'terminal', 'echo', 'halt', 'cat'];

export class GrubMedia {
  readonly #directory: string;
  readonly #modules: string;

  constructor(directory: string, modules: string) {
    this.#directory = directory;
    this.#modules = modules;
  }

  /** @param directory for what is made. @throws Error that names missing packages; GuestPartsError */
  static async prepare(directory: string): Promise<GrubMedia> {
    requireTools('grub-mkimage', 'mke2fs', 'xorriso');
    const modules = join(directory, 'i386-pc');
    await mkdir(modules);
    const { deb, name } = await fetchPackage('grub-pc-bin');
    const wanted = ({ path }: { path: string }): boolean => /^usr\/lib\/grub\/i386-pc\/[^/]+$/.test(path);
    for await (const { data, path } of readDeb(await readFile(deb), wanted, name))
      await writeFile(join(modules, basename(path)), data);
    return new GrubMedia(directory, modules);
  }

  /** A disk with one partition of ext4 that has the files, grub.cfg among them. Gives its path. */
  async disk(files: ReadonlyMap<string, string | Uint8Array>, sizeMiB: number): Promise<string> {
    const tree = await this.#tree('disk', files);
    const partition = join(this.#directory, 'partition.img');
    await runTool('mke2fs', ['-q', '-t', 'ext4', '-d', tree, partition, `${sizeMiB}M`]);
    const core = await this.#grub('i386-pc', '(hd0,msdos1)/boot/grub', ['part_msdos', 'ext2']);
    const boot = await readFile(join(this.#modules, 'boot.img'));
    const path = join(this.#directory, 'disk.img');
    const image = await open(path, 'w');
    try {
      await image.write(partitionTable((await stat(partition)).size / SECTOR), 0, undefined, PARTITION_TABLE);
      const data = await readFile(partition);
      await image.write(data, 0, data.length, PARTITION_AT * SECTOR);
    } finally {
      await image.close();
    }
    await installGrub(path, { boot, core: await readFile(core) }, 1, PARTITION_AT);
    return path;
  }

  /** A CD that has the files. Gives its path. */
  async disc(files: ReadonlyMap<string, string | Uint8Array>): Promise<string> {
    const tree = await this.#tree('disc', files);
    const image = await this.#grub('i386-pc-eltorito', '/boot/grub', ['iso9660']);
    await writeFile(join(tree, 'boot/eltorito.img'), await readFile(image));
    const path = join(this.#directory, 'disc.iso');
    const boot = ['-b', 'boot/eltorito.img', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table'];
    await runTool('xorriso', ['-as', 'mkisofs', '-quiet', ...boot, '-o', path, tree]);
    return path;
  }

  async #tree(name: string, files: ReadonlyMap<string, string | Uint8Array>): Promise<string> {
    const tree = join(this.#directory, name);
    await mkdir(join(tree, 'boot/grub'), { recursive: true });
    for (const [file, data] of files) await writeFile(join(tree, file), data);
    return tree;
  }

  async #grub(format: string, prefix: string, modules: readonly string[]): Promise<string> {
    const path = join(this.#directory, `${format}.img`);
    await runTool('grub-mkimage', ['-O', format, '-d', this.#modules, '-p', prefix, '-o', path, ...COMMON_MODULES, ...modules]);
    return path;
  }
}

/** One active Linux partition, and the signature of a boot sector. */
function partitionTable(sectors: number): Uint8Array {
  const table = new Uint8Array(SECTOR - PARTITION_TABLE);
  const view = new DataView(table.buffer);
  const BEYOND_CHS = [0xfe, 0xff, 0xff];
  table.set([0x80, ...BEYOND_CHS, 0x83, ...BEYOND_CHS]);
  view.setUint32(8, PARTITION_AT, true);
  view.setUint32(12, sectors, true);
  table.set([0x55, 0xaa], table.length - 2);
  return table;
}
