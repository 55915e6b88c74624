// What a change of privilege level, or of EFLAGS.AC, does to the engine's own state, in 64-bit mode: as Cpu.updateMode.
import { type Expr, i32 } from '../../wasm/expr.ts';
import { CR4, FLAG, MMU_INDEX, STATE, TLB } from '../state.ts';
import type { Slots } from './load-segment.ts';

/** Sets EFLAGS, without the arithmetic flags, and CPL. 64-bit code comes from 64-bit code; at level 3 AC must be 0. */
export function enterLevel(e: Slots, level: 0 | 3, flags: Expr): void {
  e.setSlot32(STATE.cpl, i32(level));
  setSystemFlags(e, level, flags);
  const execute = 3 * (level === 3 ? MMU_INDEX.user : MMU_INDEX.supervisor) + 2;
  e.setSlot32(STATE.tlbExec, e.state.add(TLB.at + execute * TLB.bytes));
}

/** EFLAGS.AC chooses between the two supervisor TLBs while SMAP is on. */
export function setSystemFlags(e: Slots, level: 0 | 3, flags: Expr): void {
  e.setSlot32(STATE.eflags, flags);
  const strict = e.slot32(STATE.cr4).and(CR4.smap).ne(0).and(flags.and(FLAG.ac).eqz());
  const supervisor = i32(MMU_INDEX.supervisor).select(strict, i32(MMU_INDEX.supervisorAc));
  const index = e.f.let(level === 3 ? i32(MMU_INDEX.user) : supervisor);
  const array = e.f.let(
    index
      .mul(3 * TLB.bytes)
      .add(e.state)
      .add(TLB.at),
  );
  e.setSlot32(STATE.mmuIndex, index);
  e.setSlot32(STATE.tlbRead, array);
  e.setSlot32(STATE.tlbWrite, array.add(TLB.bytes));
}
