// A transaction: a private version of the tree, and what it rests on. tools/xenstored/transaction.c tracks nodes as a
// whole; here a node's content and its list of children are told apart, so that making two siblings is no conflict.

import { parentPath } from './path.ts';
import type { StoreDomain } from './store-domain.ts';
import { lookup, mergeTrees, type StoreNode, type StoreRoot, sizeOfNode } from './tree.ts';
import type { NodeEvent } from './watch.ts';

/** What of a node was looked at. */
export const TOUCH = { content: 1, children: 2 } as const;

interface Access {
  facets: number;
  event: 'none' | 'exact' | 'below';
}

export class Transaction {
  readonly id: number;
  readonly domain: StoreDomain;
  /** The tree when the transaction began. */
  readonly base: StoreRoot;
  /** The tree as the transaction has it. */
  root: StoreRoot;
  /** A node was made: the quota is looked at again in the end. */
  created = false;
  /** It can only end with ENOMEM. */
  failed = false;
  /** Set when a request touched more nodes than the quota allows. */
  overflowed = false;
  /** Bytes charged to the domain. */
  memory = 0;
  /** How many nodes each domain gains. */
  readonly gained = new Map<number, number>();
  readonly #accesses = new Map<string, Access>();
  readonly #limit: number;

  constructor(id: number, domain: StoreDomain, base: StoreRoot, limit: number) {
    this.id = id;
    this.domain = domain;
    this.base = base;
    this.root = base;
    this.#limit = domain.privileged ? Number.POSITIVE_INFINITY : limit;
  }

  /** Notes that the outcome rests on part of the node at `path`, whether it exists or not. */
  touch(path: string, facets: number): void {
    const access = this.#accesses.get(path);
    if (access !== undefined) {
      access.facets |= facets;
      return;
    }
    if (this.#accesses.size >= this.#limit) {
      this.overflowed = true;
      this.failed = true;
      return;
    }
    this.#accesses.set(path, { facets, event: 'none' });
    const node = lookup(this.root, path);
    this.charge(path.length + (node === undefined ? 0 : sizeOfNode(node)));
  }

  charge(bytes: number): void {
    this.memory += bytes;
    this.domain.memory += bytes;
  }

  /** Gives back what was charged. */
  release(): void {
    this.charge(-this.memory);
  }

  /** Keeps an event for the commit. One for the node and all above replaces one for exactly the node. */
  note({ path, exact }: NodeEvent): void {
    const access = this.#accesses.get(path);
    if (access !== undefined && access.event !== 'below') access.event = exact ? 'exact' : 'below';
  }

  /** The tree that results from doing all of it on `current`; undefined when somebody changed what it rests on. */
  merge(current: StoreRoot, generation: number): StoreRoot | undefined {
    if (this.base !== current)
      for (const [path, { facets }] of this.#accesses)
        if (!same(lookup(this.base, path), lookup(current, path), facets)) return undefined;
    return mergeTrees(this.base, this.root, current, generation);
  }

  /** The events of a commit that made `after`, in the order in which the nodes were first touched. */
  *events(after: StoreRoot): Generator<NodeEvent> {
    for (const [path, { event }] of this.#accesses) {
      if (event === 'none') continue;
      const now = lookup(after, path);
      // Who could read the node before hears of it; the parent's readers only while there is a node.
      const judged = [lookup(this.base, path), now, now && lookup(after, parentPath(path))];
      yield { path, exact: event === 'exact', judged };
    }
  }
}

function same(base: StoreNode | undefined, current: StoreNode | undefined, facets: number): boolean {
  if (base === current) return true;
  if (base === undefined || current === undefined) return false;
  if ((facets & TOUCH.content) !== 0 && base.generation !== current.generation) return false;
  return (facets & TOUCH.children) === 0 || base.childrenGeneration === current.childrenGeneration;
}
