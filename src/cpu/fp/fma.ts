// Fused multiplication and addition: exact, and then rounded once. SDM vol. 1, 14.5.
import type { FpEnv } from './env.ts';
import { FLAG, ROUNDING } from './env.ts';
import { F32, F64, type Format, packF32, packF64 } from './format.ts';
import type { Num, Sign } from './num.ts';
import { infinity, isNan, KIND, negated, quieted, zero } from './num.ts';
import { invalid } from './operands.ts';
import { round } from './round.ts';
import { load32, load64 } from './sse.ts';

/** ± a · b ± c. */
export interface FmaSigns {
  readonly product: Sign;
  readonly addend: Sign;
}

/** Distance beyond which the smaller term only leaves a sticky bit: more than the bits of a product. */
const FAR = 260;

function fma(env: FpEnv, format: Format, a: Num, b: Num, c: Num, signs: FmaSigns): Num {
  env.roundedUp = false;
  const operands = [a, b, c];
  const nan = operands.find(isNan);
  if (nan !== undefined) {
    if (operands.some(({ kind }) => kind === KIND.signaling)) env.flags |= FLAG.IE;
    return quieted(nan);
  }
  const endless = a.kind === KIND.infinity || b.kind === KIND.infinity;
  // Before denormals: nothing is computed.
  if (endless && (a.kind === KIND.zero || b.kind === KIND.zero)) return invalid(env);
  const sign = (a.sign ^ b.sign ^ signs.product) as Sign;
  const addend = signs.addend === 1 ? negated(c) : c;
  if (endless && addend.kind === KIND.infinity && addend.sign !== sign) return invalid(env);
  if (operands.some(({ denormal }) => denormal)) env.flags |= FLAG.DE;
  if (endless) return infinity(sign);
  if (addend.kind === KIND.infinity) return addend;
  const empty = a.kind === KIND.zero || b.kind === KIND.zero;
  if (empty && addend.kind === KIND.zero) return sign === addend.sign ? addend : cancelled(env);
  if (empty) return round(env, format, addend.sign, addend.sig, addend.exp - 63);
  const product = a.sig * b.sig;
  const scale = a.exp + b.exp - 126;
  if (addend.kind === KIND.zero) return round(env, format, sign, product, scale);
  return sum(env, format, { sign, sig: product, scale }, { sign: addend.sign, sig: addend.sig, scale: addend.exp - 63 });
}

interface Term {
  readonly sign: Sign;
  readonly sig: bigint;
  readonly scale: number;
}

function sum(env: FpEnv, format: Format, a: Term, b: Term): Num {
  const [high, low] = a.scale >= b.scale ? [a, b] : [b, a];
  const distance = high.scale - low.scale;
  const shift = Math.min(distance, FAR);
  const big = high.sig << BigInt(shift);
  const small = distance > FAR ? 1n : low.sig;
  const total = (high.sign ? -big : big) + (low.sign ? -small : small);
  if (total === 0n) return cancelled(env);
  return round(env, format, total < 0n ? 1 : 0, total < 0n ? -total : total, high.scale - shift);
}

/** The zero of an exact cancellation. */
const cancelled = (env: FpEnv): Num => zero(env.rounding === ROUNDING.down ? 1 : 0);

/** Bits of a lane. */
export const fma32 = (env: FpEnv, a: number, b: number, c: number, signs: FmaSigns): number =>
  packF32(fma(env, F32, load32(env, a), load32(env, b), load32(env, c), signs));
export const fma64 = (env: FpEnv, a: bigint, b: bigint, c: bigint, signs: FmaSigns): bigint =>
  packF64(fma(env, F64, load64(env, a), load64(env, b), load64(env, c), signs));
