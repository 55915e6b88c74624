// What every SSE and MMX instruction has in common: the check that the unit may be used, and the entry into MMX state.

import type { Expr } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { STATE } from '../state.ts';

/** FSW.ES: an unmasked x87 exception is pending. FSW.TOP. SDM vol. 1, 8.1.3. */
const FSW = { es: 0x80, top: 0x3800 } as const;

export interface SimdOptions {
  hot?: boolean;
  by?: string;
  ends?: boolean;
}

/** #UD or #NM unless SSE may be used. SDM vol. 3, 14.1 and table 2-2. */
export function checkSse(e: Emitter): void {
  e.f.if(e.slot32(STATE.sseBlocked), () => e.helper('simdBlocked'));
}

/** #UD, #NM or #MF unless MMX may be used. SDM vol. 3, 13.1 and 13.5. */
export function checkMmx(e: Emitter): void {
  const pending = e.state.load('i32', 2, STATE.fsw).and(FSW.es);
  e.f.if(e.slot32(STATE.mmxBlocked).or(pending), () => e.helper('simdBlocked'));
}

/** TOP = 0, as at the start of every MMX instruction. SDM vol. 1, 9.5.1. */
function clearTop(e: Emitter): void {
  e.f.store(e.state, 2, e.state.load('i32', 2, STATE.fsw).and(i32(~FSW.top)), STATE.fsw);
}
/** TOP = 0 and all tags valid, as after every MMX instruction but EMMS. */
export function enterMmx(e: Emitter): void {
  clearTop(e);
  e.f.store(e.state, 2, i32(0xff), STATE.ftw);
}
/** A store clears TOP even if it faults; a load that faults leaves everything alone (observed on Intel's CPUs). */
function beforeAccess(e: Emitter): void {
  if (e.variant.operands[0]?.kind === 'mem') clearTop(e);
}

/** An instruction on XMM registers. */
export const sse = (name: string, access: string, body: (e: Emitter) => void, options: SimdOptions = {}): Semantics =>
  semantics(
    name,
    access,
    (e) => {
      checkSse(e);
      body(e);
    },
    options,
  );

/** An instruction on MMX registers. The state changes once nothing can fault any more. */
export const mmx = (name: string, access: string, body: (e: Emitter) => void, options: SimdOptions = {}): Semantics =>
  semantics(
    name,
    access,
    (e) => {
      checkMmx(e);
      beforeAccess(e);
      body(e);
      enterMmx(e);
    },
    options,
  );

/** An instruction with an MMX and an XMM form; `width` is 8 or 16 bytes. */
export const simd = (
  name: string,
  access: string,
  body: (e: Emitter, width: 8 | 16) => void,
  options: SimdOptions = {},
): Semantics =>
  semantics(
    name,
    access,
    (e) => {
      const isMmx = e.variant.operands.some((operand) => operand.kind === 'mmx');
      if (isMmx) {
        checkMmx(e);
        beforeAccess(e);
      } else checkSse(e);
      body(e, isMmx ? 8 : 16);
      if (isMmx) enterMmx(e);
    },
    options,
  );

/** Operand `n`; a 16-byte memory operand must be aligned. SDM vol. 1, 4.1.1. */
export const aligned = (e: Emitter, n: number): Expr => e.getVector(n, { aligned: e.variant.operands[n]?.size === 16 });

export type Combine = (a: Expr, b: Expr, width: 8 | 16, e: Emitter) => Expr;

/** destination = combine(destination, source). */
export const binary = (name: string, combine: Combine, options: SimdOptions = {}): Semantics =>
  simd(
    name,
    'rw,r',
    (e, width) => {
      const b = aligned(e, 1);
      const a = e.getVector(0);
      e.setVector(0, combine(a, b, width, e));
    },
    options,
  );

/** destination = convert(source). */
export const unary = (name: string, convert: (a: Expr, e: Emitter) => Expr, options: SimdOptions = {}): Semantics =>
  simd(name, 'w,r', (e) => e.setVector(0, convert(aligned(e, 1), e)), options);
