// A directory of a shared folder that is open.
import { constants, type Dir, type Dirent } from 'node:fs';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { type DirectoryEntry, type OpenDirectory, S_IF } from '../../io/file-tree.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import type { FolderVolume } from './folder-volume.ts';
import { hostFs } from './host-fs.ts';
import type { HeldPath } from './node-paths.ts';

/** Entries that are looked at together: as many as Node reads at a time. */
const BATCH = 32;

export class FolderDirectory implements OpenDirectory {
  readonly #volume: FolderVolume;
  readonly #held: HeldPath;
  #dir: Dir;
  #batch: DirectoryEntry[] = [];

  /** Counted by the volume. @param held released by `close` */
  constructor(volume: FolderVolume, held: HeldPath, dir: Dir) {
    this.#volume = volume;
    this.#held = held;
    this.#dir = dir;
  }

  async next(): Promise<DirectoryEntry | undefined> {
    while (this.#batch.length === 0) {
      const found: Dirent[] = [];
      while (found.length < BATCH) {
        const entry = await this.#dir.read();
        if (entry === null) break;
        found.push(entry);
      }
      if (found.length === 0) return undefined;
      const entries = await Promise.all(found.map((entry) => this.#entry(entry)));
      this.#batch = entries.filter((entry) => entry !== undefined).reverse();
    }
    return this.#batch.pop();
  }

  async rewind(): Promise<void> {
    this.#batch = [];
    const before = this.#dir;
    this.#dir = await hostFs.opendir(this.#held.path);
    await before.close();
  }

  async sync(): Promise<void> {
    const fd = await hostFs.open(this.#held.path, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      await hostFs.fsync(fd);
    } finally {
      await hostFs.close(fd);
    }
  }

  async close(): Promise<void> {
    this.#volume.closed();
    this.#held.release();
    await this.#dir.close();
  }

  /** Undefined when it has gone meanwhile. */
  async #entry(entry: Dirent): Promise<DirectoryEntry | undefined> {
    const { name } = entry;
    try {
      return { ...this.#volume.identity(await hostFs.lstat(`${this.#held.path}/${name}`)), name };
    } catch (error) {
      if (!(error instanceof FileTreeError)) throw error;
      if (error.errno === LinuxErrno.ENOENT) return undefined;
      // Such as a directory that may be listed and not searched: its entries are seen, and nothing of them.
      const kind = entry.isDirectory() ? S_IF.DIR : entry.isSymbolicLink() ? S_IF.LNK : S_IF.REG;
      return { name, path: 0n, version: 0, kind };
    }
  }
}
