// The order of two ordinary numbers.
import { i32, type Local } from '../../../wasm/expr.ts';
import type { Routine } from '../../emit/routine.ts';
import { exponentOf, requireOrdinary, SIGN } from './number.ts';

/** Condition codes in FSW (SDM vol. 1, table 8-6). */
export const CONDITION = { less: 0x100, equal: 0x4000, greater: 0, mask: 0x4500 } as const;

/** (a.se, a.m, b.se, b.m) → CONDITION, or NOT_ORDINARY. */
export const COMPARE: Routine = {
  name: 'x87 compare',
  params: ['i32', 'i64', 'i32', 'i64'],
  result: 'i32',
  emit: (f) => {
    const [aSe, aM, bSe, bM] = f.params as [Local, Local, Local, Local];
    const a = { exponent: f.let(exponentOf(aSe)), m: aM };
    const b = { exponent: f.let(exponentOf(bSe)), m: bM };
    requireOrdinary(f, a, b);
    f.if(aM.or(bM).eqz(), () => f.return(i32(CONDITION.equal)));
    const negative = f.let(aSe.and(SIGN));
    const less = i32(CONDITION.less);
    f.if(aSe.xor(bSe).and(SIGN), () => f.return(less.select(negative, CONDITION.greater)));
    f.if(aM.eq(bM).and(a.exponent.eq(b.exponent)), () => f.return(i32(CONDITION.equal)));
    const smaller = a.exponent.ltU(b.exponent).or(a.exponent.eq(b.exponent).and(aM.ltU(bM)));
    f.return(less.select(smaller.xor(negative.ne(0)), CONDITION.greater));
  },
};
