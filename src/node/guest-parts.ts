// The parts of the demo guest: Debian's kernel for virtual machines, its modules, and a static busybox, from Debian packages
// that the host's own package tool finds, downloads and verifies.
import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readDeb } from '../image/deb.ts';
import { decompress } from '../image/decompress.ts';
import { readElfSections } from '../image/elf.ts';
import { Apt, type AptOptions, type AptPackage } from './apt.ts';
import { GuestPartsError } from './guest-parts-error.ts';
import { defaultCacheDirectory, PackageCache } from './package-cache.ts';

export const DEMO_KERNEL = 'linux-image-cloud-amd64';
const BUSYBOX = 'busybox-static';

export interface Progress {
  readonly stage: 'find' | 'update' | 'download' | 'unpack';
  /** The package it is about. */
  readonly name: string;
  /** Bytes for `download`; 0 and then 1 for the others. */
  readonly done: number;
  readonly total: number;
}

export interface GuestPartsOptions extends AptOptions {
  /** Default: {@link defaultCacheDirectory}. */
  readonly cacheDirectory?: string;
  readonly onProgress?: (progress: Progress) => void;
}

export interface KernelFiles {
  /** The package that holds the kernel, e.g. "linux-image-6.1.0-56-cloud-amd64". */
  readonly packageName: string;
  readonly version: string;
  /** Path of the package. */
  readonly deb: string;
  /** Path of the bzImage. */
  readonly kernel: string;
  /** Path of the kernel's configuration. */
  readonly config: string;
}

export interface GuestParts extends KernelFiles {
  /** Path of a static x86-64 busybox. */
  readonly busybox: string;
}

export interface KernelModule {
  readonly name: string;
  /** Path in the guest, without a leading slash: "lib/modules/<release>/kernel/…/xen-blkfront.ko". */
  readonly path: string;
  /** Uncompressed. */
  readonly data: Uint8Array;
}

/**
 * Finds, downloads and unpacks the kernel and busybox, or takes them from the cache. Works without a network when the
 * version that apt knows is cached, and when apt cannot be asked, with whatever version is cached.
 * @throws GuestPartsError, ImageError
 */
export async function fetchGuestParts(kernelPackage: string = DEMO_KERNEL, options: GuestPartsOptions = {}): Promise<GuestParts> {
  const kernel = await fetchKernel(kernelPackage, options);
  return { ...kernel, busybox: await fetchBusybox(options) };
}

/** Fetches a static x86-64 busybox as {@link fetchGuestParts} does, and gives its path. */
export async function fetchBusybox(options: GuestPartsOptions = {}): Promise<string> {
  const { deb, name, version } = await fetchPackage(BUSYBOX, options);
  const directory = await unpackFiles(cacheOf(options), deb, { name, version }, { busybox: /^(usr\/)?bin\/busybox$/ }, options);
  return join(directory, 'busybox');
}

/**
 * Fetches one kernel package.
 * @param pattern a package, or a meta package that depends on one, or a name with `*` in it, of which the newest is taken:
 *   "linux-image-6.12.*+deb12-cloud-amd64"
 */
export async function fetchKernel(pattern: string = DEMO_KERNEL, options: GuestPartsOptions = {}): Promise<KernelFiles> {
  const { deb, name, version } = await fetchPackage(pattern, options);
  const directory = await unpackFiles(
    cacheOf(options),
    deb,
    { name, version },
    { vmlinuz: /^boot\/vmlinuz-/, config: /^boot\/config-/ },
    options,
  );
  return { packageName: name, version, deb, kernel: join(directory, 'vmlinuz'), config: join(directory, 'config') };
}

/**
 * Reads modules, and those they depend on, out of a kernel's package; dependencies come first.
 * @param names as modprobe knows them: "xen-blkfront"
 */
export async function readKernelModules(kernel: KernelFiles, names: readonly string[]): Promise<KernelModule[]> {
  const bytes = await readFile(kernel.deb);
  const key = (name: string) => name.replaceAll('-', '_'); // the two mean the same in a module's name
  const found = new Map<string, KernelModule & { readonly depends: readonly string[] }>();
  for (let missing = names.map(key); missing.length > 0; ) {
    const wanted = new Set(missing);
    const nameOf = (path: string) => /^(?:usr\/)?lib\/modules\/.*\/([^/]+)\.ko(?:\.xz|\.zst|\.gz)?$/.exec(path)?.[1];
    for await (const entry of readDeb(bytes, ({ path }) => wanted.has(key(nameOf(path) ?? '')), kernel.packageName)) {
      const name = nameOf(entry.path) as string;
      const data = entry.path.endsWith('.ko') ? entry.data : await decompress(entry.data, entry.path);
      const path = entry.path.replace(/^usr\//, '').replace(/\.ko\..*$/, '.ko');
      found.set(key(name), { name, path, data, depends: dependenciesOf(data, entry.path) });
      wanted.delete(key(name));
      if (wanted.size === 0) break;
    }
    const [absent] = wanted;
    if (absent !== undefined)
      throw new GuestPartsError(
        'missing-file',
        `${kernel.packageName} has no module ${absent}`,
        'it may be built in: see its config',
      );
    missing = [...new Set([...found.values()].flatMap(({ depends }) => depends.map(key)))].filter((name) => !found.has(name));
  }
  const ordered = new Map<string, KernelModule>();
  const visit = (name: string): void => {
    const module = found.get(name);
    if (module === undefined || ordered.has(name)) return;
    module.depends.map(key).forEach(visit);
    ordered.set(name, { name: module.name, path: module.path, data: module.data });
  };
  names.map(key).forEach(visit);
  return [...ordered.values()];
}

/** The field "depends" of .modinfo, which holds "key=value" strings. */
function dependenciesOf(module: Uint8Array, what: string): string[] {
  const modinfo = readElfSections(module, what).find(({ name }) => name === '.modinfo');
  const fields = new TextDecoder('latin1').decode(modinfo?.data).split('\0');
  const depends = fields.find((field) => field.startsWith('depends='))?.slice('depends='.length) ?? '';
  return depends.split(',').filter((name) => name !== '');
}

/**
 * Files of a package, fetched as {@link fetchGuestParts} does: the directory that has them under the names given.
 * @param files where each lies in the package
 * @param label tells apart in the cache what is taken of one package at different times
 */
export async function fetchFiles(
  pattern: string,
  files: Readonly<Record<string, RegExp>>,
  options: GuestPartsOptions = {},
  label = '',
): Promise<string> {
  const { deb, name, version } = await fetchPackage(pattern, options);
  return unpackFiles(cacheOf(options), deb, { name: `${name}${label}`, version }, files, options);
}

export interface FetchedPackage {
  readonly name: string;
  readonly version: string;
  readonly deb: string;
}

const cacheOf = (options: GuestPartsOptions): PackageCache =>
  new PackageCache(options.cacheDirectory ?? defaultCacheDirectory(options.env));

/** Gives a package's .deb, from the cache when its version is there. */
export async function fetchPackage(pattern: string, options: GuestPartsOptions = {}): Promise<FetchedPackage> {
  const store = cacheOf(options);
  const apt = new Apt(options);
  const known = await cachedPackage(store, pattern);
  // Asking apt takes a second, and the answer is that of last time unless its lists have changed since.
  if (known !== undefined && known.askedMs > (await apt.listsChangedMs())) return known;
  const report: Report = (stage, name, done, total) => options.onProgress?.({ stage, name, done, total });
  const ask = async (): Promise<FetchedPackage> => {
    report('find', pattern, 0, 1);
    const found = await findPackage(apt, pattern, report);
    report('find', pattern, 1, 1);
    const deb = await store.provide(store.path(found.name, found.version, '.deb'), async (directory) => {
      report('download', found.name, 0, found.size);
      const file = await apt.download(found, directory, (percent) =>
        report('download', found.name, Math.round((found.size * percent) / 100), found.size),
      );
      report('download', found.name, found.size, found.size);
      return file;
    });
    await writeFile(answerPath(store, pattern), `${found.name} ${found.version}\n`);
    return { name: found.name, version: found.version, deb };
  };
  try {
    return await ask().catch(async (error: unknown) => {
      if (!apt.root || !(error instanceof GuestPartsError) || error.code !== 'download-failed' || known !== undefined)
        throw error;
      await update(apt, pattern, report); // old lists name versions that the mirror has no more
      return ask();
    });
  } catch (error) {
    if (error instanceof GuestPartsError && known !== undefined) return known;
    throw error;
  }
}

type Report = (stage: Progress['stage'], name: string, done: number, total: number) => void;

async function update(apt: Apt, pattern: string, report: Report): Promise<void> {
  report('update', pattern, 0, 1);
  await apt.update();
  report('update', pattern, 1, 1);
}

async function findPackage(apt: Apt, pattern: string, report: Report): Promise<AptPackage> {
  const found = await resolvePackage(apt, pattern);
  if (found !== undefined) return found;
  const none = (await apt.names('linux-image')).length === 0;
  if (none && !apt.root)
    throw new GuestPartsError(
      'no-package-lists',
      'apt has no package lists',
      'run `sudo apt-get update`, or pass --kernel and --initrd to bring your own',
    );
  if (none) {
    await update(apt, pattern, report);
    const now = await resolvePackage(apt, pattern);
    if (now !== undefined) return now;
  }
  throw new GuestPartsError(
    'unknown-package',
    `apt knows no package ${pattern}`,
    process.arch === 'x64'
      ? 'pass --kernel and --initrd to bring your own'
      : 'run `dpkg --add-architecture amd64` and `apt-get update`, or pass --kernel and --initrd to bring your own',
  );
}

/** Follows a pattern to its newest match, and a meta package to the kernel, or the Xen, that it stands for. */
async function resolvePackage(apt: Apt, pattern: string): Promise<AptPackage | undefined> {
  let found: AptPackage | undefined;
  if (pattern.includes('*')) {
    const expression = new RegExp(
      `^${pattern
        .split('*')
        .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
        .join('.*')}$`,
    );
    const newestFirst = (await apt.names(pattern.slice(0, pattern.indexOf('*'))))
      .filter((name) => expression.test(name))
      .sort(byVersionInName)
      .reverse();
    for (const name of newestFirst) {
      found = await apt.show(name); // a name may outlive its package
      if (found !== undefined) break;
    }
  } else found = await apt.show(pattern);
  const real = found?.depends.find((name) => /^(linux-image|xen-utils)-\d/.test(name));
  return real === undefined ? found : resolvePackage(apt, real);
}

const collator = new Intl.Collator('en', { numeric: true });
const byVersionInName = (a: string, b: string): number => collator.compare(a, b);

/** Beside the packages lies what apt last answered for a pattern, for the time when it cannot be asked. */
const answerPath = (store: PackageCache, pattern: string): string =>
  join(store.directory, `${pattern.replaceAll('*', '%2a')}.answer`);

async function cachedPackage(
  store: PackageCache,
  pattern: string,
): Promise<(FetchedPackage & { readonly askedMs: number }) | undefined> {
  const path = answerPath(store, pattern);
  const [name, version] = (await readFile(path, 'utf8').catch(() => '')).trim().split(' ');
  if (name === undefined || version === undefined) return undefined;
  const deb = store.path(name, version, '.deb');
  return (await store.has(deb)) ? { name, version, deb, askedMs: (await stat(path)).mtimeMs } : undefined;
}

/** Unpacks the files that match into the cache, under the given names, and stops reading the package when it has them. */
async function unpackFiles(
  store: PackageCache,
  deb: string,
  from: { name: string; version: string },
  files: Readonly<Record<string, RegExp>>,
  options: GuestPartsOptions,
): Promise<string> {
  return store.provide(store.path(from.name, from.version), async (temporary) => {
    options.onProgress?.({ stage: 'unpack', name: from.name, done: 0, total: 1 });
    const directory = join(temporary, 'files');
    await mkdir(directory);
    const missing = new Map(Object.entries(files));
    const wanted = (path: string) => [...missing].find(([, pattern]) => pattern.test(path))?.[0];
    for await (const entry of readDeb(
      await readFile(deb),
      ({ path, type }) => type === 'file' && wanted(path) !== undefined,
      from.name,
    )) {
      const name = wanted(entry.path) as string;
      await writeFile(join(directory, name), entry.data);
      missing.delete(name);
      if (missing.size === 0) break;
    }
    const [absent] = missing.keys();
    if (absent !== undefined)
      throw new GuestPartsError(
        'missing-file',
        `the package ${from.name} ${from.version} has no ${absent}`,
        'choose another package, or pass --kernel and --initrd to bring your own',
      );
    options.onProgress?.({ stage: 'unpack', name: from.name, done: 1, total: 1 });
    return directory;
  });
}
