// A Debian root file system, made once by mmdebstrap and mke2fs and kept in dom1's cache.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { defaultCacheDirectory } from '../../../src/node/package-cache.ts';
import { aptSources } from './apt-sources.ts';
import { buildOnce } from './build-once.ts';
import { type DebianRecipe, RECIPE_VERSION, TEST_ROOT } from './recipe.ts';
import { requireTools } from './require-tools.ts';
import { runTool } from './run-tool.ts';

export interface DebianRootOptions {
  /** Default: the tests' own root. */
  readonly recipe?: DebianRecipe;
  /** Default: dom1's own. */
  readonly cacheDirectory?: string;
  /** Default: lines on stderr. */
  readonly onProgress?: (line: string) => void;
}

export interface DebianRoot {
  /** The image: ext4 without partitions, sparse. It is shared: never write to it; see `DebianRoot` in the specs' copies. */
  readonly raw: string;
  /** Path of the private key that root's ssh login takes; readable by its owner only. */
  readonly sshKey: string;
  readonly sshPublicKey: string;
}

/** What stays the same from build to build. */
export const FILE_SYSTEM_UUID = '3b0e1c52-6a7d-4c1e-9a53-0d1f2e3c4b5a';
const EPOCH = '1735689600';

/**
 * Builds the root, or gives the one in the cache. Works as root, and as a user who may make user namespaces.
 * @throws Error that says which Debian package is missing, or what a tool printed.
 */
export async function debianRoot(options: DebianRootOptions = {}): Promise<DebianRoot> {
  const {
    recipe = TEST_ROOT,
    cacheDirectory = defaultCacheDirectory(),
    onProgress = (line) => process.stderr.write(`debian-root: ${line}\n`),
  } = options;
  const { packages, size, files, customise } = recipe;
  const key = createHash('sha256')
    .update(JSON.stringify([RECIPE_VERSION, packages, size, files, customise]))
    .digest('hex')
    .slice(0, 12);
  const directory = await buildOnce(
    join(cacheDirectory, `debian-root_${key}`),
    (temporary) => build(temporary, recipe, onProgress),
    () => onProgress('another process builds it, waiting'),
  );
  const sshKey = join(directory, 'id_ed25519');
  return { raw: join(directory, 'root.img'), sshKey, sshPublicKey: (await readFile(`${sshKey}.pub`, 'utf8')).trim() };
}

async function build(temporary: string, recipe: DebianRecipe, onProgress: (line: string) => void): Promise<string> {
  const isRoot = process.getuid?.() === 0;
  requireTools('mmdebstrap', 'mke2fs', 'e2fsck', 'ssh-keygen', 'apt-get', 'tar');
  if (!isRoot) requireTools('unshare', 'newuidmap');
  const directory = join(temporary, 'root');
  await mkdir(directory);
  const sshKey = join(directory, 'id_ed25519');
  await runTool('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'dom1-test', '-f', sshKey]);
  const publicKey = (await readFile(`${sshKey}.pub`, 'utf8')).trim();

  const { suite, lines, options } = await aptSources();
  const tar = join(temporary, 'root.tar');
  onProgress(`mmdebstrap ${suite} with ${recipe.packages.length} packages`);
  await runTool(
    'mmdebstrap',
    [
      '--variant=minbase',
      `--mode=${isRoot ? 'root' : 'unshare'}`,
      `--include=${recipe.packages.join(',')}`,
      '--dpkgopt=force-unsafe-io',
      ...options.map((option) => `--aptopt=${option}`),
      `--customize-hook=${customisation(recipe, publicKey)}`,
      suite,
      tar,
      ...lines,
    ],
    {
      env: { SOURCE_DATE_EPOCH: EPOCH },
      onError: (line) =>
        void (/^([WE]|I: (running apt|downloading|extracting|installing))/.test(line) && onProgress(line.slice(3))),
    },
  );

  onProgress('mke2fs');
  const image = join(directory, 'root.img');
  const script = join(temporary, 'mkfs.sh');
  await writeFile(script, MAKE_IMAGE);
  const make = ['sh', script, tar, join(temporary, 'tree'), image, recipe.size, FILE_SYSTEM_UUID];
  // In a user namespace of which the user is root, files may belong to anybody.
  const [program = '', ...words] = isRoot ? make : ['unshare', '--map-root-user', '--map-auto', ...make];
  await runTool(program, words, { env: { E2FSPROGS_FAKE_TIME: EPOCH } });
  await rm(tar);
  onProgress('done');
  return directory;
}

/** devtmpfs has the device nodes, and a user may not make them. */
const MAKE_IMAGE = `set -e
tar=$1 tree=$2 image=$3 size=$4 uuid=$5
mkdir "$tree"
tar -x --numeric-owner -p --exclude='./dev/?*' -f "$tar" -C "$tree"
mke2fs -q -t ext4 -L root -U "$uuid" -E "hash_seed=$uuid,lazy_itable_init=0" -d "$tree" "$image" "$size"
rm -rf "$tree"
e2fsck -fn "$image" > /dev/null 2>&1
`;

/** A script of mmdebstrap's --customize-hook: $1 is the root. */
function customisation(recipe: DebianRecipe, publicKey: string): string {
  const quote = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
  const write = (path: string, text: string): string =>
    `mkdir -p "$1/${dirname(path)}"; rm -f "$1/${path}"; printf '%s' ${quote(text)} > "$1/${path}"`;
  return [
    'set -e',
    ...Object.entries(recipe.files).map(([path, text]) => write(path, text)),
    'mkdir -p -m 700 "$1/root/.ssh"',
    write('root/.ssh/authorized_keys', `${publicKey}\n`),
    recipe.customise,
  ].join('\n');
}
