// The store's content: an immutable tree. A change makes new nodes on the way to the root and shares all others, so that
// whoever holds a root holds a snapshot. oxenstored does the same.
import type { Permission } from './permissions.ts';
import { nodeSize } from './quotas.ts';

export interface StoreNode {
  readonly value: Uint8Array;
  /** In the order in which they were made, which is the order DIRECTORY lists them in. */
  readonly children: ReadonlyMap<string, StoreNode>;
  /** The children's names with a NUL each. */
  readonly childrenBytes: number;
  readonly permissions: readonly Permission[];
  /** When value or permissions were last written. No two changes have the same generation. */
  readonly generation: number;
  /** When a child was last made or removed. */
  readonly childrenGeneration: number;
}

/** What `node` counts for in quotas. */
export const sizeOfNode = (node: StoreNode): number => nodeSize(node.permissions.length, node.value.length, node.childrenBytes);

const NO_CHILDREN: ReadonlyMap<string, StoreNode> = new Map();
const NO_BYTES = new Uint8Array(0);

export function newNode(permissions: readonly Permission[], generation: number, value: Uint8Array = NO_BYTES): StoreNode {
  return {
    value,
    children: NO_CHILDREN,
    childrenBytes: 0,
    permissions,
    generation,
    childrenGeneration: generation,
  };
}

/** An empty node with its first child. */
export const withOnlyChild = (node: StoreNode, name: string, child: StoreNode): StoreNode => ({
  ...node,
  children: new Map([[name, child]]),
  childrenBytes: name.length + 1,
});

/** A root above `/` and the special nodes: `''` is the tree, `@releaseDomain` and `@introduceDomain` stand beside it. */
export type StoreRoot = StoreNode;

const segments = (path: string): string[] => (path === '/' ? [''] : path.split('/'));

export function lookup(root: StoreRoot, path: string): StoreNode | undefined {
  let node: StoreNode | undefined = root;
  for (const name of segments(path)) {
    node = node.children.get(name);
    if (node === undefined) return undefined;
  }
  return node;
}

/** The root with `node` at `path`: replaced, added (its parent must exist), or removed when undefined. */
export function withNode(root: StoreRoot, path: string, node: StoreNode | undefined, generation: number): StoreRoot {
  const names = segments(path);
  const change = (parent: StoreNode, depth: number): StoreNode => {
    const name = names[depth] ?? '';
    const old = parent.children.get(name);
    const last = depth === names.length - 1;
    if (!last && old === undefined) throw new Error(`${path}: the parent is missing`);
    const now = last ? node : change(old as StoreNode, depth + 1);
    return withChild(parent, name, now, generation);
  };
  return change(root, 0);
}

function withChild(parent: StoreNode, name: string, child: StoreNode | undefined, generation: number): StoreNode {
  const had = parent.children.has(name);
  if (child === undefined && !had) return parent;
  const children = new Map(parent.children);
  if (child === undefined) children.delete(name);
  else children.set(name, child);
  if (child !== undefined && had) return { ...parent, children };
  const childrenBytes = parent.childrenBytes + (child === undefined ? -1 : 1) * (name.length + 1);
  return { ...parent, children, childrenBytes, childrenGeneration: generation };
}

/**
 * What changed from `base` to `work`, done to `current`. The caller has checked that nothing `work` depends on differs
 * between `base` and `current`; what differs elsewhere stays as `current` has it.
 */
export function mergeTrees(base: StoreNode, work: StoreNode, current: StoreNode, generation: number): StoreNode {
  if (base === work) return current;
  if (base === current) return work;
  let merged = current;
  if (work.generation !== base.generation) {
    const { value, permissions } = work;
    merged = { ...merged, value, permissions, generation: work.generation };
  }
  for (const name of base.children.keys()) if (!work.children.has(name)) merged = withChild(merged, name, undefined, generation);
  for (const [name, now] of work.children) {
    const before = base.children.get(name);
    if (before === now) continue;
    const there = merged.children.get(name);
    if ((there === undefined) !== (before === undefined)) throw new Error(`${name}: a conflict was overlooked`);
    const child = before === undefined || there === undefined ? now : mergeTrees(before, now, there, generation);
    merged = withChild(merged, name, child, generation);
  }
  return merged;
}

/** Calls `changed` for each node that is not the same in both trees; `path` as in the store. Shared parts are not visited. */
export function compareTrees(
  before: StoreNode | undefined,
  after: StoreNode | undefined,
  changed: (before: StoreNode | undefined, after: StoreNode | undefined, pathLength: number) => void,
  pathLength = 0,
): void {
  if (before === after) return;
  changed(before, after, pathLength);
  if (before !== undefined)
    for (const [name, child] of before.children)
      compareTrees(child, after?.children.get(name), changed, pathLength + 1 + name.length);
  if (after !== undefined)
    for (const [name, child] of after.children)
      if (before?.children.has(name) !== true) compareTrees(undefined, child, changed, pathLength + 1 + name.length);
}
