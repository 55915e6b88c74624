import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findConfigProblem, mutatedConfig, REAL_CONFIGS, someOverrides, tokenSoup } from './fixtures/config-noise.ts';
import { readDomainSpec } from './read-domain-spec.ts';

/** Numbers that fast-check shrinks. */
const numbers = fc.array(fc.nat(), { minLength: 300, maxLength: 300 }).map((values) => {
  let next = 0;
  return (limit: number): number => (values[next++ % values.length] as number) % limit;
});

describe('nonsense and mutated configurations', () => {
  it.each([
    ['words in any order', tokenSoup],
    ['configurations with mistakes', mutatedConfig],
  ])('%s are read, or each mistake has its place', (_, make) => {
    fc.assert(
      fc.property(numbers, (below) => {
        expect(findConfigProblem(make(below), someOverrides(below))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it('any text is read, or each mistake has its place', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 80 }), (text) => {
        expect(findConfigProblem(text, [])).toBeUndefined();
      }),
      { numRuns: 1000 },
    );
  });

  it('begin with configurations that are right', () => {
    for (const text of REAL_CONFIGS) expect(() => readDomainSpec(text, 'a.cfg')).not.toThrow();
  });

  it('are not quadratic in a line that is repeated', () => {
    const long = `name = "a"\n${'disk = [ %\n'.repeat(20_000)}`;
    expect(findConfigProblem(long, [])).toBeUndefined();
  });
});
