// The string comparisons of SSE4.2. What string libraries are made of is here, the rest of the comparison in strings/. SDM vol. 2,
// section 4.1.
import { type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import type { Routine } from '../emit/routine.ts';
import type { Semantics } from '../emit/semantics.ts';
import { FLAG } from '../state.ts';
import { STRING_LENGTH, STRING_SLOT } from '../strings/pcmpxstrx.ts';
import { test, vector, ZERO } from './simd-ops.ts';
import { sse } from './sse-access.ts';

const RAX = 0;
const RCX = 1;
const RDX = 2;

/** Bits of the immediate byte. */
const IMM = { words: 1, ordered: 4, each: 8, negative: 0x10, masked: 0x20, most: 0x40 } as const;
/** What COMPARED says beyond the 16 bits of the comparison. */
const ENDS = { second: 16, first: 17 } as const;

/**
 * (first operand, second operand, immediate) → IntRes2 of bytes up to a zero, compared as 'equal any' or 'equal each'; the bits above
 * tell whether the operands have a zero.
 */
const COMPARED: Routine = {
  name: 'pcmpistr',
  params: ['v128', 'v128', 'i32'],
  result: 'i32',
  emit(f) {
    const [a, b, immediate] = f.params as [Local, Local, Local];
    // A bit for each element before the end.
    const before = (text: Expr): Expr => {
      const ends = f.let(test('i8x16.bitmask', vector('i8x16.eq', text, ZERO)).or(0x1_0000));
      return f.let(ends.and(ends.neg()).sub(1));
    };
    const first = before(a);
    const second = before(b);
    const result = f.local('i32');
    f.if(
      immediate.and(IMM.each),
      () => {
        const equal = test('i8x16.bitmask', vector('i8x16.eq', a, b));
        f.set(result, equal.and(first).and(second).or(first.or(second).xor(0xffff)));
      },
      () => {
        const found = f.local('v128');
        const n = f.local('i32');
        f.set(found, ZERO);
        f.set(n, i32(0));
        f.loop((again) => {
          f.if(first.shrU(n).and(1), () => {
            const element = vector('i8x16.swizzle', a, vector('i8x16.splat', n));
            f.set(found, vector('v128.or', found, vector('i8x16.eq', b, element)));
            f.set(n, n.add(1));
            f.br(again);
          });
        });
        f.set(result, test('i8x16.bitmask', found).and(second));
      },
    );
    f.if(immediate.and(IMM.negative), () => f.set(result, result.xor(second.select(immediate.and(IMM.masked), 0xffff))));
    f.return(result.or(second.ne(0xffff).shl(ENDS.second)).or(first.ne(0xffff).shl(ENDS.first)));
  },
};

function compare(name: string, explicit: boolean, finish: (e: Emitter) => void): Semantics {
  return sse(
    name,
    'r,r,r',
    (e) => {
      const b = e.getVector(1);
      const a = e.getVector(0);
      const immediate = e.f.let(e.get(2));
      const byComputing = () => {
        e.f.storeV(e.state, a, STRING_SLOT.first);
        e.f.storeV(e.state, b, STRING_SLOT.second);
        e.setSlot32(STRING_SLOT.immediate, immediate);
        if (explicit) {
          const length = (register: number) => (e.variant.osize === 8 ? e.gpr(register, 8) : e.gpr(register, 4).extendS());
          e.setSlot64(STRING_SLOT.firstLength, length(RAX));
          e.setSlot64(STRING_SLOT.secondLength, length(RDX));
        }
        e.compute('pcmpxstrx', explicit ? STRING_LENGTH.explicit : STRING_LENGTH.implicit);
        finish(e);
        e.flags.setAll(e.f.let(e.slot32(STRING_SLOT.flags)));
      };
      if (explicit || finish !== index) byComputing();
      else e.f.if(immediate.and(IMM.words | IMM.ordered), byComputing, () => indexOf(e, a, b, immediate));
    },
    explicit ? { by: 'osize' } : {},
  );
}

/** PCMPISTRI by COMPARED. */
function indexOf(e: Emitter, first: Expr, second: Expr, immediate: Expr): void {
  const compared = e.routine(COMPARED, first, second, immediate);
  const result = e.f.let(compared.and(0xffff));
  const none = result.eqz();
  const lowest = result.or(0x1_0000).ctz();
  const highest = i32(16).select(none, i32(31).sub(result.clz()));
  e.setGpr(RCX, 4, highest.select(immediate.and(IMM.most), lowest));
  const flag = (bit: Expr, value: number): Expr => bit.and(1).shl(Math.log2(value));
  const flags = none
    .eqz()
    .or(flag(compared.shrU(ENDS.second), FLAG.zf))
    .or(flag(compared.shrU(ENDS.first), FLAG.sf));
  e.flags.setAll(e.f.let(flags.or(flag(result, FLAG.of))));
}

const index = (e: Emitter): void => e.setGpr(RCX, 4, e.f.let(e.slot32(STRING_SLOT.index)));
const mask = (e: Emitter): void => e.setXmm(0, e.state.loadV(STRING_SLOT.mask));

export const pcmpestrm = compare('pcmpestrm', true, mask);
export const pcmpestri = compare('pcmpestri', true, index);
export const pcmpistrm = compare('pcmpistrm', false, mask);
export const pcmpistri = compare('pcmpistri', false, index);
