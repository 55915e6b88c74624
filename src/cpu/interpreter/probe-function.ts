// A look into the TLBs from functions that leave what they do not have to TypeScript.
import type { Local } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import type { FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import { TLB } from '../state.ts';

const PAGE = 4096;

/** Adds (linear address, size, address of a TLB array) → host address when the TLBs have it, or 0. */
export function probe(m: ModuleBuilder, second: FunctionRef): FunctionRef {
  return m.add(['i64', 'i32', 'i32'], ['i32'], (f) => {
    const [linear, size, tlb] = f.params as [Local, Local, Local];
    const index = linear
      .shrU(8)
      .wrap()
      .and((TLB.entries - 1) * TLB.entrySize);
    const entry = f.let(tlb.add(index));
    const last = linear.add(size.sub(1).extendU()).and(-PAGE);
    f.if(entry.load('i64', 8, 0).eq(last), () => f.return(entry.load('i32', 4, 8).add(linear.wrap())));
    const found = f.callValue(second, linear, size, tlb);
    f.if(found, () => f.return(found.add(linear.wrap())));
    f.return(i32(0));
  });
}
