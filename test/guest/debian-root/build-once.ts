// What takes long to make is made by one process at a time, and the others wait for it.
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { PackageCache } from '../../../src/node/package-cache.ts';
import { processAlive, processStart } from '../../../src/node/process-alive.ts';

const POLL_MS = 250;

/**
 * Gives `path`; when it is not there, `make` makes it in an empty directory, and it appears complete or not at all.
 * @param onWait called once if another process is busy making it
 */
export async function buildOnce(path: string, make: (directory: string) => Promise<string>, onWait: () => void): Promise<string> {
  const cache = new PackageCache(dirname(path));
  const lock = `${path}.lock`;
  for (let waited = false; !(await cache.has(path)); waited = true) {
    if (await take(lock)) {
      try {
        return await cache.provide(path, make);
      } finally {
        await rm(lock, { force: true });
      }
    }
    if (!waited) onWait();
    await wait(POLL_MS);
  }
  return path;
}

/**
 * The lock appears with its owner in it. One whose owner is gone is removed; should two processes do so at once and both
 * build, the second's result is dropped.
 */
async function take(lock: string): Promise<boolean> {
  await mkdir(dirname(lock), { recursive: true });
  const own = `${lock}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  await writeFile(own, `${process.pid} ${(await processStart(process.pid)) ?? ''}`);
  try {
    await link(own, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(own, { force: true });
  }
  const [pid = '', start = ''] = (await readFile(lock, 'utf8').catch(() => '')).split(' ');
  if (pid !== '' && !(await processAlive(Number(pid), start === '' ? undefined : start))) await rm(lock, { force: true });
  return false;
}
