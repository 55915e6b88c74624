// The vCPU's state for functions that are no instruction's.
import { i32 } from '../../wasm/expr.ts';
import type { FunctionBuilder } from '../../wasm/function-builder.ts';
import type { Slots } from '../sem/load-segment.ts';

export function stateSlots(f: FunctionBuilder, base: number): Slots {
  const state = i32(base);
  return {
    f,
    state,
    slot32: (at) => state.load('i32', 4, at),
    setSlot32: (at, value) => f.store(state, 4, value, at),
    slot64: (at) => state.load('i64', 8, at),
    setSlot64: (at, value) => f.store(state, 8, value, at),
  };
}
