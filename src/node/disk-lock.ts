// Keeps two writers from one disk file. Node has neither flock nor fcntl locks, so a writer leaves a file `<disk>.dom1-lock` beside
// the disk (in the directory for temporary files where it may not write there) that says which process it is; one whose process has
// gone counts for nothing. Readers leave nothing, but do not come in while there is a writer.
//
// QEMU locks bytes of its images with OFD locks (block/file-posix.c: bytes from 100 on say what it does, from 200 on what it does
// not let others do). Linux lists them in /proc/locks, so a disk that QEMU uses is found too; QEMU does not find ours.

import { randomBytes } from 'node:crypto';
import { readFileSync, unlinkSync } from 'node:fs';
import { link, readFile, realpath, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BlockStoreError } from '../io/block-store-error.ts';
import { nodeErrorCode } from './control-error.ts';
import { processAlive, processStart } from './process-alive.ts';

interface LockRecord {
  readonly pid: number;
  readonly processStart?: string;
  readonly key: string;
}

/** QEMU's bytes: it writes; it lets nobody else write. */
const QEMU_WRITES = 101;
const QEMU_LETS_NOBODY_WRITE = 201;
const SUFFIX = '.dom1-lock';

export class DiskLock implements AsyncDisposable {
  readonly #path: string;
  readonly #key: string;
  readonly #onExit: () => void;

  constructor(path: string, key: string) {
    this.#path = path;
    this.#key = key;
    // The last chance of a process that ends without disposing.
    this.#onExit = () => {
      try {
        if ((JSON.parse(readFileSync(path, 'utf8')) as LockRecord).key === key) unlinkSync(path);
      } catch {
        // It is gone already.
      }
    };
    process.once('exit', this.#onExit);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    process.off('exit', this.#onExit);
    if ((await readRecord(this.#path))?.key === this.#key) await unlink(this.#path).catch(() => {});
  }
}

/** @throws BlockStoreError 'in-use' */
export async function lockForWriting(path: string, identity: { readonly dev: number; readonly ino: number }): Promise<DiskLock> {
  await checkQemu(path, identity, [QEMU_WRITES, QEMU_LETS_NOBODY_WRITE]);
  const start = await processStart(process.pid);
  const record: LockRecord = {
    pid: process.pid,
    key: randomBytes(8).toString('hex'),
    ...(start !== undefined && { processStart: start }),
  };
  const [beside, elsewhere] = await lockPaths(path, identity);
  for (const lock of [beside, elsewhere]) {
    try {
      await take(path, lock, record);
      return new DiskLock(lock, record.key);
    } catch (error) {
      const code = nodeErrorCode(error);
      if (lock === elsewhere || (code !== 'EACCES' && code !== 'EROFS' && code !== 'EPERM')) throw error;
    }
  }
  throw inUse(path, 'somebody');
}

/** That nobody writes the disk now. @throws BlockStoreError 'in-use' */
export async function checkNoWriter(path: string, identity: { readonly dev: number; readonly ino: number }): Promise<void> {
  await checkQemu(path, identity, [QEMU_WRITES]);
  for (const lock of await lockPaths(path, identity)) {
    const record = await readRecord(lock);
    // Our own is a domain of this process.
    if (record !== undefined && (await processAlive(record.pid, record.processStart))) throw inUse(path, `process ${record.pid}`);
  }
}

const lockPaths = async (
  path: string,
  { dev, ino }: { readonly dev: number; readonly ino: number },
): Promise<[string, string]> => [`${await realpath(path)}${SUFFIX}`, join(tmpdir(), `dom1-${dev}-${ino}${SUFFIX}`)];

/** A link is made whole or not at all. */
async function take(path: string, lock: string, record: LockRecord): Promise<void> {
  const temporary = `${lock}-${record.key}`;
  await writeFile(temporary, `${JSON.stringify(record)}\n`, { flag: 'wx', mode: 0o644 });
  try {
    for (let attempt = 0; attempt < 3; attempt++) {
      try {
        await link(temporary, lock);
        return;
      } catch (error) {
        if (nodeErrorCode(error) !== 'EEXIST') throw error;
      }
      const other = await readRecord(lock);
      if (other !== undefined && (await processAlive(other.pid, other.processStart))) throw inUse(path, `process ${other.pid}`);
      // Whoever left it is gone.
      await unlink(lock).catch(() => {});
    }
  } finally {
    await unlink(temporary);
  }
  throw inUse(path, 'somebody');
}

async function readRecord(lock: string): Promise<LockRecord | undefined> {
  try {
    const record = JSON.parse(await readFile(lock, 'utf8')) as Partial<LockRecord>;
    return typeof record.pid === 'number' && typeof record.key === 'string' ? (record as LockRecord) : undefined;
  } catch {
    return undefined;
  }
}

/** Looks for locks of QEMU on one of these bytes. */
async function checkQemu(
  path: string,
  { dev, ino }: { readonly dev: number; readonly ino: number },
  bytes: readonly number[],
): Promise<void> {
  let locks: string;
  try {
    locks = await readFile('/proc/locks', 'utf8');
  } catch {
    return; // not Linux
  }
  const hex = (value: number): string => value.toString(16).padStart(2, '0');
  const file = `${hex((dev >>> 8) & 0xfff)}:${hex((dev & 0xff) | ((dev >>> 12) & 0xfff00))}:${ino}`;
  for (const line of locks.split('\n')) {
    // "1: OFDLCK ADVISORY  READ -1 fe:00:1234 100 101"
    const [, kind, , , , where, first, last] = line.trim().split(/\s+/);
    if (kind !== 'OFDLCK' || where !== file || first === undefined) continue;
    const end = last === 'EOF' ? Number.POSITIVE_INFINITY : Number(last);
    if (bytes.some((byte) => byte >= Number(first) && byte <= end)) throw inUse(path, 'QEMU, or another program with its locks,');
  }
}

const inUse = (path: string, who: string): BlockStoreError =>
  new BlockStoreError(
    'in-use',
    `${path} is in use: ${who} has it open for writing`,
    'end that first, or make a qcow2 image upon a copy',
  );
