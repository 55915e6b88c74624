// Elementary functions on big integers, far beyond the 64 bits of the result, so that rounding them once is correct
// rounding in all but contrived cases. A value is `sig * 2^scale`.
import { integerSqrt } from './arith.ts';
import { bitLength } from './num.ts';

export interface Real {
  /** Signed. */
  readonly sig: bigint;
  readonly scale: number;
}

/** Fraction bits of the fixed-point series. */
const FRACTION = 256;
const UNIT = 1n << 256n;

/** pi, ln 2 and 1 / ln 2 with 256 fraction bits. */
const PI_FIXED = 0x3243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89n;
const LN2_FIXED = 0xb17217f7d1cf79abc9e3b39803f2f6af40f343267298b62d8a0d175b8baafa2bn;
const LOG2E_FIXED = 0x171547652b82fe1777d0ffda0d23a7d11d6aef551bad2b4b1164a2cd9a342648fn;
export const PI: Real = { sig: PI_FIXED, scale: -FRACTION };

/** sig * 2^scale as a fixed-point number, cut. */
function fixed(sig: bigint, scale: number): bigint {
  const shift = scale + FRACTION;
  return shift >= 0 ? sig << BigInt(shift) : sig >> BigInt(-shift);
}

/** 1 + the sum of the terms `next` makes of x^k, k = 1, 2...; ends when a term vanishes. */
function series(x: bigint, next: (term: bigint, k: bigint) => bigint): bigint {
  let sum = UNIT;
  let power = UNIT;
  for (let k = 1n; ; k++) {
    power = (power * x) >> 256n;
    const term = next(power, k);
    if (term === 0n || term === -1n) return sum;
    sum += term;
  }
}

/** sin(r) / r and cos(r) for |r| <= pi/4, given r^2. The factorials are folded into the running power. */
function sinFactor(square: bigint): bigint {
  let sum = UNIT;
  let term = UNIT;
  for (let k = 2n; term !== 0n; k += 2n) {
    term = ((term * square) >> 256n) / (k * (k + 1n));
    sum += k & 2n ? -term : term;
  }
  return sum;
}
function cosSeries(square: bigint): bigint {
  let sum = UNIT;
  let term = UNIT;
  for (let k = 1n; term !== 0n; k += 2n) {
    term = ((term * square) >> 256n) / (k * (k + 1n));
    sum += (k + 1n) & 2n ? -term : term;
  }
  return sum;
}

/** Below 2^-TINY the second term of a series lies beyond the precision kept, and only its direction matters. */
const TINY = 120;

const magnitude = (a: Real): number => (a.sig === 0n ? -Infinity : bitLength(a.sig < 0n ? -a.sig : a.sig) + a.scale);

/** Sine for |r| <= pi/4, r not zero. */
export function sine(r: Real): Real {
  const factor = magnitude(r) < -TINY ? UNIT - 1n : sinFactor(fixed(r.sig * r.sig, 2 * r.scale));
  return { sig: r.sig * factor, scale: r.scale - FRACTION };
}
/** Cosine for |r| <= pi/4, r not zero. */
export function cosine(r: Real): Real {
  return { sig: magnitude(r) < -TINY ? UNIT - 1n : cosSeries(fixed(r.sig * r.sig, 2 * r.scale)), scale: -FRACTION };
}
/** Tangent for |r| <= pi/4, or its negative reciprocal (the tangent a quarter turn further); r not zero. */
export function tangent(r: Real, quarter: boolean): Real {
  if (magnitude(r) < -TINY && !quarter) return { sig: r.sig * (UNIT + 1n), scale: r.scale - FRACTION };
  const [s, c] = [sine(r), cosine(r)];
  return quarter ? ratio({ sig: -c.sig, scale: c.scale }, s) : ratio(s, c);
}

function ratio(a: Real, b: Real): Real {
  const shift = 200 + bitLength(b.sig < 0n ? -b.sig : b.sig);
  return { sig: (a.sig << BigInt(shift)) / b.sig, scale: a.scale - b.scale - shift };
}

/** 2^x - 1 for |x| <= 1, x neither 0 nor 1 nor -1. */
export function exp2Minus1(x: Real): Real {
  const u = { sig: x.sig * LN2_FIXED, scale: x.scale - FRACTION };
  if (magnitude(u) < -TINY * 2) return u;
  const at = fixed(u.sig, u.scale);
  let factorial = 1n;
  const factor = series(at, (power, k) => {
    factorial *= k + 1n;
    return power / factorial;
  });
  return { sig: u.sig * factor, scale: u.scale - FRACTION };
}

/** log2(1 + d), d > -1. Relative precision is kept near d = 0. */
export function log2OnePlus(d: Real): Real {
  if (magnitude(d) < -TINY * 2) return { sig: d.sig * LOG2E_FIXED, scale: d.scale - FRACTION };
  // 1 + d as an integer: m * 2^scale.
  const scale = Math.min(d.scale, 0);
  return log2Of((1n << BigInt(-scale)) + (d.sig << BigInt(d.scale - scale)), scale);
}

/** log2(m * 2^scale), m > 0. Zero exactly for 1. */
export function log2Of(m: bigint, scale: number): Real {
  const length = bitLength(m);
  // m / 2^n in (2^-1/2, 2^1/2], roughly: the quotient below stays under 0.18.
  const n = (m * m) >> BigInt(2 * length - 1) ? length : length - 1;
  const whole = BigInt(n + scale);
  const one = 1n << BigInt(n);
  const rest = m - one;
  if (rest === 0n) return { sig: whole, scale: 0 };
  const shift = 260 + n;
  const z = (rest << BigInt(shift)) / (m + one);
  const square = fixed(z * z, -2 * shift);
  const factor = series(square, (power, k) => power / (2n * k + 1n));
  const sig = (z * factor * LOG2E_FIXED) << 1n;
  const fractionScale = -shift - 2 * FRACTION;
  return { sig: sig + (whole << BigInt(-fractionScale)), scale: fractionScale };
}

/** The angle of the point (x, y), both positive, in (0, pi/2); `left` mirrors it to (pi/2, pi). */
export function angle(y: Real, x: Real, left: boolean): Real {
  const steep = compareReal(y, x) > 0;
  const t = steep ? ratio(x, y) : ratio(y, x);
  const a = arctangent(t);
  if (!steep && !left) return a;
  const base = steep ? PI_FIXED >> 1n : PI_FIXED;
  const offset = fixed(a.sig, a.scale);
  return { sig: steep && left ? base + offset : base - offset, scale: -FRACTION };
}

function compareReal(a: Real, b: Real): number {
  const scale = Math.min(a.scale, b.scale);
  if (Math.abs(a.scale - b.scale) > 200) return a.scale - b.scale;
  const difference = (a.sig << BigInt(a.scale - scale)) - (b.sig << BigInt(b.scale - scale));
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}

/** For 0 < t <= 1. */
function arctangent(t: Real): Real {
  if (magnitude(t) < -TINY) return { sig: t.sig * (UNIT - 1n), scale: t.scale - FRACTION };
  let at = fixed(t.sig, t.scale);
  let doublings = 0;
  // atan(t) = 2 atan(t / (1 + sqrt(1 + t^2))) until the series is short.
  for (; at >> 252n; doublings++) at = (at << 256n) / (UNIT + integerSqrt((UNIT << 256n) + at * at));
  const square = (at * at) >> 256n;
  const factor = series(square, (power, k) => (k & 1n ? -power : power) / (2n * k + 1n));
  return { sig: at * factor, scale: doublings - 2 * FRACTION };
}
