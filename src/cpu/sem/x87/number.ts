// Numbers of the x87 registers in generated code: sign and exponent as an i32 of 16 bits, the significand as an i64 with its
// explicit integer bit on top (SDM vol. 1, 4.2.2). *Ordinary* ones are normal numbers and zeros; all others are the exact
// arithmetic's in fp/.
import { type Expr, i32, i64 } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';

export interface X87Number {
  /** i32. */
  readonly se: Expr;
  /** i64. */
  readonly m: Expr;
}

export const SIGN = 0x8000;
export const EXPONENT = 0x7fff;
export const BIAS = 16383;
export const INTEGER_BIT: Expr = i64(1n << 63n);
/** What a routine answers, before it has changed anything, when the exact arithmetic must do the instruction. */
export const NOT_ORDINARY: Expr = i32(-1);

export const exponentOf = (se: Expr): Expr => se.and(EXPONENT);
const isNormal = (exponent: Expr, m: Expr): Expr =>
  exponent
    .sub(1)
    .ltU(EXPONENT - 1)
    .and(m.ltS(0));
const isZero = (exponent: Expr, m: Expr): Expr => exponent.extendU().or(m).eqz();
/** `exponent` and `m` must be cheap to repeat. */
export const isOrdinary = (exponent: Expr, m: Expr): Expr => isNormal(exponent, m).or(isZero(exponent, m));

/** Returns NOT_ORDINARY from a routine if one of two operands is not; the usual case costs one branch. */
export function requireOrdinary(f: FunctionBuilder, a: { exponent: Expr; m: Expr }, b: { exponent: Expr; m: Expr }): void {
  const normal = isNormal(a.exponent, a.m).and(isNormal(b.exponent, b.m));
  f.if(normal.eqz(), () => {
    f.if(isOrdinary(a.exponent, a.m).and(isOrdinary(b.exponent, b.m)).eqz(), () => f.return(NOT_ORDINARY));
  });
}

/** Writes a number to the register at the address `at`. */
export function storeNumber(f: FunctionBuilder, at: Expr, se: Expr, m: Expr): void {
  f.store(at, 8, m, 0);
  f.store(at, 2, se, 8);
}
