// Modules of a kernel as files of an initramfs. Finding them in a package of a hundred megabytes takes half a minute, so they
// are kept beside it.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CpioEntry, cpioDirectory, cpioFile, readCpio, writeCpio } from '../../src/image/cpio.ts';
import { type KernelFiles, readKernelModules } from '../../src/node/guest-parts.ts';
import { PackageCache } from '../../src/node/package-cache.ts';

/** In `directory`, named so that their order is the one to load them in: dependencies first. @throws GuestPartsError */
export async function cachedModules(
  kernel: KernelFiles,
  directory: string,
  names: readonly string[],
): Promise<readonly CpioEntry[]> {
  const cache = new PackageCache();
  const path = await cache.provide(
    cache.path(`${kernel.packageName}+${names.join('+')}-in-${directory}`, kernel.version, '.cpio'),
    async (place) => {
      const found = await readKernelModules(kernel, names);
      const files = found.map(({ name, data }, i) => cpioFile(`${directory}/${i}-${name}.ko`, data));
      const file = join(place, 'modules.cpio');
      await writeFile(file, writeCpio([cpioDirectory(directory), ...files]));
      return file;
    },
  );
  return readCpio(await readFile(path));
}
