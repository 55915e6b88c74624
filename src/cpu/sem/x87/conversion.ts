// From formats in memory to the registers' and back.
import { type Expr, i32, i64, type Local } from '../../../wasm/expr.ts';
import type { FunctionBuilder, Label } from '../../../wasm/function-builder.ts';
import type { Routine } from '../../emit/routine.ts';
import { SCRATCH } from '../scratch.ts';
import { BIAS, exponentOf, INTEGER_BIT, isOrdinary, NOT_ORDINARY, SIGN, type X87Number } from './number.ts';
import { controlWord, goesUp, inexact, roundingControl } from './rounding.ts';

interface Layout {
  /** Bits of the fraction, and greatest exponent field. */
  readonly fraction: number;
  readonly exponents: number;
  readonly bias: number;
}
const SINGLE: Layout = { fraction: 23, exponents: 0xff, bias: 127 };
const DOUBLE: Layout = { fraction: 52, exponents: 0x7ff, bias: 1023 };

/** Where routines leave a converted value: an i64. */
export const CONVERTED = SCRATCH.a;

/** m32fp (`bits` an i32) or m64fp (i64) that is ordinary; everything else goes to `slow`. */
export function fromFloat(f: FunctionBuilder, bits: Expr, slow: Label): X87Number {
  const [se, m] = [f.local('i32'), f.local('i64')];
  const single = bits.type === 'i32';
  const { fraction, exponents, bias } = single ? SINGLE : DOUBLE;
  const high = single ? bits : f.let(bits.shrU(32).wrap());
  const exponent = f.let(high.shrU(single ? fraction : fraction - 32).and(exponents));
  const sign = f.let(high.shrU(16).and(SIGN));
  f.if(
    exponent.sub(1).ltU(exponents - 1),
    () => {
      f.set(se, sign.or(exponent.add(BIAS - bias)));
      f.set(m, (single ? bits.extendU() : bits).shl(63 - fraction).or(INTEGER_BIT));
    },
    () => {
      f.brIf(slow, bits.shl(1).ne(0));
      f.set(se, sign);
      f.set(m, i64(0));
    },
  );
  return { se, m };
}

/** A signed integer (i64): always ordinary. */
export function fromInteger(f: FunctionBuilder, value: Expr): X87Number {
  const [se, m] = [f.local('i32'), f.local('i64')];
  f.set(m, value);
  f.set(se, i32(0));
  f.if(m.ne(0), () => {
    f.set(se, m.shrU(48).wrap().and(SIGN));
    f.if(m.ltS(0), () => f.set(m, i64(0).sub(m)));
    const zeros = f.let(m.clz());
    f.set(m, m.shl(zeros));
    f.set(se, se.or(i32(BIAS + 63).sub(zeros.wrap())));
  });
  return { se, m };
}

/** (se, m) → raised; the bits go to CONVERTED. What is not normal or zero in the format is not ordinary. */
const toFloat = (name: string, { fraction, exponents, bias }: Layout): Routine => ({
  name,
  params: ['i32', 'i64'],
  result: 'i32',
  emit: (f, state) => {
    const [se, m] = f.params as [Local, Local];
    const wide = f.let(exponentOf(se));
    f.if(isOrdinary(wide, m).eqz(), () => f.return(NOT_ORDINARY));
    const bits = f.local('i64');
    const raised = f.local('i32');
    f.set(bits, i64(0));
    f.set(raised, i32(0));
    const signShift = fraction + Math.log2(exponents + 1);
    const sign = f.let(se.shrU(15).extendU().shl(signShift));
    f.if(m.ne(0), () => {
      const exponent = f.let(wide.sub(BIAS - bias));
      f.if(exponent.sub(1).geU(exponents - 1), () => f.return(NOT_ORDINARY));
      // The integer bit counts as one in the exponent, and a carry goes there.
      f.set(
        bits,
        exponent
          .sub(1)
          .extendU()
          .shl(fraction)
          .add(m.shrU(63 - fraction)),
      );
      const rest = f.let(m.shl(fraction + 1));
      f.if(rest.ne(0), () => {
        const fcw = controlWord(f, state);
        const up = goesUp(f, f.let(roundingControl(fcw)), se.shrU(15), bits.wrap().and(1), rest);
        f.set(raised, inexact(f, fcw, up));
        f.set(bits, bits.add(up.extendU()));
        f.if(bits.shrU(fraction).eq(exponents), () => f.return(NOT_ORDINARY));
      });
    });
    f.store(state, 8, bits.or(sign), CONVERTED);
    f.return(raised);
  },
});
export const TO_SINGLE: Routine = toFloat('x87 to single', SINGLE);
export const TO_DOUBLE: Routine = toFloat('x87 to double', DOUBLE);

interface Integral {
  /** i64, below 2^63. */
  readonly magnitude: Local;
  readonly raised: Local;
}

/** Rounds a number to an integer; returns NOT_ORDINARY from a routine when its magnitude is 2^63 or more. */
function roundToInteger(f: FunctionBuilder, state: Expr, se: Expr, m: Expr, mode: (fcw: Expr) => Expr): Integral {
  const magnitude = f.local('i64');
  const raised = f.local('i32');
  const exponent = f.let(exponentOf(se));
  f.if(isOrdinary(exponent, m).eqz(), () => f.return(NOT_ORDINARY));
  f.set(magnitude, i64(0));
  f.set(raised, i32(0));
  f.if(m.ne(0), () => {
    const shift = f.let(i32(BIAS + 63).sub(exponent));
    f.if(shift.leS(0), () => f.return(NOT_ORDINARY));
    const rest = f.local('i64');
    // Below one half only that there is something counts.
    f.set(rest, i64(1));
    f.if(shift.leU(64), () => {
      const by = f.let(shift.sub(1).extendU());
      f.set(magnitude, m.shrU(by).shrU(1));
      f.set(rest, m.shl(i64(63).sub(by)));
    });
    f.if(rest.ne(0), () => {
      const fcw = controlWord(f, state);
      const up = goesUp(f, f.let(mode(fcw)), se.shrU(15), magnitude.wrap().and(1), rest);
      f.set(raised, inexact(f, fcw, up));
      f.set(magnitude, magnitude.add(up.extendU()));
    });
  });
  return { magnitude, raised };
}

/** (se, m, rounding control) → raised; the signed integer goes to CONVERTED. What does not fit `bytes` bytes is not ordinary. */
const toInteger = (bytes: 2 | 4 | 8): Routine => ({
  name: `x87 to integer of ${bytes}`,
  params: ['i32', 'i64', 'i32'],
  result: 'i32',
  emit: (f, state) => {
    const [se, m, control] = f.params as [Local, Local, Local];
    const { magnitude, raised } = roundToInteger(f, state, se, m, () => control);
    // Of 2^63, which only −2^63 could be, the exact arithmetic decides.
    f.if(magnitude.ltS(0), () => f.return(NOT_ORDINARY));
    f.if(se.and(SIGN), () => f.set(magnitude, i64(0).sub(magnitude)));
    const unused = 64 - 8 * bytes;
    f.if(magnitude.shl(unused).shrS(unused).ne(magnitude), () => f.return(NOT_ORDINARY));
    f.store(state, 8, magnitude, CONVERTED);
    f.return(raised);
  },
});
export const TO_INTEGER: Readonly<Record<2 | 4 | 8, Routine>> = { 2: toInteger(2), 4: toInteger(4), 8: toInteger(8) };

/** FRNDINT: (register's address, se, m) → raised. */
export const ROUND_TO_INTEGER: Routine = {
  name: 'x87 round to integer',
  params: ['i32', 'i32', 'i64'],
  result: 'i32',
  emit: (f, state) => {
    const [at, se, m] = f.params as [Local, Local, Local];
    // What has no fraction stays.
    f.if(exponentOf(se).geU(BIAS + 63), () => {
      f.if(isOrdinary(f.let(exponentOf(se)), m), () => f.return(i32(0)));
    });
    const { magnitude, raised } = roundToInteger(f, state, se, m, roundingControl);
    const zeros = f.let(magnitude.clz());
    const exponent = i32(0).select(magnitude.eqz(), i32(BIAS + 63).sub(zeros.wrap()));
    f.store(at, 2, se.and(SIGN).or(exponent), 8);
    f.store(at, 8, magnitude.shl(zeros), 0);
    f.return(raised);
  },
};
