// Whole families of variants of a string instruction: prefix, address size, mode.
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';

export type ElementSize = OperandSize;

/** The byte form and the form of the operand size. `ends`: a helper may leave for the machine's answer at any time. */
export function stringFamily(
  name: string,
  emit: (e: Emitter, size: ElementSize) => void,
  ends = false,
): { readonly bytes: Semantics; readonly words: Semantics } {
  return {
    bytes: semantics(`${name}b`, '', (e) => emit(e, 1), { ends, by: 'asize rep mode' }),
    words: semantics(`${name}v`, '', (e) => emit(e, e.variant.osize), { ends, by: 'osize asize rep mode' }),
  };
}
