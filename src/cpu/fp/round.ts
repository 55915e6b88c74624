// Rounding: the one place where an exact value becomes a number of a format, and where overflow, underflow and
// inexactness are found (SDM vol. 1, 4.8.4, 4.9.1.4-4.9.1.6 and 8.5.4-8.5.6).

import type { FpEnv, Rounding } from './env.ts';
import { FLAG, ROUNDING } from './env.ts';
import type { Format } from './format.ts';
import type { Num, Sign } from './num.ts';
import { bitLength, exactly, finite, infinity, zero } from './num.ts';

/** Whether the magnitude goes up: `half` compares the discarded part with half a unit (-1, 0, 1). */
function goesUp(rounding: Rounding, sign: Sign, odd: boolean, half: number): boolean {
  switch (rounding) {
    case ROUNDING.nearest:
      return half > 0 || (half === 0 && odd);
    case ROUNDING.down:
      return sign === 1;
    case ROUNDING.up:
      return sign === 0;
    case ROUNDING.zero:
      return false;
  }
}

/** An integer, and how it differs from the value it was rounded from. */
export interface Rounded {
  value: bigint;
  inexact: boolean;
  up: boolean;
}

/** value / 2^shift rounded to an integer; a negative shift multiplies. */
export function shiftRounded(rounding: Rounding, sign: Sign, value: bigint, shift: number): Rounded {
  if (shift <= 0) return { value: value << BigInt(-shift), inexact: false, up: false };
  const kept = value >> BigInt(shift);
  const rest = value - (kept << BigInt(shift));
  if (rest === 0n) return { value: kept, inexact: false, up: false };
  const middle = 1n << BigInt(shift - 1);
  const up = goesUp(rounding, sign, (kept & 1n) === 1n, rest > middle ? 1 : rest < middle ? -1 : 0);
  return { value: up ? kept + 1n : kept, inexact: true, up };
}

/**
 * The number of `format` for (-1)^sign * sig * 2^scale, sig > 0. A caller whose value is not exact appends a sticky
 * bit well below the last bit of the format. Sets OE, UE, PE and roundedUp. An unmasked overflow or underflow returns
 * the number with its exponent wrapped when the format has a wrap; otherwise the result is not to be used.
 */
export function round(env: FpEnv, format: Format, sign: Sign, sig: bigint, scale: number): Num {
  const { precision } = format;
  const length = bitLength(sig);
  let exp = scale + length - 1;
  const unbounded = shiftRounded(env.rounding, sign, sig, length - precision);
  let value = unbounded.value;
  if (value >> BigInt(precision)) {
    value >>= 1n;
    exp++;
  }
  if (exp < format.minExp)
    return roundTiny(env, format, sign, sig, scale, finite(sign, exp, value << BigInt(64 - precision)), unbounded);
  if (exp > format.maxExp) {
    env.flags |= FLAG.OE;
    if (env.masks & FLAG.OE) {
      env.flags |= FLAG.PE;
      env.roundedUp = goesUp(env.rounding, sign, true, 1);
      return env.roundedUp ? infinity(sign) : largest(format, sign);
    }
    exp -= format.wrap;
    if (format.wrap !== 0 && exp > format.maxExp) {
      // Only FSCALE gets here: too far off for the wrapped exponent.
      env.flags |= FLAG.PE;
      env.roundedUp = true;
      return infinity(sign);
    }
  }
  if (unbounded.inexact) env.flags |= FLAG.PE;
  env.roundedUp = unbounded.up;
  return finite(sign, exp, value << BigInt(64 - precision));
}

/** `tiny` is the result rounded as if the exponent had no lower bound. */
function roundTiny(env: FpEnv, format: Format, sign: Sign, sig: bigint, scale: number, tiny: Num, unbounded: Rounded): Num {
  if (!(env.masks & FLAG.UE)) {
    env.flags |= FLAG.UE | (unbounded.inexact ? FLAG.PE : 0);
    env.roundedUp = unbounded.up;
    if (format.wrap !== 0 && tiny.exp + format.wrap < format.minExp) {
      env.flags |= FLAG.PE;
      env.roundedUp = false;
      return zero(sign);
    }
    return finite(sign, tiny.exp + format.wrap, tiny.sig);
  }
  if (env.ftz) {
    env.flags |= FLAG.UE | FLAG.PE;
    env.roundedUp = false;
    return zero(sign);
  }
  const quantum = format.minExp - format.precision + 1;
  const rounded = shiftRounded(env.rounding, sign, sig, quantum - scale);
  if (rounded.inexact) env.flags |= FLAG.UE | FLAG.PE;
  env.roundedUp = rounded.up;
  return exactly(sign, rounded.value, quantum);
}

function largest(format: Format, sign: Sign): Num {
  return finite(sign, format.maxExp, ((1n << BigInt(format.precision)) - 1n) << BigInt(64 - format.precision));
}
