// Programs of Debian's packages with the libraries they need, as entries of an initramfs.
import { readFile } from 'node:fs/promises';
import { type CpioEntry, cpioDirectory, cpioFile, cpioLink } from '../../src/image/cpio.ts';
import { readDeb } from '../../src/image/deb.ts';
import type { TarEntry, TarHeader } from '../../src/image/tar.ts';
import { fetchPackage, type GuestPartsOptions } from '../../src/node/guest-parts.ts';

/** Package names, perhaps with `*` in them, and which of their files are wanted. */
export type WantedFiles = readonly (readonly [pattern: string, files: RegExp])[];

/** Where the loader looks without a configuration, wherever the package has it. */
const LIBRARY = /^(?:usr\/)?lib\/x86_64-linux-gnu\/([^/]+\.so[^/]*)$/;
const LOADER = /^(?:usr\/)?(?:lib64|lib\/x86_64-linux-gnu)\/(ld-linux-x86-64\.so\.2)$/;
const PROGRAM = /^(?:usr\/)?s?bin\/([^/]+)$/;

/** The programs for XenStore, and kexec, which Debian links with Xen's libraries. */
export const XEN_TOOLS: WantedFiles = [
  ['libc6', /\/(ld-linux-x86-64\.so\.2|libc\.so\.6)$/],
  ['libgcc-s1', /\/libgcc_s\.so\.1$/], // the C library opens it to end a thread
  ['libxentoolcore1', /\/libxentoolcore\.so\.1/],
  ['libxenstore4', /\/libxenstore\.so\.4/],
  ['xenstore-utils', /\/bin\/xenstore/],
  ['kexec-tools', /sbin\/kexec$/],
  ['libxenmisc4.*', /\/libxenctrl\.so\.4/],
  ['libxentoollog1', /\/libxentoollog\.so\.1/],
  ['libxencall1', /\/libxencall\.so\.1/],
  ['libxenevtchn1', /\/libxenevtchn\.so\.1/],
  ['libxengnttab1', /\/libxengnttab\.so\.1/],
  ['libxenforeignmemory1', /\/libxenforeignmemory\.so\.1/],
  ['libxendevicemodel1', /\/libxendevicemodel\.so\.1/],
];

/**
 * Fetches the packages, or takes them from the cache. Programs come to /bin, libraries to /lib, the loader to /lib64.
 * @throws GuestPartsError, ImageError; an Error when a package has none of the files.
 */
export async function debianFiles(wanted: WantedFiles, options: GuestPartsOptions = {}): Promise<CpioEntry[]> {
  const entries = new Map<string, CpioEntry>(['lib', 'lib64'].map((path) => [path, cpioDirectory(path)]));
  for (const [pattern, files] of wanted) {
    const { name, deb } = await fetchPackage(pattern, options);
    const before = entries.size;
    const want = ({ path, type }: TarHeader) => type !== 'directory' && files.test(path) && placeOf(path) !== undefined;
    for await (const file of readDeb(await readFile(deb), want, name)) {
      const entry = entryOf(file);
      // A library may link to itself where /lib is a link to /usr/lib.
      if (!entries.has(entry.path) || file.type === 'file') entries.set(entry.path, entry);
    }
    if (entries.size === before) throw new Error(`${name} has no ${files}`);
  }
  return [...entries.values()];
}

function placeOf(path: string): string | undefined {
  for (const [pattern, directory] of [
    [LOADER, 'lib64'],
    [LIBRARY, 'lib'],
    [PROGRAM, 'bin'],
  ] as const) {
    const name = pattern.exec(path)?.[1];
    if (name !== undefined) return `${directory}/${name}`;
  }
  return undefined;
}

/** Links stay within their directory: a hard link's target is a path of the package, a symbolic link's a neighbour. */
function entryOf({ path, type, data, linkTarget }: TarEntry): CpioEntry {
  const place = placeOf(path) as string;
  if (type === 'file') return cpioFile(place, data, 0o755);
  return cpioLink(place, linkTarget.slice(linkTarget.lastIndexOf('/') + 1));
}
