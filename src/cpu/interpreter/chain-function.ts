// From region to region, without a look at the interpreter in between.
import { type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import { STATE, TLB } from '../state.ts';
import { REC, REGION, REGION_SITE_SHIFT, SPECIAL } from './record.ts';

/** One in so many transfers that something can be learnt from is looked at. */
export const TRANSFERS = 64;

/**
 * Emits (record of a region) → REGION for the vCPU at `base`: runs that region and those that it leads to. It ends with
 * `REGION.jump` where no region begins, when a request is pending or when the budget is spent, so also in a chain that never
 * ends. `regionType` is the type of regions: (entryArgument) → REGION. `looked` is called with the record of the region that was
 * left, the site in it and the page it was entered on, once in TRANSFERS times that there is a site, or no region where it leads
 * to; the guest is at STATE.rip then.
 */
export function emitChain(f: FunctionBuilder, base: number, regionType: number, looked: FunctionRef): void {
  const state = i32(base);
  const record = f.params[0] as Local;
  const slot64 = (at: number): Expr => state.load('i64', 8, at);
  const home = f.local('i64');
  const next = f.local('i32');
  f.loop((again) => {
    f.set(home, slot64(STATE.ripBase));
    const argument = record.load('i32', 4, REC.immediate + 4);
    const how = f.callTable(1, regionType, 'i32', record.load('i32', 4, REC.immediate), argument);
    const code = f.let(how.and((1 << REGION_SITE_SHIFT) - 1));
    f.if(code, () => f.return(code));
    const rip = f.let(slot64(STATE.rip));
    const linear = f.let(rip.add(slot64(STATE.codeBase)).and(slot64(STATE.linearMask)));
    const entry = f.let(
      state.load('i32', 4, STATE.tlbExec).add(
        linear
          .shrU(8)
          .wrap()
          .and((TLB.entries - 1) * TLB.entrySize),
      ),
    );
    const offset = f.let(linear.wrap().and(4095));
    f.set(next, i32(0));
    f.if(entry.load('i64', 8, 0).eq(linear.and(-4096).or(state.load('i64', 4, STATE.codeTag))), () => {
      f.set(next, entry.load('i32', 4, 8).add(offset.shl(2)).load('i32', 4, 0));
      f.if(next, () => f.set(next, next.select(next.load('i32', 2, REC.op).eq(SPECIAL.region), i32(0))));
    });
    const site = f.let(how.shrU(REGION_SITE_SHIFT));
    f.if(site.or(next.eqz()), () => {
      const until = f.let(state.load('i32', 4, STATE.untilTransfer).sub(1));
      f.store(state, 4, until, STATE.untilTransfer);
      f.if(until.leS(0), () => {
        f.store(state, 4, i32(TRANSFERS), STATE.untilTransfer);
        f.call(looked, record, site, home);
        // It may have made a region, or dropped one.
        f.return(i32(REGION.jump));
      });
      f.if(next.eqz(), () => f.return(i32(REGION.jump)));
    });
    const spent = state.load('i32', 4, STATE.left).leS(0);
    f.if(state.load('i32', 4, STATE.request).or(spent), () => f.return(i32(REGION.jump)));
    f.store(state, 8, rip.sub(offset.extendU()), STATE.ripBase);
    f.set(record, next);
    f.br(again);
  });
  f.unreachable();
}
