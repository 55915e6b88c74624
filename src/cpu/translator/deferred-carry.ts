// CF, OF and AF in a region. Most instructions set them and nothing looks: in place of computing the word that memory has for them
// (STATE.flagC), a region keeps two numbers whose comparison is CF, and what kind of instruction OF and AF are of. Those follow from
// the same numbers and the result, which is there for ZF and SF. The word is made where a region is left, or where it is asked for.
import { type Expr, i64 } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { OperandSize } from '../emit/emitter.ts';
import type { Routine } from '../emit/routine.ts';

/**
 * What OF and AF are of; x and y are the numbers with CF = x < y, both zero-extended. `add`: x is the sum, y an addend. `sub`: x − y.
 * `inc`, `dec`: of the result alone; x and y are of an instruction before.
 */
const OPERATIONS = { add: 0, sub: 1, inc: 2, dec: 3 } as const;
export type CarryOperation = keyof typeof OPERATIONS;

/** What CF, OF and AF are of, where the word is not made. */
export interface CarrySource {
  readonly operation: CarryOperation;
  readonly size: OperandSize;
}
/** What is known of them while translating: where they come from, or that the word is there. */
export type KnownCarry = CarrySource | 'word' | undefined;

/** Bits of STATE.flagC that mean something: CF, CF ^ OF, AF. */
export const CARRY_WORD = 0xc000_0008;
/** Bit 0 of what stands for the word while it is not made; the operation and the number of the sign bit are above it. */
const DEFERRED = 1;
const OPERATION_SHIFT = 1;
const SIGN_SHIFT = 8;

/** The number that stands for the word. */
export const deferred = ({ operation, size }: CarrySource): number =>
  DEFERRED | (OPERATIONS[operation] << OPERATION_SHIFT) | ((size * 8 - 1) << SIGN_SHIFT);

/** The word for a known operation; `sign` is the number of the operands' sign bit, as i64. */
function word(f: FunctionBuilder, operation: CarryOperation, sign: Expr, x: Expr, y: Expr, result: Expr): Expr {
  const [a, b] = operandsOf(operation, x, y, result).map((operand) => f.let(operand)) as [Expr, Expr];
  const odd = f.let(a.xor(b).xor(result));
  const grows = operation === 'add' || operation === 'inc';
  const overflow = a.xor(result).and(grows ? b.xor(result) : a.xor(b));
  const carry = f.let(x.ltU(y));
  return carry
    .shl(31)
    .or(carry.xor(overflow.shrU(sign).wrap()).and(1).shl(30))
    .or(odd.shrU(1).wrap().and(8));
}

/** What was added or subtracted; bits above the operands' size are anything. */
function operandsOf(operation: CarryOperation, x: Expr, y: Expr, result: Expr): readonly [Expr, Expr] {
  switch (operation) {
    case 'add':
      return [y, x.sub(y)];
    case 'sub':
      return [x, y];
    case 'inc':
      return [result.sub(1), i64(1)];
    case 'dec':
      return [result.add(1), i64(1)];
  }
}

/** The same where the operation is known only when the code runs: (what stands for the word, x, y, result) → the word. */
const WORD: Routine = {
  name: 'carryWord',
  params: ['i32', 'i64', 'i64', 'i64'],
  result: 'i32',
  emit(f) {
    const [kind, x, y, result] = f.params as readonly Expr[] as readonly [Expr, Expr, Expr, Expr];
    f.if(kind.and(DEFERRED).eqz(), () => f.return(kind));
    const sign = f.let(kind.shrU(SIGN_SHIFT).extendU());
    const which = f.let(kind.shrU(OPERATION_SHIFT).and(3));
    for (const [operation, number] of Object.entries(OPERATIONS))
      f.if(which.eq(number), () => f.return(word(f, operation as CarryOperation, sign, x, y, result)));
    f.unreachable();
  },
};

/** Makes the word. */
export function carryWord(
  f: FunctionBuilder,
  call: (routine: Routine, ...args: Expr[]) => Expr,
  known: KnownCarry,
  [kind, x, y, result]: readonly [Expr, Expr, Expr, Expr],
): Expr {
  if (known === 'word') return kind;
  if (known === undefined) return call(WORD, kind, x, y, result);
  return f.let(word(f, known.operation, i64(known.size * 8 - 1), x, y, result));
}
