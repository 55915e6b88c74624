// Before the tests: what they need of the host beyond Node, from Debian's packages. Vitest runs it once.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { missingPackages } from './guest/debian-root/require-tools.ts';

const isRoot = process.getuid?.() === 0;
const say = (text: string): void => void process.stderr.write(`${text}\n`);

/** Whether apt knows any packages: kernels and busybox come by `apt-get download`. */
function hasLists(): boolean {
  try {
    return readdirSync('/var/lib/apt/lists').some((name) => name.includes('_Packages'));
  } catch {
    return false;
  }
}

function apt(...words: readonly string[]): boolean {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  const { status, stderr } = spawnSync('apt-get', ['-qq', ...words], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (status !== 0)
    say(`apt-get ${words.join(' ')} failed: ${(stderr ?? '').trim().split('\n').at(-1) || 'there is no apt-get'}`);
  return status === 0;
}

/** Root gets what is missing installed; everybody else is told. The tests that cannot do without it fail by its name. */
export default function setup(): void {
  const missing = missingPackages();
  if (!isRoot) {
    if (missing.length > 0) say(`the tests of a Debian root need packages: sudo apt-get install ${missing.join(' ')}`);
    return;
  }
  if ((missing.length > 0 || !hasLists()) && !apt('update')) return;
  if (missing.length === 0) return;
  say(`installing ${missing.join(' ')} for the tests`);
  apt('install', '-y', '--no-install-recommends', ...missing);
}
