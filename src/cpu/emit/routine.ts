// Functions that semantics share: made once in each module that calls them, so that a call stays within its module.
import { type Expr, i32 } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef } from '../../wasm/function-builder.ts';
import type { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { ValueType } from '../../wasm/opcodes.ts';

export interface Routine {
  readonly name: string;
  readonly params: readonly ValueType[];
  readonly result: ValueType;
  /** Emits the body, which returns the result. `state` is the vCPU's base address. */
  emit(f: FunctionBuilder, state: Expr): void;
}

/** The function of a routine. */
export type RoutineTable = (routine: Routine) => FunctionRef;

/** The routines of one module, for the vCPU at `base`: each is added when it is first asked for. */
export function routinesOf(m: ModuleBuilder, base: number): RoutineTable {
  const made = new Map<Routine, FunctionRef>();
  return (routine) => {
    let ref = made.get(routine);
    if (ref === undefined) {
      ref = m.add(routine.params, [routine.result], (f) => routine.emit(f, i32(base)));
      made.set(routine, ref);
    }
    return ref;
  };
}
