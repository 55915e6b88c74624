import fc from 'fast-check';
import { expect, it } from 'vitest';
import { analyse, type Graph, isBackward } from './flow.ts';

const never = (): void => {
  throw new Error('cut');
};

it('finds the loop and the merge of a loop with a branch inside', () => {
  // 0 → 1 → {2, 3} → 4 → {1, 5}
  const flow = analyse([[1], [2, 3], [4], [4], [1, 5], []], never);
  expect([flow.loops, flow.merges, flow.children[1], flow.children[4]]).toEqual([new Set([1]), new Set([4]), [3, 2, 4], [5]]);
  expect([isBackward(flow, 4, 1), isBackward(flow, 2, 4)]).toEqual([true, false]);
});

it('leaves out what cannot be reached', () => {
  const flow = analyse([[1], [], [1]], never);
  expect([flow.order, flow.place, flow.merges.size]).toEqual([[0, 1], [0, 1, -1], 0]);
});

it('lets the way into a loop that is not its head go by the entry', () => {
  const cuts: number[][] = [];
  const flow = analyse([[1, 2], [2], [1]], (from, to) => cuts.push([from, to]));
  expect(cuts.length).toBe(1);
  expect(flow.loops.size).toBe(0);
  expect(flow.children[0]).toContain(cuts[0]?.[1]);
});

const graphs = fc.integer({ min: 1, max: 12 }).chain((size) => {
  const block = fc.integer({ min: 0, max: size - 1 });
  return fc.array(fc.array(block, { maxLength: 3 }), { minLength: size, maxLength: size });
});

/** Whether `to` can be reached from the entry without going through `without`. */
function reachable(graph: Graph, to: number, without: number): boolean {
  const seen = new Set<number>([without]);
  const open = without === 0 ? [] : [0];
  for (let block = open.pop(); block !== undefined; block = open.pop()) {
    if (block === to) return true;
    if (seen.has(block)) continue;
    seen.add(block);
    open.push(...(graph[block] ?? []));
  }
  return false;
}

it('gives every graph a shape in which every edge can be said', () => {
  fc.assert(
    fc.property(graphs, (graph) => {
      const edges = graph.map((successors) => [...new Set(successors)]);
      const flow = analyse(graph, (from, to) => {
        edges[from]?.splice(edges[from].indexOf(to), 1);
        if (!edges[0]?.includes(to)) edges[0]?.push(to);
      });
      for (const from of flow.order)
        for (const to of edges[from] ?? []) {
          // Back to what every way here goes through, or forward.
          if (isBackward(flow, from, to)) expect(to === from || !reachable(edges, from, to)).toBe(true);
          else expect(flow.place[to]).toBeGreaterThan(flow.place[from] as number);
        }
      flow.children.forEach((children, block) => {
        for (const child of children) expect(reachable(edges, child, block)).toBe(false);
      });
    }),
    { numRuns: 500 },
  );
});
