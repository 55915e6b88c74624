// Numbers of 16 bits, as VCVTPH2PS and VCVTPS2PH have them. SDM vol. 1, 14.4; vol. 2, under each name.
import { convert } from './convert.ts';
import type { FpEnv, Rounding } from './env.ts';
import { F32, type Format, packF32 } from './format.ts';
import type { Num, Sign } from './num.ts';
import { exactly, finite, infinity, KIND, nan, zero } from './num.ts';
import { load32 } from './sse.ts';

const F16: Format = { precision: 11, minExp: -14, maxExp: 15, wrap: 0 };

/** Denormals count as ordinary numbers: DAZ does not touch them, and DE is not raised. */
function unpackF16(bits: number): Num {
  const sign = ((bits >> 15) & 1) as Sign;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 0x3ff;
  if (exponent === 31) return fraction === 0 ? infinity(sign) : nan(sign, BigInt(fraction) << 53n);
  if (exponent !== 0) return finite(sign, exponent - 15, BigInt(fraction | 0x400) << 53n);
  return fraction === 0 ? zero(sign) : exactly(sign, BigInt(fraction), -24);
}

function packF16(a: Num): number {
  const sign = a.sign << 15;
  if (a.kind === KIND.zero) return sign;
  if (a.kind === KIND.infinity) return sign | 0x7c00;
  const sig = Number(a.sig >> 53n);
  if (a.kind !== KIND.finite) return sign | 0x7c00 | (sig & 0x3ff);
  if (a.exp < -14) return sign | (sig >>> (-14 - a.exp));
  return sign | ((a.exp + 15) << 10) | (sig & 0x3ff);
}

/** VCVTPH2PS: exact. */
export const f16ToF32 = (env: FpEnv, a: number): number => packF32(convert(env, F32, unpackF16(a)));

/** VCVTPS2PH: imm8[1:0] is the rounding, or by bit 2 MXCSR has it. Denormal results are not flushed. */
export function f32ToF16(env: FpEnv, a: number, imm: number): number {
  const { rounding, ftz } = env;
  if ((imm & 4) === 0) env.rounding = (imm & 3) as Rounding;
  env.ftz = false;
  const result = packF16(convert(env, F16, load32(env, a)));
  env.rounding = rounding;
  env.ftz = ftz;
  return result;
}
