// An unpacked number: the form all formats share while an operation is computed.

export const KIND = { zero: 0, finite: 1, infinity: 2, quiet: 3, signaling: 4, unsupported: 5 } as const;
export type Kind = (typeof KIND)[keyof typeof KIND];
export type Sign = 0 | 1;

/**
 * finite: (-1)^sign * sig * 2^(exp - 63), with bit 63 of `sig` set.
 * NaN: `sig` is the payload as in the 80-bit format: bit 63 set, bit 62 set when quiet.
 * unsupported: an 80-bit encoding the CPU rejects (unnormal, pseudo-infinity, pseudo-NaN).
 */
export interface Num {
  readonly kind: Kind;
  readonly sign: Sign;
  readonly exp: number;
  readonly sig: bigint;
  /** The encoding it came from was denormal (or pseudo-denormal). */
  readonly denormal: boolean;
}

export const INTEGER_BIT = 1n << 63n;
export const QUIET_BIT = 1n << 62n;

const make = (kind: Kind, sign: Sign, exp: number, sig: bigint, denormal: boolean): Num => ({ kind, sign, exp, sig, denormal });

const ZEROS = [make(KIND.zero, 0, 0, 0n, false), make(KIND.zero, 1, 0, 0n, false)] as const;
const INFINITIES = [make(KIND.infinity, 0, 0, INTEGER_BIT, false), make(KIND.infinity, 1, 0, INTEGER_BIT, false)] as const;
export const zero = (sign: Sign): Num => ZEROS[sign];
export const infinity = (sign: Sign): Num => INFINITIES[sign];
/** The real indefinite: what a masked invalid operation returns. */
export const INDEFINITE = make(KIND.quiet, 1, 0, INTEGER_BIT | QUIET_BIT, false);
export const UNSUPPORTED = make(KIND.unsupported, 0, 0, 0n, false);
export const ONE = make(KIND.finite, 0, 0, INTEGER_BIT, false);

/** `sig` must have bit 63 set and no higher bit. */
export const finite = (sign: Sign, exp: number, sig: bigint, denormal = false): Num =>
  make(KIND.finite, sign, exp, sig, denormal);
export const nan = (sign: Sign, sig: bigint): Num =>
  make(sig & QUIET_BIT ? KIND.quiet : KIND.signaling, sign, 0, sig | INTEGER_BIT, false);
export const quieted = (a: Num): Num => (a.kind === KIND.signaling ? make(KIND.quiet, a.sign, 0, a.sig | QUIET_BIT, false) : a);
export const isNan = (a: Num): boolean => a.kind === KIND.quiet || a.kind === KIND.signaling;

/** Sign inverted; NaNs included, as FCHS does. */
export const negated = (a: Num): Num => make(a.kind, (a.sign ^ 1) as Sign, a.exp, a.sig, a.denormal);
export const withSign = (a: Num, sign: Sign): Num => (a.sign === sign ? a : negated(a));

const scratch = new DataView(new ArrayBuffer(8));

/** Number of significant bits of a positive integer. */
export function bitLength(value: bigint): number {
  let base = 0;
  while (value >> 1000n) {
    value >>= 960n;
    base += 960;
  }
  scratch.setFloat64(0, Number(value));
  const exponent = (scratch.getUint16(0) >> 4) - 1023;
  // Number() rounds to nearest and may have reached the next power of two.
  return base + (value >> BigInt(exponent) ? exponent + 1 : exponent);
}

/** sign * value * 2^scale exactly, for a value of at most 64 significant bits. */
export function exactly(sign: Sign, value: bigint, scale: number): Num {
  if (value === 0n) return zero(sign);
  const length = bitLength(value);
  const sig = length <= 64 ? value << BigInt(64 - length) : value >> BigInt(length - 64);
  return finite(sign, scale + length - 1, sig);
}
