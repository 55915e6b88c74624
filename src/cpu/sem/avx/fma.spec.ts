// The fused operations in WebAssembly against exact arithmetic, on numbers within the bounds they are used in: among them such
// whose sums nearly cancel, and such that lie half-way between two results.
import { describe, expect, it } from 'vitest';
import { i32 } from '../../../wasm/expr.ts';
import { ModuleBuilder } from '../../../wasm/module-builder.ts';
import { createFpEnv } from '../../fp/env.ts';
import { fma32, fma64 } from '../../fp/fma.ts';
import { beginSse } from '../../fp/sse.ts';
import { FUSED32, FUSED64 } from './fma.ts';

const functions = (() => {
  const m = new ModuleBuilder();
  for (const routine of [FUSED64, FUSED32])
    m.export(
      routine.name,
      m.add(routine.params, [routine.result], (f) => routine.emit(f, i32(0))),
    );
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()));
  return exports as Record<'fma64' | 'fma32', (a: number, b: number, c: number) => number>;
})();

const view = new DataView(new ArrayBuffer(8));
const bits64 = (x: number): bigint => {
  view.setFloat64(0, x);
  return view.getBigUint64(0);
};
const bits32 = (x: number): number => {
  view.setFloat32(0, x);
  return view.getUint32(0);
};
const env = createFpEnv(false);
const PLUS = { product: 0, addend: 0 } as const;
const exact64 = (a: number, b: number, c: number): bigint => {
  beginSse(env, 0x1f80);
  return fma64(env, bits64(a), bits64(b), bits64(c), PLUS);
};
const exact32 = (a: number, b: number, c: number): number => {
  beginSse(env, 0x1f80);
  return fma32(env, bits32(a), bits32(b), bits32(c), PLUS);
};

let seed = 12345;
const next = (): number => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed;
};
const below = (n: number): number => Math.floor((next() / 2 ** 32) * n);
/** Few or many bits set, so that products and sums often end in the middle between two numbers. */
function number(bits: number, range: number): number {
  let mantissa = 1;
  for (let left = below(3) === 0 ? below(bits) : bits; left > 0; left -= 16)
    mantissa += (next() % 2 ** Math.min(16, left)) / 2 ** (bits - left + 16);
  return (
    (below(2) ? 1 : -1) *
    Math.fround(mantissa) *
    2 ** (below(2 * range) - range) *
    (bits > 23 ? 1 + (next() % 4096) * 2 ** -52 : 1)
  );
}
/** An addend near the product, equal to it rounded, tiny beside it, anything, or zero. */
function addend(product: number, bits: number, range: number): number {
  switch (below(6)) {
    case 0:
      return -product;
    case 1:
      return -product * (1 + (below(5) - 2) * 2 ** -bits);
    case 2:
      return product * 2 ** -(bits - 2 + below(6)) * (below(2) ? 1 : 1.5);
    case 3:
      return product * 2 ** (bits - 2 + below(6));
    case 4:
      return below(8) === 0 ? 0 : -0;
    default:
      return number(bits, range);
  }
}

describe('a fused multiplication and addition', () => {
  it('of doubles is rounded once', () => {
    for (let i = 0; i < 30_000; i++) {
      const [a, b] = [number(52, 200), number(52, 200)];
      const c = addend(a * b, 53, 400);
      expect([a, b, c, bits64(functions.fma64(a, b, c))]).toEqual([a, b, c, exact64(a, b, c)]);
    }
  });
  it('of singles is rounded once', () => {
    for (let i = 0; i < 30_000; i++) {
      const [a, b] = [Math.fround(number(23, 28)), Math.fround(number(23, 28))];
      const c = Math.fround(addend(a * b, 24, 55));
      expect([a, b, c, bits32(functions.fma32(a, b, c))]).toEqual([a, b, c, exact32(a, b, c)]);
    }
  });
});
