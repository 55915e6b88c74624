// The store: tree, domains, connections, and who is told of a change. All on one thread. tools/xenstored of Xen 4.20.
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import type { XsdError } from '../../abi/xen/xenstore.ts';
import { Operation, type OperationHost } from './operation.ts';
import { childPath } from './path.ts';
import { PERM } from './permissions.ts';
import { DEFAULT_QUOTAS, type StoreQuotas } from './quotas.ts';
import { StoreConnection, type StoreConnectionOptions } from './store-connection.ts';
import { StoreDomain } from './store-domain.ts';
import { Transaction } from './transaction.ts';
import { compareTrees, lookup, newNode, type StoreNode, type StoreRoot, sizeOfNode, withNode } from './tree.ts';
import { type EventCause, fireWatches, type Watcher } from './watch.ts';

export const INTRODUCE_DOMAIN = '@introduceDomain';
export const RELEASE_DOMAIN = '@releaseDomain';

export interface XenStoreOptions {
  readonly quotas?: Partial<StoreQuotas>;
}

export class XenStore implements OperationHost {
  readonly quotas: StoreQuotas;
  readonly #domains = new Map<number, StoreDomain>();
  readonly #watchers = new Set<Watcher>();
  readonly #connections = new Set<StoreConnection>();
  #generation = 0;
  #root: StoreRoot;

  /** A store as it begins: `/tool/xenstored`, the special nodes, and domain 0. */
  constructor(options: XenStoreOptions = {}) {
    this.quotas = { ...DEFAULT_QUOTAS, ...options.quotas };
    const own = [{ domid: DOMID_ZERO, access: PERM.none }];
    const start = newNode(own, 0);
    this.#root = start;
    this.addDomain(DOMID_ZERO).introduced = true;
    let root = start;
    for (const path of ['/', '/tool', '/tool/xenstored', RELEASE_DOMAIN, INTRODUCE_DOMAIN]) {
      const generation = this.nextGeneration();
      root = withNode(root, path, newNode(own, generation), generation);
    }
    this.#adopt(root);
  }

  /** The tree as it is: immutable, so a snapshot. */
  get root(): StoreRoot {
    return this.#root;
  }

  nextGeneration(): number {
    return ++this.#generation;
  }

  domain(domid: number): StoreDomain | undefined {
    return this.#domains.get(domid);
  }

  /** Every domain there is, for inspection. */
  get domains(): Iterable<StoreDomain> {
    return this.#domains.values();
  }

  /** Makes a domain known, so that permissions can name it: when the hypervisor has created it, before its nodes are written. */
  addDomain(domid: number): StoreDomain {
    const known = this.#domains.get(domid);
    if (known !== undefined) return known;
    const domain = new StoreDomain(domid, this.#generation + 1);
    this.#domains.set(domid, domain);
    return domain;
  }

  /** The domain may use the store from now on. Fires @introduceDomain the first time. */
  introduce(domid: number): StoreDomain {
    const domain = this.addDomain(domid);
    if (!domain.introduced) {
      domain.introduced = true;
      this.#fireSpecial(INTRODUCE_DOMAIN);
    }
    return domain;
  }

  /** The domain stopped running but is still there: fires @releaseDomain, once until `resume`. */
  shutdown(domid: number): void {
    const domain = this.#domains.get(domid);
    if (domain === undefined || !domain.introduced || domain.shutdown) return;
    domain.shutdown = true;
    this.#fireSpecial(RELEASE_DOMAIN);
  }

  /** A domain that was suspended runs again. */
  resume(domid: number): void {
    const domain = this.#domains.get(domid);
    if (domain !== undefined) domain.shutdown = false;
  }

  /** The domain is gone: its connections end, the nodes it owns go, @releaseDomain fires. Domain 0 stays. */
  release(domid: number): void {
    const domain = this.#domains.get(domid);
    if (domain === undefined || domain.domid === DOMID_ZERO) return;
    for (const connection of [...this.#connections]) if (connection.domain === domain) connection.close();
    this.#removeOwned(domain);
    this.#domains.delete(domid);
    for (const other of this.#domains.values()) if (other.target === domain) other.target = undefined;
    if (domain.introduced) this.#fireSpecial(RELEASE_DOMAIN);
  }

  /** A connection that speaks the protocol for `domid`, which becomes introduced. */
  connect(domid: number, options: StoreConnectionOptions = {}): StoreConnection {
    const connection = new StoreConnection(this, this.introduce(domid), options);
    this.#connections.add(connection);
    this.#watchers.add(connection);
    return connection;
  }

  /** For connections: it has ended. */
  disconnected(connection: StoreConnection): void {
    this.#connections.delete(connection);
    this.#watchers.delete(connection);
  }

  connectionsOf(domain: StoreDomain): StoreConnection[] {
    return [...this.#connections].filter((connection) => connection.domain === domain);
  }

  addWatcher(watcher: Watcher): void {
    this.#watchers.add(watcher);
  }

  removeWatcher(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  /** Does something to the tree, or to a transaction's. What fails leaves no trace. Watches fire before this returns. */
  perform<T extends object | boolean>(
    caller: StoreDomain,
    transaction: Transaction | undefined,
    body: (operation: Operation) => T | XsdError,
    cause?: EventCause,
  ): T | XsdError {
    const start = transaction?.root ?? this.#root;
    const operation = new Operation(this, caller, transaction, start);
    const result = body(operation);
    if (transaction?.overflowed) {
      transaction.overflowed = false;
      return 'ENOSPC';
    }
    if (typeof result === 'string' || operation.root === start) return result;
    const usage = usageOf(start, operation.root);
    let growth = usage.get(caller.domid)?.memory ?? 0;
    if (transaction !== undefined) growth = [...usage.values()].reduce((sum, { memory }) => sum + memory, 0);
    if (!caller.privileged && growth > 0 && caller.memory + growth >= this.quotas.memory) {
      if (transaction !== undefined) transaction.failed = true;
      return 'EIO';
    }
    if (transaction === undefined) {
      this.#adopt(operation.root, usage);
      for (const event of operation.events) fireWatches(event, this.#watchers, cause);
    } else {
      transaction.charge(growth);
      transaction.root = operation.root;
      for (const [domid, { nodes }] of usage) transaction.gained.set(domid, (transaction.gained.get(domid) ?? 0) + nodes);
      for (const event of operation.events) transaction.note(event);
    }
    return result;
  }

  begin(domain: StoreDomain, id: number): Transaction {
    return new Transaction(id, domain, this.#root, this.quotas.transactionNodes);
  }

  /** Ends a transaction with all it did, or with the reason why not. Whoever holds it drops it in either case. */
  commit(transaction: Transaction, cause?: EventCause): true | XsdError {
    if (transaction.failed) return 'ENOMEM';
    if (transaction.created && !transaction.domain.privileged)
      for (const [domid, nodes] of transaction.gained) {
        const domain = this.#domains.get(domid);
        if (domain !== undefined && !domain.privileged && domain.nodes + nodes >= this.quotas.nodes) return 'ENOSPC';
      }
    const merged = transaction.merge(this.#root, this.nextGeneration());
    if (merged === undefined) return 'EAGAIN';
    this.#adopt(merged);
    for (const event of transaction.events(merged)) fireWatches(event, this.#watchers, cause);
    return true;
  }

  #adopt(root: StoreRoot, usage: Usage = usageOf(this.#root, root)): void {
    this.#root = root;
    for (const [domid, { nodes, memory }] of usage) {
      const domain = this.#domains.get(domid);
      if (domain === undefined) continue;
      domain.nodes += nodes;
      domain.memory += memory;
    }
  }

  #fireSpecial(path: string): void {
    const judged = [lookup(this.#root, path), lookup(this.#root, '/')];
    if (judged[0] !== undefined) fireWatches({ path, exact: true, judged }, this.#watchers, undefined);
  }

  /** Removes the topmost nodes that belong to a domain, and with them what others own below. */
  #removeOwned(domain: StoreDomain): void {
    const owned: [path: string, node: StoreNode][] = [];
    const visit = (path: string, node: StoreNode): void => {
      if (node.permissions[0]?.domid === domain.domid) owned.push([path, node]);
      else for (const [name, child] of node.children) visit(childPath(path, name), child);
    };
    for (const path of ['/', RELEASE_DOMAIN, INTRODUCE_DOMAIN]) {
      const node = lookup(this.#root, path);
      if (node !== undefined) visit(path, node);
    }
    const zero = this.addDomain(DOMID_ZERO);
    for (const [path, node] of owned)
      this.perform(zero, undefined, (op) => {
        // The root cannot go; domain 0 gets it back.
        if (path === '/') return op.setPermissions(path, [{ domid: DOMID_ZERO, access: PERM.none }]);
        op.removeTree(path, node);
        return true;
      });
  }
}

type Usage = ReadonlyMap<number, { readonly nodes: number; readonly memory: number }>;

/** How much more, or less, each domain owns. */
function usageOf(before: StoreRoot, after: StoreRoot): Usage {
  const usage = new Map<number, { nodes: number; memory: number }>();
  const count = (node: StoreNode | undefined, pathLength: number, sign: number) => {
    const owner = node?.permissions[0]?.domid;
    if (node === undefined || owner === undefined || pathLength === 0) return;
    const entry = usage.get(owner) ?? { nodes: 0, memory: 0 };
    entry.nodes += sign;
    entry.memory += sign * (sizeOfNode(node) + pathLength);
    usage.set(owner, entry);
  };
  compareTrees(before, after, (old, now, pathLength) => {
    count(old, pathLength, -1);
    count(now, pathLength, 1);
  });
  return usage;
}
