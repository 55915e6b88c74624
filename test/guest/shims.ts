// Xen's PV shim, of the host's release of Debian and of the next one.
import { fetchShim } from '../../src/node/boot-images.ts';
import type { GuestPartsOptions } from '../../src/node/guest-parts.ts';
import { ownApt } from '../own-apt.ts';

/** What has Xen 4.20, verified with the same keys. */
const TRIXIE = `Types: deb
URIs: http://deb.debian.org/debian
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

/** Xen's, and where the package of each comes from. */
const SOURCES = {
  '4.17': () => ({}),
  '4.20': (wanted: string) => ownApt({ name: 'trixie', architecture: 'amd64', sources: TRIXIE, wanted }),
} satisfies Record<string, (wanted: string) => GuestPartsOptions>;

type ShimVersion = keyof typeof SOURCES;

/** The shim's path; a line on stderr and undefined where it cannot be had. */
async function shimOf(version: ShimVersion): Promise<string | undefined> {
  const name = `xen-utils-${version}`;
  try {
    return await fetchShim(SOURCES[version](name), name);
  } catch (error) {
    process.stderr.write(`skipping Xen's shim ${version}: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  }
}

export const SHIMS: readonly { readonly version: ShimVersion; readonly file: string | undefined }[] = [
  { version: '4.17', file: await shimOf('4.17') },
  { version: '4.20', file: await shimOf('4.20') },
];
