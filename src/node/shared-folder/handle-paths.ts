// Linux: every directory on the way is held open as a handle (O_PATH), and a name is looked up in the handle itself
// (/proc/self/fd/<n>/<name> is what openat(2) would be), so that whoever moves or replaces folders on the host meanwhile cannot
// lead a request anywhere else. Handles of nodes not used lately are closed; coming back to one checks that it is the same.
import { constants } from 'node:fs';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import type { FolderNode } from './folder-node.ts';
import { hostFs } from './host-fs.ts';
import type { FoundEntry, HeldPath, NodePaths } from './node-paths.ts';

/** Of x86 and ARM Linux; Node does not name it. */
const O_PATH = 0o10000000;
const HANDLE_FLAGS = O_PATH | constants.O_NOFOLLOW;

interface Handle {
  readonly fd: number;
  uses: number;
  /** Forgotten while in use. */
  gone: boolean;
}

export class HandlePaths implements NodePaths {
  readonly follow = true;
  readonly #most: number;
  /** Least lately used first. */
  readonly #handles = new Map<FolderNode, Handle>();
  readonly #closing = new Set<Promise<void>>();

  /** @param most handles to keep, beside those that are in use */
  constructor(most: number) {
    this.#most = most;
  }

  /** A handle of the folder itself. `path` may lead through symbolic links: it is the host's. */
  static openRoot(path: string): Promise<number> {
    return hostFs.open(path, O_PATH | constants.O_DIRECTORY);
  }

  async hold(node: FolderNode): Promise<HeldPath> {
    const chain: FolderNode[] = [];
    for (let at = node; !this.#handles.has(at); at = at.parent) {
      if (at.name === undefined || at.parent === at) throw stale();
      chain.push(at);
    }
    let handle = this.#use(chain.at(-1)?.parent ?? node);
    for (const next of chain.reverse()) {
      const parent = handle;
      try {
        handle = await this.#reopen(parent, next);
      } finally {
        this.#release(parent);
      }
    }
    return { path: pathOf(handle), release: () => this.#release(handle) };
  }

  async find(directory: HeldPath, name: string): Promise<FoundEntry> {
    const fd = await hostFs.open(`${directory.path}/${name}`, HANDLE_FLAGS);
    try {
      return { stats: await hostFs.fstat(fd), handle: fd };
    } catch (error) {
      this.#close(fd);
      throw error;
    }
  }

  keep(node: FolderNode, { handle: fd }: FoundEntry): void {
    if (fd === undefined) return;
    if (this.#handles.has(node)) return this.#close(fd);
    this.#handles.set(node, { fd, uses: 0, gone: false });
    this.#trim(node);
  }

  drop({ handle }: FoundEntry): void {
    if (handle !== undefined) this.#close(handle);
  }

  forget(node: FolderNode): void {
    const handle = this.#handles.get(node);
    if (handle === undefined) return;
    this.#handles.delete(node);
    handle.gone = true;
    if (handle.uses === 0) this.#close(handle.fd);
  }

  async close(): Promise<void> {
    for (const node of [...this.#handles.keys()]) this.forget(node);
    await Promise.all(this.#closing);
  }

  /** A handle in use. Somebody else may have been faster, and it is theirs. */
  async #reopen(parent: Handle, node: FolderNode): Promise<Handle> {
    const { name } = node;
    if (name === undefined) throw stale();
    const found = await this.find({ path: pathOf(parent), release: () => {} }, name);
    if (node.is(found.stats)) {
      this.keep(node, found);
      return this.#use(node);
    }
    this.drop(found);
    throw stale();
  }

  #use(node: FolderNode): Handle {
    const handle = this.#handles.get(node);
    if (handle === undefined) throw stale();
    this.#handles.delete(node);
    this.#handles.set(node, handle);
    handle.uses++;
    return handle;
  }

  #release(handle: Handle): void {
    if (--handle.uses > 0) return;
    if (handle.gone) this.#close(handle.fd);
    else this.#trim();
  }

  /** Closes those that are too many, but for those in use, the root's, and `except`. */
  #trim(except?: FolderNode): void {
    if (this.#handles.size <= this.#most) return;
    for (const [node, { uses }] of this.#handles) {
      if (this.#handles.size <= this.#most) return;
      if (uses === 0 && node !== except && node.parent !== node) this.forget(node);
    }
  }

  /** Such a handle has nothing to lose when closing fails. */
  #close(fd: number): void {
    const closing = hostFs
      .close(fd)
      .catch(() => {})
      .then(() => void this.#closing.delete(closing));
    this.#closing.add(closing);
  }
}

const pathOf = ({ fd }: Handle): string => `/proc/self/fd/${fd}`;

const stale = (): FileTreeError => new FileTreeError(LinuxErrno.ESTALE, 'it is not where it was');
