// The inspection tree: everything a domain can show of itself, built only where somebody looks. Whoever owns state returns
// a node of it; the owner above hangs that into its own.

export type InspectValue = string | number | bigint | boolean | null;

/** Names must not be empty and must not contain a slash. */
export interface InspectTree {
  readonly [name: string]: InspectNode;
}

/** A value, a sub-tree, or a function that makes one of them when it is asked for. */
export type InspectNode = InspectValue | InspectTree | (() => InspectNode);

/** The node itself, with every function at its top called. */
export function settle(node: InspectNode): InspectValue | InspectTree {
  let here = node;
  while (typeof here === 'function') here = here();
  return here;
}

export const isTree = (node: InspectValue | InspectTree): node is InspectTree => typeof node === 'object' && node !== null;
