// Conversion between formats and to and from integers.

import type { FpEnv, Rounding } from './env.ts';
import { FLAG } from './env.ts';
import type { Format } from './format.ts';
import type { Num } from './num.ts';
import { exactly, KIND, zero } from './num.ts';
import { special1 } from './operands.ts';
import type { Rounded } from './round.ts';
import { round, shiftRounded } from './round.ts';

/** The number in another format; exact when widening. A signaling NaN is quieted (IE), a denormal sets DE. */
export function convert(env: FpEnv, format: Format, a: Num): Num {
  env.roundedUp = false;
  const special = special1(env, a);
  if (special) return special;
  return a.kind === KIND.finite ? round(env, format, a.sign, a.sig, a.exp - 63) : a;
}

/** A signed integer as a number of `format`. */
export function fromInteger(env: FpEnv, format: Format, value: bigint): Num {
  env.roundedUp = false;
  if (value === 0n) return zero(0);
  return value < 0n ? round(env, format, 1, -value, 0) : round(env, format, 0, value, 0);
}

/** The magnitude of a finite number, rounded to an integer; the caller has bounded its exponent. */
function integerMagnitude(rounding: Rounding, a: Num): Rounded {
  // Below 1/4 only the sticky bit matters.
  if (a.exp < -2) return shiftRounded(rounding, a.sign, 1n, 3);
  return shiftRounded(rounding, a.sign, a.sig, 63 - a.exp);
}

/**
 * The signed integer of `bits` bits, or undefined when it does not fit or there is no number (IE set); the destination
 * then gets the integer indefinite, 1 << (bits - 1). Never flags DE.
 */
export function toInteger(env: FpEnv, a: Num, bits: number, rounding: Rounding): bigint | undefined {
  env.roundedUp = false;
  if (a.kind === KIND.zero) return 0n;
  if (a.kind === KIND.finite && a.exp < bits) {
    const { value, inexact, up } = integerMagnitude(rounding, a);
    const limit = 1n << BigInt(bits - 1);
    if (value < limit || (value === limit && a.sign === 1)) {
      if (inexact) env.flags |= FLAG.PE;
      env.roundedUp = up;
      return a.sign === 1 ? -value : value;
    }
  }
  env.flags |= FLAG.IE;
  return undefined;
}

/** Rounds to an integral value of the same format. Flags PE when it changes the value; DE is the caller's business. */
export function roundToIntegral(env: FpEnv, a: Num, rounding: Rounding): Num {
  env.roundedUp = false;
  if (a.kind !== KIND.finite || a.exp >= 63) return a;
  const { value, inexact, up } = integerMagnitude(rounding, a);
  if (inexact) env.flags |= FLAG.PE;
  env.roundedUp = up;
  return exactly(a.sign, value, 0);
}
