// SYSENTER, SYSEXIT and IRETD the way 32-bit kernels use them: in protected mode outside IA-32e mode, between 32-bit code at levels 0
// and 3 over segments of 4 GiB from address 0. Whatever is not that is the helper's (system/syscall.ts, system/interrupt-return.ts).
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { isFlat } from '../emit/flat-segment.ts';
import { semantics } from '../emit/semantics.ts';
import { ATTR, CODE_MODE, CR0, EFER, FLAG, SEG, SEGMENT, STATE, SYSTEM_FLAGS } from '../state.ts';
import { FLAT_CODE32, FLAT_DATA } from '../system/flat-segments.ts';
import { SYSTEM_STATE } from '../system/system-state.ts';
import { enterLevel } from './level.ts';
import { dropInnerSegments, isFlatEntry, loadFrom, loadSegment, readGdt, type Slots, segmentAt } from './load-segment.ts';
import { lookForInterrupt } from './look-for-interrupt.ts';

const [RCX, RDX, RSP] = [1, 2, 4];
const RING3 = 3 << ATTR.dplShift;
const NO_LIMIT = 0xffff_ffffn;

/** Not 32-bit protected mode, or one instruction at a time: a trap may follow. */
export const isUnusualLegacy = (e: Slots): Expr =>
  e
    .slot32(STATE.codeMode)
    .ne(CODE_MODE.code32)
    .or(e.slot32(STATE.stepping))
    .or(e.slot32(STATE.cr0).and(CR0.pe).eqz())
    .or(e.slot32(STATE.eflags).and(FLAG.vm))
    .or(e.slot32(STATE.efer).and(EFER.lma));

/** Neither a stack of 4 GiB from address 0 nor one that ESP addresses: not 0. */
export const isUnusualStack = (e: Slots): Expr => {
  const base = segmentAt(SEGMENT.ss) + SEG.base;
  return isFlat(e.state, base)
    .eqz()
    .or(e.slot64(base).ne(0))
    .or(e.slot64(STATE.stackMask).ne(i64(NO_LIMIT)));
};

/** As enterLevel; code and stack are flat, and of 32 bits. */
export function enterFlatLevel(e: Slots, level: 0 | 3, flags: Expr): void {
  e.setSlot64(STATE.codeBase, i64(0));
  e.setSlot64(STATE.stackMask, i64(NO_LIMIT));
  enterLevel(e, level, flags);
}

function loadFlat(e: Emitter, codeSelector: Expr, level: 0 | 3): void {
  const [ring, rpl] = level === 3 ? [RING3, 3] : [0, 0];
  const flat = { limit: i32(-1), base: i64(0) };
  const selector = (more: number) => codeSelector.add(more).or(rpl).and(0xffff);
  loadSegment(e, SEGMENT.cs, { selector: selector(0), attributes: i32(FLAT_CODE32 | ring), ...flat });
  loadSegment(e, SEGMENT.ss, { selector: selector(8), attributes: i32(FLAT_DATA | ring), ...flat });
}

export const sysenter = semantics(
  'sysenter',
  '',
  (e) => {
    const { f } = e;
    const selector = f.let(e.slot32(STATE.sysenterCs).and(0xfffc));
    f.if(
      isUnusualLegacy(e).or(selector.eqz()),
      () => e.helper('sysenter'),
      () => {
        const flags = f.let(e.slot32(STATE.eflags).and(~(FLAG.vm | FLAG.if | FLAG.rf)));
        loadFlat(e, selector, 0);
        e.setGpr(RSP, 4, e.slot32(STATE.sysenterEsp));
        enterFlatLevel(e, 0, flags);
        e.jump(e.slot32(STATE.sysenterEip).extendU());
      },
    );
  },
  { ends: true },
);

export const sysexit = semantics(
  'sysexit',
  '',
  (e) => {
    const { f } = e;
    if (e.variant.osize === 8) {
      e.helper('sysexit');
      return;
    }
    const selector = f.let(e.slot32(STATE.sysenterCs).and(0xfffc));
    const flags = f.let(e.slot32(STATE.eflags));
    const refused = selector.eqz().or(e.slot32(STATE.cpl));
    f.if(
      isUnusualLegacy(e).or(refused).or(flags.and(FLAG.ac)),
      () => e.helper('sysexit'),
      () => {
        const target = e.gpr(RDX, 4);
        loadFlat(e, f.let(selector.add(16)), 3);
        e.setGpr(RSP, 4, e.gpr(RCX, 4));
        enterFlatLevel(e, 3, flags);
        e.jump(target.extendU());
      },
    );
  },
  { ends: true, by: 'osize' },
);

const PAGE = 4096;
const INNER_BYTES = 12;
const OUTER_BYTES = 20;

/** IRETD at level 0, to level 0 or 3. */
export function legacyIret(e: Emitter): void {
  const { f } = e;
  const helper = () => e.helper('iret');
  const pointer = e.gpr(RSP, 4);
  const old = f.let(e.slot32(STATE.eflags));
  // With AC set the tables would be read with other rights than the frame: SDM vol. 3, 4.6.1.
  const away = e
    .slot32(STATE.cpl)
    .or(e.slot32(SYSTEM_STATE.nmiBlocked))
    .or(old.and(FLAG.nt | FLAG.ac));
  const across = pointer.and(PAGE - 1).gtU(PAGE - OUTER_BYTES);
  f.if(isUnusualLegacy(e).or(away).or(across).or(isUnusualStack(e)), helper);
  const word = (n: number) => {
    const host = e.hostAddress(f.let(pointer.add(n * 4).extendU()), 4, 'r');
    return f.let(host.load('i32', 4, 0));
  };
  // The order of processors: CS is checked before ESP and SS are read.
  const image = word(2);
  const selector = f.let(word(1).and(0xffff));
  const target = word(0);
  const level = f.let(selector.and(3));
  const code = readGdt(e, selector, helper);
  // AC at level 3 may bring alignment checks; a trap follows TF.
  const trapped = image.and(FLAG.tf | FLAG.vm).or(image.and(FLAG.ac).ne(0).and(level.ne(0)));
  f.if(
    level
      .ne(0)
      .and(level.ne(3))
      .or(trapped)
      .or(isFlatEntry(code, FLAT_CODE32, level).eqz()),
    helper,
  );
  const flags = f.let(image.and(SYSTEM_FLAGS & ~FLAG.vm & ~FLAG.rf));
  const leave = (to: 0 | 3, newPointer: Expr): void => {
    loadFrom(e, SEGMENT.cs, selector, code);
    e.setGpr(RSP, 4, newPointer);
    e.flags.setAll(image);
    enterFlatLevel(e, to, flags);
    f.if(flags.and(FLAG.if), () => lookForInterrupt(e, target.extendU()));
    e.jump(target.extendU());
  };
  f.if(level.eqz(), () => leave(0, pointer.add(INNER_BYTES)));
  const newPointer = word(3);
  const stackSelector = f.let(word(4).and(0xffff));
  f.if(stackSelector.and(3).ne(3), helper);
  const stack = readGdt(e, stackSelector, helper);
  f.if(isFlatEntry(stack, FLAT_DATA, i32(3)).eqz(), helper);
  dropInnerSegments(e);
  loadFrom(e, SEGMENT.ss, stackSelector, stack);
  leave(3, newPointer);
}
