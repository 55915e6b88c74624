// The stack. SDM vol. 2: PUSH, POP, PUSHA, POPA, PUSHF, POPF, ENTER, LEAVE, and the segment register forms.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { type Semantics, semantics } from '../emit/semantics.ts';
import { SEG, SEGMENT, SHADOW, STATE } from '../state.ts';
import { loadDataSegment } from './load-segment.ts';
import { SCRATCH } from './scratch.ts';
import { narrow, signExtend, zeroExtend } from './value.ts';

const [RSP, RBP] = [4, 5];
type StackSize = 2 | 4 | 8;

/** PUSH SP pushes the value before the instruction: SDM vol. 2B, PUSH. */
export const push = semantics(
  'push',
  'r',
  (e) => {
    e.push(e.get(0), e.size(0) as StackSize);
  },
  { hot: true, by: 'mode' },
);

export const pushImmediate = semantics(
  'pushImmediate',
  'r',
  (e) => {
    const { osize } = e.variant;
    e.push(signExtend(e.get(0), e.size(0), osize), osize);
  },
  { hot: true, by: 'osize mode' },
);

const pointerAfter = (e: Emitter, bytes: number): Expr => e.f.let(e.stackPointer().add(bytes));

/** POP SP keeps what was popped; a memory destination is addressed with the pointer after the POP: SDM vol. 2B, POP. */
export const pop = semantics(
  'pop',
  'w',
  (e) => {
    const size = e.size(0) as StackSize;
    const value = e.peek(0, size);
    const pointer = pointerAfter(e, size);
    if (e.variant.operands[0]?.kind === 'gpr') {
      e.setStackPointer(pointer);
      e.set(0, value);
      return;
    }
    const before = e.gpr(RSP, 8);
    e.setStackPointer(pointer);
    const offset = e.f.let(e.offset(0));
    e.setGpr(RSP, 8, before);
    e.storeAt('operand', offset, size, value);
    e.setStackPointer(pointer);
  },
  { hot: true, by: 'mode' },
);

/** Of a 32-bit slot only the lower half is written: SDM vol. 2B, PUSH; POP reads no more either. */
export const pushSegment = (name: string, segment: number): Semantics =>
  semantics(
    name,
    '',
    (e) => {
      const { osize } = e.variant;
      const selector = e.state.load('i32', 2, STATE.seg + segment * SEG.sizeof + SEG.selector);
      if (osize !== 4) {
        e.push(zeroExtend(selector, 2, osize), osize);
        return;
      }
      const below = e.stackPointer().sub(osize);
      const pointer = e.f.let(e.variant.long ? below : below.and(e.slot64(STATE.stackMask)));
      e.storeAt(SEGMENT.ss, pointer, 2, selector);
      e.setStackPointer(pointer);
    },
    { by: 'osize mode' },
  );

/** The load may fault, so the pointer moves after it; for SS it moves by the width the old stack had. */
export const popSegment = (name: string, segment: number): Semantics =>
  semantics(
    name,
    '',
    (e) => {
      const { osize } = e.variant;
      // Only the selector's own two bytes are read.
      const selector = e.f.let(e.peek(0, 2).and(0xffff));
      e.setSlot32(SCRATCH.selector, selector);
      const pointer = pointerAfter(e, osize);
      const mask = e.f.let(e.slot64(STATE.stackMask));
      if (segment === SEGMENT.ss) e.compute('loadSegment', segment);
      else
        e.f.block((done) => {
          e.f.block((slow) => {
            loadDataSegment(e, segment, selector, () => e.f.br(slow));
            e.f.br(done);
          });
          e.compute('loadSegment', segment);
        });
      if (segment === SEGMENT.ss) {
        e.setSlot32(STATE.shadow, i32(SHADOW.movSs));
        e.setSlot64(STATE.shadowRip, e.ripNext());
      }
      if (segment !== SEGMENT.ss || e.variant.long) e.setStackPointer(pointer);
      else e.setGpr(RSP, 8, e.gpr(RSP, 8).and(mask.not()).or(pointer.and(mask)));
    },
    { ends: true, by: 'osize mode' },
  );

/** In the order of their encoding, so that the last one pushed is DI. SP is pushed as it was before. */
export const pusha = semantics(
  'pusha',
  '',
  (e) => {
    const size = e.variant.osize as StackSize;
    const mask = e.f.let(e.slot64(STATE.stackMask));
    const before = e.stackPointer();
    const at = (n: number) => e.f.let(before.sub(n * size).and(mask));
    for (let register = 0; register < 8; register++) {
      e.storeAt(SEGMENT.ss, at(register + 1), size, e.gpr(register, size));
    }
    e.setStackPointer(at(8));
  },
  { by: 'osize mode' },
);

/** The stored SP is read and dropped. As in processors, a fault halfway leaves the registers loaded that far; SP stays. */
export const popa = semantics(
  'popa',
  '',
  (e) => {
    const size = e.variant.osize as StackSize;
    for (let n = 0; n < 8; n++) {
      const value = e.peek(n * size, size);
      if (7 - n !== RSP) e.setGpr(7 - n, size, value);
    }
    e.setStackPointer(pointerAfter(e, 8 * size));
  },
  { by: 'osize mode' },
);

export const leave = semantics(
  'leave',
  '',
  (e) => {
    const { osize, long } = e.variant;
    const frame = e.gpr(RBP, 8);
    const pointer = long ? frame : e.f.let(frame.and(e.slot64(STATE.stackMask)));
    const value = e.loadAt(SEGMENT.ss, pointer, osize);
    e.setStackPointer(e.f.let(pointer.add(osize)));
    e.setGpr(RBP, osize, value);
  },
  { hot: true, by: 'osize mode' },
);

/** ENTER with its nesting level in the second operand; the old frame pointers are pushed one by one. */
export const enter = semantics(
  'enter',
  'r,r',
  (e) => {
    const { f } = e;
    const { osize, long } = e.variant;
    const clip = (at: Expr) => f.let(long ? at : at.and(e.slot64(STATE.stackMask)));
    const bytes = e.get(0);
    const level = f.let(e.get(1).and(31));
    const pointer = f.local('i64');
    const frame = f.local('i64');
    const link = f.local('i64');
    const left = f.local('i32');
    const pushNext = (value: Expr) => {
      f.set(pointer, clip(pointer.sub(osize)));
      e.storeAt(SEGMENT.ss, pointer, osize, value);
    };
    f.set(pointer, e.stackPointer());
    pushNext(e.gpr(RBP, osize));
    f.set(frame, pointer);
    // With a 16-bit stack the whole of ESP becomes the new EBP.
    const chained = f.let(long ? frame : e.gpr(RSP, 8).and(e.slot64(STATE.stackMask).not()).or(frame));
    f.if(level, () => {
      f.set(link, e.gpr(RBP, 8));
      f.set(left, level.sub(1));
      f.block((done) =>
        f.loop((next) => {
          f.brIf(done, left.eqz());
          f.set(link, clip(link.sub(osize)));
          pushNext(e.loadAt(SEGMENT.ss, link, osize));
          f.set(left, left.sub(1));
          f.br(next);
        }),
      );
      pushNext(narrow(chained, osize));
    });
    f.set(pointer, clip(pointer.sub(bytes.extendU())));
    // The new top of the stack must be writable before anything changes.
    e.hostAddress(e.linearAt(SEGMENT.ss, pointer, osize, true), osize, 'w');
    e.setGpr(RBP, osize, narrow(chained, osize));
    e.setStackPointer(pointer);
  },
  { by: 'osize mode' },
);
