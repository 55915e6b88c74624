// Hosts that cannot look a name up in an open directory: the path of a node is checked to be its own each time. Whoever moves
// folders on such a host in just that moment can mislead a request, so share what only you and the guest change.
import { LinuxErrno } from '../../abi/linux-errno.ts';
import { FileTreeError } from '../../io/file-tree-error.ts';
import type { FolderNode } from './folder-node.ts';
import { hostFs } from './host-fs.ts';
import type { FoundEntry, HeldPath, NodePaths } from './node-paths.ts';

const stale = (): FileTreeError => new FileTreeError(LinuxErrno.ESTALE, 'it is not where it was');

export class CheckedPaths implements NodePaths {
  readonly follow = false;
  readonly #root: string;

  /** @param root of the folder, as realpath(3) has it */
  constructor(root: string) {
    this.#root = root;
  }

  async hold(node: FolderNode): Promise<HeldPath> {
    const names: string[] = [];
    for (let at = node; at.parent !== at; at = at.parent) {
      if (at.name === undefined) throw stale();
      names.unshift(at.name);
    }
    const last = names.pop();
    const parent = [this.#root, ...names].join('/');
    if ((await hostFs.realpath(parent)) !== parent) throw stale();
    const path = last === undefined ? parent : `${parent}/${last}`;
    if (!node.is(await hostFs.lstat(path))) throw stale();
    return { path, release: () => {} };
  }

  async find(directory: HeldPath, name: string): Promise<FoundEntry> {
    return { stats: await hostFs.lstat(`${directory.path}/${name}`), handle: undefined };
  }

  keep(): void {}

  drop(): void {}

  forget(): void {}

  async close(): Promise<void> {}
}
