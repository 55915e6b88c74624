// Modules of a kernel as files of an initramfs. Finding them in a package of a hundred megabytes takes seconds, so they are kept beside it.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CpioEntry, cpioDirectory, cpioFile, readCpio, writeCpio } from '../image/cpio.ts';
import { type GuestPartsOptions, type KernelFiles, readKernelModules } from './guest-parts.ts';
import { defaultCacheDirectory, PackageCache } from './package-cache.ts';

/**
 * Modules, and those they depend on, in `directory` (a path without a slash in front, whose own directories come first), named so that
 * their order is the one to load them in.
 * @param names as modprobe knows them: "xen-blkfront"
 * @throws GuestPartsError
 */
export async function kernelModuleFiles(
  kernel: KernelFiles,
  names: readonly string[],
  directory: string,
  options: GuestPartsOptions = {},
): Promise<CpioEntry[]> {
  const cache = new PackageCache(options.cacheDirectory ?? defaultCacheDirectory(options.env));
  // What is kept knows nothing of the directory: others may want the same modules elsewhere.
  const path = await cache.provide(
    cache.path([kernel.packageName, ...names].join('+'), kernel.version, '.modules'),
    async (place) => {
      const found = await readKernelModules(kernel, names);
      const file = join(place, 'modules.cpio');
      await writeFile(
        file,
        writeCpio(found.map(({ name, data }, i) => cpioFile(`${String(i).padStart(3, '0')}-${name}.ko`, data))),
      );
      return file;
    },
  );
  const parents = directory.split('/').map((_, i, parts) => cpioDirectory(parts.slice(0, i + 1).join('/')));
  const files = readCpio(await readFile(path));
  return [...parents, ...files.map((entry) => ({ ...entry, path: `${directory}/${entry.path}` }))];
}
