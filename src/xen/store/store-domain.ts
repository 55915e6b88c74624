// A domain as the store knows it, and what it may do with a node. tools/xenstored/domain.c: struct domain; core.c: perm_for_conn.
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { domainPath } from './path.ts';
import { PERM } from './permissions.ts';
import type { StoreNode } from './tree.ts';

export class StoreDomain {
  readonly domid: number;
  /** The next change's generation when the domain came: permissions written earlier meant another domain of this number. */
  readonly generation: number;
  /** Where its relative paths begin. */
  readonly home: string;
  readonly privileged: boolean;
  introduced = false;
  shutdown = false;
  /** A domain whose rights this one has too: a device model's guest. */
  target: StoreDomain | undefined;
  // What it uses of its quotas.
  nodes = 0;
  watches = 0;
  transactions = 0;
  outstanding = 0;
  memory = 0;

  constructor(domid: number, generation: number) {
    this.domid = domid;
    this.generation = generation;
    this.home = domainPath(domid);
    this.privileged = domid === DOMID_ZERO;
  }

  /** PERM bits that the domain has on a node. */
  accessTo(node: StoreNode): number {
    const all = PERM.read | PERM.write | PERM.owner;
    const [owner, ...listed] = node.permissions;
    if (owner === undefined || this.privileged || owner.domid === this.domid || owner.domid === this.target?.domid) return all;
    for (const entry of listed) {
      if (entry.stale) continue;
      const domain = entry.domid === this.domid ? this : this.target;
      if (domain?.domid === entry.domid && domain.generation <= node.generation) return entry.access;
    }
    return owner.access;
  }

  mayRead(node: StoreNode): boolean {
    return (this.accessTo(node) & PERM.read) !== 0;
  }
}
