// The second level of the software TLBs (see tlb.ts), probed where an array misses: what it has goes back into the array, and
// nothing leaves WebAssembly.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import { CODE_MODE, SECOND_TLB, STATE, TLB } from '../state.ts';
import { SET_STRIDE, TLB_FLAG } from '../tlb.ts';

/** As `setOf` of tlb.ts. */
function emitSetOf(f: FunctionBuilder, linear: Expr, array: Expr): Expr {
  const page = f.let(linear.shrU(12).wrap());
  const mixed = page.xor(page.shrU(11)).xor(page.shrU(21)).xor(array.mul(SET_STRIDE));
  return mixed.and(SECOND_TLB.sets - 1);
}

/** Adds (linear address, size in bytes, address of a TLB array) → what the array now has for the page, or 0. */
export function secondTlb(m: ModuleBuilder, base: number): FunctionRef {
  return m.add(['i64', 'i32', 'i32'], ['i32'], (f) => {
    const [linear, size, tlb] = f.params as [Local, Local, Local];
    const state = i32(base);
    const page = f.let(linear.and(-4096));
    // The bytes lie in two pages.
    f.if(linear.add(size.sub(1).extendU()).and(-4096).ne(page), () => f.return(i32(0)));
    // The empty array, of alignment checks, has a number that no entry has.
    const array = f.let(tlb.sub(base + TLB.at).divU(TLB.bytes));
    const tag = f.let(page.or(array.extendU()));
    const set = f.let(
      emitSetOf(f, linear, array)
        .mul(SECOND_TLB.setBytes)
        .add(base + SECOND_TLB.at),
    );
    const globalKey = f.let(state.load('i32', 4, STATE.tlbGlobalKey));
    const ownKey = state.load('i32', 4, STATE.tlbKey);
    for (const at of [0, SECOND_TLB.setBytes / 2]) {
      f.if(set.load('i64', 8, at + SECOND_TLB.tag).eq(tag), () => {
        const key = f.let(set.load('i32', 4, at + SECOND_TLB.key));
        const global = f.let(key.eq(globalKey));
        f.if(global.or(key.eq(ownKey)), () => {
          const addend = f.let(set.load('i32', 4, at + SECOND_TLB.addend));
          refill(f, base, { linear, page, tlb, array, addend, global });
          f.return(addend);
        });
      });
    }
    f.return(i32(0));
  });
}

interface Found {
  readonly linear: Expr;
  readonly page: Expr;
  readonly tlb: Expr;
  readonly array: Expr;
  readonly addend: Expr;
  readonly global: Expr;
}

/** As `Tlb.fill`. */
function refill(f: FunctionBuilder, base: number, { linear, page, tlb, array, addend, global }: Found): void {
  const state = i32(base);
  const index = linear
    .shrU(8)
    .wrap()
    .and((TLB.entries - 1) * TLB.entrySize);
  const entry = f.let(tlb.add(index));
  // Execute arrays come after every read and write array of their privilege; only 64-bit code is kept here.
  const execute = array.remU(3).eq(2);
  f.store(entry, 8, page.or(i64(CODE_MODE.code64).select(execute, i64(0))), 0);
  f.store(entry, 4, addend, 8);
  const listed = f.let(entry.load('i32', 4, 12).and(TLB_FLAG.listed | TLB_FLAG.listedGlobal));
  const list = (flag: number, countAt: number, listAt: number): void => {
    f.store(entry, 4, listed.or(flag).or(global), 12);
    f.if(listed.and(flag).eqz(), () => {
      const count = f.let(state.load('i32', 4, countAt));
      f.if(count.ltU(TLB.mostFilled), () => f.store(count.shl(2).add(base + listAt), 4, entry, 0));
      f.if(count.leU(TLB.mostFilled), () => f.store(state, 4, count.add(1), countAt));
    });
  };
  f.if(
    global,
    () => list(TLB_FLAG.listedGlobal, STATE.tlbFilledGlobal, TLB.filledGlobalAt),
    () => list(TLB_FLAG.listed, STATE.tlbFilled, TLB.filledAt),
  );
}
