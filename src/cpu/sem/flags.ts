// Flag instructions. SDM vol. 2: CLC, STC, CMC, CLD, STD, LAHF, SAHF, SALC, CLI, STI, STAC, CLAC, PUSHF, POPF.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { semantics } from '../emit/semantics.ts';
import { FLAG, SHADOW, STATE, VECTOR } from '../state.ts';
import { setSystemFlags } from './level.ts';
import { lookForInterrupt } from './look-for-interrupt.ts';

const RAX = 0;

export const clc = semantics('clc', '', (e) => e.flags.setCarry(i32(0)));
export const stc = semantics('stc', '', (e) => e.flags.setCarry(i32(1)));
export const cmc = semantics('cmc', '', (e) => e.flags.setCarry(e.flags.carry().xor(1)));
export const cld = semantics('cld', '', (e) => e.setSlot32(STATE.eflags, e.slot32(STATE.eflags).and(~FLAG.df)));
export const std = semantics('std', '', (e) => e.setSlot32(STATE.eflags, e.slot32(STATE.eflags).or(FLAG.df)));

/** Bits of the byte that LAHF and SAHF move; bit 1 reads as 1. */
const LOW_FLAGS = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf;

export const lahf = semantics('lahf', '', (e) => {
  const low = e.flags.image().and(LOW_FLAGS).or(2);
  e.setGpr(RAX, 2, e.gpr(RAX, 2).and(0xff).or(low.shl(8)));
});
export const sahf = semantics('sahf', '', (e) => {
  const ah = e.gpr(RAX, 2).shrU(8).and(LOW_FLAGS);
  e.flags.setAll(e.flags.image().and(FLAG.of).or(ah));
});
/** Undocumented: AL = CF ? FF : 0. */
export const salc = semantics('salc', '', (e) => e.setGpr(RAX, 1, e.flags.carry().neg()));

/** CPL ≤ IOPL. Real-address mode runs at CPL 0, virtual-8086 mode at 3. */
const ioAllowed = (e: Emitter): Expr => e.slot32(STATE.cpl).leU(e.slot32(STATE.eflags).shrU(12).and(3));

/** The helper raises #GP(0), or clears VIF under CR4.PVI or CR4.VME. */
export const cli = semantics(
  'cli',
  '',
  (e) => {
    e.f.if(
      ioAllowed(e),
      () => e.setSlot32(STATE.eflags, e.slot32(STATE.eflags).and(~FLAG.if)),
      () => e.helper('cli'),
    );
  },
  { hot: true, ends: true, by: 'mode' },
);

/** Interrupts stay off for one more instruction if they were off. The helper is for the cases in which VIF takes IF's place. */
export const sti = semantics(
  'sti',
  '',
  (e) => {
    const { f } = e;
    f.if(
      ioAllowed(e),
      () => {
        const old = f.let(e.slot32(STATE.eflags));
        f.if(old.and(FLAG.if).eqz(), () => {
          e.setSlot32(STATE.eflags, old.or(FLAG.if));
          e.setSlot32(STATE.shadow, i32(SHADOW.sti));
          e.setSlot64(STATE.shadowRip, e.ripNext());
          lookForInterrupt(e);
        });
      },
      () => e.helper('sti'),
    );
  },
  { hot: true, ends: true, by: 'mode' },
);

/** Both instructions need CPL 0, where AC means no alignment checks. */
function setAccessCheck(e: Emitter, ac: boolean): void {
  e.f.if(e.slot32(STATE.cpl), () => e.raise(VECTOR.ud));
  const flags = e.slot32(STATE.eflags);
  setSystemFlags(e, 0, e.f.let(ac ? flags.or(FLAG.ac) : flags.and(~FLAG.ac)));
}
export const stac = semantics('stac', '', (e) => setAccessCheck(e, true));
export const clac = semantics('clac', '', (e) => setAccessCheck(e, false));

/** In virtual-8086 mode with IOPL below 3 the helper does it all: VME, or #GP(0). */
export const pushf = semantics(
  'pushf',
  '',
  (e) => {
    const { osize, long } = e.variant;
    const ordinary = () => {
      const kept = e.slot32(STATE.eflags).and(~(FLAG.vm | FLAG.rf));
      const image = e.f.let(e.flags.image().or(kept).or(2));
      e.push(osize === 8 ? image.extendU() : image, osize);
    };
    if (long) ordinary();
    else e.f.if(e.slot32(STATE.eflags).and(FLAG.vm).ne(0).and(ioAllowed(e).eqz()), () => e.helper('pushf'), ordinary);
  },
  { hot: true, by: 'osize mode' },
);

/** What POPF may change with consequences (TF, AC), only at some privilege (IOPL), or not at all. */
const SPECIAL = FLAG.tf | FLAG.iopl | FLAG.nt | FLAG.ac | FLAG.id;

/** The helper `popf` does the whole instruction when one of the rarer flags would change, or in virtual-8086 mode. */
export const popf = semantics(
  'popf',
  '',
  (e) => {
    const { f } = e;
    const { osize } = e.variant;
    const popped = e.peek(0, osize);
    const low = f.let(osize === 8 ? popped.wrap() : popped);
    const old = f.let(e.slot32(STATE.eflags));
    const reach = osize === 2 ? SPECIAL & 0xffff : SPECIAL;
    // Every pop clears RF; VIF and VIP stay.
    f.if(
      low
        .xor(old)
        .and(reach)
        .or(old.and(FLAG.vm | FLAG.rf)),
      () => e.helper('popf'),
      () => {
        e.setStackPointer(f.let(e.stackPointer().add(osize)));
        e.flags.setAll(low);
        const writable = f.let(i32(FLAG.df | FLAG.if).select(ioAllowed(e), i32(FLAG.df)));
        const now = f.let(old.and(writable.not()).or(low.and(writable)));
        e.setSlot32(STATE.eflags, now);
        f.if(now.and(old.not()).and(FLAG.if), () => lookForInterrupt(e));
      },
    );
  },
  { hot: true, ends: true, by: 'osize mode' },
);
