// The interpreter's loop: a br_table over the records of decoded instructions, with the hot handlers inside it.
//
// Two loops, one in the other. The inner one calls nothing, because V8 spills to the stack whatever lives across a call. What
// needs a call (a TLB miss, a helper, code not decoded yet) leaves it for the outer one.
import { type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import { type FlagStore, stateFlagStore } from '../emit/flag-emitter.ts';
import { STATE, TLB, VECTOR } from '../state.ts';
import { ForwardedFlags } from './forwarded-flags.ts';
import { type Ends, InterpreterEmitter, type Runtime, STATUS } from './interpreter-emitter.ts';
import { REC, RECORD_SHIFT, RECORD_SIZE, REGION, SPECIAL } from './record.ts';
import type { Handler } from './variants.ts';

/** What `run` answers. */
export const RUN = {
  /** At a block head: a request is pending or the budget is spent. `STATE.rip` is the next instruction. */
  poll: 0,
  /** The fault slots are set; `STATE.rip` is the instruction that failed, unless the fetch itself did. */
  fault: 1,
  /** The exit slots are set; `STATE.rip` is the next instruction. */
  exit: 2,
  /** A single step is done. `STATE.rip` is the next instruction. */
  step: 3,
} as const;

/** What the loop calls when it must. */
export interface RunCalls {
  readonly fetchMiss: FunctionRef;
  readonly decodeMiss: FunctionRef;
  readonly crossPage: FunctionRef;
  /** Type of the functions in the table: (record) → STATUS, by handler number. */
  readonly handlerType: number;
  /** Runs translated regions: (record) → REGION. */
  readonly chain: FunctionRef;
}

/** Emits `run(budget, record)` → RUN for the vCPU at `base`. */
export function emitRun(f: FunctionBuilder, base: number, hot: readonly Handler[], runtime: Runtime, calls: RunCalls): void {
  const state = i32(base);
  const [left, first] = f.params as [Local, Local];
  const rec = f.local('i32');
  const start = f.local('i32');
  const next = f.local('i32');
  const table = f.local('i32');
  const passRegion = f.local('i32');
  const rip = f.local('i64');
  const ripOf = (record: Expr) => state.load('i64', 8, STATE.ripBase).add(record.load('i64', 2, REC.offset));
  /** Counts what ran since `start`; `done` is 1 if the current record is complete, 0 if not. */
  const count = (done: 0 | 1) => f.set(left, left.sub(rec.sub(start).shrU(RECORD_SHIFT).add(done)));
  const leave = (code: number) => {
    f.store(state, 4, left, STATE.left);
    f.return(i32(code));
  };
  const enter = (record: Expr) => {
    f.set(rec, record);
    f.set(start, rec);
  };
  const spent = () => state.load('i32', 4, STATE.request).or(left.leS(0));
  const linearRip = () => f.let(rip.add(state.load('i64', 8, STATE.codeBase)).and(state.load('i64', 8, STATE.linearMask)));
  const fetchEntry = (linear: Expr) =>
    f.let(
      state.load('i32', 4, STATE.tlbExec).add(
        linear
          .shrU(8)
          .wrap()
          .and((TLB.entries - 1) * TLB.entrySize),
      ),
    );
  const fetchTag = (linear: Expr) => linear.and(-4096).or(state.load('i64', 4, STATE.codeTag));
  const raise = (vector: number, errorCode: number) => {
    f.store(state, 4, i32(vector), STATE.faultVector);
    f.store(state, 4, i32(errorCode), STATE.faultError);
  };

  /** Finds the record for `rip`: execute TLB → entry table of the page → record. */
  const find = (fetchFault: Label, poll: Label) => {
    const linear = linearRip();
    const entry = fetchEntry(linear);
    f.if(
      entry.load('i64', 8, 0).eq(fetchTag(linear)),
      () => f.set(table, entry.load('i32', 4, 8)),
      () => {
        f.store(state, 8, rip, STATE.rip);
        f.store(state, 8, linear, STATE.slowAddress);
        f.set(table, f.callValue(calls.fetchMiss));
        f.brIf(fetchFault, table.eqz());
      },
    );
    const offset = f.let(linear.wrap().and(4095));
    f.store(state, 8, rip.sub(offset.extendU()), STATE.ripBase);
    f.set(next, table.add(offset.shl(2)).load('i32', 4, 0));
    f.if(next.eqz(), () => {
      f.store(state, 8, rip, STATE.rip);
      f.set(next, f.callValue(calls.decodeMiss, table, offset));
      f.brIf(fetchFault, next.eqz());
    });
    f.if(passRegion, () => {
      f.set(passRegion, i32(0));
      f.if(next.load('i32', 2, REC.op).eq(SPECIAL.region), () => f.set(next, next.load('i32', 4, REC.displacement)));
    });
    f.brIf(poll, spent());
    enter(next);
  };

  /** The same where nothing is missing; otherwise `outer` does it. */
  const findFast = (outer: Label, again: Label, poll: Label) => {
    const linear = linearRip();
    const entry = fetchEntry(linear);
    f.set(rec, i32(0));
    f.brIf(outer, entry.load('i64', 8, 0).ne(fetchTag(linear)));
    const offset = f.let(linear.wrap().and(4095));
    f.set(next, entry.load('i32', 4, 8).add(offset.shl(2)).load('i32', 4, 0));
    f.brIf(outer, next.eqz());
    f.store(state, 8, rip.sub(offset.extendU()), STATE.ripBase);
    enter(next);
    f.brIf(again, spent().eqz());
    f.br(poll);
  };

  f.block((fetchFault) => {
    f.block((poll) => {
      f.block((fault) => {
        f.set(rip, state.load('i64', 8, STATE.rip));
        enter(first);
        f.loop((outer) => {
          f.if(rec.eqz(), () => find(fetchFault, poll));
          f.block((cross) => {
            f.block((region) => {
              f.block((cold) => {
                f.loop((again) => {
                  f.block((search) => {
                    f.block((jump) => {
                      f.block((take) => {
                        const inside: Ends = {
                          fault: () => f.br(fault),
                          jump: (target) => {
                            f.set(rip, target);
                            f.br(jump);
                          },
                          take: (record) => {
                            f.set(next, record);
                            f.br(take);
                          },
                          status: () => {
                            throw new Error('a hot handler called a helper');
                          },
                          cold: () => f.br(cold),
                        };
                        const emit = ({ semantics, variant }: Handler, flags?: FlagStore) =>
                          semantics.emit(new InterpreterEmitter(f, rec, base, semantics, variant, runtime, inside, flags));
                        const body = (handler: Handler) => {
                          if (handler.pair === undefined) {
                            emit(handler);
                            return;
                          }
                          const flags = new ForwardedFlags(f, stateFlagStore(f, state));
                          emit(handler, flags);
                          f.set(rec, rec.add(RECORD_SIZE));
                          emit(handler.pair.second, flags);
                        };
                        dispatch(f, hot, rec, again, cold, body, {
                          [SPECIAL.resync]: () => {
                            count(0);
                            f.set(rip, ripOf(rec));
                            f.br(search);
                          },
                          [SPECIAL.stop]: () => {
                            f.store(state, 8, ripOf(rec), STATE.rip);
                            count(0);
                            leave(RUN.step);
                          },
                          [SPECIAL.cross]: () => f.br(cross),
                          [SPECIAL.invalid]: () => {
                            raise(VECTOR.ud, -1);
                            f.br(fault);
                          },
                          [SPECIAL.goto]: () => {
                            count(0);
                            enter(rec.load('i32', 4, REC.immediate));
                            f.br(again);
                          },
                          [SPECIAL.link]: () => {
                            count(0);
                            f.set(next, rec.load('i32', 4, REC.immediate).load('i32', 4, 0));
                            f.set(rip, ripOf(rec));
                            f.brIf(search, next.eqz());
                            enter(next);
                            f.br(again);
                          },
                          [SPECIAL.region]: () => f.br(region),
                          [SPECIAL.tooLong]: () => {
                            raise(VECTOR.gp, 0);
                            f.br(fault);
                          },
                        });
                      });
                      // `take`: a branch inside the page.
                      count(1);
                      enter(next);
                      f.brIf(again, spent().eqz());
                      f.set(rip, ripOf(rec));
                      f.br(poll);
                    });
                    // `jump`: anywhere else.
                    count(1);
                  });
                  findFast(outer, again, poll);
                });
              });
              // `cold`: the handler in a function of its own.
              const status = f.callIndirect(calls.handlerType, 'i32', rec.load('i32', 2, REC.op), rec);
              f.if(status.eqz(), () => {
                f.set(rec, rec.add(RECORD_SIZE));
                f.br(outer);
              });
              f.brIf(fault, status.eq(STATUS.fault));
              f.set(rip, state.load('i64', 8, STATE.rip));
              count(1);
              f.if(status.eq(STATUS.exit), () => leave(RUN.exit));
              f.set(rec, i32(0));
              f.br(outer);
            });
            // `region`: translated code goes on from here.
            count(0);
            f.store(state, 4, left, STATE.left);
            f.store(state, 8, ripOf(rec), STATE.rip);
            const how = f.callValue(calls.chain, rec);
            const after = f.let(state.load('i32', 4, STATE.left));
            f.store(state, 8, state.load('i64', 8, STATE.inRegions).add(left.sub(after).extendU()), STATE.inRegions);
            f.store(state, 4, after, STATE.regionLeft);
            f.set(left, after);
            f.if(how.gtU(REGION.interpret), () => f.return(how.sub(REGION.fault - RUN.fault)));
            f.set(passRegion, how);
            f.set(rip, state.load('i64', 8, STATE.rip));
            f.set(rec, i32(0));
            f.br(outer);
          });
          // `cross`: the instruction reaches into the next page.
          f.set(next, f.callValue(calls.crossPage, rec));
          f.brIf(fault, next.eqz());
          count(0);
          enter(next);
          f.br(outer);
        });
      });
      // `fault`
      f.store(state, 8, ripOf(rec), STATE.rip);
      f.store(state, 4, rec, STATE.record);
      count(0);
      leave(RUN.fault);
    });
    // `poll`
    f.store(state, 8, rip, STATE.rip);
    leave(RUN.poll);
  });
  // `fetchFault`: RIP is stored.
  leave(RUN.fault);
}

/** The nest of blocks around a br_table: handler i's code follows the i-th block's end. */
function dispatch(
  f: FunctionBuilder,
  hot: readonly Handler[],
  rec: Local,
  again: Label,
  otherwise: Label,
  body: (handler: Handler) => void,
  special: Readonly<Record<number, () => void>>,
): void {
  const emitters: { index: number; emit: () => void }[] = [
    ...Object.entries(special).map(([index, emit]) => ({ index: Number(index), emit })),
    ...hot.map((handler) => ({
      index: handler.index,
      emit: () => {
        body(handler);
        f.set(rec, rec.add(RECORD_SIZE));
        f.br(again);
      },
    })),
  ];
  const nest = (i: number, labels: Label[]): void => {
    const emitter = emitters[i];
    if (emitter === undefined) {
      const highest = Math.max(...emitters.map((e) => e.index));
      const targets = new Array<Label>(highest + 1).fill(otherwise);
      emitters.forEach((e, k) => {
        targets[e.index] = labels[k] as Label;
      });
      f.brTable(targets, otherwise, rec.load('i32', 2, REC.op));
      return;
    }
    f.block((label) => nest(i + 1, [...labels, label]));
    f.scope(emitter.emit);
  };
  nest(0, []);
}
