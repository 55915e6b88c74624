// Delivery of faults and interrupts the way 64-bit kernels have them: from 64-bit code at level 0 or 3, through a gate without IST,
// to level 0, everything in the TLBs. Whatever is not that is left to system/deliver-long.ts, with nothing changed. From 32-bit code:
// deliver-legacy-function.ts.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import { stateFlagStore, WordFlags } from '../emit/flag-emitter.ts';
import { enterLevel } from '../sem/level.ts';
import { canonical, isPlainCode, loadFrom, loadSegment, segmentAt } from '../sem/load-segment.ts';
import { ATTR, CODE_MODE, CR4, FLAG, MMU_INDEX, SEG, SEGMENT, SHADOW, STATE, TLB, VECTOR } from '../state.ts';
import { deliverLegacyFunction } from './deliver-legacy-function.ts';
import { probe } from './probe-function.ts';
import { stateSlots } from './state-slots.ts';

const RSP = STATE.gpr + 4 * 8;
const GATE_BYTES = 16;
/** RSP0 of a 64-bit TSS. SDM vol. 3, figure 7-11. */
const TSS_RSP0 = 4;
/** Of the second dword of a gate: present, S, type 14 or 15; the index of an interrupt stack. */
const GATE_MASK = 0x9e07;
const GATE_BITS = 0x8e00;
const TRAP_GATE = 0x100;
const MOST_WORDS = 6;

/**
 * Adds (vector, error code or −1, flags to set in the pushed RFLAGS) → 1 when the event was delivered: STATE.rip is the handler's,
 * and what was STATE.rip lies in the frame. 0: nothing has happened.
 */
export function deliverFunction(m: ModuleBuilder, base: number, second: FunctionRef): FunctionRef {
  const look = probe(m, second);
  const legacy = deliverLegacyFunction(m, base, look);
  return m.add(['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [vector, error, more] = f.params as [Local, Local, Local];
    const state = i32(base);
    const e = stateSlots(f, base);
    f.if(e.slot32(STATE.codeMode).eq(CODE_MODE.code32), () => f.return(f.callValue(legacy, vector, error, more)));
    const refuse = (condition: Expr) => f.if(condition, () => f.return(i32(0)));
    const cpl = f.let(e.slot32(STATE.cpl));
    refuse(
      e
        .slot32(STATE.codeMode)
        .ne(CODE_MODE.code64)
        .or(e.slot32(STATE.stepping))
        .or(cpl.ne(0).and(cpl.ne(3))),
    );
    // Tables and inner stacks are the supervisor's, whatever AC says. SDM vol. 3, 4.6.1.
    const smap = e.slot32(STATE.cr4).and(CR4.smap);
    const index = i32(MMU_INDEX.supervisor).select(smap, i32(MMU_INDEX.supervisorAc));
    const tlb = f.let(index.mul(3 * TLB.bytes).add(base + TLB.at));
    const read = (linear: Expr, size: number): Local => {
      const host = f.callValue(look, linear, i32(size), tlb);
      refuse(host.eqz());
      return host;
    };

    const at = f.let(vector.mul(GATE_BYTES));
    refuse(at.add(GATE_BYTES - 1).gtU(e.slot32(STATE.idtr + 8).and(0xffff)));
    const gate = read(e.slot64(STATE.idtr).add(at.extendU()), GATE_BYTES);
    const low = f.let(gate.load('i32', 4, 0));
    const high = f.let(gate.load('i32', 4, 4));
    const offset = f.let(
      low
        .and(0xffff)
        .or(high.and(0xffff_0000))
        .extendU()
        .or(gate.load('i64', 4, 8).shl(32)),
    );
    refuse(high.and(GATE_MASK).ne(GATE_BITS).or(canonical(offset).eqz()));
    const selector = f.let(low.shrU(16).and(0xfffc));
    refuse(
      selector
        .and(4)
        .or(selector.eqz())
        .or(selector.add(7).gtU(e.slot32(STATE.gdtr + 8).and(0xffff))),
    );
    const descriptor = read(e.slot64(STATE.gdtr).add(selector.extendU()), 8);
    const code = { low: f.let(descriptor.load('i32', 4, 0)), high: f.let(descriptor.load('i32', 4, 4)) };
    refuse(isPlainCode(code, i32(0)).eqz());

    const top = f.local('i64');
    const frameTlb = f.local('i32');
    f.set(top, e.slot64(RSP));
    f.set(frameTlb, e.slot32(STATE.tlbWrite));
    f.if(cpl, () => {
      const tr = segmentAt(SEGMENT.tr);
      const usable = e.slot32(tr).shrU(16).and(ATTR.present);
      refuse(usable.eqz().or(e.slot32(tr + SEG.limit).ltU(TSS_RSP0 + 7)));
      f.set(top, read(e.slot64(tr + SEG.base).add(TSS_RSP0), 8).load('i64', 8, 0));
      refuse(canonical(top).eqz());
      f.set(frameTlb, tlb.add(TLB.bytes));
    });
    // The CPU aligns the stack even when it stays. 6.14.2.
    const words = f.let(i32(MOST_WORDS).select(error.ne(-1), i32(MOST_WORDS - 1)));
    const pointer = f.let(top.and(-16).sub(words.shl(3).extendU()));
    refuse(canonical(pointer).eqz());
    const frame = f.callValue(look, pointer, words.shl(3), frameTlb);
    refuse(frame.eqz());

    f.if(error.ne(-1), () => {
      f.store(frame, 8, error.extendU(), 0);
      f.set(frame, frame.add(8));
    });
    const image = new WordFlags(f, stateFlagStore(f, state)).image();
    const old = f.let(e.slot32(STATE.eflags));
    f.store(frame, 8, e.slot64(STATE.rip), 0);
    f.store(frame, 8, e.slot32(segmentAt(SEGMENT.cs)).and(0xffff).extendU(), 8);
    f.store(frame, 8, image.or(old).or(more).or(2).extendU(), 16);
    f.store(frame, 8, e.slot64(RSP), 24);
    f.store(frame, 8, e.slot32(segmentAt(SEGMENT.ss)).and(0xffff).extendU(), 32);

    f.if(vector.eq(VECTOR.pf), () => e.setSlot64(STATE.cr2, e.slot64(STATE.faultAddress)));
    loadFrom(e, SEGMENT.cs, selector, code);
    // 6.14.4: a change of level leaves a null SS.
    f.if(cpl, () => loadSegment(e, SEGMENT.ss, { selector: i32(0), attributes: i32(0), limit: i32(0), base: i64(0) }));
    e.setSlot64(RSP, pointer);
    e.setSlot64(STATE.rip, offset);
    const cleared = FLAG.tf | FLAG.nt | FLAG.rf | FLAG.vm;
    const mask = i32(~cleared).select(high.and(TRAP_GATE), i32(~(cleared | FLAG.if)));
    enterLevel(e, 0, f.let(old.and(mask)));
    e.setSlot32(STATE.shadow, e.slot32(STATE.shadow).and(~(SHADOW.sti | SHADOW.movSs)));
    f.return(i32(1));
  });
}
