// The CVT instructions of SSE and SSE2, one lane at a time. Integers are unsigned bit patterns.
import { convert, fromInteger, toInteger } from './convert.ts';
import type { FpEnv } from './env.ts';
import { ROUNDING } from './env.ts';
import { F32, F64, packF32, packF64 } from './format.ts';
import type { Num } from './num.ts';
import { load32, load64 } from './sse.ts';

/** CVTSS2SD, CVTPS2PD. */
export const f32ToF64 = (env: FpEnv, a: number): bigint => packF64(convert(env, F64, load32(env, a)));
/** CVTSD2SS, CVTPD2PS. */
export const f64ToF32 = (env: FpEnv, a: bigint): number => packF32(convert(env, F32, load64(env, a)));

/** CVTSI2SS, CVTDQ2PS, CVTPI2PS: a 32-bit integer, signed or as its bits. */
export const i32ToF32 = (env: FpEnv, a: number): number => packF32(fromInteger(env, F32, BigInt(a | 0)));
/** CVTSI2SD, CVTDQ2PD, CVTPI2PD. Always exact. */
export const i32ToF64 = (env: FpEnv, a: number): bigint => packF64(fromInteger(env, F64, BigInt(a | 0)));
/** CVTSI2SS with REX.W. */
export const i64ToF32 = (env: FpEnv, a: bigint): number => packF32(fromInteger(env, F32, BigInt.asIntN(64, a)));
export const i64ToF64 = (env: FpEnv, a: bigint): bigint => packF64(fromInteger(env, F64, BigInt.asIntN(64, a)));

const rounding = (env: FpEnv, truncate: boolean) => (truncate ? ROUNDING.zero : env.rounding);

function toI32(env: FpEnv, a: Num, truncate: boolean): number {
  const value = toInteger(env, a, 32, rounding(env, truncate));
  return value === undefined ? 0x80000000 : Number(value) >>> 0;
}
function toI64(env: FpEnv, a: Num, truncate: boolean): bigint {
  const value = toInteger(env, a, 64, rounding(env, truncate));
  return value === undefined ? 1n << 63n : BigInt.asUintN(64, value);
}

/** CVTSS2SI, CVTPS2DQ, CVTPS2PI; `truncate` for the CVTT forms. The indefinite 0x80000000 when it does not fit. */
export const f32ToI32 = (env: FpEnv, a: number, truncate: boolean): number => toI32(env, load32(env, a), truncate);
export const f32ToI64 = (env: FpEnv, a: number, truncate: boolean): bigint => toI64(env, load32(env, a), truncate);
/** CVTSD2SI, CVTPD2DQ, CVTPD2PI. */
export const f64ToI32 = (env: FpEnv, a: bigint, truncate: boolean): number => toI32(env, load64(env, a), truncate);
export const f64ToI64 = (env: FpEnv, a: bigint, truncate: boolean): bigint => toI64(env, load64(env, a), truncate);
