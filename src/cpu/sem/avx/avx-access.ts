// What AVX instructions of their own have in common.
import type { Expr } from '../../../wasm/expr.ts';
import type { Emitter } from '../../emit/emitter.ts';
import { type Semantics, semantics } from '../../emit/semantics.ts';
import { STATE } from '../../state.ts';
import { ZERO } from '../simd-ops.ts';

/** #UD or #NM unless AVX may be used. SDM vol. 1, 14.3. */
export function checkAvx(e: Emitter): void {
  e.f.if(e.slot32(STATE.avxBlocked), () => e.helper('avxBlocked'));
}

export const avx = (
  name: string,
  access: string,
  body: (e: Emitter) => void,
  options: { hot?: boolean; by?: string } = {},
): Semantics =>
  semantics(
    name,
    access,
    (e) => {
      checkAvx(e);
      body(e);
    },
    options,
  );

/** A register of 128 or 256 bits: its halves, the high one zero in the former. */
export type Halves = readonly [low: Expr, high: Expr];

/** Whether operand `n` has 32 bytes. */
export const isWide = (e: Emitter, n = 0): boolean => e.variant.operands[n]?.size === 32;

/** Operand `n` by halves. */
export function halves(e: Emitter, n: number): Halves {
  const low = e.getVector(n);
  return [low, isWide(e, n) ? e.getVector(n, { high: true }) : ZERO];
}

/** destination = combine of each half; the high one is zero in a form of 128 bits. */
export function setEach(e: Emitter, combine: (half: 0 | 1) => Expr): void {
  const low = e.f.let(combine(0));
  e.setWide(0, low, isWide(e) ? e.f.let(combine(1)) : ZERO);
}
