// SHA-1 and SHA-256: SDM vol. 2, SHA1RNDS4 to SHA256MSG2; FIPS 180-4.
import { Const, type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Routine } from '../emit/routine.ts';
import { dwords, lane, laneBytes, vector, withLane, ZERO } from './simd-ops.ts';
import { aligned, sse } from './sse-access.ts';

const dword = (v: Expr, n: number): Expr => lane('i32x4', v, n);
const xor = (a: Expr, b: Expr): Expr => vector('v128.xor', a, b);
/** Four dwords as a vector, lowest first. */
const together = (...values: readonly [Expr, Expr, Expr, Expr]): Expr =>
  values.reduce((v, value, n) => withLane('i32x4', v, n, value), ZERO);
const rotatedLeft = (v: Expr, by: number): Expr =>
  vector('v128.or', vector('i32x4.shl', v, i32(by)), vector('i32x4.shr_u', v, i32(32 - by)));

// SHA-1. Words stand in descending order: the first one is dword 3.

const choose = (b: Expr, c: Expr, d: Expr): Expr => d.xor(b.and(c.xor(d)));
const majority = (b: Expr, c: Expr, d: Expr): Expr => b.and(c).or(d.and(b.or(c)));
const parity = (b: Expr, c: Expr, d: Expr): Expr => b.xor(c).xor(d);
const SHA1_ROUNDS: readonly Routine[] = (
  [
    [choose, 0x5a82_7999],
    [parity, 0x6ed9_eba1],
    [majority, 0x8f1b_bcdc],
    [parity, 0xca62_c1d6],
  ] as const
).map(([mix, constant], n) => ({
  name: `sha1rnds4.${n}`,
  params: ['v128', 'v128'],
  result: 'v128',
  emit(f: FunctionBuilder) {
    const [state, message] = f.params as [Local, Local];
    let [a, b, c, d]: [Expr, Expr, Expr, Expr] = [3, 2, 1, 0].map((i) => f.let(dword(state, i))) as [Expr, Expr, Expr, Expr];
    // E is already in the first word.
    let e: Expr = i32(0);
    for (let i = 3; i >= 0; i--) {
      const next = f.let(mix(b, c, d).add(a.rotl(5)).add(dword(message, i)).add(e).add(constant));
      [a, b, c, d, e] = [next, a, f.let(b.rotl(30)), c, d];
    }
    f.return(together(d, c, b, a));
  },
}));

export const sha1rnds4 = sse('sha1rnds4', 'rw,r,r', (e) => {
  const message = aligned(e, 1);
  const state = e.getVector(0);
  const imm = e.f.let(e.get(2).and(3));
  const by = (n: number): Expr => e.routine(SHA1_ROUNDS[n] as Routine, state, message);
  if (imm instanceof Const) {
    e.setVector(0, by(Number(imm.value)));
    return;
  }
  const result = e.local('v128');
  const choice = (n: number): void => {
    if (n === 3) e.f.set(result, by(3));
    else
      e.f.if(
        imm.eq(n),
        () => e.f.set(result, by(n)),
        () => choice(n + 1),
      );
  };
  choice(0);
  e.setVector(0, result);
});
/** A of four rounds ago, rotated, is E now. */
export const sha1nexte = sse('sha1nexte', 'rw,r', (e) => {
  const message = aligned(e, 1);
  const next = dword(e.getVector(0), 3).rotl(30);
  e.setVector(0, vector('i32x4.add', message, withLane('i32x4', ZERO, 3, next)));
});
export const sha1msg1 = sse('sha1msg1', 'rw,r', (e) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  e.setVector(0, xor(a, b.shuffle(a, laneBytes(8, [1, 2]))));
});
export const sha1msg2 = sse('sha1msg2', 'rw,r', (e) => {
  const { f } = e;
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const sum = f.let(rotatedLeft(f.let(xor(a, ZERO.shuffle(b, laneBytes(4, [0, 4, 5, 6])))), 1));
  // The last word needs the first of these.
  const last = rotatedLeft(f.let(withLane('i32x4', ZERO, 0, dword(sum, 3))), 1);
  e.setVector(0, xor(sum, f.let(last)));
});

// SHA-256. Words of messages ascend; the two halves of the state are ABEF and CDGH, A and C in dword 3.

const SHA256_ROUNDS: Routine = {
  name: 'sha256rnds2',
  params: ['v128', 'v128', 'v128'],
  result: 'v128',
  emit(f) {
    const [cdgh, abef, message] = f.params as [Local, Local, Local];
    let [a, b, e, g0] = [3, 2, 1, 0].map((i) => f.let(dword(abef, i))) as [Expr, Expr, Expr, Expr];
    let [c, d, g, h] = [3, 2, 1, 0].map((i) => f.let(dword(cdgh, i))) as [Expr, Expr, Expr, Expr];
    for (let i = 0; i < 2; i++) {
      const s1 = e.rotr(6).xor(e.rotr(11)).xor(e.rotr(25));
      const first = f.let(choose(e, g0, g).add(s1).add(dword(message, i)).add(h));
      const s0 = a.rotr(2).xor(a.rotr(13)).xor(a.rotr(22));
      const next = f.let(first.add(majority(a, b, c)).add(s0));
      [h, g, g0, e, d, c, b, a] = [g, g0, e, f.let(first.add(d)), c, b, a, next];
    }
    f.return(together(g0, e, b, a));
  },
};
export const sha256rnds2 = sse('sha256rnds2', 'rw,r', (e) => {
  const abef = aligned(e, 1);
  const message = e.xmm(0);
  e.setVector(0, e.routine(SHA256_ROUNDS, e.getVector(0), abef, message));
});
const sigma = (v: Expr, first: number, second: number, shift: number): Expr =>
  xor(xor(rotatedLeft(v, 32 - first), rotatedLeft(v, 32 - second)), vector('i32x4.shr_u', v, i32(shift)));
export const sha256msg1 = sse('sha256msg1', 'rw,r', (e) => {
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const following = e.f.let(a.shuffle(b, laneBytes(4, [1, 2, 3, 4])));
  e.setVector(0, vector('i32x4.add', a, sigma(following, 7, 18, 3)));
});
export const sha256msg2 = sse('sha256msg2', 'rw,r', (e) => {
  const { f } = e;
  const b = aligned(e, 1);
  const a = e.getVector(0);
  const LOW = dwords(-1, -1, 0, 0);
  // The upper two words need the lower two.
  const low = f.let(
    vector('i32x4.add', a, vector('v128.and', f.let(sigma(f.let(b.shuffle(b, laneBytes(8, [1, 1]))), 17, 19, 10)), LOW)),
  );
  const high = f.let(sigma(f.let(ZERO.shuffle(low, laneBytes(8, [0, 2]))), 17, 19, 10));
  e.setVector(0, vector('i32x4.add', low, high));
});
