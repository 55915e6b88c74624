// Takes a trace: runs the interpreter from one taken branch to the next and notes where it was.
import { i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import { STATE, TRACE } from '../state.ts';
import { RUN } from './run-function.ts';

/**
 * Emits (runs) → RUN for the vCPU at `base`: so many straight runs of instructions, or fewer when a request is pending or the
 * interpreter has another reason to come back. They are counted in STATE.traced; STATE.left is as after a budget of 0.
 */
export function emitTrace(f: FunctionBuilder, base: number, run: FunctionRef): void {
  const state = i32(base);
  const runs = f.params[0] as Local;
  const count = f.local('i32');
  const ran = f.local('i32');
  const at = f.local('i32');
  f.set(at, i32(base + TRACE.at));
  f.loop((again) => {
    const linear = state.load('i64', 8, STATE.rip).add(state.load('i64', 8, STATE.codeBase));
    f.store(at, 8, linear.and(state.load('i64', 8, STATE.linearMask)), TRACE.linear);
    f.store(at, 4, state.load('i32', 4, STATE.tlbExec), TRACE.tlbExec);
    const how = f.callValue(run, i32(1), i32(0));
    const here = f.let(i32(1).sub(state.load('i32', 4, STATE.left)));
    f.store(at, 4, here, TRACE.count);
    f.set(ran, ran.add(here));
    f.set(at, at.add(TRACE.sizeof));
    f.set(count, count.add(1));
    f.brIf(
      again,
      how
        .eq(RUN.poll)
        .and(count.ltS(runs))
        .and(state.load('i32', 4, STATE.request).eqz()),
    );
    f.store(state, 4, i32(0).sub(ran), STATE.left);
    f.store(state, 4, count, STATE.traced);
    f.return(how);
  });
  f.unreachable();
}
