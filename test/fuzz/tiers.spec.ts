// A slice of `npm run fuzz:tiers`: random programs on the interpreter and translated.
import { describe, expect, it } from 'vitest';
import { TierFuzz } from './compare-tiers.ts';

describe('the two tiers', () => {
  it('agree on random programs, however those are paused, interrupted and translated', () => {
    const fuzz = new TierFuzz();
    for (let seed = 7000; seed < 7040; seed++) expect(fuzz.findProblem(seed), `seed ${seed}`).toBeUndefined();
    const { tally, translator } = fuzz;
    expect(tally.ended.get('end')).toBeGreaterThan(15);
    expect(tally.instructions).toBeGreaterThan(20_000);
    expect(translator.engine.regions?.counters.translated).toBeGreaterThan(1000);
  }, 120_000);

  it('agree where an interrupt would be seen: on a 16-bit stack there is none', () => {
    const fuzz = new TierFuzz();
    for (const seed of [123625, 500216]) expect(fuzz.findProblem(seed, false), `seed ${seed}`).toBeUndefined();
  }, 60_000);

  it('agree region by region, when each is run in both', () => {
    const fuzz = new TierFuzz(true);
    for (let seed = 7000; seed < 7010; seed++) expect(fuzz.findProblem(seed), `seed ${seed}`).toBeUndefined();
    // A repeated instruction that translated code leaves in the middle.
    expect(fuzz.findProblem(7049, false)).toBeUndefined();
    // A TLB that is flushed in the middle of a region.
    expect(fuzz.findProblem(474280, false)).toBeUndefined();
    expect(fuzz.translator.engine.lockstep?.counters.checked).toBeGreaterThan(1000);
  }, 240_000);

  it('do not agree on a register that one of them changes', () => {
    const fuzz = new TierFuzz();
    const { engine } = fuzz.translator;
    const run = engine.run.bind(engine);
    engine.run = (budget) => {
      const exit = run(budget);
      engine.setGpr(12, engine.gpr(12) ^ 1n);
      return exit;
    };
    const found = Array.from({ length: 5 }, (_, i) => fuzz.findProblem(7000 + i));
    expect(found.filter((problem) => problem !== undefined).length).toBeGreaterThan(2);
  }, 60_000);
});
