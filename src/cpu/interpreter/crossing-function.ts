// Instructions across a page border, run again without a look at TypeScript: what page-crossings.ts found when it decoded one holds
// while the same two pages are behind the execute TLB and the bytes there are the same.
import { type Expr, i32, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import { test, vector } from '../sem/simd-ops.ts';
import { CODE_MODE, STATE, TLB } from '../state.ts';
import { RECORD_SIZE } from './record.ts';

const PAGE = 4096;

/** What is known of one: 64-bit code only. Offsets in bytes; u32 but for the vectors. */
export const CROSSING = {
  /** Its record, and one that leads behind it. */
  record: 0,
  /** Address of the `cross` record it was reached from, 0 where nothing is known. */
  from: 2 * RECORD_SIZE,
  /** Entry tables of the two pages. */
  table: 2 * RECORD_SIZE + 4,
  nextTable: 2 * RECORD_SIZE + 8,
  /** Host addresses of the last 16 bytes of the first page and of the first 16 of the second. */
  first: 2 * RECORD_SIZE + 12,
  second: 2 * RECORD_SIZE + 16,
  /** What is there, 16 bytes each, and which of the bits are the instruction's: others are 0 in both. */
  bytes: 96,
  masks: 128,
  sizeof: 160,
} as const;
/** Those that are kept, direct-mapped by the address of their `cross` record. */
export const CROSSINGS = 1024;
/** Where the one of a `cross` record is, from the first. */
export const crossingOffset = (record: number): number => ((record >>> 5) & (CROSSINGS - 1)) * CROSSING.sizeof;

/**
 * Adds (address of a `cross` record) → address of a record to run now, 0 after leaving a fault. `crossings` is the address of the
 * first CROSSING, `decode` does what is not known.
 */
export function crossingFunction(m: ModuleBuilder, base: number, crossings: number, decode: FunctionRef): FunctionRef {
  return m.add(['i32'], ['i32'], (f) => {
    const [record] = f.params as [Local];
    const state = i32(base);
    const crossing = f.let(
      record
        .shrU(5)
        .and(CROSSINGS - 1)
        .mul(CROSSING.sizeof)
        .add(crossings),
    );
    const word = (at: number): Expr => crossing.load('i32', 4, at);
    const known = word(CROSSING.from)
      .eq(record)
      .and(state.load('i32', 4, STATE.codeMode).eq(CODE_MODE.code64));
    f.if(known, () => {
      const page = f.let(state.load('i64', 8, STATE.ripBase));
      const same = isBehind(f, state, page, word(CROSSING.table));
      f.if(same.and(isBehind(f, state, page.add(PAGE), word(CROSSING.nextTable))), () => {
        const differs = (nth: number, at: number): Expr => {
          const different = vector('v128.xor', word(at).loadV(0), crossing.loadV(CROSSING.bytes + nth * 16));
          return vector('v128.and', different, crossing.loadV(CROSSING.masks + nth * 16));
        };
        const any = vector('v128.or', differs(0, CROSSING.first), differs(1, CROSSING.second));
        f.if(test('v128.any_true', any).eqz(), () => f.return(crossing));
      });
    });
    f.return(f.callValue(decode, record));
  });
}

/** i32, 1 when the execute TLB leads from the page to the entry table. */
function isBehind(f: FunctionBuilder, state: Expr, page: Expr, table: Expr): Expr {
  const linear = f.let(page);
  const index = linear
    .shrU(8)
    .wrap()
    .and((TLB.entries - 1) * TLB.entrySize);
  const entry = f.let(state.load('i32', 4, STATE.tlbExec).add(index));
  return entry
    .load('i64', 8, 0)
    .eq(linear.or(CODE_MODE.code64))
    .and(entry.load('i32', 4, 8).eq(table));
}
