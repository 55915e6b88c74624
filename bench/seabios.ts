// SeaBIOS and its VGA BIOS, which v86 needs and does not bring: Debian's package `seabios`.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { readDeb } from '../src/image/deb.ts';
import { fetchPackage } from '../src/node/guest-parts.ts';
import { defaultCacheDirectory, PackageCache } from '../src/node/package-cache.ts';

const INSTALLED = '/usr/share/seabios';
const FILES = ['bios.bin', 'vgabios-stdvga.bin'];

/** Directory with `bios.bin` and `vgabios-stdvga.bin`. @throws GuestPartsError */
export async function seabiosDirectory(): Promise<string> {
  if (FILES.every((file) => existsSync(join(INSTALLED, file)))) return INSTALLED;
  const { name, version, deb } = await fetchPackage('seabios');
  const store = new PackageCache(defaultCacheDirectory());
  return store.provide(store.path(name, version), async (temporary) => {
    const directory = join(temporary, 'files');
    mkdirSync(directory);
    const wanted = (path: string): boolean => FILES.includes(basename(path));
    for await (const entry of readDeb(readFileSync(deb), ({ path, type }) => type === 'file' && wanted(path), name))
      writeFileSync(join(directory, basename(entry.path)), entry.data);
    return directory;
  });
}
