// One of several pieces of code: the translator, which knows which, emits that one alone; the interpreter gets a jump table.
import { Const, type Expr } from '../../../wasm/expr.ts';
import type { FunctionBuilder, Label } from '../../../wasm/function-builder.ts';

/** `emit` is called once for each distinct choice, or for the one at a constant `index`. What is missing goes to `missing`. */
export function choose<Choice extends object>(
  f: FunctionBuilder,
  index: Expr,
  choices: readonly (Choice | undefined)[],
  missing: Label,
  emit: (choice: Choice) => void,
): void {
  if (index instanceof Const) {
    const choice = choices[Number(index.value)];
    if (choice === undefined) f.br(missing);
    else emit(choice);
    return;
  }
  const distinct = [...new Set(choices)].filter((choice) => choice !== undefined);
  f.block((end) => {
    const nest = (n: number, labels: ReadonlyMap<Choice, Label>): void => {
      const choice = distinct[n];
      if (choice === undefined) {
        const targets = choices.map((each) => (each === undefined ? missing : (labels.get(each) as Label)));
        f.brTable(targets, missing, index);
        return;
      }
      f.block((label) => nest(n + 1, new Map([...labels, [choice, label]])));
      emit(choice);
      f.br(end);
    };
    nest(0, new Map());
  });
}
