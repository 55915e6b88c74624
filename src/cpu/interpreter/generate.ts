// Generates the interpreter: one WebAssembly function with a br_table over the records of decoded instructions, hot
// handlers inside it, all others in functions of their own.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { type FlagStore, stateFlagStore } from '../emit/flag-emitter.ts';
import { ATTR, CODE_MODE, SEG, STATE, TLB } from '../state.ts';
import { ForwardedFlags } from './forwarded-flags.ts';
import { EA, REC, RECORD_SHIFT, RECORD_SIZE, SPECIAL, SPECIAL_COUNT } from './record.ts';
import { type Ends, InterpreterEmitter, type Runtime, STATUS } from './interpreter-emitter.ts';
import type { Handler, Variants } from './variants.ts';

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

export interface InterpreterModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Names of the TypeScript functions that generated code calls by number. */
  readonly helpers: readonly string[];
  readonly computes: readonly string[];
}

/** What the module imports, all from `env`. Addresses are passed in `STATE.slowAddress`. */
export interface InterpreterImports {
  memory: WebAssembly.Memory;
  /** TLB miss: host address of `size` bytes, 0 after leaving a fault. */
  readMiss(size: number): number;
  writeMiss(size: number): number;
  commit(): number;
  /** Segment limit and rights; linear address to `STATE.slowAddress`; not 0 on a fault. */
  segmentCheck(segment: number, offset: number, sizeAndWrite: number): number;
  helper(record: number, number: number): number;
  compute(number: number, argument: number): number;
  /** Execute-TLB miss for `STATE.slowAddress`: address of the page's entry table, 0 after leaving a fault. */
  fetchMiss(): number;
  /** No record yet at this word of an entry table: decodes, returns the record's address, 0 after leaving a fault. */
  decodeMiss(table: number, offset: number): number;
  /** The instruction of this record crosses its page: address of a record to run now, 0 after leaving a fault. */
  crossPage(record: number): number;
}

export interface InterpreterExports {
  /** Runs at most about `budget` instructions from `STATE.rip`, or from `record` if that is not 0. Returns RUN. */
  run(budget: number, record: number): number;
}

/** Generates the module for the vCPU at `base`. `pages` is the size of the shared memory in 64 KiB. */
export function generateInterpreter(variants: Variants, base: number, pages: number): InterpreterModule {
  const helpers: string[] = [];
  const computes: string[] = [];
  const number = (names: string[], name: string) => {
    const at = names.indexOf(name);
    return at >= 0 ? at : names.push(name) - 1;
  };
  const m = new ModuleBuilder();
  m.importMemory(pages, pages);
  const readMiss = m.importFunction('readMiss', ['i32'], ['i32']);
  const writeMiss = m.importFunction('writeMiss', ['i32'], ['i32']);
  const commit = m.importFunction('commit', [], ['i32']);
  const segmentCheck = m.importFunction('segmentCheck', ['i32', 'i32', 'i32'], ['i32']);
  const helper = m.importFunction('helper', ['i32', 'i32'], ['i32']);
  const compute = m.importFunction('compute', ['i32', 'i32'], ['i32']);
  const fetchMiss = m.importFunction('fetchMiss', [], ['i32']);
  const decodeMiss = m.importFunction('decodeMiss', ['i32', 'i32'], ['i32']);
  const crossPage = m.importFunction('crossPage', ['i32'], ['i32']);
  const state = i32(base);

  const slow = (miss: FunctionRef) =>
    m.add(['i64', 'i32'], ['i32'], (f) => {
      const [linear, size] = f.params as [Local, Local];
      f.store(state, 8, linear, STATE.slowAddress);
      f.return(f.callValue(miss, size));
    });
  const readSlow = slow(readMiss);
  const writeSlow = slow(writeMiss);
  const segmentSlow = segmentFunction(m, state, segmentCheck);
  const addressSlow = addressFunction(m, state, base, segmentSlow);
  const runtime: Runtime = {
    readSlow,
    writeSlow,
    commit,
    addressSlow,
    segmentSlow,
    helper,
    compute,
    helperNumber: (name) => number(helpers, name),
    computeNumber: (name) => number(computes, name),
  };

  const hot = variants.handlers.filter(isHot);
  const cold = variants.handlers.filter((h) => !isHot(h));
  const functions = cold.map((handler) =>
    m.add(['i32'], ['i32'], (f) => {
      const ends = coldEnds(f, state);
      const e = new InterpreterEmitter(f, f.params[0] as Local, base, handler.semantics, handler.variant, runtime, ends);
      handler.semantics.emit(e);
      f.return(i32(STATUS.next));
    }),
  );
  // The table is indexed by handler number; hot handlers never get there.
  const byIndex = new Map(cold.map((handler, i) => [handler.index, functions[i] as FunctionRef]));
  const unused = functions[0] as FunctionRef;
  m.table(Array.from({ length: SPECIAL_COUNT + variants.handlers.length }, (_, i) => byIndex.get(i) ?? unused));
  const handlerType = m.type(['i32'], ['i32']);

  const run = m.add(['i32', 'i32'], ['i32'], (f) => {
    const [left, first] = f.params as [Local, Local];
    const rec = f.local('i32');
    const start = f.local('i32');
    const next = f.local('i32');
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

    f.block((fetchFault) => {
      f.block((poll) => {
        f.block((fault) => {
          f.set(rip, state.load('i64', 8, STATE.rip));
          enter(first);
          f.loop((lookup) => {
            f.if(rec.eqz(), () => {
              // Find the record for RIP: execute TLB → entry table of the page → record.
              const linear = f.let(rip.add(state.load('i64', 8, STATE.codeBase)).and(state.load('i64', 8, STATE.linearMask)));
              const entry = f.let(
                state.load('i32', 4, STATE.tlbExec).add(linear.shrU(8).wrap().and((TLB.entries - 1) * TLB.entrySize)),
              );
              const table = f.local('i32');
              f.if(
                entry.load('i64', 8, 0).eq(linear.and(-4096).or(state.load('i64', 4, STATE.codeTag))),
                () => f.set(table, entry.load('i32', 4, 8)),
                () => {
                  f.store(state, 8, rip, STATE.rip);
                  f.store(state, 8, linear, STATE.slowAddress);
                  f.set(table, f.callValue(fetchMiss));
                  f.brIf(fetchFault, table.eqz());
                },
              );
              const offset = f.let(linear.wrap().and(4095));
              f.store(state, 8, rip.sub(offset.extendU()), STATE.ripBase);
              f.set(next, table.add(offset.shl(2)).load('i32', 4, 0));
              f.if(next.eqz(), () => {
                f.store(state, 8, rip, STATE.rip);
                f.set(next, f.callValue(decodeMiss, table, offset));
                f.brIf(fetchFault, next.eqz());
              });
              f.brIf(poll, spent());
              enter(next);
            });
            f.loop((again) => {
              f.block((jump) => {
                f.block((take) => {
                  f.block((indirect) => {
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
                      status: (status) => {
                        const s = f.let(status);
                        f.if(s, () => {
                          f.brIf(fault, s.eq(STATUS.fault));
                          f.set(rip, state.load('i64', 8, STATE.rip));
                          f.brIf(jump, s.eq(STATUS.jump));
                          count(1);
                          leave(RUN.exit);
                        });
                      },
                    };
                    const emit = ({ semantics, variant }: Handler, flags?: FlagStore) =>
                      semantics.emit(new InterpreterEmitter(f, rec, base, semantics, variant, runtime, inside, flags));
                    handlers(f, hot, rec, again, indirect, (handler) => {
                      if (handler.pair === undefined) {
                        emit(handler);
                        return;
                      }
                      const flags = new ForwardedFlags(f, stateFlagStore(f, state));
                      emit(handler, flags);
                      f.set(rec, rec.add(RECORD_SIZE));
                      emit(handler.pair.second, flags);
                    }, {
                      [SPECIAL.resync]: () => {
                        count(0);
                        f.set(rip, ripOf(rec));
                        f.set(rec, i32(0));
                        f.br(lookup);
                      },
                      [SPECIAL.stop]: () => {
                        f.store(state, 8, ripOf(rec), STATE.rip);
                        count(0);
                        leave(RUN.step);
                      },
                      [SPECIAL.cross]: () => {
                        f.set(next, f.callValue(crossPage, rec));
                        f.brIf(fault, next.eqz());
                        count(0);
                        enter(next);
                        f.br(again);
                      },
                      [SPECIAL.invalid]: () => {
                        f.store(state, 4, i32(6), STATE.faultVector);
                        f.store(state, 4, i32(-1), STATE.faultError);
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
                        f.if(next, () => {
                          enter(next);
                          f.br(again);
                        });
                        f.set(rip, ripOf(rec));
                        f.set(rec, i32(0));
                        f.br(lookup);
                      },
                      [SPECIAL.tooLong]: () => {
                        f.store(state, 4, i32(13), STATE.faultVector);
                        f.store(state, 4, i32(0), STATE.faultError);
                        f.br(fault);
                      },
                    });
                  });
                  // A handler in a function of its own.
                  const status = f.callIndirect(handlerType, 'i32', rec.load('i32', 2, REC.op), rec);
                  f.if(status.eqz(), () => {
                    f.set(rec, rec.add(RECORD_SIZE));
                    f.br(again);
                  });
                  f.brIf(fault, status.eq(STATUS.fault));
                  f.set(rip, state.load('i64', 8, STATE.rip));
                  f.brIf(jump, status.eq(STATUS.jump));
                  count(1);
                  leave(RUN.exit);
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
              f.set(rec, i32(0));
              f.br(lookup);
            });
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
  });
  m.export('run', run);
  return { bytes: m.finish(), helpers, computes };
}

const isHot = (handler: Handler): boolean => 
  handler.pair !== undefined || (handler.semantics.hot && !handler.variant.lock && handler.variant.osize !== 2 && handler.variant.long);

/** The nest of blocks around a br_table: handler i's code follows the i-th block's end. */
function handlers(
  f: FunctionBuilder,
  hot: readonly Handler[],
  rec: Local,
  again: Label,
  indirect: Label,
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
      const targets = new Array<Label>(highest + 1).fill(indirect);
      emitters.forEach((e, k) => {
        targets[e.index] = labels[k] as Label;
      });
      f.brTable(targets, indirect, rec.load('i32', 2, REC.op));
      return;
    }
    f.block((label) => nest(i + 1, [...labels, label]));
    f.scope(emitter.emit);
  };
  nest(0, []);
}

function coldEnds(f: FunctionBuilder, state: Expr): Ends {
  return {
    fault: () => f.return(i32(STATUS.fault)),
    jump: (rip) => {
      f.store(state, 8, rip, STATE.rip);
      f.return(i32(STATUS.jump));
    },
    take: (record) => {
      f.store(state, 8, state.load('i64', 8, STATE.ripBase).add(record.load('i64', 2, REC.offset)), STATE.rip);
      f.return(i32(STATUS.jump));
    },
    status: (status) => {
      const s = f.let(status);
      f.if(s, () => f.return(s));
    },
  };
}

/** (segment, offset, size | write << 8) → linear address; flat segments are checked here, the rest in TypeScript. */
function segmentFunction(m: ModuleBuilder, state: Expr, segmentCheck: FunctionRef): FunctionRef {
  return m.add(['i32', 'i64', 'i32'], ['i64'], (f) => {
    const [segment, offset, access] = f.params as [Local, Local, Local];
    const at = f.let(segment.mul(SEG.sizeof).add(state));
    const attributes = f.let(at.load('i32', 2, STATE.seg + SEG.attributes));
    // Present, writable, expand-up data whose limit is 4 GiB − 1: nothing can be wrong.
    const plain = ATTR.present | ATTR.s | ATTR.code | ATTR.dc | ATTR.rw;
    const flat = attributes.and(plain).eq(ATTR.present | ATTR.s | ATTR.rw).and(at.load('i32', 4, STATE.seg + SEG.limit).eq(-1));
    f.if(flat, () => f.return(at.load('i64', 8, STATE.seg + SEG.base).add(offset).and(0xffff_ffff)));
    f.if(f.callValue(segmentCheck, segment, offset.wrap(), access), () => f.return(i64(-1)));
    f.return(state.load('i64', 8, STATE.slowAddress));
  });
}

/** (record, size | write << 8) → linear address of the memory operand in the rarer addressing forms. */
function addressFunction(m: ModuleBuilder, state: Expr, base: number, segmentSlow: FunctionRef): FunctionRef {
  return m.add(['i32', 'i32'], ['i64'], (f) => {
    const [rec, access] = f.params as [Local, Local];
    const slot = (field: number) => rec.load('i32', 2, field).load('i64', 8, base);
    const kind = f.let(rec.load('i32', 1, REC.addressing));
    f.if(kind.eq(EA.absolute), () => f.return(rec.load('i64', 8, REC.immediate).add(slot(REC.segmentBase))));
    const inPage = rec.load('i64', 2, REC.offset).add(rec.load('i64', 1, REC.length));
    f.if(kind.eq(EA.ripWide), () =>
      f.return(slot(REC.base).add(rec.loadS('i64', 4, REC.displacement)).add(inPage).add(slot(REC.segmentBase))),
    );
    const sum = slot(REC.base)
      .add(slot(REC.index).shl(rec.load('i64', 1, REC.scale)))
      .add(rec.loadS('i64', 4, REC.displacement));
    const offset = f.let(sum.and(i64(0xffff).select(kind.eq(EA.slow16), i64(0xffff_ffff))));
    f.if(state.load('i32', 4, STATE.codeMode).eq(CODE_MODE.code64), () => f.return(offset.add(slot(REC.segmentBase))));
    f.return(f.callValue(segmentSlow, rec.load('i32', 1, REC.segment), offset, access));
  });
}
