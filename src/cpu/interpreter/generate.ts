// Generates the interpreter's module: the loop (run-function.ts) and a function for each handler.

import { ARENA_LIMIT, type Region, WASM_PAGE } from '../../memory/arena.ts';
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { isFlat } from '../emit/flat-segment.ts';
import { routinesOf } from '../emit/routine.ts';
import { CODE_MODE, SEG, STATE } from '../state.ts';
import { emitChain } from './chain-function.ts';
import { crossingsOf } from './code-cache.ts';
import { crossingFunction } from './crossing-function.ts';
import { deliverFunction } from './deliver-function.ts';
import { type Ends, InterpreterEmitter, type Runtime, STATUS } from './interpreter-emitter.ts';
import { fusible } from './pairs.ts';
import { probe } from './probe-function.ts';
import { EA, REC, SPECIAL_COUNT } from './record.ts';
import { emitRun, type RunCalls } from './run-function.ts';
import { secondTlb } from './second-tlb.ts';
import { emitTrace } from './trace-function.ts';
import type { Handler, Variants } from './variants.ts';

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
  /** The clock that the time stamp counter is made of: TickSource.ticks. */
  ticks(): number;
  /** Execute-TLB miss for `STATE.slowAddress`: address of the page's entry table, 0 after leaving a fault. */
  fetchMiss(): number;
  /** No record yet at this word of an entry table: decodes, returns the record's address, 0 after leaving a fault. */
  decodeMiss(table: number, offset: number): number;
  /** The instruction of this record crosses its page: address of a record to run now, 0 after leaving a fault. */
  crossPage(record: number): number;
  /** TLB miss of translated code: host address of `size` bytes of plain RAM, 0 for whatever is anything else. */
  plainRead(size: number): number;
  plainWrite(size: number): number;
  /** A region was left, the one of this record, for what is at STATE.rip: see emitChain. */
  transfer(record: number, site: number, home: bigint): void;
}

export interface InterpreterExports {
  /** Runs at most about `budget` instructions from `STATE.rip`, or from `record` if that is not 0. Returns RUN. */
  run(budget: number, record: number): number;
  /** The same for so many straight runs of instructions, which are noted at TRACE.at; STATE.left counts down from 0. */
  trace(runs: number): number;
  /** For translated regions: (linear address, size) → host address or 0, from the TLBs or by a walk. */
  readonly plainRead: (linear: bigint, size: number) => number;
  readonly plainWrite: (linear: bigint, size: number) => number;
  /** For translated regions: runs a handler on a record; answers STATUS. */
  readonly handler: (handler: number, record: number) => number;
  /** Delivers a fault or an interrupt, if it is an ordinary one: see deliver-function.ts. */
  readonly deliver: (vector: number, errorCode: number, pushedFlags: number) => number;
  /** What handlers outside of the module call: see Runtime. */
  readonly readSlow: (linear: bigint, size: number) => number;
  readonly writeSlow: (linear: bigint, size: number) => number;
  readonly secondTlb: (linear: bigint, size: number, array: number) => number;
  readonly addressSlow: (record: number, access: number) => bigint;
  readonly segmentSlow: (segment: number, offset: bigint, access: number) => bigint;
  /** Handlers by number; those that are late are put there: see makeLateHandler. */
  readonly handlers: WebAssembly.Table;
  /** Functions of translated regions, by number. */
  readonly regions: WebAssembly.Table;
}

/** Generates the module for the vCPU whose state and code cache lie in these regions, of whatever memory holds them. */
export function generateInterpreter(variants: Variants, vcpu: Region, code: Region): InterpreterModule {
  const base = vcpu.at;
  const helpers: string[] = [];
  const computes: string[] = [];
  const number = (names: string[], name: string) => {
    const at = names.indexOf(name);
    return at >= 0 ? at : names.push(name) - 1;
  };
  const m = new ModuleBuilder();
  m.importMemory(Math.ceil(Math.max(vcpu.at + vcpu.size, code.at + code.size) / WASM_PAGE), ARENA_LIMIT / WASM_PAGE);
  const readMiss = m.importFunction('readMiss', ['i32'], ['i32']);
  const writeMiss = m.importFunction('writeMiss', ['i32'], ['i32']);
  const commit = m.importFunction('commit', [], ['i32']);
  const segmentCheck = m.importFunction('segmentCheck', ['i32', 'i32', 'i32'], ['i32']);
  const helper = m.importFunction('helper', ['i32', 'i32'], ['i32']);
  const compute = m.importFunction('compute', ['i32', 'i32'], ['i32']);
  const ticks = m.importFunction('ticks', [], ['f64']);
  const fetchMiss = m.importFunction('fetchMiss', [], ['i32']);
  const decodeMiss = m.importFunction('decodeMiss', ['i32', 'i32'], ['i32']);
  const crossPage = m.importFunction('crossPage', ['i32'], ['i32']);
  const plainRead = m.importFunction('plainRead', ['i32'], ['i32']);
  const plainWrite = m.importFunction('plainWrite', ['i32'], ['i32']);
  const transfer = m.importFunction('transfer', ['i32', 'i32', 'i64'], []);
  const state = i32(base);

  const second = secondTlb(m, base);
  const slow = (miss: FunctionRef, tlb: number) =>
    m.add(['i64', 'i32'], ['i32'], (f) => {
      const [linear, size] = f.params as [Local, Local];
      // Bit 8 of the size says how the bytes are used.
      const found = f.callValue(second, linear, size.and(0xff), state.load('i32', 4, tlb));
      f.if(found, () => f.return(found.add(linear.wrap())));
      f.store(state, 8, linear, STATE.slowAddress);
      f.return(f.callValue(miss, size));
    });
  const readSlow = slow(readMiss, STATE.tlbRead);
  const writeSlow = slow(writeMiss, STATE.tlbWrite);
  const fetchSlow = m.add([], ['i32'], (f) => {
    // Code of other modes is not in there.
    f.if(state.load('i32', 4, STATE.codeMode).eq(CODE_MODE.code64), () => {
      const found = f.callValue(second, state.load('i64', 8, STATE.slowAddress), i32(1), state.load('i32', 4, STATE.tlbExec));
      f.if(found, () => f.return(found));
    });
    f.return(f.callValue(fetchMiss));
  });
  const segmentSlow = segmentFunction(m, state, segmentCheck);
  const addressSlow = addressFunction(m, state, base, segmentSlow);
  const runtime: Runtime = {
    readSlow,
    writeSlow,
    commit,
    plainOnly: false,
    secondTlb: second,
    addressSlow,
    segmentSlow,
    helper,
    compute,
    ticks,
    helperNumber: (name) => number(helpers, name),
    computeNumber: (name) => number(computes, name),
    routines: routinesOf(m, base),
  };

  // Every handler has a function of its own: hot ones leave to it what is not simple. Pairs leave it to the first's.
  const functions = new Map<number, FunctionRef>();
  for (const handler of variants.handlers) {
    if (handler.late) continue;
    if (handler.pair !== undefined) {
      functions.set(handler.index, functions.get(handler.pair.first) as FunctionRef);
      continue;
    }
    const own = m.add(['i32'], ['i32'], (f) => {
      const ends = coldEnds(f, state);
      handler.semantics.emit(
        new InterpreterEmitter(f, f.params[0] as Local, base, handler.semantics, handler.variant, runtime, ends),
      );
      f.return(i32(STATUS.next));
    });
    functions.set(handler.index, own);
  }
  const unused = functions.get(SPECIAL_COUNT) as FunctionRef;
  m.table(
    Array.from({ length: SPECIAL_COUNT + variants.handlers.length }, (_, i) => functions.get(i) ?? unused),
    'handlers',
  );

  m.emptyTable('regions', FIRST_REGIONS);
  const handlerType = m.type(['i32'], ['i32']);
  const regionType = m.type(['i32'], ['i32']);
  const chain = m.add(['i32'], ['i32'], (f) => emitChain(f, base, regionType, transfer));
  const cross = crossingFunction(m, base, crossingsOf(code), crossPage);
  const calls: RunCalls = { fetchMiss: fetchSlow, decodeMiss, crossPage: cross, handlerType, chain };
  const run = m.add(['i32', 'i32'], ['i32'], (f) => emitRun(f, base, variants.handlers.filter(isHot), runtime, calls));
  m.export('run', run);
  m.export(
    'trace',
    m.add(['i32'], ['i32'], (f) => emitTrace(f, base, run)),
  );
  for (const [name, ref] of Object.entries({ readSlow, writeSlow, secondTlb: second, addressSlow, segmentSlow }))
    m.export(name, ref);
  for (const name of LATE_HELPERS) number(helpers, name);
  const probed = probe(m, second);
  /** Regions call these also where they have not looked into the TLB themselves. */
  const plain = (miss: FunctionRef, tlb: number) =>
    m.add(['i64', 'i32'], ['i32'], (f) => {
      const [linear, size] = f.params as [Local, Local];
      const found = f.callValue(probed, linear, size.and(0xff), state.load('i32', 4, tlb));
      f.if(found, () => f.return(found));
      f.store(state, 8, linear, STATE.slowAddress);
      f.return(f.callValue(miss, size));
    });
  m.export('plainRead', plain(plainRead, STATE.tlbRead));
  m.export('plainWrite', plain(plainWrite, STATE.tlbWrite));
  const handler = m.add(['i32', 'i32'], ['i32'], (f) => {
    const [number, record] = f.params as [Local, Local];
    f.return(f.callIndirect(handlerType, 'i32', number, record));
  });
  m.export('handler', handler);
  m.export('deliver', deliverFunction(m, base, second));
  return { bytes: m.finish(), helpers, computes };
}

/** Helpers that only late handlers call. */
const LATE_HELPERS = ['avxBlocked', 'gather'];

/** Size of the table of regions at first. */
export const FIRST_REGIONS = 256;

/** 64-bit mode's hot instructions and pairs, and of the other modes' the 32-bit forms. */
const isHot = (handler: Handler): boolean => {
  const { pair, semantics, variant } = handler;
  return pair !== undefined || fusible(handler) || (semantics.hot && !variant.long && variant.osize === 4 && !variant.lock);
};

export function coldEnds(f: FunctionBuilder, state: Expr): Ends {
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
    f.if(isFlat(at, STATE.seg + SEG.base), () =>
      f.return(
        at
          .load('i64', 8, STATE.seg + SEG.base)
          .add(offset)
          .and(0xffff_ffff),
      ),
    );
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
      f.return(
        slot(REC.base)
          .add(rec.loadS('i64', 4, REC.displacement))
          .add(inPage)
          .add(slot(REC.segmentBase)),
      ),
    );
    const sum = slot(REC.base)
      .add(slot(REC.index).shl(rec.load('i64', 1, REC.scale)))
      .add(rec.loadS('i64', 4, REC.displacement));
    const offset = f.let(sum.and(i64(0xffff).select(kind.eq(EA.slow16), i64(0xffff_ffff))));
    f.if(state.load('i32', 4, STATE.codeMode).eq(CODE_MODE.code64), () => f.return(offset.add(slot(REC.segmentBase))));
    f.return(f.callValue(segmentSlow, rec.load('i32', 1, REC.segment), offset, access));
  });
}
