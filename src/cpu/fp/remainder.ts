// FPREM, FPREM1, FSCALE and FXTRACT (SDM vol. 2).

import type { FpEnv } from './env.ts';
import { FLAG } from './env.ts';
import { F80 } from './format.ts';
import type { Num, Sign } from './num.ts';
import { finite, infinity, KIND, zero } from './num.ts';
import { invalid, special1, special2 } from './operands.ts';
import { round } from './round.ts';

export interface Remainder {
  value: Num;
  /** Low bits of the quotient's magnitude; meaningful when complete. */
  quotient: number;
  /** False: the exponents were too far apart, the operation must be repeated (C2). */
  complete: boolean;
}

/** The remainder of a / b, with the quotient rounded to zero (FPREM) or to nearest even (FPREM1). */
export function remainder(env: FpEnv, a: Num, b: Num, nearest: boolean): Remainder {
  env.roundedUp = false;
  const done = (value: Num): Remainder => ({ value, quotient: 0, complete: true });
  const invalidPair = a.kind === KIND.infinity || b.kind === KIND.zero;
  if (a.kind < KIND.quiet && b.kind < KIND.quiet && invalidPair) return done(invalid(env));
  const special = special2(env, a, b);
  if (special) return done(special);
  if (a.kind === KIND.zero) return done(a);
  if (b.kind === KIND.infinity) return done(a);
  const distance = a.exp - b.exp;
  if (distance >= 64) return partial(env, a, b, distance);
  // In units of b's last bit, or of a's where a is smaller.
  const scale = Math.min(a.exp, b.exp) - 63;
  if (distance < -1) return done(round(env, F80, a.sign, a.sig, a.exp - 63));
  const dividend = a.sig << BigInt(a.exp - 63 - scale);
  const divisor = b.sig << BigInt(b.exp - 63 - scale);
  let quotient = dividend / divisor;
  let rest = dividend - quotient * divisor;
  let sign = a.sign;
  if (nearest && (2n * rest > divisor || (2n * rest === divisor && quotient & 1n))) {
    quotient++;
    rest = divisor - rest;
    sign = (sign ^ 1) as Sign;
  }
  const value = rest === 0n ? zero(a.sign) : round(env, F80, sign, rest, scale);
  return { value, quotient: Number(quotient & 7n), complete: true };
}

/** Reduces the exponent difference by 32 to 63, as the SDM allows an implementation to choose. */
function partial(env: FpEnv, a: Num, b: Num, distance: number): Remainder {
  const step = 32 + (distance & 31);
  const dividend = a.sig << BigInt(step);
  const rest = dividend % b.sig;
  const value = rest === 0n ? zero(a.sign) : round(env, F80, a.sign, rest, a.exp - 63 - step);
  return { value, quotient: 0, complete: false };
}

/** a * 2^trunc(b). */
export function scale(env: FpEnv, a: Num, b: Num): Num {
  env.roundedUp = false;
  const special = special2(env, a, b);
  if (special) return special;
  if (b.kind === KIND.infinity) {
    if (b.sign === 0) return a.kind === KIND.zero ? invalid(env) : infinity(a.sign);
    return a.kind === KIND.infinity ? invalid(env) : zero(a.sign);
  }
  if (a.kind !== KIND.finite || b.kind === KIND.zero) return a;
  const magnitude = b.exp < 0 ? 0 : b.exp > 16 ? 0x20000 : Number(b.sig >> BigInt(63 - b.exp));
  return round(env, F80, a.sign, a.sig, a.exp - 63 + (b.sign === 1 ? -magnitude : magnitude));
}

/** Splits a number into its exponent and its significand. */
export function extract(env: FpEnv, a: Num): { exponent: Num; significand: Num } {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return { exponent: special, significand: special };
  if (a.kind === KIND.zero) {
    env.flags |= FLAG.ZE;
    return { exponent: infinity(1), significand: a };
  }
  if (a.kind === KIND.infinity) return { exponent: infinity(0), significand: a };
  const magnitude = BigInt(Math.abs(a.exp));
  const exponent = magnitude === 0n ? zero(0) : round(env, F80, a.exp < 0 ? 1 : 0, magnitude, 0);
  return { exponent, significand: finite(a.sign, 0, a.sig) };
}
