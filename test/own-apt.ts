// Packages of another suite or architecture than the host's: apt with lists and a configuration of its own, in the cache.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { GuestPartsOptions } from '../src/node/guest-parts.ts';
import { defaultCacheDirectory } from '../src/node/package-cache.ts';

/** To fetch the lists, which takes seconds. */
const [ATTEMPTS, PAUSE_MS] = [3, 5000] as const;

export interface OwnApt {
  /** The directory in the cache. */
  readonly name: string;
  readonly architecture: string;
  /** Where packages come from: deb822 text, sources.list(5). Default: as the host's apt has it. */
  readonly sources?: string;
  /** A package that the lists must know; they are fetched when they do not. */
  readonly wanted: string;
}

/** What to fetch such packages with; apt verifies them as it does the host's own. */
export function ownApt({ name, architecture, sources, wanted }: OwnApt): GuestPartsOptions {
  const cacheDirectory = join(defaultCacheDirectory(), name);
  const apt = join(cacheDirectory, 'apt');
  const listsDirectory = join(apt, 'lists');
  for (const directory of ['state', 'lists/partial', 'cache/archives/partial'])
    mkdirSync(join(apt, directory), { recursive: true });
  writeFileSync(join(apt, 'status'), '');
  const own = [
    `APT::Architecture "${architecture}";`,
    `APT::Architectures { "${architecture}"; };`,
    `Dir::State "${apt}/state";`,
    `Dir::State::status "${apt}/status";`,
    `Dir::State::lists "${listsDirectory}";`,
    `Dir::Cache "${apt}/cache";`,
  ];
  if (sources !== undefined) {
    const file = join(apt, 'own.sources');
    writeFileSync(file, sources);
    own.push(`Dir::Etc::sourcelist "${file}";`, 'Dir::Etc::sourceparts "/dev/null";');
  }
  // Root's apt would drop to the user _apt, who cannot write to a private directory, and complain.
  if (process.getuid?.() === 0) own.push('APT::Sandbox::User "root";');
  const configuration = join(apt, 'apt.conf');
  writeFileSync(configuration, `${own.join('\n')}\n`);
  const env = { ...process.env, APT_CONFIG: configuration };
  // One mirror of several may lack an architecture: that the package is known is what counts. Another process may be at the lists, too.
  const known = (): boolean => spawnSync('apt-cache', ['show', wanted], { env }).status === 0;
  for (let attempt = 1; attempt <= ATTEMPTS && !known(); attempt++) {
    if (attempt > 1) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE_MS);
    spawnSync('apt-get', ['-qq', 'update'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
  }
  return { cacheDirectory, env, listsDirectory };
}
