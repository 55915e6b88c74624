// Delivery of faults and interrupts the way 32-bit kernels have them: from 32-bit code at level 0 or 3, through a 32-bit gate, to
// level 0, over segments of 4 GiB from address 0, everything in the TLBs. Whatever is not that is left to
// system/deliver-protected.ts, with nothing changed. SDM vol. 3, 6.12.
import { type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import { stateFlagStore, WordFlags } from '../emit/flag-emitter.ts';
import { enterFlatLevel, isUnusualLegacy, isUnusualStack } from '../sem/legacy-transfer.ts';
import { type GdtEntry, isFlatEntry, loadFrom, segmentAt } from '../sem/load-segment.ts';
import { ATTR, CR4, FLAG, MMU_INDEX, SEG, SEGMENT, SHADOW, STATE, TLB, VECTOR } from '../state.ts';
import { FLAT_CODE32, FLAT_DATA } from '../system/flat-segments.ts';
import { stateSlots } from './state-slots.ts';

const RSP = STATE.gpr + 4 * 8;
const GATE_BYTES = 8;
/** ESP0, and behind it SS0, of a 32-bit TSS; the bit of its type that tells it from a 16-bit one. SDM vol. 3, figure 7-2. */
const TSS_ESP0 = 4;
const TSS_SS0 = 8;
const TSS32 = 8;
/** Of the second dword of a gate: present, S, type 14 or 15. */
const GATE_MASK = 0x9e00;
const GATE_BITS = 0x8e00;
const TRAP_GATE = 0x100;

/** Adds (vector, error code or −1, flags to set in the pushed EFLAGS) → 1 when the event was delivered, 0 when nothing has happened. */
export function deliverLegacyFunction(m: ModuleBuilder, base: number, look: FunctionRef): FunctionRef {
  return m.add(['i32', 'i32', 'i32'], ['i32'], (f) => {
    const [vector, error, more] = f.params as [Local, Local, Local];
    const state = i32(base);
    const e = stateSlots(f, base);
    const refuse = (condition: Expr) => f.if(condition, () => f.return(i32(0)));
    const cpl = f.let(e.slot32(STATE.cpl));
    refuse(isUnusualLegacy(e).or(cpl.ne(0).and(cpl.ne(3))));
    // Tables and inner stacks are the supervisor's, whatever AC says. SDM vol. 3, 4.6.1.
    const smap = e.slot32(STATE.cr4).and(CR4.smap);
    const index = i32(MMU_INDEX.supervisor).select(smap, i32(MMU_INDEX.supervisorAc));
    const tlb = f.let(index.mul(3 * TLB.bytes).add(base + TLB.at));
    /** The 8 bytes of a table at an address. */
    const read = (address: Expr): GdtEntry => {
      const host = f.callValue(look, address.and(0xffff_ffff), i32(8), tlb);
      refuse(host.eqz());
      return { low: f.let(host.load('i32', 4, 0)), high: f.let(host.load('i32', 4, 4)) };
    };
    /** Of the GDT: selectors that are null, of the LDT or beyond the table are refused. */
    const descriptor = (selector: Expr) => {
      const at = f.let(selector.and(0xfff8));
      const limit = e.slot32(STATE.gdtr + 8).and(0xffff);
      refuse(at.eqz().or(selector.and(4)).or(at.add(7).gtU(limit)));
      return read(e.slot64(STATE.gdtr).add(at.extendU()));
    };

    const at = f.let(vector.mul(GATE_BYTES));
    refuse(at.add(GATE_BYTES - 1).gtU(e.slot32(STATE.idtr + 8).and(0xffff)));
    const gate = read(e.slot64(STATE.idtr).add(at.extendU()));
    refuse(gate.high.and(GATE_MASK).ne(GATE_BITS));
    const selector = f.let(gate.low.shrU(16).and(0xfffc));
    const code = descriptor(selector);
    refuse(isFlatEntry(code, FLAT_CODE32, i32(0)).eqz());

    const top = f.local('i32');
    const frameTlb = f.local('i32');
    const stackSelector = f.local('i32');
    const stack = { low: f.local('i32'), high: f.local('i32') };
    f.if(
      cpl,
      () => {
        const tr = segmentAt(SEGMENT.tr);
        const kind = ATTR.present | TSS32;
        refuse(e.slot32(tr).shrU(16).and(kind).ne(kind));
        refuse(e.slot32(tr + SEG.limit).ltU(TSS_SS0 + 1));
        const inner = read(e.slot64(tr + SEG.base).add(TSS_ESP0));
        f.set(top, inner.low);
        f.set(stackSelector, inner.high.and(0xffff));
        refuse(stackSelector.and(3));
        const found = descriptor(stackSelector);
        refuse(isFlatEntry(found, FLAT_DATA, i32(0)).eqz());
        f.set(stack.low, found.low);
        f.set(stack.high, found.high);
        f.set(frameTlb, tlb.add(TLB.bytes));
      },
      () => {
        refuse(isUnusualStack(e));
        f.set(top, e.slot32(RSP));
        f.set(frameTlb, e.slot32(STATE.tlbWrite));
      },
    );
    const outside = i32(5).select(cpl, i32(3));
    const bytes = f.let(outside.add(error.ne(-1)).shl(2));
    refuse(top.ltU(bytes));
    const pointer = f.let(top.sub(bytes));
    const frame = f.callValue(look, pointer.extendU(), bytes, frameTlb);
    refuse(frame.eqz());

    f.if(error.ne(-1), () => {
      f.store(frame, 4, error, 0);
      f.set(frame, frame.add(4));
    });
    const image = new WordFlags(f, stateFlagStore(f, state)).image();
    const old = f.let(e.slot32(STATE.eflags));
    f.store(frame, 4, e.slot32(STATE.rip), 0);
    f.store(frame, 4, e.slot32(segmentAt(SEGMENT.cs)).and(0xffff), 4);
    f.store(frame, 4, image.or(old).or(more).or(2), 8);
    f.if(cpl, () => {
      f.store(frame, 4, e.slot32(RSP), 12);
      f.store(frame, 4, e.slot32(segmentAt(SEGMENT.ss)).and(0xffff), 16);
      loadFrom(e, SEGMENT.ss, stackSelector, stack);
    });

    f.if(vector.eq(VECTOR.pf), () => e.setSlot64(STATE.cr2, e.slot64(STATE.faultAddress)));
    loadFrom(e, SEGMENT.cs, selector, code);
    e.setSlot64(RSP, pointer.extendU());
    e.setSlot64(STATE.rip, gate.low.and(0xffff).or(gate.high.and(0xffff_0000)).extendU());
    const cleared = FLAG.tf | FLAG.nt | FLAG.rf | FLAG.vm;
    const mask = i32(~cleared).select(gate.high.and(TRAP_GATE), i32(~(cleared | FLAG.if)));
    enterFlatLevel(e, 0, f.let(old.and(mask)));
    e.setSlot32(STATE.shadow, e.slot32(STATE.shadow).and(~(SHADOW.sti | SHADOW.movSs)));
    f.return(i32(1));
  });
}
