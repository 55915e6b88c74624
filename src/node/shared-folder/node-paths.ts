// How a node of a shared folder is reached on the host without anything leading out of the folder on the way.
import type { BigIntStats } from 'node:fs';
import type { FolderNode } from './folder-node.ts';

/** A way to one node that leads nowhere else until it is released. */
export interface HeldPath {
  /** Of bytes. With a '/' and a name behind it, it is that of an entry, which must not be followed if it is a symbolic link. */
  readonly path: string;
  release(): void;
}

/** An entry as it was found. */
export interface FoundEntry {
  readonly stats: BigIntStats;
  /** Of the paths' own: what they need to come back to it. */
  readonly handle: number | undefined;
}

export interface NodePaths {
  /**
   * Whether `path` is to be followed, as it leads to the node, symbolic link or not, and to nothing else. Otherwise it is the
   * node's own, and must not be followed.
   */
  readonly follow: boolean;
  /** @throws FileTreeError ESTALE when the node is not where it was, and the host's errors */
  hold(node: FolderNode): Promise<HeldPath>;
  /** Looks at an entry of a directory, without following it. What it finds goes to `keep` or `drop`. */
  find(directory: HeldPath, name: string): Promise<FoundEntry>;
  keep(node: FolderNode, found: FoundEntry): void;
  drop(found: FoundEntry): void;
  /** The node is not used any more. */
  forget(node: FolderNode): void;
  /** Nothing is held. */
  close(): Promise<void>;
}
