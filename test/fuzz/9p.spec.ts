import { expect, it } from 'vitest';
import { Random } from '../native/random.ts';
import { P9Round } from './9p.ts';

it.each(['folder', 'memory'] as const)('a share of a %s answers or refuses whatever it is sent', async (kind) => {
  let refusals = 0;
  for (let seed = 1; seed <= 6; seed++) {
    const round = new P9Round(new Random(seed));
    expect({ seed, problem: await round.run(60, kind) }).toEqual({ seed, problem: undefined });
    refusals += round.refusals;
  }
  expect(refusals).toBeGreaterThan(0);
});
