import { expect, it } from 'vitest';
import { ringCase, runRingCase } from './rings.ts';

it('no frontend makes a backend fail, hang, or touch memory that it was not granted', async () => {
  let connections = 0;
  const work: Record<string, number> = {};
  for (let seed = 1; seed <= 40; seed++) {
    const used = ringCase(seed, 120);
    const result = await runRingCase(used);
    expect(result.problem, `FUZZ_SEED=${seed} FUZZ_ROUNDS=1 FUZZ_STEPS=120 (${used.kind})`).toBe(undefined);
    connections += result.connections;
    work[used.kind] = (work[used.kind] ?? 0) + result.work;
  }
  // It is no use when nothing connects and no backend has anything to do.
  expect(connections).toBeGreaterThan(40);
  expect(Object.keys(work)).toHaveLength(6);
  for (const [kind, count] of Object.entries(work)) expect(count, kind).toBeGreaterThan(10);
}, 60_000);
