// The control flow of a region as a graph of numbered blocks: the order to emit them in, what dominates what, which are loops.
// What WebAssembly cannot say (a jump into a loop from outside) is found, and cut: it goes by way of the entry instead.

/** Successors of each block, by number; block 0 is the entry. */
export type Graph = readonly (readonly number[])[];

export interface Flow {
  /** Reachable blocks in reverse postorder. */
  readonly order: readonly number[];
  /** Place of each block in `order`; −1 when it cannot be reached. */
  readonly place: readonly number[];
  /** The blocks whose nearest dominator a block is, in reverse postorder. */
  readonly children: readonly (readonly number[])[];
  /** Blocks that an edge goes back to. */
  readonly loops: ReadonlySet<number>;
  /** Blocks that two or more edges go forward to. */
  readonly merges: ReadonlySet<number>;
}

export const isBackward = ({ place }: Flow, from: number, to: number): boolean =>
  (place[to] as number) <= (place[from] as number);

/**
 * `cut` is called for each edge that makes the graph irreducible. In the result its end has an edge from the entry in its place.
 * Dominators: Cooper, Harvey, Kennedy, "A Simple, Fast Dominance Algorithm".
 */
export function analyse(graph: Graph, cut: (from: number, to: number) => void): Flow {
  const edges = graph.map((successors) => [...new Set(successors)]);
  for (;;) {
    const order = reversePostorder(edges);
    const place = new Array<number>(graph.length).fill(-1);
    order.forEach((block, i) => {
      place[block] = i;
    });
    const dominator = dominators(edges, order, place);
    const bad = irreducible(edges, order, place, dominator);
    if (bad.length === 0) return describe(edges, order, place, dominator);
    for (const [from, to] of bad) {
      const successors = edges[from] as number[];
      successors.splice(successors.indexOf(to), 1);
      if (!edges[0]?.includes(to)) edges[0]?.push(to);
      cut(from, to);
    }
  }
}

function reversePostorder(edges: Graph): number[] {
  const order: number[] = [];
  const seen = new Set<number>([0]);
  // A stack of its own: a region may be deeper than is good for recursion.
  const path = [{ block: 0, next: 0 }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const successor = edges[top.block]?.[top.next++];
    if (successor === undefined) {
      order.push(top.block);
      path.pop();
    } else if (!seen.has(successor)) {
      seen.add(successor);
      path.push({ block: successor, next: 0 });
    }
  }
  return order.reverse();
}

/** Nearest dominators, by number; the entry's is itself. */
function dominators(edges: Graph, order: readonly number[], place: readonly number[]): number[] {
  const predecessors: number[][] = edges.map(() => []);
  for (const from of order) for (const to of edges[from] ?? []) predecessors[to]?.push(from);
  const dominator = new Array<number>(edges.length).fill(-1);
  dominator[0] = 0;
  const meet = (a: number, b: number): number => {
    let [x, y] = [a, b];
    while (x !== y) {
      while ((place[x] as number) > (place[y] as number)) x = dominator[x] as number;
      while ((place[y] as number) > (place[x] as number)) y = dominator[y] as number;
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of order) {
      if (block === 0) continue;
      let nearest = -1;
      for (const from of predecessors[block] ?? []) {
        if (dominator[from] === -1) continue;
        nearest = nearest === -1 ? from : meet(from, nearest);
      }
      if (nearest === dominator[block]) continue;
      dominator[block] = nearest;
      changed = true;
    }
  }
  return dominator;
}

/** Edges that go back to a block which does not dominate where they come from. */
function irreducible(
  edges: Graph,
  order: readonly number[],
  place: readonly number[],
  dominator: readonly number[],
): [number, number][] {
  const bad: [number, number][] = [];
  for (const from of order)
    for (const to of edges[from] ?? []) {
      if ((place[to] as number) > (place[from] as number)) continue;
      let above = from;
      while (above !== to && above !== 0) above = dominator[above] as number;
      if (above !== to) bad.push([from, to]);
    }
  return bad;
}

function describe(edges: Graph, order: readonly number[], place: readonly number[], dominator: readonly number[]): Flow {
  const children: number[][] = edges.map(() => []);
  const loops = new Set<number>();
  const forward = new Array<number>(edges.length).fill(0);
  for (const block of order) {
    if (block !== 0) children[dominator[block] as number]?.push(block);
    for (const to of edges[block] ?? []) {
      if ((place[to] as number) <= (place[block] as number)) loops.add(to);
      else forward[to] = (forward[to] as number) + 1;
    }
  }
  const merges = new Set(order.filter((block) => (forward[block] as number) > 1));
  return { order, place, children, loops, merges };
}
