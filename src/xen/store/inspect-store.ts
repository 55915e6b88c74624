// The store as plain data, for whoever looks into a running monitor.
import { quoteValue } from './format-store.ts';
import { formatPermission } from './permissions.ts';
import { INTRODUCE_DOMAIN, RELEASE_DOMAIN, type XenStore } from './store.ts';
import { lookup, type StoreNode } from './tree.ts';

export interface InspectedNode {
  /** Escaped as `xenstore-ls` does. */
  readonly value: string;
  /** Such as `n0,r7`. */
  readonly permissions: string;
  readonly generation: number;
  readonly children: { readonly [name: string]: InspectedNode };
}

export interface InspectedDomain {
  readonly domid: number;
  readonly introduced: boolean;
  readonly shutdown: boolean;
  readonly nodes: number;
  readonly memory: number;
  readonly outstanding: number;
  readonly connections: readonly {
    readonly queued: number;
    readonly watches: readonly { readonly path: string; readonly token: string }[];
    readonly transactions: readonly number[];
  }[];
}

export interface StoreInspection {
  readonly tree: InspectedNode;
  readonly special: { readonly [name: string]: InspectedNode };
  readonly domains: readonly InspectedDomain[];
}

export function inspectStore(store: XenStore): StoreInspection {
  const special = [INTRODUCE_DOMAIN, RELEASE_DOMAIN].flatMap((path) => {
    const node = lookup(store.root, path);
    return node === undefined ? [] : [[path, inspectNode(node)] as const];
  });
  const domains = [...store.domains].map((domain): InspectedDomain => {
    const { domid, introduced, shutdown, nodes, memory, outstanding } = domain;
    const connections = store.connectionsOf(domain).map((connection) => ({
      queued: connection.queued,
      watches: connection.watches.map(({ path, token }) => ({ path, token })),
      transactions: [...connection.transactions].map(({ id }) => id),
    }));
    return { domid, introduced, shutdown, nodes, memory, outstanding, connections };
  });
  const tree = lookup(store.root, '/');
  if (tree === undefined) throw new Error('the store has no root');
  return { tree: inspectNode(tree), special: Object.fromEntries(special), domains };
}

function inspectNode(node: StoreNode): InspectedNode {
  return {
    value: quoteValue(node.value),
    permissions: node.permissions.map(formatPermission).join(','),
    generation: Math.max(node.generation, node.childrenGeneration),
    children: Object.fromEntries([...node.children].map(([name, child]) => [name, inspectNode(child)])),
  };
}
