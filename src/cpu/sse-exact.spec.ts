import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createFpEnv } from './fp/env.ts';
import { add64, beginSse, div64, endSse, MXCSR, mul64, sqrt64 } from './fp/sse.ts';
import { exactProduct, exactQuotient, exactRoot, exactSum } from './sse-exact.ts';

const view = new DataView(new ArrayBuffer(8));
const bits = (x: number): bigint => {
  view.setFloat64(0, x);
  return view.getBigUint64(0);
};
const env = createFpEnv(false);
/** The result, and the flags it raises, by the exact arithmetic. */
function reference(operation: (a: bigint, b: bigint) => bigint, a: number, b: number): { result: bigint; flags: number } {
  beginSse(env, MXCSR.reset);
  const result = operation(bits(a), bits(b));
  return { result, flags: endSse(env, MXCSR.reset) & MXCSR.flags };
}

/** Doubles whose sums, products and quotients are often exact. */
const number = fc.oneof(
  fc.integer({ min: -5000, max: 5000 }),
  fc.tuple(fc.integer({ min: -70_000, max: 70_000 }), fc.integer({ min: -60, max: 60 })).map(([m, e]) => m * 2 ** e),
  fc.double(),
  fc.constantFrom(0, -0, 2 ** -1022, 2 ** -1074, 2 ** 1023, -(2 ** 500), 2 ** -500, Number.MAX_VALUE),
);

test.each([
  ['sum', exactSum, (a: bigint, b: bigint) => add64(env, a, b)],
  ['product', exactProduct, (a: bigint, b: bigint) => mul64(env, a, b)],
  ['quotient', exactQuotient, (a: bigint, b: bigint) => div64(env, a, b)],
  ['root', (_: number, b: number) => exactRoot(b), (_: bigint, b: bigint) => sqrt64(env, b)],
] as const)('an exact %s is the right one and raises no flag', (_, attempt, operation) => {
  let accepted = 0;
  fc.assert(
    fc.property(number, number, (a, b) => {
      const result = attempt(a, b);
      if (Number.isNaN(result)) return;
      accepted++;
      expect({ result: bits(result), flags: 0 }).toEqual(reference(operation, a, b));
    }),
    { numRuns: 2000, seed: 7 },
  );
  expect(accepted).toBeGreaterThan(100);
});
