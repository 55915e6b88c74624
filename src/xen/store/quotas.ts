// What an unprivileged domain may use of the store. tools/xenstored/domain.c: hard_quotas.

export interface StoreQuotas {
  /** Nodes a domain owns. */
  readonly nodes: number;
  /** A domain with more watches than this gets no further one. */
  readonly watches: number;
  /** A domain with more transactions open than this gets no further one. */
  readonly transactions: number;
  /** Nodes that one transaction touches. */
  readonly transactionNodes: number;
  /** Bytes of a node: value, names of children, permissions and a header. */
  readonly nodeSize: number;
  /** Entries of a permission list. */
  readonly permissions: number;
  /** Characters of a path, without `/local/domain/N/`. */
  readonly pathLength: number;
  /** Requests not answered yet, or whose watch events still wait for their receiver. */
  readonly outstanding: number;
  /** Bytes of nodes, watches, transactions and waiting messages. */
  readonly memory: number;
}

export const DEFAULT_QUOTAS: StoreQuotas = {
  nodes: 1000,
  watches: 128,
  transactions: 10,
  transactionNodes: 1024,
  nodeSize: 2048,
  permissions: 5,
  pathLength: 2048,
  outstanding: 20,
  memory: 2.5 * 1024 * 1024,
};

/** sizeof(struct node_hdr) and sizeof(struct xs_permissions), which count towards a node's size. */
const NODE_HEADER = 16;
const PERMISSION_ENTRY = 8;

/** A node's size as the quota counts it. `childrenBytes`: its children's names, each with a NUL. */
export const nodeSize = (permissions: number, valueBytes: number, childrenBytes: number): number =>
  NODE_HEADER + permissions * PERMISSION_ENTRY + valueBytes + childrenBytes;
