// The x87 transcendental instructions on numbers: special cases by the tables of SDM vol. 2, the rest rounded correctly.

import type { FpEnv } from './env.ts';
import { FLAG } from './env.ts';
import { F80 } from './format.ts';
import type { Num, Sign } from './num.ts';
import { infinity, KIND, ONE, zero } from './num.ts';
import { invalid, special1, special2 } from './operands.ts';
import type { Real } from './real.ts';
import { angle, cosine, exp2Minus1, log2Of, log2OnePlus, PI, sine, tangent } from './real.ts';
import { round } from './round.ts';

/** Rounds to 80 bits; a zero `a` does not occur. */
function rounded(env: FpEnv, a: Real, flip: Sign = 0): Num {
  const negative = a.sig < 0n;
  return round(env, F80, ((negative ? 1 : 0) ^ flip) as Sign, negative ? -a.sig : a.sig, a.scale);
}
const real = (a: Num): Real => ({ sig: a.sign === 1 ? -a.sig : a.sig, scale: a.exp - 63 });
const magnitudeOf = (a: Num): Real => ({ sig: a.sig, scale: a.exp - 63 });

/** The 66-bit pi the x87 reduces angles with: sig * 2^-64 (SDM vol. 1, 8.3.8). */
const PI_66 = 0x3243f6a8885a308d3n;
const REDUCTION_SCALE = -128;

/** The angle less a multiple of pi/2, within pi/4, and that multiple modulo 4. */
function reduce(a: Num): { r: Real; quarters: number } {
  if (a.exp < -1) return { r: real(a), quarters: 0 };
  const x = a.sig << BigInt(a.exp - 63 - REDUCTION_SCALE);
  const quarter = PI_66 << 63n;
  const count = (x + (quarter >> 1n)) / quarter;
  const rest = x - count * quarter;
  const n = Number(count & 3n);
  return { r: { sig: a.sign === 1 ? -rest : rest, scale: REDUCTION_SCALE }, quarters: a.sign === 1 ? -n & 3 : n };
}

/**
 * Below 2^-68 Intel's FSIN, FCOS and FPTAN return the operand (or 1) and flag it inexact, without rounding in the
 * directed modes; so does this. `result` is what they return.
 */
const isNegligible = (a: Num): boolean => a.exp < -68;
function unrounded(env: FpEnv, result: Num): Num {
  const value = round(env, F80, result.sign, result.sig, result.exp - 63);
  env.flags |= FLAG.PE | (result.exp < F80.minExp ? FLAG.UE : 0);
  return value;
}

/** Whether FSIN and kin leave the operand alone and set C2: |a| >= 2^63. */
export const beyondReduction = (a: Num): boolean => a.kind === KIND.finite && a.exp >= 63;

export function sin(env: FpEnv, a: Num): Num {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return special;
  if (a.kind === KIND.infinity) return invalid(env);
  if (a.kind === KIND.zero) return a;
  if (isNegligible(a)) return unrounded(env, a);
  const { r, quarters } = reduce(a);
  return rounded(env, quarters & 1 ? cosine(r) : sine(r), quarters & 2 ? 1 : 0);
}

export function cos(env: FpEnv, a: Num): Num {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return special;
  if (a.kind === KIND.infinity) return invalid(env);
  if (a.kind === KIND.zero) return ONE;
  if (isNegligible(a)) return unrounded(env, ONE);
  const { r, quarters } = reduce(a);
  return rounded(env, quarters & 1 ? sine(r) : cosine(r), (quarters + 1) & 2 ? 1 : 0);
}

export function tan(env: FpEnv, a: Num): Num {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return special;
  if (a.kind === KIND.infinity) return invalid(env);
  if (a.kind === KIND.zero) return a;
  if (isNegligible(a)) return unrounded(env, a);
  const { r, quarters } = reduce(a);
  return rounded(env, tangent(r, (quarters & 1) !== 0));
}

const isOne = (a: Num): boolean => a.kind === KIND.finite && a.exp === 0 && a.sig === ONE.sig;
const MINUS_ONE: Num = { ...ONE, sign: 1 };

/** Flags PE for a result that is exact, as Intel's CPUs do. */
function inexact(env: FpEnv, a: Num): Num {
  env.flags |= FLAG.PE;
  return a;
}

/** F2XM1, defined for -1..1. Beyond, the operand comes back, as on Intel's CPUs. */
export function f2xm1(env: FpEnv, a: Num): Num {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return special;
  if (a.kind === KIND.zero) return a;
  if (a.kind === KIND.infinity) return a.sign === 1 ? MINUS_ONE : a;
  if (isOne(a)) return inexact(env, a.sign === 0 ? a : { ...a, exp: -1 });
  if (a.exp >= 0) return inexact(env, a);
  return rounded(env, exp2Minus1(real(a)));
}

/** FYL2X: y * log2(x). */
export function yl2x(env: FpEnv, y: Num, x: Num): Num {
  env.roundedUp = false;
  if (x.kind < KIND.quiet && y.kind < KIND.quiet && x.sign === 1 && x.kind !== KIND.zero) return invalid(env);
  if (x.kind === KIND.zero && y.kind === KIND.finite) {
    env.flags |= FLAG.ZE;
    return infinity((y.sign ^ 1) as Sign);
  }
  const special = special2(env, y, x);
  if (special) return special;
  if (x.kind === KIND.zero) return y.kind === KIND.zero ? invalid(env) : infinity((y.sign ^ 1) as Sign);
  if (x.kind === KIND.infinity) return y.kind === KIND.zero ? invalid(env) : infinity(y.sign);
  if (isOne(x)) return y.kind === KIND.infinity ? invalid(env) : zero(y.sign);
  const sign = (y.sign ^ (x.exp < 0 ? 1 : 0)) as Sign;
  if (y.kind === KIND.infinity) return infinity(sign);
  if (y.kind === KIND.zero) return zero(sign);
  return timesLog(env, y, log2Of(x.sig, x.exp - 63));
}

/** Flags an inexact result even for a power of two, whose logarithm is exact: so does the hardware. */
function timesLog(env: FpEnv, y: Num, log: Real): Num {
  const value = rounded(env, { sig: y.sig * log.sig, scale: y.exp - 63 + log.scale }, y.sign);
  env.flags |= FLAG.PE | (value.exp < F80.minExp ? FLAG.UE : 0);
  return value;
}

/** FYL2XP1: y * log2(x + 1). Defined for |x| < 1 - sqrt(1/2), computed for any x > -1; up to -1, x comes back. */
export function yl2xp1(env: FpEnv, y: Num, x: Num): Num {
  env.roundedUp = false;
  if (x.sign === 1 && x.kind === KIND.infinity && y.kind < KIND.quiet) return invalid(env);
  const special = special2(env, y, x);
  if (special) return special;
  const sign = (y.sign ^ x.sign) as Sign;
  if (x.kind === KIND.zero) return y.kind === KIND.infinity ? invalid(env) : zero(sign);
  if (x.kind === KIND.infinity) return y.kind === KIND.zero ? invalid(env) : infinity(sign);
  if (y.kind === KIND.infinity) return infinity(sign);
  if (y.kind === KIND.zero) return zero(sign);
  if (x.sign === 1 && x.exp >= 0) return inexact(env, x);
  return timesLog(env, y, log2OnePlus(real(x)));
}

/** FPATAN: the angle of the point (x, y), -pi..pi. */
export function atan2(env: FpEnv, y: Num, x: Num): Num {
  env.roundedUp = false;
  const special = special2(env, y, x);
  if (special) return special;
  const left = x.sign === 1;
  if (y.kind === KIND.zero) return left ? rounded(env, PI, y.sign) : y;
  if (x.kind === KIND.infinity && y.kind === KIND.infinity) {
    // pi/4 or 3 pi/4
    return rounded(env, { sig: PI.sig * (left ? 3n : 1n), scale: PI.scale - 2 }, y.sign);
  }
  if (y.kind === KIND.infinity || x.kind === KIND.zero) return rounded(env, { sig: PI.sig, scale: PI.scale - 1 }, y.sign);
  if (x.kind === KIND.infinity) return left ? rounded(env, PI, y.sign) : zero(y.sign);
  return rounded(env, angle(magnitudeOf(y), magnitudeOf(x), left), y.sign);
}
