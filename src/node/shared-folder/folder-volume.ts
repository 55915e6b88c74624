// What all nodes of a shared folder have in common.
import type { BigIntStats } from 'node:fs';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { type FileAttributes, type NodeIdentity, S_IF } from '../../io/file-tree.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import type { NodePaths } from './node-paths.ts';

/** Inode numbers are below it but on file systems that make them up; those of others share what is above. */
const DEVICE_SHIFT = 48n;

export class FolderVolume {
  readonly paths: NodePaths;
  /** Whether owners can be given: the process is root's. */
  readonly givesOwners: boolean;
  readonly #mostOpen: number;
  #open = 0;
  /** By st_dev, counted from 0 in the order they were met: folders may have others mounted in them. */
  readonly #devices = new Map<bigint, bigint>();

  constructor(paths: NodePaths, options: { readonly givesOwners: boolean; readonly mostOpen: number }) {
    this.paths = paths;
    this.givesOwners = options.givesOwners;
    this.#mostOpen = options.mostOpen;
  }

  get openFiles(): number {
    return this.#open;
  }

  /** Opens something that counts as open until `closed`. @throws FileTreeError ENFILE, and what `open` throws */
  async counted<T>(open: () => Promise<T>): Promise<T> {
    if (this.#open >= this.#mostOpen) throw new FileTreeError(LinuxErrno.ENFILE, `${this.#mostOpen} files are open`);
    this.#open++;
    try {
      return await open();
    } catch (error) {
      this.#open--;
      throw error;
    }
  }

  closed(): void {
    this.#open--;
  }

  identity(stats: BigIntStats): NodeIdentity {
    let device = this.#devices.get(stats.dev);
    if (device === undefined) {
      device = BigInt(this.#devices.size);
      this.#devices.set(stats.dev, device);
    }
    return {
      path: BigInt.asUintN(64, stats.ino ^ (device << DEVICE_SHIFT)),
      version: Number(BigInt.asUintN(32, (stats.mtimeNs / 1000n) ^ (stats.size << 8n))),
      kind: Number(stats.mode) & S_IF.MT,
    };
  }

  attributes(stats: BigIntStats): FileAttributes {
    return {
      ...this.identity(stats),
      mode: Number(stats.mode),
      uid: Number(stats.uid),
      gid: Number(stats.gid),
      links: Number(stats.nlink),
      device: stats.rdev,
      sizeBytes: Number(stats.size),
      blockBytes: Number(stats.blksize),
      blocks: Number(stats.blocks),
      atimeNs: stats.atimeNs,
      mtimeNs: stats.mtimeNs,
      ctimeNs: stats.ctimeNs,
    };
  }
}
