// Where v86 is, if it is installed.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { V86Parts } from './machine.ts';
import { seabiosDirectory } from './seabios.ts';

/**
 * npm's v86 with its version and firmware; undefined where it is not installed.
 * @param path of its module, where Node does not find it by name
 * @throws GuestPartsError when there is no SeaBIOS for it
 */
export async function findV86(path?: string): Promise<V86Parts | undefined> {
  let file: string;
  try {
    file = path ?? fileURLToPath(import.meta.resolve('v86'));
  } catch {
    return undefined;
  }
  let directory = dirname(file);
  while (!existsSync(join(directory, 'package.json')) && directory !== dirname(directory)) directory = dirname(directory);
  const { version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { version: string };
  return { module: file, version, seabios: await seabiosDirectory() };
}
