// The SSE floating-point operations that generated code does not do itself: exact results and exact MXCSR flags, lane by
// lane, from FP_SLOT.a and FP_SLOT.b to FP_SLOT.result or FP_SLOT.answer. SDM vol. 1, 11.5.
import type { Cpu } from './cpu.ts';
import { createFpEnv, type FpEnv } from './fp/env.ts';
import { type FmaSigns, fma32, fma64 } from './fp/fma.ts';
import { f16ToF32, f32ToF16 } from './fp/half.ts';
import {
  add32,
  add64,
  beginSse,
  cmp32,
  cmp64,
  comi32,
  comi64,
  div32,
  div64,
  endSse,
  MXCSR,
  max32,
  max64,
  min32,
  min64,
  mul32,
  mul64,
  round32,
  round64,
  sqrt32,
  sqrt64,
  sseFaulted,
  sub32,
  sub64,
} from './fp/sse.ts';
import { rcp32, rsqrt32 } from './fp/sse-approximate.ts';
import {
  f32ToF64,
  f32ToI32,
  f32ToI64,
  f64ToF32,
  f64ToI32,
  f64ToI64,
  i32ToF32,
  i32ToF64,
  i64ToF32,
  i64ToF64,
} from './fp/sse-convert.ts';
import { dppd, dpps } from './fp/sse-dot.ts';
import { FMA_SIGN, FORM, FP, FP_SLOT, HALF } from './sem/sse-operation.ts';
import { exactProduct, exactQuotient, exactRoot, exactSum } from './sse-exact.ts';
import { CR4, STATE, VECTOR } from './state.ts';

type Single = (env: FpEnv, a: number, b: number, immediate: number, lane: number) => number;
type Double = (env: FpEnv, a: bigint, b: bigint, immediate: number, lane: number) => bigint;

/** Operations on lanes of one format, by number. Unary ones take the source, `b`. */
const SINGLE: Readonly<Record<number, Single>> = {
  [FP.add]: add32,
  [FP.sub]: sub32,
  [FP.mul]: mul32,
  [FP.div]: div32,
  [FP.min]: min32,
  [FP.max]: max32,
  [FP.sqrt]: (env, _, b) => sqrt32(env, b),
  [FP.rcp]: (_env, _, b) => rcp32(b),
  [FP.rsqrt]: (_env, _, b) => rsqrt32(b),
  [FP.addsub]: (env, a, b, _, lane) => (lane & 1 ? add32 : sub32)(env, a, b),
  [FP.cmp]: cmp32,
  [FP.round]: (env, _, b, immediate) => round32(env, b, immediate),
};
const DOUBLE: Readonly<Record<number, Double>> = {
  [FP.add]: add64,
  [FP.sub]: sub64,
  [FP.mul]: mul64,
  [FP.div]: div64,
  [FP.min]: min64,
  [FP.max]: max64,
  [FP.sqrt]: (env, _, b) => sqrt64(env, b),
  [FP.addsub]: (env, a, b, _, lane) => (lane & 1 ? add64 : sub64)(env, a, b),
  [FP.cmp]: cmp64,
  [FP.round]: (env, _, b, immediate) => round64(env, b, immediate),
};

const A32 = FP_SLOT.a >> 2;
const B32 = FP_SLOT.b >> 2;
const C32 = FP_SLOT.c >> 2;
const C64 = FP_SLOT.c >> 3;
const RESULT32 = FP_SLOT.result >> 2;
const A64 = FP_SLOT.a >> 3;
const B64 = FP_SLOT.b >> 3;
const RESULT64 = FP_SLOT.result >> 3;

/**
 * Does operation `argument` (see operationNumber). Updates the flags of MXCSR. Returns 0, or 1 after leaving #XM, or #UD
 * while CR4.OSXMMEXCPT is 0, in the fault slots because of an unmasked exception; then there is no result.
 */
export function fpOperation(cpu: Cpu, argument: number): number {
  if ((argument & HALF.end) === HALF.end) return endHalves(cpu);
  const operation = (argument & 0xff) >> 2;
  const form = argument & 3;
  const second = (argument & HALF.second) !== 0;
  const mxcsr = cpu.get32(second ? FP_SLOT.halfMxcsr : STATE.mxcsr);
  if (argument & HALF.first) {
    cpu.set32(FP_SLOT.halfMxcsr, mxcsr);
    cpu.set32(FP_SLOT.halfFlags, 0);
  }
  if (operation <= FP.addsub && isExact(cpu, operation, form, mxcsr)) return 0;
  const env = createFpEnv(false);
  beginSse(env, mxcsr);
  if (second) {
    const flags = cpu.get32(FP_SLOT.halfFlags);
    env.flags = flags & 0xff;
    env.settled = flags >> 8;
  }
  if (operation === FP.dot && argument & (HALF.first | HALF.second)) dotOfHalf(cpu, env, second);
  else compute(cpu, env, operation, form);
  if (argument & HALF.first) cpu.set32(FP_SLOT.halfFlags, env.flags | (env.settled << 8));
  const after = endSse(env, mxcsr);
  if (argument & (HALF.first | HALF.second) && sseFaulted(env)) {
    // Until both halves are done, MXCSR is as it was: a tier may begin again.
    if (second) cpu.set32(FP_SLOT.halfFlags, env.settled << 8);
    cpu.set32(STATE.mxcsr, mxcsr);
    return 1;
  }
  cpu.set32(STATE.mxcsr, after);
  return sseFaulted(env) ? leaveException(cpu) : 0;
}

/** After both halves, of which at least one had an unmasked exception. */
function endHalves(cpu: Cpu): number {
  const mxcsr = cpu.get32(FP_SLOT.halfMxcsr);
  const env = createFpEnv(false);
  beginSse(env, mxcsr);
  const flags = cpu.get32(FP_SLOT.halfFlags);
  env.flags = flags & 0xff;
  env.settled = flags >> 8;
  cpu.set32(STATE.mxcsr, endSse(env, mxcsr));
  return leaveException(cpu);
}

function leaveException(cpu: Cpu): number {
  cpu.set32(STATE.faultVector, cpu.cr4 & CR4.osxmmexcpt ? VECTOR.xm : VECTOR.ud);
  cpu.set32(STATE.faultError, 0xffff_ffff);
  return 1;
}

function compute(cpu: Cpu, env: FpEnv, operation: number, form: number): void {
  if (operation === FP.fma) fused(cpu, env, form);
  else if (operation === FP.fromHalf || operation === FP.toHalf) halfPrecision(cpu, env, operation);
  else if (operation >= FP.convert) convert(cpu, env, operation, form);
  else if (operation === FP.ucomi || operation === FP.comi) {
    const quiet = operation === FP.ucomi;
    const flags =
      form === FORM.ss
        ? comi32(env, cpu.u32[A32] as number, cpu.u32[B32] as number, quiet)
        : comi64(env, cpu.u64[A64] as bigint, cpu.u64[B64] as bigint, quiet);
    cpu.set32(FP_SLOT.answer, flags);
  } else if (operation === FP.dot) {
    const immediate = cpu.get32(FP_SLOT.immediate);
    if (form === FORM.ps)
      dpps(
        env,
        cpu.u32.subarray(A32, A32 + 4),
        cpu.u32.subarray(B32, B32 + 4),
        immediate,
        cpu.u32.subarray(RESULT32, RESULT32 + 4),
      );
    else
      dppd(
        env,
        cpu.u64.subarray(A64, A64 + 2),
        cpu.u64.subarray(B64, B64 + 2),
        immediate,
        cpu.u64.subarray(RESULT64, RESULT64 + 2),
      );
  } else lanes(cpu, env, operation, form);
}

function fused({ u32, u64 }: Cpu, env: FpEnv, form: number): void {
  const how = u32[FP_SLOT.immediate >> 2] as number;
  const odd: FmaSigns = { product: how & FMA_SIGN.product ? 1 : 0, addend: how & FMA_SIGN.addend ? 1 : 0 };
  const even: FmaSigns = how & FMA_SIGN.even ? { ...odd, addend: odd.addend ? 0 : 1 } : odd;
  const single = form === FORM.ps || form === FORM.ss;
  const count = form === FORM.ps ? 4 : form === FORM.pd ? 2 : 1;
  for (let i = 0; i < count; i++) {
    const signs = i & 1 ? odd : even;
    if (single) {
      const [a, b, c] = [A32, B32, C32].map((at) => u32[at + i]) as [number, number, number];
      u32[RESULT32 + i] = fma32(env, a, b, c, signs);
    } else {
      const [a, b, c] = [A64, B64, C64].map((at) => u64[at + i]) as [bigint, bigint, bigint];
      u64[RESULT64 + i] = fma64(env, a, b, c, signs);
    }
  }
}

function halfPrecision({ u16, u32, u64 }: Cpu, env: FpEnv, operation: number): void {
  const immediate = u32[FP_SLOT.immediate >> 2] as number;
  u64[RESULT64 + 1] = 0n;
  for (let i = 0; i < 4; i++) {
    if (operation === FP.fromHalf) u32[RESULT32 + i] = f16ToF32(env, u16[(FP_SLOT.b >> 1) + i] as number);
    else u16[(FP_SLOT.result >> 1) + i] = f32ToF16(env, u32[B32 + i] as number, immediate);
  }
}

/** VDPPS of 256 bits: the second half comes with the first once more, so that exceptions are those of all lanes in each step. */
function dotOfHalf(cpu: Cpu, env: FpEnv, second: boolean): void {
  const { u32 } = cpu;
  const immediate = cpu.get32(FP_SLOT.immediate);
  if (!second) {
    u32.copyWithin(FP_SLOT.halfOperands >> 2, A32, A32 + 8);
    compute(cpu, env, FP.dot, FORM.ps);
    return;
  }
  env.flags = env.settled = 0;
  const first = FP_SLOT.halfOperands >> 2;
  const both = (half: number, other: number) =>
    Uint32Array.from([...u32.subarray(half, half + 4), ...u32.subarray(other, other + 4)]);
  const results = new Uint32Array(8);
  dpps(env, both(first, A32), both(first + 4, B32), immediate, results);
  u32.set(results.subarray(4), RESULT32);
}

function lanes(cpu: Cpu, env: FpEnv, operation: number, form: number): void {
  const immediate = cpu.get32(FP_SLOT.immediate);
  const { u32, u64 } = cpu;
  copyDestination(cpu);
  if (form === FORM.ps || form === FORM.ss) {
    const each = SINGLE[operation] as Single;
    const count = form === FORM.ps ? 4 : 1;
    for (let i = 0; i < count; i++) u32[RESULT32 + i] = each(env, u32[A32 + i] as number, u32[B32 + i] as number, immediate, i);
  } else {
    const each = DOUBLE[operation] as Double;
    const count = form === FORM.pd ? 2 : 1;
    for (let i = 0; i < count; i++) u64[RESULT64 + i] = each(env, u64[A64 + i] as bigint, u64[B64 + i] as bigint, immediate, i);
  }
}

/** A scalar result keeps the other lanes of the destination. */
function copyDestination({ u64 }: Cpu): void {
  u64[RESULT64] = u64[A64] as bigint;
  u64[RESULT64 + 1] = u64[A64 + 1] as bigint;
}

/** Conversions; `form` is the float's, which is the source of `convert` and the result of `fromInt`. */
function convert(cpu: Cpu, env: FpEnv, operation: number, form: number): void {
  const { u32, u64 } = cpu;
  const single = form === FORM.ps || form === FORM.ss;
  const packed = form === FORM.ps || form === FORM.pd;
  const b32 = (i: number) => u32[B32 + i] as number;
  const b64 = (i: number) => u64[B64 + i] as bigint;
  const truncate = operation === FP.truncateInt32 || operation === FP.truncateInt64;
  switch (operation) {
    case FP.convert:
      copyDestination(cpu);
      if (single) for (let i = 0; i < (packed ? 2 : 1); i++) u64[RESULT64 + i] = f32ToF64(env, b32(i));
      else for (let i = 0; i < (packed ? 2 : 1); i++) u32[RESULT32 + i] = f64ToF32(env, b64(i));
      if (form === FORM.pd) u64[RESULT64 + 1] = 0n;
      return;
    case FP.fromInt32:
      copyDestination(cpu);
      if (single) for (let i = 0; i < (packed ? 4 : 1); i++) u32[RESULT32 + i] = i32ToF32(env, b32(i));
      else u64[RESULT64] = i32ToF64(env, b32(0));
      return;
    case FP.fromInt64:
      copyDestination(cpu);
      if (single) u32[RESULT32] = i64ToF32(env, b64(0));
      else u64[RESULT64] = i64ToF64(env, b64(0));
      return;
    case FP.toInt32:
    case FP.truncateInt32: {
      const one = (i: number) => (single ? f32ToI32(env, b32(i), truncate) : f64ToI32(env, b64(i), truncate));
      if (!packed) {
        cpu.set64(FP_SLOT.answer, BigInt(one(0)));
        return;
      }
      u64[RESULT64 + 1] = 0n;
      for (let i = 0; i < (single ? 4 : 2); i++) u32[RESULT32 + i] = one(i);
      return;
    }
    default:
      cpu.set64(FP_SLOT.answer, single ? f32ToI64(env, b32(0), truncate) : f64ToI64(env, b64(0), truncate));
  }
}

/** Least normal and greatest finite single. */
const LEAST32 = 2 ** -126;
const MOST32 = 2 ** 128 - 2 ** 104;

/** Writes the result if every lane is ordinary and exact, so that no flag is due; rounding must be to nearest. */
function isExact(cpu: Cpu, operation: number, form: number, mxcsr: number): boolean {
  if (((mxcsr >> MXCSR.roundingShift) & 3) !== 0 || operation === FP.min || operation === FP.max) return false;
  const single = form === FORM.ps || form === FORM.ss;
  const count = form === FORM.ps ? 4 : form === FORM.pd ? 2 : 1;
  const { view } = cpu;
  copyDestination(cpu);
  for (let i = 0; i < count; i++) {
    const at = single ? 4 * i : 8 * i;
    const a = single ? view.getFloat32(FP_SLOT.a + at, true) : view.getFloat64(FP_SLOT.a + at, true);
    const b = single ? view.getFloat32(FP_SLOT.b + at, true) : view.getFloat64(FP_SLOT.b + at, true);
    const result = exactly(operation, a, b, i);
    if (Number.isNaN(result)) return false;
    if (!single) view.setFloat64(FP_SLOT.result + at, result, true);
    else {
      if (!isOrdinarySingle(b) || !isOrdinarySingle(result) || (operation !== FP.sqrt && !isOrdinarySingle(a))) return false;
      view.setFloat32(FP_SLOT.result + at, result, true);
    }
  }
  return true;
}

function exactly(operation: number, a: number, b: number, lane: number): number {
  switch (operation) {
    case FP.add:
      return exactSum(a, b);
    case FP.sub:
      return exactSum(a, -b);
    case FP.addsub:
      return exactSum(a, lane & 1 ? b : -b);
    case FP.mul:
      return exactProduct(a, b);
    case FP.div:
      return exactQuotient(a, b);
    case FP.sqrt:
      return exactRoot(b);
    default:
      return Number.NaN;
  }
}

/** A double that is zero or the value of a normal single. */
const isOrdinarySingle = (x: number): boolean =>
  x === 0 || (Math.fround(x) === x && Math.abs(x) >= LEAST32 && Math.abs(x) <= MOST32);
