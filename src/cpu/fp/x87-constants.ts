// FLD1 and kin. The CPU keeps the constants wider than 64 bits and rounds them by FCW.RC (SDM vol. 1, 8.3.4).
import type { FpEnv } from './env.ts';
import { F80 } from './format.ts';
import type { Num } from './num.ts';
import { ONE, zero } from './num.ts';
import { round } from './round.ts';

/** D9 E9..ED: significands of 128 bits (log2 10, log2 e, pi, log10 2, ln 2) and the exponent of their last bit. */
const WIDE: readonly { readonly sig: bigint; readonly scale: number }[] = [
  { sig: 0x35269e12f346e2bf924afdbfd36bf6d3n, scale: -124 },
  { sig: 0x171547652b82fe1777d0ffda0d23a7d1n, scale: -124 },
  { sig: 0x3243f6a8885a308d313198a2e0370734n, scale: -124 },
  { sig: 0x4d104d427de7fbcc47c4acd605be48bcn, scale: -128 },
  { sig: 0xb17217f7d1cf79abc9e3b39803f2f6afn, scale: -128 },
];

/** The constant of D9 E8 + index, index 0..6. Raises nothing, rounds by `env.rounding`. */
export function constant(env: FpEnv, index: number): Num {
  if (index === 0) return ONE;
  if (index === 6) return zero(0);
  const { sig, scale } = WIDE[index - 1]!;
  const value = round(env, F80, 0, sig, scale);
  env.flags = 0;
  env.roundedUp = false;
  return value;
}
