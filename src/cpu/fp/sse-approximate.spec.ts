import { expect, test } from 'vitest';
import { rcp32, rsqrt32 } from './sse-approximate.ts';

const view = new DataView(new ArrayBuffer(4));
const value = (b: number): number => (view.setUint32(0, b), view.getFloat32(0));

test('relative error of RCPSS and RSQRTSS is at most 1.5 * 2^-12 (SDM vol. 2)', () => {
  let [reciprocal, root] = [0, 0];
  for (let bits = 0x3f000000; bits < 0x40800000; bits += 509) {
    const x = value(bits);
    reciprocal = Math.max(reciprocal, Math.abs(value(rcp32(bits)) * x - 1));
    root = Math.max(root, Math.abs(value(rsqrt32(bits)) * Math.sqrt(x) - 1));
  }
  expect(reciprocal).toBeLessThan(1.5 * 2 ** -12);
  expect(root).toBeLessThan(1.5 * 2 ** -12);
});
