// DPPS and DPPD: products of the selected lanes, added in pairs, written to the selected lanes (SDM vol. 2). The order
// of the operands of each addition decides which of two NaNs is returned; it is that of Intel's CPUs.
import type { FpEnv } from './env.ts';
import { add32, add64, mul32, mul64, settle } from './sse.ts';

/**
 * Of four lanes, or of twice four.
 * @param imm bits 7:4 select the factors, bits 3:0 the lanes of `into` that get the sum; the others get zero
 */
export function dpps(env: FpEnv, a: Uint32Array, b: Uint32Array, imm: number, into: Uint32Array): void {
  const p = Array.from(a, (x, i) => (imm & (16 << (i & 3)) ? mul32(env, x, b[i]!) : 0));
  if (settle(env)) return;
  const pairs = p.map((x, i) => add32(env, p[i ^ 1]!, x));
  if (settle(env)) return;
  for (let i = 0; i < a.length; i++) {
    const sum = add32(env, pairs[i]!, pairs[i ^ 2]!);
    into[i] = imm & (1 << (i & 3)) ? sum : 0;
  }
}

/** @param imm bits 5:4 select the factors, bits 1:0 the lanes of the sum */
export function dppd(env: FpEnv, a: BigUint64Array, b: BigUint64Array, imm: number, into: BigUint64Array): void {
  const product = (i: number): bigint => (imm & (16 << i) ? mul64(env, a[i]!, b[i]!) : 0n);
  const p = [product(0), product(1)];
  if (settle(env)) return;
  for (let i = 0; i < 2; i++) {
    const sum = add64(env, p[i]!, p[i ^ 1]!);
    into[i] = imm & (1 << i) ? sum : 0n;
  }
}
