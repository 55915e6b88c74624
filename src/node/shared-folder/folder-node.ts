// A node of a shared folder. It remembers where it was found, as its parent and a name there, and what it was (device and
// inode); every request finds it anew by these or is told that it has gone.
import { type BigIntStats, constants } from 'node:fs';
import { LinuxErrno } from '../../abi/linux-errno.ts';
import {
  type AttributeChanges,
  type FileAccess,
  type FileAttributes,
  type NewNode,
  type NodeIdentity,
  type OpenDirectory,
  type OpenFile,
  S_IF,
  type TreeNode,
} from '../../io/file-tree.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import { changeAttributes } from './change-attributes.ts';
import { FolderDirectory } from './folder-directory.ts';
import { FolderFile } from './folder-file.ts';
import type { FolderVolume } from './folder-volume.ts';
import { hostFs } from './host-fs.ts';
import type { FoundEntry } from './node-paths.ts';

const MOST_NAME_BYTES = 255;

export class FolderNode implements TreeNode {
  identity: NodeIdentity;
  /** The root's is itself. */
  parent: FolderNode;
  /** In the parent; undefined for the root, and once the node is not there any more. */
  name: string | undefined;
  readonly #volume: FolderVolume;
  readonly #device: bigint;
  readonly #inode: bigint;
  /** Those of its entries that somebody refers to. */
  readonly #children = new Map<string, FolderNode>();
  #references = 1;

  private constructor(volume: FolderVolume, stats: BigIntStats, parent?: FolderNode, name?: string) {
    this.#volume = volume;
    this.#device = stats.dev;
    this.#inode = stats.ino;
    this.identity = volume.identity(stats);
    this.parent = parent ?? this;
    this.name = name;
  }

  static root(volume: FolderVolume, found: FoundEntry): FolderNode {
    const node = new FolderNode(volume, found.stats);
    volume.paths.keep(node, found);
    return node;
  }

  /** Whether this is what was found. */
  is(stats: BigIntStats): boolean {
    return stats.ino === this.#inode && stats.dev === this.#device;
  }

  retain(): void {
    this.#references++;
  }

  release(): void {
    for (let node: FolderNode = this; --node.#references === 0 && node.parent !== node; node = node.parent) {
      node.#unlist();
      node.#volume.paths.forget(node);
    }
  }

  attributes(): Promise<FileAttributes> {
    return this.#at(async (path) => {
      const { paths } = this.#volume;
      const found = this.#volume.attributes(await (paths.follow ? hostFs.stat(path) : hostFs.lstat(path)));
      this.identity = { path: found.path, version: found.version, kind: found.kind };
      return found;
    });
  }

  change(changes: AttributeChanges): Promise<void> {
    return this.#at((path) => changeAttributes(path, this.#volume.paths.follow, this.identity.kind, changes));
  }

  async open(access: FileAccess): Promise<OpenFile> {
    // A pipe would block a thread of the host's, and a device do whatever it does when opened.
    const { kind } = this.identity;
    if (kind !== S_IF.REG) throw new FileTreeError(kind === S_IF.DIR ? LinuxErrno.EISDIR : LinuxErrno.ENXIO, 'no file');
    return this.#at((path) =>
      this.#volume.counted(async () => {
        const noFollow = this.#volume.paths.follow ? 0 : constants.O_NOFOLLOW | constants.O_NONBLOCK;
        const fd = await hostFs.open(path, accessFlags(access) | noFollow);
        return new FolderFile(this.#volume, fd);
      }),
    );
  }

  async openDirectory(): Promise<OpenDirectory> {
    this.#mustBeDirectory();
    const held = await this.#volume.paths.hold(this);
    try {
      return await this.#volume.counted(async () => new FolderDirectory(this.#volume, held, await hostFs.opendir(held.path)));
    } catch (error) {
      held.release();
      throw error;
    }
  }

  async readlink(): Promise<string> {
    return this.#atName((path) => hostFs.readlink(path));
  }

  async lookup(name: string): Promise<TreeNode> {
    return this.#below(name, async (path) => {
      const { paths } = this.#volume;
      return this.#child(name, await paths.find({ path, release: () => {} }, name));
    });
  }

  create(name: string, node: NewNode, access: FileAccess): Promise<{ readonly node: TreeNode; readonly file: OpenFile }> {
    return this.#below(name, (path) =>
      this.#volume.counted(async () => {
        const entry = `${path}/${name}`;
        const flags = accessFlags({ ...access, truncate: false }) | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        const fd = await hostFs.open(entry, flags, node.mode & 0o777);
        try {
          // Not what the host's umask makes of it.
          if (this.#volume.givesOwners) await hostFs.fchown(fd, node.uid, node.gid);
          await hostFs.fchmod(fd, node.mode);
          const stats = await hostFs.fstat(fd);
          const made = this.#child(name, { stats, handle: undefined });
          return { node: made, file: new FolderFile(this.#volume, fd) };
        } catch (error) {
          await hostFs.close(fd);
          await hostFs.unlink(entry);
          throw error;
        }
      }),
    );
  }

  mkdir(name: string, node: NewNode): Promise<TreeNode> {
    return this.#below(name, async (path) => {
      await hostFs.mkdir(`${path}/${name}`, node.mode & 0o777);
      return this.#made(name, node, { mode: node.mode });
    });
  }

  symlink(name: string, target: string, node: NewNode): Promise<TreeNode> {
    return this.#below(name, async (path) => {
      await hostFs.symlink(target, `${path}/${name}`);
      return this.#made(name, node, {});
    });
  }

  async link(name: string, existing: TreeNode): Promise<void> {
    const source = sameTree(existing);
    // Some hosts would follow it.
    if (source.identity.kind === S_IF.LNK && !this.#volume.paths.follow)
      throw new FileTreeError(LinuxErrno.EPERM, 'a hard link to a symbolic link');
    await source.#atName((from) => this.#below(name, (path) => hostFs.link(from, `${path}/${name}`)));
  }

  async rename(name: string, directory: TreeNode, newName: string): Promise<void> {
    const to = sameTree(directory);
    const moved = this.#children.get(name);
    const replaced = to.#children.get(newName);
    await this.#below(name, (from) => to.#below(newName, (path) => hostFs.rename(`${from}/${name}`, `${path}/${newName}`)));
    if (moved === replaced && moved !== undefined) return;
    if (replaced !== undefined && to.#children.get(newName) === replaced) replaced.#unlist();
    if (moved === undefined || this.#children.get(name) !== moved) return;
    moved.#unlist();
    // The host has moved what is between them: then it is found anew by its new name.
    if (to.#isWithin(moved)) return;
    const before = moved.parent;
    to.retain();
    moved.parent = to;
    moved.name = newName;
    const other = to.#children.get(newName);
    if (other !== undefined) other.#unlist();
    to.#children.set(newName, moved);
    before.release();
  }

  async moveTo(directory: TreeNode, newName: string): Promise<void> {
    await this.parent.rename(this.#placed(), directory, newName);
  }

  unlink(name: string): Promise<void> {
    return this.#remove(name, hostFs.unlink);
  }

  rmdir(name: string): Promise<void> {
    return this.#remove(name, hostFs.rmdir);
  }

  async remove(): Promise<void> {
    const name = this.#placed();
    await (this.identity.kind === S_IF.DIR ? this.parent.rmdir(name) : this.parent.unlink(name));
  }

  async #remove(name: string, remove: (path: string) => Promise<void>): Promise<void> {
    const child = this.#children.get(name);
    await this.#below(name, (path) => remove(`${path}/${name}`));
    if (child !== undefined && this.#children.get(name) === child) child.#unlist();
  }

  /** What was just made, with its owner and permissions; without them it is not left there. */
  async #made(name: string, node: NewNode, changes: AttributeChanges): Promise<TreeNode> {
    const made = await this.lookup(name);
    const owners = this.#volume.givesOwners ? { uid: node.uid, gid: node.gid } : {};
    try {
      await made.change({ ...changes, ...owners });
    } catch (error) {
      await made.remove();
      made.release();
      throw error;
    }
    return made;
  }

  /** The node of an entry, with a reference of the caller's. */
  #child(name: string, found: FoundEntry): FolderNode {
    const there = this.#children.get(name);
    if (there?.is(found.stats)) {
      there.retain();
      there.identity = this.#volume.identity(found.stats);
      this.#volume.paths.keep(there, found);
      return there;
    }
    if (there !== undefined) there.#unlist();
    const node = new FolderNode(this.#volume, found.stats, this, name);
    this.retain();
    this.#children.set(name, node);
    this.#volume.paths.keep(node, found);
    return node;
  }

  /** It is not found by its name any more. */
  #unlist(): void {
    const { parent, name } = this;
    if (name !== undefined && parent.#children.get(name) === this) parent.#children.delete(name);
    this.name = undefined;
  }

  #isWithin(other: FolderNode): boolean {
    for (let node: FolderNode = this; ; node = node.parent) {
      if (node === other) return true;
      if (node.parent === node) return false;
    }
  }

  #mustBeDirectory(): void {
    if (this.identity.kind !== S_IF.DIR) throw new FileTreeError(LinuxErrno.ENOTDIR, 'no directory');
  }

  /** With this directory's path, for something about an entry of it. */
  async #below<T>(name: string, body: (path: string) => Promise<T>): Promise<T> {
    checkName(name);
    this.#mustBeDirectory();
    return this.#at(body);
  }

  async #at<T>(body: (path: string) => Promise<T>): Promise<T> {
    const held = await this.#volume.paths.hold(this);
    try {
      return await body(held.path);
    } finally {
      held.release();
    }
  }

  /** By its name in its parent, for calls that act on names or must not follow. */
  async #atName<T>(body: (path: string) => Promise<T>): Promise<T> {
    const name = this.#placed();
    return this.parent.#at((path) => body(`${path}/${name}`));
  }

  /** @throws FileTreeError EBUSY for the root, ESTALE when its name has gone */
  #placed(): string {
    if (this.parent === this) throw new FileTreeError(LinuxErrno.EBUSY, 'the shared folder itself');
    if (this.name === undefined) throw new FileTreeError(LinuxErrno.ESTALE, 'it is not where it was');
    return this.name;
  }
}

/** Whatever asks: nothing but an entry of a directory is ever named. */
function checkName(name: string): void {
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0'))
    throw new FileTreeError(LinuxErrno.EINVAL, 'what is no name of an entry');
  if (name.length > MOST_NAME_BYTES) throw new FileTreeError(LinuxErrno.ENAMETOOLONG, `a name of ${name.length} bytes`);
}

function sameTree(node: TreeNode): FolderNode {
  if (node instanceof FolderNode) return node;
  throw new Error('a node of another tree');
}

function accessFlags({ read, write, append, truncate, sync }: FileAccess): number {
  return (
    (write ? (read ? constants.O_RDWR : constants.O_WRONLY) : constants.O_RDONLY) |
    (append ? constants.O_APPEND : 0) |
    (truncate ? constants.O_TRUNC : 0) |
    (sync ? constants.O_SYNC : 0)
  );
}
