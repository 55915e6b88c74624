// Replays golden/sse.txt: results, MXCSR and faults recorded on an Intel CPU.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { FpEnv } from './env.ts';
import { createFpEnv } from './env.ts';
import * as sse from './sse.ts';
import { rcp32, rsqrt32 } from './sse-approximate.ts';
import * as convert from './sse-convert.ts';
import { dppd, dpps } from './sse-dot.ts';

type Run = (env: FpEnv, a: string, b: string, imm: number) => string;
const f32 = (s: string): number => Number.parseInt(s, 16);
const f64 = (s: string): bigint => BigInt(`0x${s}`);
const hex = (x: number | bigint): string => x.toString(16);
const words = (s: string): Uint32Array => Uint32Array.from([24, 16, 8, 0], (at) => f32(s.padStart(32, '0').slice(at, at + 8)));
const doubles = (s: string): BigUint64Array => BigUint64Array.from([16, 0], (at) => f64(s.padStart(32, '0').slice(at, at + 16)));
const joinWords = (v: Uint32Array): string =>
  [...v]
    .reverse()
    .map((x) => hex(x).padStart(8, '0'))
    .join('')
    .replace(/^0+(?=.)/, '');
const joinDoubles = (v: BigUint64Array): string => hex((v[1]! << 64n) | v[0]!);

const single =
  (lane: sse.Lane32): Run =>
  (env, a, b) =>
    hex(lane(env, f32(a), f32(b)));
const double =
  (lane: sse.Lane64): Run =>
  (env, a, b) =>
    hex(lane(env, f64(a), f64(b)));
const packed =
  (lane: sse.Lane32): Run =>
  (env, a, b) => {
    const y = words(b);
    return joinWords(words(a).map((x, i) => lane(env, x, y[i]!)));
  };

const RUN: Record<string, Run> = {
  sqrtss: (env, _, b) => hex(sse.sqrt32(env, f32(b))),
  sqrtsd: (env, _, b) => hex(sse.sqrt64(env, f64(b))),
  rcpss: (_, __, b) => hex(rcp32(f32(b))),
  rsqrtss: (_, __, b) => hex(rsqrt32(f32(b))),
  cmpss: (env, a, b, imm) => hex(sse.cmp32(env, f32(a), f32(b), imm)),
  cmpsd: (env, a, b, imm) => hex(sse.cmp64(env, f64(a), f64(b), imm)),
  roundss: (env, _, b, imm) => hex(sse.round32(env, f32(b), imm)),
  roundsd: (env, _, b, imm) => hex(sse.round64(env, f64(b), imm)),
  comiss: (env, a, b) => hex(sse.comi32(env, f32(a), f32(b), false)),
  ucomiss: (env, a, b) => hex(sse.comi32(env, f32(a), f32(b), true)),
  comisd: (env, a, b) => hex(sse.comi64(env, f64(a), f64(b), false)),
  ucomisd: (env, a, b) => hex(sse.comi64(env, f64(a), f64(b), true)),
  cvtss2sd: (env, _, b) => hex(convert.f32ToF64(env, f32(b))),
  cvtsd2ss: (env, _, b) => hex(convert.f64ToF32(env, f64(b))),
  cvtsi2ss: (env, a) => hex(convert.i32ToF32(env, f32(a))),
  cvtsi2ss64: (env, a) => hex(convert.i64ToF32(env, f64(a))),
  cvtsi2sd: (env, a) => hex(convert.i32ToF64(env, f32(a))),
  cvtsi2sd64: (env, a) => hex(convert.i64ToF64(env, f64(a))),
  dpps: (env, a, b, imm) => {
    const into = new Uint32Array(4);
    dpps(env, words(a), words(b), imm, into);
    return joinWords(into);
  },
  dppd: (env, a, b, imm) => {
    const into = new BigUint64Array(2);
    dppd(env, doubles(a), doubles(b), imm, into);
    return joinDoubles(into);
  },
};
for (const name of ['add', 'sub', 'mul', 'div', 'min', 'max'] as const) {
  RUN[`${name}ss`] = single(sse[`${name}32`]);
  RUN[`${name}ps`] = packed(sse[`${name}32`]);
  RUN[`${name}sd`] = double(sse[`${name}64`]);
}
for (const [prefix, truncate] of [
  ['cvt', false],
  ['cvtt', true],
] as const) {
  RUN[`${prefix}ss2si`] = (env, _, b) => hex(convert.f32ToI32(env, f32(b), truncate));
  RUN[`${prefix}ss2si64`] = (env, _, b) => hex(convert.f32ToI64(env, f32(b), truncate));
  RUN[`${prefix}sd2si`] = (env, _, b) => hex(convert.f64ToI32(env, f64(b), truncate));
  RUN[`${prefix}sd2si64`] = (env, _, b) => hex(convert.f64ToI64(env, f64(b), truncate));
}

test("SSE arithmetic is the hardware's to the bit, with flags and faults", () => {
  const env = createFpEnv(false);
  const differences: string[] = [];
  let [name, cases, run, imm] = ['', 0, RUN['addss']!, 0];
  for (const line of readFileSync(new URL('golden/sse.txt', import.meta.url), 'utf8').split('\n')) {
    if (line === '' || line.startsWith('#')) continue;
    if (!line.startsWith(' ')) {
      name = line;
      const [key, immediate] = line.split(' ');
      run = RUN[key!]!;
      imm = Number(immediate ?? 0);
      continue;
    }
    const [inputs, outputs] = line.trim().split(' > ');
    const [control, a, b] = inputs!.split(' ');
    const mxcsr = f32(control!);
    sse.beginSse(env, mxcsr);
    const result = run(env, a!, b ?? '0', imm);
    const after = sse.endSse(env, mxcsr);
    const got = `${hex(after)} ${sse.sseFaulted(env) ? 'fault' : result}`;
    if (got !== outputs) differences.push(`${name}${line} got ${got}`);
    cases++;
  }
  expect(differences).toEqual([]);
  expect(cases).toBeGreaterThan(1900);
});
