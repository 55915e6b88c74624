// The three binary formats: range and precision, and packing to and from raw bits (SDM vol. 1, 4.2 and 8.2).

import type { Num, Sign } from './num.ts';
import { exactly, finite, INTEGER_BIT, infinity, KIND, nan, UNSUPPORTED, zero } from './num.ts';

export interface Format {
  /** Significand bits including the integer bit. */
  readonly precision: number;
  /** Exponent of the smallest normal number. */
  readonly minExp: number;
  readonly maxExp: number;
  /** What an unmasked overflow or underflow adds to the exponent; 0 when it produces no result. */
  readonly wrap: number;
}

export const F32: Format = { precision: 24, minExp: -126, maxExp: 127, wrap: 0 };
export const F64: Format = { precision: 53, minExp: -1022, maxExp: 1023, wrap: 0 };
export const F80: Format = { precision: 64, minExp: -16382, maxExp: 16383, wrap: 24576 };
/** The 80-bit format under FCW.PC = 0..3. The reserved encoding 1 behaves as 64 bits. */
export const F80_BY_PC: readonly [Format, Format, Format, Format] = [
  { ...F80, precision: 24 },
  F80,
  { ...F80, precision: 53 },
  F80,
];

/** An 80-bit value: sign and exponent (16 bits), significand with explicit integer bit (64 bits). */
export interface F80Bits {
  se: number;
  m: bigint;
}

export function unpackF32(bits: number): Num {
  const sign = (bits >>> 31) as Sign;
  const exponent = (bits >>> 23) & 0xff;
  const fraction = bits & 0x7fffff;
  if (exponent === 0xff) return fraction === 0 ? infinity(sign) : nan(sign, BigInt(fraction) << 40n);
  if (exponent !== 0) return finite(sign, exponent - 127, BigInt(fraction | 0x800000) << 40n);
  if (fraction === 0) return zero(sign);
  return { ...exactly(sign, BigInt(fraction), -149), denormal: true };
}

/** Packs a number that is exactly representable (the result of `round` for F32, or a NaN, cut to 24 bits). */
export function packF32(a: Num): number {
  const sign = a.sign === 1 ? 0x80000000 : 0;
  if (a.kind === KIND.zero) return sign;
  if (a.kind === KIND.infinity) return (sign | 0x7f800000) >>> 0;
  const sig = Number(a.sig >> 40n);
  if (a.kind !== KIND.finite) return (sign | 0x7f800000 | (sig & 0x7fffff)) >>> 0;
  if (a.exp < -126) return (sign | (sig >>> (-126 - a.exp))) >>> 0;
  return (sign | ((a.exp + 127) << 23) | (sig & 0x7fffff)) >>> 0;
}

const F64_FRACTION = (1n << 52n) - 1n;

export function unpackF64(bits: bigint): Num {
  const high = Number(bits >> 52n);
  const sign = ((high >> 11) & 1) as Sign;
  const exponent = high & 0x7ff;
  const fraction = bits & F64_FRACTION;
  if (exponent === 0x7ff) return fraction === 0n ? infinity(sign) : nan(sign, fraction << 11n);
  if (exponent !== 0) return finite(sign, exponent - 1023, (fraction << 11n) | INTEGER_BIT);
  if (fraction === 0n) return zero(sign);
  return { ...exactly(sign, fraction, -1074), denormal: true };
}

/** As packF32, for F64. */
export function packF64(a: Num): bigint {
  const sign = a.sign << 11;
  if (a.kind === KIND.zero) return BigInt(sign) << 52n;
  if (a.kind === KIND.infinity) return BigInt(sign | 0x7ff) << 52n;
  const sig = a.sig >> 11n;
  if (a.kind !== KIND.finite) return (BigInt(sign | 0x7ff) << 52n) | (sig & F64_FRACTION);
  if (a.exp < -1022) return (BigInt(sign) << 52n) | (sig >> BigInt(-1022 - a.exp));
  return (BigInt(sign | (a.exp + 1023)) << 52n) | (sig & F64_FRACTION);
}

export function unpackF80(se: number, m: bigint): Num {
  const sign = (se >>> 15) as Sign;
  const exponent = se & 0x7fff;
  if (exponent === 0) return m === 0n ? zero(sign) : { ...exactly(sign, m, -16445), denormal: true };
  if (!(m & INTEGER_BIT)) return UNSUPPORTED;
  if (exponent !== 0x7fff) return finite(sign, exponent - 16383, m);
  return m === INTEGER_BIT ? infinity(sign) : nan(sign, m);
}

/** Writes into `into` and returns it. */
export function packF80(a: Num, into: F80Bits): F80Bits {
  const sign = a.sign << 15;
  into.m = a.sig;
  if (a.kind === KIND.zero) into.se = sign;
  else if (a.kind !== KIND.finite) into.se = sign | 0x7fff;
  else if (a.exp < -16382) {
    into.se = sign;
    into.m = a.sig >> BigInt(-16382 - a.exp);
  } else into.se = sign | (a.exp + 16383);
  return into;
}
