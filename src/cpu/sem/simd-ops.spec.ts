// The opcode table against the engine that runs it: every operator builds into a module that validates, and lane-wise
// operators give what their names say.
import { expect, test } from 'vitest';
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import {
  test as ask,
  bytes,
  dwords,
  LANE_SHAPES,
  lane,
  SCALAR_OPS,
  VECTOR_OPS,
  type VectorOp,
  vector,
  withLane,
  words,
} from './simd-ops.ts';

const V = dwords(0x0102_8384, 0x7fff_8000, 0x3f80_0000, 0xbf00_0000);

/** The other operands of an operator, by its name. */
function operands(name: VectorOp): Expr[] {
  const [, op = ''] = name.split('.');
  if (op === 'bitselect') return [V, V];
  if (/^(not|abs|neg|sqrt|ceil|floor|trunc|nearest|extend|extadd|promote|demote|convert)/.test(op)) return [];
  if (/^sh[lr]/.test(op)) return [i32(3)];
  return [V];
}
const splatted = (name: VectorOp): Expr =>
  name.startsWith('f32')
    ? i32(0).convert('f32ReinterpretI32')
    : name.startsWith('f64')
      ? i64(0).convert('f64ReinterpretI64')
      : name.startsWith('i64')
        ? i64(5)
        : i32(5);

/** Evaluates vectors to pairs of u64, lowest first. */
function evaluate(vectors: readonly Expr[]): bigint[][] {
  const m = new ModuleBuilder();
  vectors.forEach((v, i) => {
    for (const half of [0, 1])
      m.export(
        `${i}.${half}`,
        m.add([], ['i64'], (f) => f.return(lane('i64x2', v, half))),
      );
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()));
  const call = (name: string) => BigInt.asUintN(64, (exports[name] as () => bigint)());
  return vectors.map((_, i) => [call(`${i}.0`), call(`${i}.1`)]);
}

test('every operator validates', () => {
  const results = VECTOR_OPS.map((name) =>
    name.endsWith('.splat') ? vector(name, splatted(name)) : vector(name, V, ...operands(name)),
  );
  const lanes = LANE_SHAPES.map((shape) => withLane(shape, V, 1, lane(shape, V, 0)));
  const asked = SCALAR_OPS.map((name) => vector('i32x4.splat', ask(name, V)));
  expect(evaluate([...results, ...lanes, ...asked])).toHaveLength(VECTOR_OPS.length + LANE_SHAPES.length + SCALAR_OPS.length);
});

/** Integer operators by lane, on unsigned lanes of `bits`. */
const MEANING: Readonly<Record<string, (a: bigint, b: bigint, bits: number) => bigint>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  eq: (a, b) => (a === b ? -1n : 0n),
  ne: (a, b) => (a === b ? 0n : -1n),
  gt_s: (a, b, bits) => (BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b) ? -1n : 0n),
  min_s: (a, b, bits) => (BigInt.asIntN(bits, a) < BigInt.asIntN(bits, b) ? a : b),
  max_s: (a, b, bits) => (BigInt.asIntN(bits, a) > BigInt.asIntN(bits, b) ? a : b),
  min_u: (a, b) => a - (a > b ? a - b : 0n),
  max_u: (a, b) => b + (a > b ? a - b : 0n),
  avgr_u: (a, b) => (a + b + 1n) >> 1n,
  add_sat_u: (a, b, bits) => ((a + b) >> BigInt(bits) ? -1n : a + b),
  sub_sat_u: (a, b) => (a > b ? a - b : 0n),
  add_sat_s: (a, b, bits) => clamp(BigInt.asIntN(bits, a) + BigInt.asIntN(bits, b), bits),
  sub_sat_s: (a, b, bits) => clamp(BigInt.asIntN(bits, a) - BigInt.asIntN(bits, b), bits),
};
const clamp = (value: bigint, bits: number): bigint => {
  const limit = 1n << BigInt(bits - 1);
  return value >= limit ? limit - 1n : value < -limit ? -limit : value;
};
const A = [0x80ff_7f01_0001_ffffn, 0x1234_5678_8000_0000n];
const B = [0x8001_7f80_0002_0001n, 0xfedc_ba98_7fff_ffffn];
const constant = ([low, high]: readonly bigint[]) =>
  bytes(
    ...[low, high].flatMap((half) => Array.from({ length: 8 }, (_, i) => Number(((half as bigint) >> BigInt(8 * i)) & 0xffn))),
  );

test('integer operators do what their names say', () => {
  const names = VECTOR_OPS.filter((name) => name.startsWith('i') && (name.split('.')[1] as string) in MEANING);
  expect(names.length).toBeGreaterThan(40);
  const results = evaluate(names.map((name) => vector(name, constant(A), constant(B))));
  names.forEach((name, i) => {
    const [shape = '', op = ''] = name.split('.');
    const bits = Number(/^i(\d+)/.exec(shape)?.[1]);
    const mask = (1n << BigInt(bits)) - 1n;
    const expected = A.map((a, half) => {
      let value = 0n;
      for (let at = 0n; at < 64n; at += BigInt(bits)) {
        const combined = MEANING[op]?.((a >> at) & mask, ((B[half] as bigint) >> at) & mask, bits) ?? 0n;
        value |= (combined & mask) << at;
      }
      return value;
    });
    expect(results[i], name).toEqual(expected);
  });
});

test('constants are written lowest lane first', () => {
  expect(evaluate([words(1, 2, 3, 4, 5, 6, 7, 8), dwords(9)])).toEqual([
    [0x0004_0003_0002_0001n, 0x0008_0007_0006_0005n],
    [0x0000_0009_0000_0009n, 0x0000_0009_0000_0009n],
  ]);
});
