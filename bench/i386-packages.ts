// Debian's packages for i386, on a host of another architecture: apt with lists and a configuration of its own, in the cache.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fetchGuestParts, type GuestParts } from '../src/node/guest-parts.ts';
import { defaultCacheDirectory } from '../src/node/package-cache.ts';

/** Has a PVH entry, which Debian's kernel without PAE has not. */
const KERNEL = 'linux-image-686-pae';

/** A 32-bit kernel and busybox. @throws GuestPartsError */
export async function fetchI386Parts(): Promise<GuestParts> {
  const cacheDirectory = join(defaultCacheDirectory(), 'i386');
  const apt = join(cacheDirectory, 'apt');
  const listsDirectory = join(apt, 'lists');
  for (const directory of ['state', 'lists/partial', 'cache/archives/partial'])
    mkdirSync(join(apt, directory), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  const configuration = join(apt, 'apt.conf');
  writeFileSync(
    configuration,
    `APT::Architecture "i386";
APT::Architectures { "i386"; };
Dir::State "${apt}/state";
Dir::State::status "${apt}/status";
Dir::State::lists "${listsDirectory}";
Dir::Cache "${apt}/cache";
`,
  );
  const env = { ...process.env, APT_CONFIG: configuration };
  // One mirror of several may lack i386: that the packages are known is what counts.
  const known = spawnSync('apt-cache', ['show', KERNEL], { env }).status === 0;
  if (!known) spawnSync('apt-get', ['-qq', 'update'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  return fetchGuestParts(KERNEL, { cacheDirectory, env, listsDirectory });
}
