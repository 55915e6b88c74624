// Numbers of the SSE operations that TypeScript computes exactly, as the argument of the compute named 'fp'.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { STATE } from '../state.ts';

/** Packed or scalar, single or double. */
export const FORM = { ps: 0, pd: 1, ss: 2, sd: 3 } as const;
export type FormName = keyof typeof FORM;

/** What to do; the argument is `operation << 2 | form`. */
export const FP = {
  add: 0,
  sub: 1,
  mul: 2,
  div: 3,
  min: 4,
  max: 5,
  sqrt: 6,
  rcp: 7,
  rsqrt: 8,
  addsub: 9,
  /** With an immediate: the predicate, the rounding, the lanes. */
  cmp: 10,
  round: 11,
  dot: 12,
  /** EFLAGS as the answer. */
  ucomi: 13,
  comi: 14,
  /** From the form's format to the other one; from and to integers of 32 and 64 bits. The form is the float's. */
  convert: 15,
  fromInt32: 16,
  fromInt64: 17,
  toInt32: 18,
  toInt64: 19,
  truncateInt32: 20,
  truncateInt64: 21,
  /** The immediate has FMA's signs: see FMA_SIGN. */
  fma: 22,
  /** Four halves and four singles; the immediate is the rounding. */
  fromHalf: 23,
  toHalf: 24,
} as const;
/**
 * Bits beside the operation: it is done on the first, or then on the second half of one instruction's lanes. An exception in
 * either waits for `end`, which raises it with the flags of both.
 */
export const HALF = { first: 0x100, second: 0x200, end: 0x300 } as const;
/** Bits for `fma`: the product, the addend, and the addend of the even lanes are subtracted. */
export const FMA_SIGN = { product: 1, addend: 2, even: 4 } as const;
export type FpName = keyof typeof FP;

/** Where operands and answers are: two or three vectors in, one out; an immediate in, an integer or flags out. */
export const FP_SLOT = {
  a: STATE.vectorScratch,
  b: STATE.vectorScratch + 16,
  result: STATE.vectorScratch + 32,
  c: STATE.vectorScratch + 48,
  /** u32. */
  immediate: STATE.scratch,
  /** u64. */
  answer: STATE.scratch + 8,
  /** u32: MXCSR before the first half, and the flags that this raised: `FpEnv.flags`, and `settled` from bit 8. */
  halfMxcsr: STATE.scratch + 16,
  halfFlags: STATE.scratch + 20,
  /** DPPS goes step by step over all lanes: the operands of the first half, 32 bytes. */
  halfOperands: STATE.scratch + 24,
} as const;

export const operationNumber = (name: FpName, form: FormName): number => (FP[name] << 2) | FORM[form];

/** Emits the slow path: the answer is in FP_SLOT.result or FP_SLOT.answer unless an exception is raised. */
export function computeSlow(e: Emitter, name: FpName, form: FormName, a: Expr, b: Expr, immediate?: Expr): void {
  e.f.storeV(e.state, a, FP_SLOT.a);
  e.f.storeV(e.state, b, FP_SLOT.b);
  if (immediate !== undefined) e.setSlot32(FP_SLOT.immediate, immediate);
  e.compute('fp', operationNumber(name, form));
}

/** `fast()` where `plain` holds, else the exact computation. */
export function vectorOrSlow(
  e: Emitter,
  plain: Expr,
  fast: () => Expr,
  name: FpName,
  form: FormName,
  a: Expr,
  b: Expr,
  immediate?: Expr,
): Expr {
  const result = e.local('v128');
  e.f.if(
    plain,
    () => e.f.set(result, fast()),
    () => {
      computeSlow(e, name, form, a, b, immediate);
      e.f.set(result, e.state.loadV(FP_SLOT.result));
    },
  );
  return result;
}
