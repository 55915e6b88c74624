// SSE arithmetic on one lane of raw bits, and what MXCSR means for it (SDM vol. 1, 10.2.3 and 11.5).
// A whole instruction is: beginSse, the lane function for every lane, endSse; when sseFaulted, the destination stays
// as it was and the CPU raises #XM.
import { add, div, mul, sqrt, sub } from './arith.ts';
import { compare, max, min, ORDER } from './compare.ts';
import { roundToIntegral } from './convert.ts';
import type { FpEnv, Rounding } from './env.ts';
import { ALL_FLAGS, FLAG, PRE_COMPUTATION } from './env.ts';
import type { Format } from './format.ts';
import { F32, F64, packF32, packF64, unpackF32, unpackF64 } from './format.ts';
import type { Num } from './num.ts';
import { isNan, KIND, quieted, zero } from './num.ts';

export const MXCSR = {
  flags: 0x3f,
  daz: 1 << 6,
  maskShift: 7,
  roundingShift: 13,
  ftz: 1 << 15,
  reset: 0x1f80,
  /** MXCSR_MASK: the bits that may be set. */
  valid: 0xffff,
} as const;

/** Loads the controls of MXCSR and clears the flags. */
export function beginSse(env: FpEnv, mxcsr: number): void {
  env.x87 = false;
  env.rounding = ((mxcsr >> MXCSR.roundingShift) & 3) as Rounding;
  env.masks = (mxcsr >> MXCSR.maskShift) & ALL_FLAGS;
  env.daz = (mxcsr & MXCSR.daz) !== 0;
  env.ftz = (mxcsr & MXCSR.ftz) !== 0;
  env.flags = 0;
  env.settled = 0;
}

/**
 * Ends a micro-operation (all lanes of one step): an unmasked exception found before computing, in any lane, leaves
 * those found after it unreported. True when an unmasked exception keeps the next step from running.
 */
export function settle(env: FpEnv): boolean {
  if (env.flags & ~env.masks & PRE_COMPUTATION) env.flags &= PRE_COMPUTATION;
  env.settled |= env.flags;
  env.flags = 0;
  return sseFaulted(env);
}

/** The new MXCSR. */
export function endSse(env: FpEnv, mxcsr: number): number {
  settle(env);
  return mxcsr | env.settled;
}

/** After endSse: #XM is due. */
export const sseFaulted = (env: FpEnv): boolean => (env.settled & ~env.masks) !== 0;

/** An operand as the arithmetic sees it: DAZ replaces denormals. */
export function load32(env: FpEnv, bits: number): Num {
  const a = unpackF32(bits);
  return a.denormal && env.daz ? zero(a.sign) : a;
}
export function load64(env: FpEnv, bits: bigint): Num {
  const a = unpackF64(bits);
  return a.denormal && env.daz ? zero(a.sign) : a;
}

/** Bits of a binary32 lane: unsigned 32-bit numbers. */
export type Lane32 = (env: FpEnv, a: number, b: number) => number;
/** Bits of a binary64 lane: unsigned 64-bit integers. */
export type Lane64 = (env: FpEnv, a: bigint, b: bigint) => bigint;
type Binary = (env: FpEnv, format: Format, a: Num, b: Num) => Num;

const lane32 =
  (operation: Binary): Lane32 =>
  (env, a, b) =>
    packF32(operation(env, F32, load32(env, a), load32(env, b)));
const lane64 =
  (operation: Binary): Lane64 =>
  (env, a, b) =>
    packF64(operation(env, F64, load64(env, a), load64(env, b)));

/** `a` is the destination, `b` the source operand. */
export const add32 = lane32(add);
export const sub32 = lane32(sub);
export const mul32 = lane32(mul);
export const div32 = lane32(div);
export const min32 = lane32((env, _, a, b) => min(env, a, b));
export const max32 = lane32((env, _, a, b) => max(env, a, b));
export const add64 = lane64(add);
export const sub64 = lane64(sub);
export const mul64 = lane64(mul);
export const div64 = lane64(div);
export const min64 = lane64((env, _, a, b) => min(env, a, b));
export const max64 = lane64((env, _, a, b) => max(env, a, b));

export const sqrt32 = (env: FpEnv, a: number): number => packF32(sqrt(env, F32, load32(env, a)));
export const sqrt64 = (env: FpEnv, a: bigint): bigint => packF64(sqrt(env, F64, load64(env, a)));

/**
 * The predicates of CMPPS imm8[2:0]: which orders hold, and whether a quiet NaN is invalid. VCMPPS has two bits more: 3 turns
 * the answer for unordered operands round, 4 the quietness. SDM vol. 2, CMPPD, table 3-1.
 */
const PREDICATES = [
  { holds: [ORDER.equal], quiet: true },
  { holds: [ORDER.less], quiet: false },
  { holds: [ORDER.less, ORDER.equal], quiet: false },
  { holds: [ORDER.unordered], quiet: true },
  { holds: [ORDER.less, ORDER.greater, ORDER.unordered], quiet: true },
  { holds: [ORDER.equal, ORDER.greater, ORDER.unordered], quiet: false },
  { holds: [ORDER.greater, ORDER.unordered], quiet: false },
  { holds: [ORDER.less, ORDER.equal, ORDER.greater], quiet: true },
] as const;

function holds(env: FpEnv, a: Num, b: Num, predicate: number): boolean {
  const rule = PREDICATES[(predicate & 7) as 0];
  const order = compare(env, a, b, rule.quiet !== ((predicate & 16) !== 0));
  const held = (rule.holds as readonly number[]).includes(order);
  return order === ORDER.unordered && predicate & 8 ? !held : held;
}

/** CMPSS and kin: all ones or zero. */
export const cmp32 = (env: FpEnv, a: number, b: number, predicate: number): number =>
  holds(env, load32(env, a), load32(env, b), predicate) ? 0xffffffff : 0;
export const cmp64 = (env: FpEnv, a: bigint, b: bigint, predicate: number): bigint =>
  holds(env, load64(env, a), load64(env, b), predicate) ? 0xffffffffffffffffn : 0n;

/** EFLAGS of an order: ZF 0x40, PF 4, CF 1; OF, SF and AF are cleared by the instruction. */
export function orderFlags(order: number): number {
  return order === ORDER.unordered ? 0x45 : order === ORDER.equal ? 0x40 : order === ORDER.less ? 1 : 0;
}
/** COMISS (`quiet` false) and UCOMISS (true): the EFLAGS bits. */
export const comi32 = (env: FpEnv, a: number, b: number, quiet: boolean): number =>
  orderFlags(compare(env, load32(env, a), load32(env, b), quiet));
export const comi64 = (env: FpEnv, a: bigint, b: bigint, quiet: boolean): number =>
  orderFlags(compare(env, load64(env, a), load64(env, b), quiet));

/** ROUNDSS imm8: bits 1:0 the mode, bit 2 take MXCSR.RC instead, bit 3 no precision exception. Never flags DE. */
function roundBy(env: FpEnv, a: Num, imm: number): Num {
  if (isNan(a)) {
    if (a.kind === KIND.signaling) env.flags |= FLAG.IE;
    return quieted(a);
  }
  const before = env.flags;
  const result = roundToIntegral(env, a, imm & 4 ? env.rounding : ((imm & 3) as Rounding));
  if (imm & 8) env.flags = before;
  return result;
}
export const round32 = (env: FpEnv, a: number, imm: number): number => packF32(roundBy(env, load32(env, a), imm));
export const round64 = (env: FpEnv, a: bigint, imm: number): bigint => packF64(roundBy(env, load64(env, a), imm));
