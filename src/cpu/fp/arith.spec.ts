import { expect, test } from 'vitest';
import { integerSqrt } from './arith.ts';
import { createFpEnv, FLAG, ROUNDING } from './env.ts';
import { packF64, unpackF32, unpackF64 } from './format.ts';
import { bitLength } from './num.ts';
import * as sse from './sse.ts';
import { f64ToF32 } from './sse-convert.ts';

const view = new DataView(new ArrayBuffer(8));
const bits = (x: number): bigint => (view.setFloat64(0, x), view.getBigUint64(0));
const value = (b: bigint): number => (view.setBigUint64(0, b), view.getFloat64(0));

/** xorshift: the same numbers on every run. */
function generator(seed: number): () => number {
  return () => {
    seed ^= seed << 13;
    seed ^= seed >>> 17;
    seed ^= seed << 5;
    return seed >>> 0;
  };
}

test("nearest-even arithmetic on doubles is JavaScript's", () => {
  const next = generator(12345);
  const env = createFpEnv(false);
  const operations = [
    [sse.add64, (a: number, b: number) => a + b],
    [sse.sub64, (a: number, b: number) => a - b],
    [sse.mul64, (a: number, b: number) => a * b],
    [sse.div64, (a: number, b: number) => a / b],
    [(e: typeof env, a: bigint) => sse.sqrt64(e, a), (a: number) => Math.sqrt(a)],
    [(e: typeof env, a: bigint) => bits(value32(f64ToF32(e, a))), (a: number) => Math.fround(a)],
  ] as const;
  for (let n = 0; n < 3000; n++) {
    const a = value((BigInt(next()) << 32n) | BigInt(next()));
    // Half of the second operands are near the first, so that sums cancel.
    const b = n & 1 ? a * (1 + (next() - 2 ** 31) * 2 ** -(32 + (next() % 32))) : value((BigInt(next()) << 32n) | BigInt(next()));
    if (Number.isNaN(a) || Number.isNaN(b)) continue;
    for (const [ours, native] of operations) {
      const got = value(ours(env, bits(a), bits(b)));
      const want = native(a, b);
      if (!Object.is(got, want)) expect([a, b, got]).toEqual([a, b, want]);
    }
  }
  expect(env.flags & FLAG.PE).toBe(FLAG.PE);
});

function value32(b: number): number {
  view.setUint32(0, b);
  return view.getFloat32(0);
}

test('1/3 in the four rounding modes', () => {
  const env = createFpEnv(false);
  const third = Object.values(ROUNDING).map((rounding) => sse.div32({ ...env, rounding }, 0x3f800000, 0x40400000).toString(16));
  expect(third).toEqual(['3eaaaaab', '3eaaaaaa', '3eaaaaab', '3eaaaaaa']);
});

test('underflow is found after rounding, and reported only with inexactness while masked', () => {
  const env = createFpEnv(false);
  const smallest = 0x00800000;
  // 2^-126 * (1 - 2^-24) has 24 bits: tiny, though rounding it as a denormal gives the smallest normal number.
  expect(sse.mul32(env, smallest, 0x3f7fffff)).toBe(smallest);
  expect(env.flags).toBe(FLAG.PE | FLAG.UE);
  env.flags = 0;
  // 2^-126 * (1 - 2^-30) needs 30, and 24 bits make it 2^-126: not tiny.
  expect(f64ToF32(env, bits(2 ** -126 * (1 - 2 ** -30)))).toBe(smallest);
  expect(env.flags).toBe(FLAG.PE);
  env.flags = 0;
  expect(sse.mul32(env, smallest, 0x3f000000)).toBe(0x00400000);
  expect(env.flags).toBe(0);
  env.masks &= ~FLAG.UE;
  sse.mul32(env, smallest, 0x3f000000);
  expect(env.flags).toBe(FLAG.UE);
});

test('unpacking normalises denormals', () => {
  expect(unpackF32(1)).toMatchObject({ exp: -149, sig: 1n << 63n, denormal: true });
  expect(packF64(unpackF64(1n))).toBe(1n);
});

test('bit lengths and roots of large integers', () => {
  for (const n of [1, 53, 54, 64, 192, 999, 1000, 1961, 4000]) {
    expect(bitLength((1n << BigInt(n)) - 1n)).toBe(n);
    expect(bitLength(1n << BigInt(n))).toBe(n + 1);
  }
  for (const n of [1n, 2n, 3n, 4n, (1n << 133n) - 1n, (1n << 513n) + 12345n]) {
    const root = integerSqrt(n);
    expect(root * root <= n && (root + 1n) * (root + 1n) > n).toBe(true);
  }
});
