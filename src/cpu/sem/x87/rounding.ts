// Rounding in generated code, by FCW.RC and FCW.PC (SDM vol. 1, 4.8.4 and 8.1.5).
import { type Expr, i32, i64, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder } from '../../../wasm/function-builder.ts';
import { STATE } from '../../state.ts';
import { EXPONENT, INTEGER_BIT, NOT_ORDINARY, SIGN, storeNumber } from './number.ts';

/** FCW: precision exception masked; rounding and precision control. FSW: PE and C1. */
const PM = 0x20;
const ROUNDING_SHIFT = 10;
/** Of the precision control's encodings, both with this bit mean 64 bits (01 is reserved); otherwise its other bit means 53. */
const FULL_PRECISION = 0x100;
const DOUBLE_PRECISION = 0x200;
export const PE = 0x20;
export const C1_SHIFT = 9;

/** FCW.RC = 11. */
export const TOWARDS_ZERO: Expr = i32(3);

export const controlWord = (f: FunctionBuilder, state: Expr): Expr => f.let(state.load('i32', 2, STATE.fcw));
export const roundingControl = (fcw: Expr): Expr => fcw.shrU(ROUNDING_SHIFT).and(3);

/**
 * 1 if the magnitude goes up. `rest`, not 0, is what was cut off, as a fraction of 2^64 units in the last place; a sticky bit
 * may stand for its lower part. `negative` and `odd` are 0 or 1, i32.
 */
export function goesUp(f: FunctionBuilder, control: Expr, negative: Expr, odd: Expr, rest: Expr): Local {
  const up = f.local('i32');
  f.if(
    control,
    // Down and negative, or up and positive.
    () => f.set(up, control.add(negative).eq(2)),
    () => f.set(up, rest.gtU(INTEGER_BIT).or(rest.eq(INTEGER_BIT).and(odd))),
  );
  return up;
}

/** FSW bits of an inexact result; returns NOT_ORDINARY from a routine where the precision exception is unmasked. */
export function inexact(f: FunctionBuilder, fcw: Expr, up: Expr): Expr {
  f.if(fcw.and(PM).eqz(), () => f.return(NOT_ORDINARY));
  return up.shl(C1_SHIFT).or(PE);
}

/** A result before rounding: (hi + lo / 2^64) × 2^(exponent − bias − 63), the integer bit of `hi` set. */
export interface Unrounded {
  /** 0 or SIGN. */
  readonly sign: Expr;
  readonly exponent: Local;
  readonly hi: Local;
  /** May have a sticky bit at its end. */
  readonly lo: Expr;
}

/** Ends a routine: rounds, writes the register at `at`, returns PE and C1; NOT_ORDINARY when it overflows or underflows. */
export function returnRounded(f: FunctionBuilder, state: Expr, at: Expr, { sign, exponent, hi, lo }: Unrounded): void {
  const fcw = controlWord(f, state);
  const unit = f.local('i64');
  const rest = f.local('i64');
  const raised = f.local('i32');
  f.if(
    fcw.and(FULL_PRECISION),
    () => {
      f.set(unit, i64(1));
      f.set(rest, lo);
    },
    () => {
      const cut = f.let(i64(11).select(fcw.and(DOUBLE_PRECISION), i64(40)));
      f.set(unit, i64(1).shl(cut));
      f.set(rest, hi.shl(i64(64).sub(cut)).or(lo.ne(0).extendU()));
      f.set(hi, hi.and(i64(0).sub(unit)));
    },
  );
  f.set(raised, i32(0));
  f.if(rest.ne(0), () => {
    const up = goesUp(f, f.let(roundingControl(fcw)), sign.ne(0), hi.and(unit).ne(0), rest);
    f.set(raised, inexact(f, fcw, up));
    f.if(up, () => {
      f.set(hi, hi.add(unit));
      f.if(hi.eqz(), () => {
        f.set(hi, INTEGER_BIT);
        f.set(exponent, exponent.add(1));
      });
    });
  });
  f.if(exponent.sub(1).geU(EXPONENT - 1), () => f.return(NOT_ORDINARY));
  storeNumber(f, at, sign.or(exponent), hi);
  f.return(raised);
}

/** Ends a routine with an exact zero; `sign` is 0 or SIGN. */
export function returnZero(f: FunctionBuilder, at: Expr, sign: Expr): void {
  storeNumber(f, at, sign, i64(0));
  f.return(i32(0));
}

/** The zero of an exact cancellation is negative when rounding down. */
export const cancelledSign = (f: FunctionBuilder, state: Expr): Expr =>
  i32(SIGN).select(roundingControl(controlWord(f, state)).eq(1), 0);
