// SYSCALL, SYSRET and IRET the way 64-bit kernels use them: between 64-bit code at levels 0 and 3, over plain descriptors. Whatever
// is not that, or would be followed by a trap, is the helper's (system/syscall.ts, system/interrupt-return.ts), from the start.
import { type Expr, i32, i64 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { semantics } from '../emit/semantics.ts';
import { ATTR, CODE_MODE, EFER, FLAG, SEGMENT, STATE, SYSRET_FLAGS, SYSTEM_FLAGS } from '../state.ts';
import { FLAT_CODE64, FLAT_DATA } from '../system/flat-segments.ts';
import { SYSTEM_STATE } from '../system/system-state.ts';
import { legacyIret } from './legacy-transfer.ts';
import { enterLevel } from './level.ts';
import {
  canonical,
  dropInnerSegments,
  isPlainCode,
  isPlainStack,
  type Loaded,
  loadFrom,
  loadSegment,
  readGdt,
} from './load-segment.ts';
import { lookForInterrupt } from './look-for-interrupt.ts';

const [RCX, RSP, R11] = [1, 4, 11];

/** Not 64-bit mode, or one instruction at a time: a trap may follow. */
const unusual = (e: Emitter): Expr => e.slot32(STATE.codeMode).ne(CODE_MODE.code64).or(e.slot32(STATE.stepping));

const flat = (selector: Expr, attributes: number): Loaded => ({
  selector: selector.and(0xffff),
  attributes: i32(attributes),
  limit: i32(-1),
  base: i64(0),
});

export const syscall = semantics(
  'syscall',
  '',
  (e) => {
    const { f } = e;
    f.if(
      unusual(e).or(e.slot32(STATE.efer).and(EFER.sce).eqz()),
      () => e.helper('syscall'),
      () => {
        const kept = e.slot32(STATE.eflags).and(~FLAG.rf);
        const image = f.let(e.flags.image().or(kept).or(2));
        e.setGpr(RCX, 8, e.ripNext());
        e.setGpr(R11, 8, image.extendU());
        const flags = f.let(image.and(e.slot32(STATE.fmask).not()));
        e.flags.setAll(flags);
        const base = f.let(e.slot32(STATE.star + 4));
        loadSegment(e, SEGMENT.cs, flat(base.and(0xfffc), FLAT_CODE64));
        loadSegment(e, SEGMENT.ss, flat(base.and(0xffff).add(8), FLAT_DATA));
        enterLevel(e, 0, flags.and(SYSTEM_FLAGS));
        e.jump(e.slot64(STATE.lstar));
      },
    );
  },
  { ends: true },
);

export const sysret = semantics(
  'sysret',
  '',
  (e) => {
    const { f } = e;
    if (e.variant.osize !== 8) {
      e.helper('sysret');
      return;
    }
    const target = f.let(e.gpr(RCX, 8));
    const flags = f.let(e.gpr(R11, 4).and(SYSRET_FLAGS));
    const refused = e.slot32(STATE.efer).and(EFER.sce).eqz().or(e.slot32(STATE.cpl)).or(canonical(target).eqz());
    f.if(
      unusual(e)
        .or(refused)
        .or(flags.and(FLAG.tf | FLAG.ac)),
      () => e.helper('sysret'),
      () => {
        e.flags.setAll(flags);
        const base = f.let(e.slot32(STATE.star + 4).shrU(16));
        const ring3 = 3 << ATTR.dplShift;
        loadSegment(e, SEGMENT.cs, flat(base.add(16).or(3), FLAT_CODE64 | ring3));
        loadSegment(e, SEGMENT.ss, flat(base.add(8).or(3), FLAT_DATA | ring3));
        enterLevel(e, 3, flags.and(SYSTEM_FLAGS));
        f.if(flags.and(FLAG.if), () => lookForInterrupt(e, target));
        e.jump(target);
      },
    );
  },
  { ends: true, by: 'osize' },
);

const FRAME_BYTES = 40;
const PAGE = 4096;

export const iret = semantics(
  'iret',
  '',
  (e) => {
    const { f } = e;
    const helper = () => e.helper('iret');
    if (e.variant.osize !== 8) {
      if (e.variant.osize === 4) legacyIret(e);
      else helper();
      return;
    }
    const pointer = f.let(e.gpr(RSP, 8));
    const old = f.let(e.slot32(STATE.eflags));
    // With AC set the tables would be read with other rights than the frame: SDM vol. 3, 4.6.1.
    const away = e
      .slot32(STATE.cpl)
      .or(e.slot32(SYSTEM_STATE.nmiBlocked))
      .or(old.and(FLAG.nt | FLAG.ac));
    const across = pointer
      .wrap()
      .and(PAGE - 1)
      .gtU(PAGE - FRAME_BYTES);
    f.if(unusual(e).or(away).or(across).or(canonical(pointer).eqz()), helper);
    const word = (n: number) => e.loadAt(SEGMENT.ss, f.let(pointer.add(n * 8)), 8);
    // The order of processors: CS is checked before RSP and SS are read.
    const image = f.let(word(2).wrap());
    const selector = f.let(word(1).wrap().and(0xffff));
    const target = word(0);
    const level = f.let(selector.and(3));
    const code = readGdt(e, selector, helper);
    f.if(level.ne(0).and(level.ne(3)).or(isPlainCode(code, level).eqz()), helper);
    const newPointer = word(3);
    const stackSelector = f.let(word(4).wrap().and(0xffff));
    // AC at level 3 may bring alignment checks; a trap follows TF.
    const trapped = image.and(FLAG.tf).or(image.and(FLAG.ac).ne(0).and(level.ne(0)));
    f.if(trapped.or(stackSelector.and(3).ne(level)).or(canonical(target).eqz()), helper);
    const leave = (): void => {
      f.if(level, () => dropInnerSegments(e));
      loadFrom(e, SEGMENT.cs, selector, code);
      e.setGpr(RSP, 8, newPointer);
      e.flags.setAll(image);
      const flags = f.let(image.and(SYSTEM_FLAGS & ~FLAG.vm & ~FLAG.rf).or(old.and(FLAG.vm)));
      f.if(
        level,
        () => enterLevel(e, 3, flags),
        () => enterLevel(e, 0, flags),
      );
      f.if(flags.and(FLAG.if), () => lookForInterrupt(e, target));
      e.jump(target);
    };
    // 64-bit code at level 0 has a null SS after an interrupt from level 3.
    f.if(stackSelector.eqz(), () => {
      loadSegment(e, SEGMENT.ss, { selector: i32(0), attributes: i32(0), limit: i32(0), base: i64(0) });
      leave();
    });
    const stack = readGdt(e, stackSelector, helper);
    f.if(isPlainStack(stack, level).eqz(), helper);
    loadFrom(e, SEGMENT.ss, stackSelector, stack);
    leave();
  },
  { ends: true, by: 'osize' },
);
