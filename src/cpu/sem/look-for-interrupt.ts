// How instructions that enable maskable interrupts have the loop look for one.
import type { Expr } from '../../wasm/expr.ts';
import type { Emitter } from '../emit/emitter.ts';
import { REQUEST, STATE } from '../state.ts';

/** Maskable interrupts have become possible: ends the instruction, at `rip` or the next one, if one waits. */
export function lookForInterrupt(e: Emitter, rip?: Expr): void {
  const { f } = e;
  f.if(e.slot32(STATE.interruptPending), () => {
    const at = e.state.add(STATE.request);
    const old = f.local('i32');
    f.loop((again) => {
      f.set(old, e.slot32(STATE.request));
      f.brIf(again, f.cmpxchg(at, 4, old, old.or(REQUEST.interrupt)).ne(old));
    });
    if (rip === undefined) e.endAndPoll();
    else e.jump(rip);
  });
}
