// Debian's installer on a CD, as its mini.iso has it: ISOLINUX, started by El Torito, with the menu, the kernel and the initrd of the netboot
// package.
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readDeb } from '../../src/image/deb.ts';
import { fetchFiles, fetchPackage } from '../../src/node/guest-parts.ts';
import { requireTools } from './debian-root/require-tools.ts';
import { runTool } from './debian-root/run-tool.ts';

export const INSTALLER = 'debian-installer-12-netboot-amd64';
/** Where the files are in the package; their paths from there on are those of the menu's configuration. */
const TREE = /\/text\/(debian-installer\/amd64\/(?:boot-screens\/.*|linux|initrd\.gz))$/;
const SCREENS = 'debian-installer/amd64/boot-screens';

/** Makes the CD in a directory, and gives its path. @throws Error that names missing packages; GuestPartsError */
export async function installerDisc(directory: string): Promise<string> {
  requireTools('xorriso');
  const tree = join(directory, 'tree');
  const { deb, name } = await fetchPackage(INSTALLER);
  const inTree = (path: string): string | undefined => TREE.exec(path)?.[1];
  for await (const { data, path } of readDeb(await readFile(deb), (header) => inTree(header.path) !== undefined, name)) {
    const file = join(tree, inTree(path) as string);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, data);
  }
  // What the loader looks for beside itself; the menu's configuration tells it where the rest is.
  await copyFile(join(tree, `${SCREENS}/syslinux.cfg`), join(tree, 'isolinux.cfg'));
  await copyFile(join(tree, `${SCREENS}/ldlinux.c32`), join(tree, 'ldlinux.c32'));
  const isolinux = await fetchFiles('isolinux', { 'isolinux.bin': /\/ISOLINUX\/isolinux\.bin$/ });
  // xorriso writes into the loader where it lies.
  await copyFile(join(isolinux, 'isolinux.bin'), join(tree, 'isolinux.bin'));
  const path = join(directory, 'installer.iso');
  const boot = ['-b', 'isolinux.bin', '-no-emul-boot', '-boot-load-size', '4', '-boot-info-table'];
  await runTool('xorriso', ['-as', 'mkisofs', '-quiet', '-R', ...boot, '-o', path, tree]);
  return path;
}
