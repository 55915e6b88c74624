// What a request does to the tree: permissions, inheritance, quotas of nodes. It works on a root of its own and is thrown
// away when it fails. tools/xenstored/core.c; the order of checks there decides which error a caller sees.
import type { XsdError } from '../../abi/xen/xenstore.ts';
import { baseName, canonicalPath, childPath, parentPath } from './path.ts';
import { PERM, type Permission } from './permissions.ts';
import type { StoreQuotas } from './quotas.ts';
import type { StoreDomain } from './store-domain.ts';
import { TOUCH, type Transaction } from './transaction.ts';
import { lookup, newNode, type StoreNode, type StoreRoot, sizeOfNode, withNode, withOnlyChild } from './tree.ts';
import type { NodeEvent } from './watch.ts';

/** What operations need of the store. */
export interface OperationHost {
  readonly quotas: StoreQuotas;
  nextGeneration(): number;
  /** The domain of that number, if one exists. */
  domain(domid: number): StoreDomain | undefined;
}

export class Operation {
  readonly #host: OperationHost;
  readonly #caller: StoreDomain;
  readonly #transaction: Transaction | undefined;
  /** The tree with what was done so far. */
  root: StoreRoot;
  readonly events: NodeEvent[] = [];

  constructor(host: OperationHost, caller: StoreDomain, transaction: Transaction | undefined, root: StoreRoot) {
    this.#host = host;
    this.#caller = caller;
    this.#transaction = transaction;
    this.root = root;
  }

  /** The absolute path, or EINVAL as undefined. */
  path(text: string, special = false): string | undefined {
    const { home, privileged } = this.#caller;
    const maxLength = privileged ? Number.POSITIVE_INFINITY : this.#host.quotas.pathLength;
    return canonicalPath(text, { home, maxLength, special });
  }

  /** The node, when the caller has all of `access` on it. */
  find(path: string | undefined, access: number, facets: number = TOUCH.content): StoreNode | XsdError {
    if (path === undefined) return 'EINVAL';
    const node = this.#get(path, facets);
    if (node !== undefined && (this.#caller.accessTo(node) & access) === access) return node;
    // Whether a node exists is told only to who has the access on what it would inherit from.
    if (node === undefined && (this.#accessAbove(path) & access) !== 0) return 'ENOENT';
    return 'EACCES';
  }

  /** READ */
  read(path: string | undefined): Uint8Array | XsdError {
    const node = this.find(path, PERM.read);
    return typeof node === 'string' ? node : node.value;
  }

  /** DIRECTORY: the node, whose children were looked at. */
  list(path: string | undefined): StoreNode | XsdError {
    return this.find(path, PERM.read, TOUCH.content | TOUCH.children);
  }

  /** WRITE: makes the node and missing ones above it. Fires even when the value stays the same. */
  write(path: string | undefined, value: Uint8Array): true | XsdError {
    const node = this.find(path, PERM.write);
    if (node === 'ENOENT') return this.#create(path as string, value);
    if (typeof node === 'string') return node;
    const failure = this.#replace(path as string, { ...node, value, permissions: this.#current(node) });
    if (failure !== undefined) return failure;
    this.#changed(path as string, node);
    return true;
  }

  /** MKDIR: like a write of nothing, but leaves a node alone that exists. */
  makeDirectory(path: string | undefined): true | XsdError {
    const node = this.find(path, PERM.write);
    if (node === 'ENOENT') return this.#create(path as string, new Uint8Array(0));
    return typeof node === 'string' ? node : true;
  }

  /** RM: with everything below. A node that is not there is no error when its parent is. */
  remove(path: string | undefined): true | XsdError {
    const node = this.find(path, PERM.write);
    if (node === 'ENOENT') return this.#get(parentPath(path as string)) === undefined ? 'ENOENT' : true;
    if (typeof node === 'string') return node;
    if (path === '/') return 'EINVAL';
    this.removeTree(path as string, node);
    return true;
  }

  /** Removes a node without asking whether the caller may. */
  removeTree(path: string, node: StoreNode): void {
    const parent = this.#get(parentPath(path));
    this.#removed(path, node, parent, false);
    this.root = withNode(this.root, path, undefined, this.#host.nextGeneration());
  }

  /** GET_PERMS */
  permissions(path: string | undefined): readonly Permission[] | XsdError {
    const node = this.find(path, PERM.read);
    return typeof node === 'string' ? node : node.permissions;
  }

  /** SET_PERMS: for the owner; only the privileged give a node away. */
  setPermissions(path: string | undefined, list: readonly Permission[]): true | XsdError {
    const [owner] = list;
    if (owner === undefined) return 'EINVAL';
    if (!this.#caller.privileged && list.length > this.#host.quotas.permissions) return 'ENOSPC';
    if (this.#host.domain(owner.domid) === undefined) return 'ENOENT';
    const node = this.find(path, PERM.write | PERM.owner);
    if (typeof node === 'string') return node;
    if (!this.#caller.privileged && node.permissions[0]?.domid !== owner.domid) return 'EPERM';
    const permissions = list.map(
      ({ domid, access }): Permission =>
        this.#host.domain(domid) === undefined ? { domid, access, stale: true } : { domid, access },
    );
    const failure = this.#replace(path as string, { ...node, permissions });
    if (failure !== undefined) return failure;
    this.#changed(path as string, node);
    return true;
  }

  #get(path: string, facets: number = TOUCH.content): StoreNode | undefined {
    this.#transaction?.touch(path, facets);
    return lookup(this.root, path);
  }

  /** The caller's access on the nearest node above a path. */
  #accessAbove(path: string): number {
    for (let above = parentPath(path); ; above = parentPath(above)) {
      const node = this.#get(above);
      if (node !== undefined) return this.#caller.accessTo(node);
      if (above === '/') return PERM.none;
    }
  }

  #create(path: string, value: Uint8Array): true | XsdError {
    const { quotas } = this.#host;
    const missing = [path];
    let above = parentPath(path);
    let parent = this.#get(above);
    while (parent === undefined) {
      missing.push(above);
      above = parentPath(above);
      parent = this.#get(above);
    }
    const { privileged, domid, nodes } = this.#caller;
    const transaction = this.#transaction;
    const owned = nodes + (transaction?.gained.get(domid) ?? 0);
    if (!privileged && owned + missing.length > quotas.nodes) {
      if (transaction !== undefined && owned < quotas.nodes) transaction.failed = true;
      return 'ENOSPC';
    }
    const inherited = this.#current(parent);
    // An unprivileged domain owns what it makes.
    const permissions = privileged ? inherited : inherited.map((entry, i) => (i === 0 ? { ...entry, domid } : entry));
    const generation = this.#host.nextGeneration();
    let node = newNode(permissions, generation, value);
    let top = path;
    for (const name of missing) {
      if (name !== path) node = withOnlyChild(newNode(permissions, generation), baseName(top), node);
      if (this.#tooLarge(sizeOfNode(node))) return 'ENOSPC';
      top = name;
    }
    if (this.#tooLarge(sizeOfNode(parent) + baseName(top).length + 1)) return 'ENOSPC';
    this.root = withNode(this.root, top, node, generation);
    if (transaction !== undefined) transaction.created = true;
    this.#changed(path, undefined);
    return true;
  }

  /** Writes a node that exists. */
  #replace(path: string, node: StoreNode): XsdError | undefined {
    if (this.#tooLarge(sizeOfNode(node))) return 'ENOSPC';
    const generation = this.#host.nextGeneration();
    this.root = withNode(this.root, path, { ...node, generation }, generation);
    return undefined;
  }

  #tooLarge(size: number): boolean {
    if (this.#caller.privileged || size <= this.#host.quotas.nodeSize) return false;
    if (this.#transaction !== undefined) this.#transaction.failed = true;
    return true;
  }

  /** A node's permissions, to be written again: what meant an earlier domain must not come to life. */
  #current(node: StoreNode): readonly Permission[] {
    return node.permissions.map((entry, i) => {
      if (i === 0 || entry.stale) return entry;
      const domain = this.#host.domain(entry.domid);
      return domain !== undefined && domain.generation <= node.generation ? entry : { ...entry, stale: true };
    });
  }

  #changed(path: string, before: StoreNode | undefined): void {
    const judged = [before, lookup(this.root, path), lookup(this.root, parentPath(path))];
    this.events.push({ path, exact: false, judged });
  }

  #removed(path: string, node: StoreNode, parent: StoreNode | undefined, exact: boolean): void {
    this.#transaction?.touch(path, TOUCH.content | TOUCH.children);
    for (const [name, child] of node.children) this.#removed(childPath(path, name), child, node, true);
    this.events.push({ path, exact, judged: [node, parent] });
  }
}
