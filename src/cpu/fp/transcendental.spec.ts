import { expect, test } from 'vitest';
import { convert } from './convert.ts';
import { createFpEnv, FLAG } from './env.ts';
import { F64, packF64, unpackF64 } from './format.ts';
import type { Num } from './num.ts';
import { atan2, beyondReduction, cos, f2xm1, sin, tan, yl2x, yl2xp1 } from './transcendental.ts';

const view = new DataView(new ArrayBuffer(8));
const env = createFpEnv(true);
const num = (x: number): Num => (view.setFloat64(0, x), unpackF64(view.getBigUint64(0)));
const double = (a: Num): number => (view.setBigUint64(0, packF64(convert(env, F64, a))), view.getFloat64(0));

/** Equal but for the last bits of Math's own result. */
const near = (got: Num, want: number): void => expect(Math.abs(double(got) / want - 1)).toBeLessThan(4e-16);

const SAMPLES = [1e-30, 1e-9, 0.001, 0.1, 0.3, 0.5, 0.7, 0.785, 0.79, 1, 1.5, 2.5, 3, 10, 100.25];

test('agrees with Math where Math is good', () => {
  for (const x of SAMPLES.flatMap((s) => [s, -s])) {
    near(sin(env, num(x)), Math.sin(x));
    near(cos(env, num(x)), Math.cos(x));
    near(tan(env, num(x)), Math.tan(x));
    if (Math.abs(x) !== 1) near(yl2x(env, num(3), num(Math.abs(x))), 3 * Math.log2(Math.abs(x)));
  }
});

test('FPATAN takes the quadrant from both signs', () => {
  for (const y of SAMPLES.flatMap((s) => [s, -s]))
    for (const x of [2, -2, 0.01, -0.01]) near(atan2(env, num(y), num(x)), Math.atan2(y, x));
});

test('F2XM1 and FYL2XP1 keep their relative precision near zero', () => {
  for (const x of [1e-20, 1e-5, 0.01, 0.2, 0.29].flatMap((s) => [s, -s])) {
    near(f2xm1(env, num(x)), Math.expm1(x * Math.LN2));
    near(yl2xp1(env, num(1), num(x)), Math.log1p(x) / Math.LN2);
  }
});

test('angles are reduced with the 66-bit pi', () => {
  // Intel: sin of the nearest 64-bit number to pi is -2^-64 exactly.
  const pi64: Num = { kind: 1, sign: 0, exp: 1, sig: 0xc90fdaa22168c235n, denormal: false };
  const result = sin(env, pi64);
  expect([result.sign, result.exp, result.sig]).toEqual([1, -64, 1n << 63n]);
  expect(beyondReduction(num(2 ** 63))).toBe(true);
  expect(beyondReduction(num(2 ** 62))).toBe(false);
});

test('poles and impossible operands', () => {
  env.flags = 0;
  expect(double(yl2x(env, num(2), num(0)))).toBe(-Infinity);
  expect(env.flags).toBe(FLAG.ZE);
  env.flags = 0;
  expect(double(yl2x(env, num(2), num(-1)))).toBeNaN();
  expect(env.flags).toBe(FLAG.IE);
});
