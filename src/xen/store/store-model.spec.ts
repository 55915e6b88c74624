import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ARGUMENTS, DOMIDS, findProblem, OPERATIONS, PATHS, type Step } from './fixtures/store-steps.ts';

const steps = (operations: readonly Step['operation'][], maxLength: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      domid: fc.constantFrom(...DOMIDS),
      operation: fc.constantFrom(...operations),
      path: fc.constantFrom(...PATHS),
      argument: fc.constantFrom(...ARGUMENTS),
      transaction: fc.constantFrom(0, 1, 2),
    }),
    { maxLength, size: 'max' },
  );

function check(arbitrary: fc.Arbitrary<Step[]>): void {
  const property = fc.property(arbitrary, (list) => {
    expect(findProblem(list)).toBeUndefined();
  });
  fc.assert(property, { numRuns: 300 });
}

it('answers and tells watches what a simple map would, with permissions on', () => {
  const direct = OPERATIONS.filter((name) => !['BEGIN', 'COMMIT', 'ABORT'].includes(name));
  check(steps(direct, 100));
});

it('commits interleaved transactions only if they could have run one after the other', () => {
  check(steps(OPERATIONS, 120));
});
