// Addition, subtraction, multiplication, division and square root, exact and then rounded once.

import type { FpEnv } from './env.ts';
import { FLAG, ROUNDING } from './env.ts';
import type { Format } from './format.ts';
import type { Num, Sign } from './num.ts';
import { infinity, KIND, negated, zero } from './num.ts';
import { invalid, special1, special2 } from './operands.ts';
import { round } from './round.ts';

export function add(env: FpEnv, format: Format, a: Num, b: Num): Num {
  env.roundedUp = false;
  return special2(env, a, b) ?? sum(env, format, a, b);
}

/** a - b. */
export function sub(env: FpEnv, format: Format, a: Num, b: Num): Num {
  env.roundedUp = false;
  return special2(env, a, b) ?? sum(env, format, a, negated(b));
}

/** Distance beyond which the smaller operand only leaves a sticky bit. */
const FAR = 130;

function sum(env: FpEnv, format: Format, a: Num, b: Num): Num {
  if (a.kind === KIND.infinity || b.kind === KIND.infinity) {
    if (a.kind === b.kind && a.sign !== b.sign) return invalid(env);
    return a.kind === KIND.infinity ? a : b;
  }
  if (a.kind === KIND.zero && b.kind === KIND.zero) return a.sign === b.sign ? a : cancelled(env);
  if (a.kind === KIND.zero) return round(env, format, b.sign, b.sig, b.exp - 63);
  if (b.kind === KIND.zero) return round(env, format, a.sign, a.sig, a.exp - 63);
  const [big, small] = a.exp >= b.exp ? [a, b] : [b, a];
  const distance = big.exp - small.exp;
  const high = big.sig << BigInt(Math.min(distance, FAR));
  const low = distance > FAR ? 1n : small.sig;
  const total = big.sign === small.sign ? high + low : high - low;
  if (total === 0n) return cancelled(env);
  const sign = total < 0n ? ((big.sign ^ 1) as Sign) : big.sign;
  return round(env, format, sign, total < 0n ? -total : total, big.exp - 63 - Math.min(distance, FAR));
}

/** The zero of an exact cancellation. */
const cancelled = (env: FpEnv): Num => zero(env.rounding === ROUNDING.down ? 1 : 0);

export function mul(env: FpEnv, format: Format, a: Num, b: Num): Num {
  env.roundedUp = false;
  const special = special2(env, a, b);
  if (special) return special;
  const sign = (a.sign ^ b.sign) as Sign;
  if (a.kind === KIND.infinity || b.kind === KIND.infinity) {
    return a.kind === KIND.zero || b.kind === KIND.zero ? invalid(env) : infinity(sign);
  }
  if (a.kind === KIND.zero || b.kind === KIND.zero) return zero(sign);
  return round(env, format, sign, a.sig * b.sig, a.exp + b.exp - 126);
}

/** a / b. */
export function div(env: FpEnv, format: Format, a: Num, b: Num): Num {
  env.roundedUp = false;
  if (a.kind === KIND.finite && b.kind === KIND.zero) {
    // Takes priority over a denormal dividend.
    env.flags |= FLAG.ZE;
    return infinity((a.sign ^ b.sign) as Sign);
  }
  const special = special2(env, a, b);
  if (special) return special;
  const sign = (a.sign ^ b.sign) as Sign;
  if (a.kind === KIND.infinity) return b.kind === KIND.infinity ? invalid(env) : infinity(sign);
  if (b.kind === KIND.infinity) return zero(sign);
  if (a.kind === KIND.zero) return b.kind === KIND.zero ? invalid(env) : zero(sign);
  const dividend = a.sig << 67n;
  const quotient = dividend / b.sig;
  const sticky = quotient * b.sig === dividend ? 0n : 1n;
  return round(env, format, sign, (quotient << 1n) | sticky, a.exp - b.exp - 68);
}

export function sqrt(env: FpEnv, format: Format, a: Num): Num {
  env.roundedUp = false;
  if (a.sign === 1 && (a.kind === KIND.finite || a.kind === KIND.infinity)) return invalid(env);
  const special = special1(env, a);
  if (special) return special;
  if (a.kind !== KIND.finite) return a;
  // An even scale, and 132 or 133 bits: the root has 66 or 67.
  const even = (a.exp - 63) & 1 ? 69 : 68;
  const radicand = a.sig << BigInt(even);
  const root = integerSqrt(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return round(env, format, 0, (root << 1n) | sticky, (a.exp - 63 - even) / 2 - 1);
}

/** Floor of the square root of an integer from 1 to 2^1000. */
export function integerSqrt(value: bigint): bigint {
  let root = BigInt(Math.floor(Math.sqrt(Number(value))));
  let next = (root + value / root) >> 1n;
  while (next - root > 1n || root - next > 1n) {
    root = next;
    next = (root + value / root) >> 1n;
  }
  while (next * next > value) next--;
  while ((next + 1n) * (next + 1n) <= value) next++;
  return next;
}
