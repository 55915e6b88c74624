// Near control transfers. SDM vol. 2: JMP, Jcc, JCXZ, LOOPcc, CALL, RET. Each condition and loop is semantics of its own.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { SEG, SEGMENT, STATE, VECTOR } from '../state.ts';
import { CONDITIONS } from './move.ts';
import { narrow, wide } from './value.ts';

const RCX = 1;
type StackSize = 2 | 4 | 8;

/** #GP(0) for a target that is not canonical, or beyond the limit of CS outside 64-bit mode. */
function checkTarget(e: Emitter, target: Expr): void {
  const outside = e.variant.long
    ? target.shl(16).shrS(16).ne(target)
    : target.wrap().gtU(e.slot32(STATE.seg + SEGMENT.cs * SEG.sizeof + SEG.limit));
  e.f.if(outside, () => e.raise(VECTOR.gp, 0));
}

export const jumpRelative = semantics('jmpRelative', 'r', (e) => e.jumpRelative(), { ends: true, hot: true });

export const jumpIf: readonly Semantics[] = CONDITIONS.map((name, code) =>
  semantics(
    `j${name}`,
    'r',
    (e) => {
      e.f.if(e.flags.condition(code), () => e.jumpRelative());
    },
    { hot: true },
  ),
);

export const jumpIndirect = semantics(
  'jmpIndirect',
  'r',
  (e) => {
    const target = e.f.let(wide(e.get(0), e.size(0)));
    checkTarget(e, target);
    e.jump(target);
  },
  { ends: true, hot: true, by: 'mode' },
);

/** Pushes RIP; it is stored before the target is checked, but the pointer has not moved when the check fails. */
function storeReturn(e: Emitter, size: StackSize, check: () => void): void {
  const below = e.stackPointer().sub(size);
  const pointer = e.f.let(e.variant.long ? below : below.and(e.slot64(STATE.stackMask)));
  e.storeAt(SEGMENT.ss, pointer, size, narrow(e.ripNext(), size));
  check();
  e.setStackPointer(pointer);
}

export const callRelative = semantics(
  'callRelative',
  'r',
  (e) => {
    const { osize } = e.variant;
    if (e.variant.long) e.push(narrow(e.ripNext(), osize), osize);
    else storeReturn(e, osize, () => e.checkRelative());
    e.jumpRelative();
  },
  { ends: true, hot: true, by: 'osize mode' },
);

export const callIndirect = semantics(
  'callIndirect',
  'r',
  (e) => {
    const size = e.size(0) as StackSize;
    const target = e.f.let(wide(e.get(0), size));
    storeReturn(e, size, () => checkTarget(e, target));
    e.jump(target);
  },
  { ends: true, hot: true, by: 'mode' },
);

function emitReturn(e: Emitter, release: Expr | number): void {
  const { osize } = e.variant;
  const target = e.f.let(wide(e.peek(0, osize), osize));
  checkTarget(e, target);
  e.setStackPointer(e.f.let(e.stackPointer().add(osize).add(release)));
  e.jump(target);
}

export const ret = semantics('ret', '', (e) => emitReturn(e, 0), { ends: true, hot: true, by: 'osize mode' });
export const retRelease = semantics('retRelease', 'r', (e) => emitReturn(e, e.get(0).extendU()), {
  ends: true,
  by: 'osize mode',
});

/** CX, ECX or RCX by the address size. */
export const jumpIfCountZero = semantics(
  'jcxz',
  'r',
  (e) => {
    const count = e.gpr(RCX, e.variant.asize);
    e.f.if(count.eqz(), () => e.jumpRelative());
  },
  { by: 'asize' },
);

/** Counts down and jumps while the count and, for LOOPE and LOOPNE, ZF allow. */
const loop = (name: string, zero: 'any' | 'set' | 'clear'): Semantics =>
  semantics(
    name,
    'r',
    (e) => {
      const { asize } = e.variant;
      const count = e.f.let(e.gpr(RCX, asize).sub(1));
      const more = asize === 8 ? count.ne(0) : asize === 4 ? count.ne(0) : count.and(0xffff).ne(0);
      const zf = e.flags.condition(4).ne(0);
      const allowed = e.f.let(zero === 'any' ? more : more.and(zero === 'set' ? zf : zf.eqz()));
      e.f.if(allowed, () => e.checkRelative());
      e.setGpr(RCX, asize, count);
      e.f.if(allowed, () => e.jumpRelative());
    },
    { by: 'asize' },
  );

export const loopAlways = loop('loop', 'any');
export const loopWhileZero = loop('loope', 'set');
export const loopWhileNotZero = loop('loopne', 'clear');
