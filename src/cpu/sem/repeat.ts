// The REP loop of string instructions: count, polling, and the registers that move. SDM vol. 2B, REP; vol. 1, 7.3.9.3.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { Emitter, OperandSize } from '../emit/emitter.ts';
import { FLAG, STATE, TLB } from '../state.ts';
import { narrow, truncated, wide } from './value.ts';

const [RCX, RSI, RDI] = [1, 6, 7];
/** Chunks (pages or elements) after which a repeated instruction lets others have a look. */
const QUOTA = 1024;

/** Offset in RSI or RDI, as the address size has it. */
export const sourceOffset = (e: Emitter): Expr => e.f.let(truncated(e.gpr(RSI, 8), e.variant.asize));
export const destinationOffset = (e: Emitter): Expr => e.f.let(truncated(e.gpr(RDI, 8), e.variant.asize));

export const directionIsDown = (e: Emitter): Expr => e.slot32(STATE.eflags).and(FLAG.df);

/** Signed bytes from one element to the next, as i64. */
export const stride = (e: Emitter, size: OperandSize): Expr => e.f.let(i64(-size).select(directionIsDown(e), i64(size)));

/** With a 32-bit address size in 64-bit mode registers lose their upper halves before anything else, even if the count is 0. */
function truncateEarly(e: Emitter, registers: readonly number[]): void {
  if (e.variant.asize !== 4 || !e.variant.long) return;
  for (const register of registers) e.setGpr(register, 4, e.gpr(register, 4));
}
/** MOVS and STOS treat their pointers so too. */
export const MOVS_POINTERS: readonly number[] = [RSI, RDI];
export const STOS_POINTERS: readonly number[] = [RDI];

/** Moves RSI or RDI from `offset` by `bytes` (i64), in the width of the address size. */
const move = (e: Emitter, register: number, offset: Expr, bytes: Expr): void => {
  const { asize } = e.variant;
  e.setGpr(register, asize, narrow(offset.add(bytes), asize));
};
export const moveSource = (e: Emitter, offset: Expr, bytes: Expr): void => move(e, RSI, offset, bytes);
export const moveDestination = (e: Emitter, offset: Expr, bytes: Expr): void => move(e, RDI, offset, bytes);

/** One pass of a repeated instruction. `left` is the count before it (i64). */
export interface Pass {
  /** Elements done, as i64: at least 1, at most `left`. Their registers are already moved. */
  readonly done: Expr;
  /** i32: stop although the count is not exhausted. Undefined: never. */
  readonly stop?: Expr;
  /** What to do once when the instruction ends in this pass. */
  readonly finish?: () => void;
}

/**
 * Emits the body once without a REP prefix, or in a loop that counts RCX down. After each pass the state is that of an
 * instruction about to continue: it may fault in the next pass, or be left through the helper `repeat` with RIP on it.
 * `early`: pointers that are truncated with the count.
 */
export function repeated(e: Emitter, body: (left: Expr) => Pass, early: readonly number[] = []): void {
  const { f } = e;
  if (e.variant.rep === 'none') {
    body(i64(1)).finish?.();
    return;
  }
  const { asize } = e.variant;
  const left = f.local('i64');
  const quota = f.local('i32');
  f.set(left, wide(e.gpr(RCX, asize), asize));
  truncateEarly(e, [RCX, ...early]);
  f.set(quota, i32(1).select(e.slot32(STATE.stepping), i32(QUOTA)));
  f.block((end) => {
    f.brIf(end, left.eqz());
    f.loop((next) => {
      const pass = body(left);
      f.set(left, left.sub(pass.done));
      e.setGpr(RCX, asize, narrow(left, asize));
      const over = pass.stop === undefined ? left.eqz() : left.eqz().or(pass.stop);
      f.if(over, () => {
        pass.finish?.();
        f.br(end);
      });
      f.set(quota, quota.sub(1));
      f.if(quota.eqz().or(e.slot32(STATE.request)), () => e.helper('repeat'));
      f.br(next);
    });
  });
}

/**
 * True (i32) when the TLB leads straight to the page of an element that lies in one page: this is RAM whose every byte may
 * be accessed with no further notice, and the engine is not stepping from element to element. An ordinary access fills the TLB for the next time.
 */
export function isDirect(e: Emitter, linear: Expr, size: OperandSize, access: 'r' | 'w'): Expr {
  const array = e.slot32(access === 'r' ? STATE.tlbRead : STATE.tlbWrite);
  const entry = array.add(
    linear
      .shrU(8)
      .wrap()
      .and((TLB.entries - 1) * TLB.entrySize),
  );
  return entry
    .load('i64', 8, 0)
    .eq(linear.add(size - 1).and(-4096))
    .and(e.slot32(STATE.stepping).eqz());
}

/** Whole elements from a linear address to the end of its page, at least 1, as i32. */
export const elementsInPage = (linear: Expr, size: OperandSize): Expr =>
  i32(4096).sub(linear.wrap().and(4095)).shrU(Math.log2(size));

/** The lesser of an i64 count and an i32 one, at least 1. */
export function atMost(e: Emitter, left: Expr, limit: Expr): Local {
  const n = e.f.local('i32');
  const room = e.f.let(limit);
  e.f.set(n, room.select(left.gtU(room.extendU()), left.wrap()));
  e.f.set(n, n.select(n, i32(1)));
  return n;
}
