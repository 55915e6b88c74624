// Handlers that are not in the interpreter's module: each gets a small one of its own when its instruction is first decoded.
import type { Local } from '../../wasm/expr.ts';
import { i32 } from '../../wasm/expr.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { routinesOf } from '../emit/routine.ts';
import { coldEnds, type InterpreterExports, type InterpreterImports, type InterpreterModule } from './generate.ts';
import { InterpreterEmitter, type Runtime, STATUS } from './interpreter-emitter.ts';
import type { Handler } from './variants.ts';

/** Makes the function of a late handler of the vCPU at `base`, and puts it where the loop finds it. */
export function makeLateHandler(
  handler: Handler,
  base: number,
  pages: number,
  names: InterpreterModule,
  imports: InterpreterImports,
  interpreter: InterpreterExports,
): void {
  const m = new ModuleBuilder();
  m.importMemory(pages, pages);
  const number = (of: readonly string[], name: string): number => {
    const at = of.indexOf(name);
    if (at < 0) throw new Error(`${handler.mnemonic} calls '${name}', which nothing in the interpreter's module does`);
    return at;
  };
  const runtime: Runtime = {
    readSlow: m.importFunction('readSlow', ['i64', 'i32'], ['i32']),
    writeSlow: m.importFunction('writeSlow', ['i64', 'i32'], ['i32']),
    commit: m.importFunction('commit', [], ['i32']),
    plainOnly: false,
    secondTlb: m.importFunction('secondTlb', ['i64', 'i32', 'i32'], ['i32']),
    addressSlow: m.importFunction('addressSlow', ['i32', 'i32'], ['i64']),
    segmentSlow: m.importFunction('segmentSlow', ['i32', 'i64', 'i32'], ['i64']),
    helper: m.importFunction('helper', ['i32', 'i32'], ['i32']),
    compute: m.importFunction('compute', ['i32', 'i32'], ['i32']),
    ticks: m.importFunction('ticks', [], ['f64']),
    helperNumber: (name) => number(names.helpers, name),
    computeNumber: (name) => number(names.computes, name),
    routines: routinesOf(m, base),
  };
  const { semantics, variant } = handler;
  const own = m.add(['i32'], ['i32'], (f) => {
    const ends = coldEnds(f, i32(base));
    semantics.emit(new InterpreterEmitter(f, f.params[0] as Local, base, semantics, variant, runtime, ends));
    f.return(i32(STATUS.next));
  });
  m.export('handler', own);
  const { memory, commit, helper, compute, ticks } = imports;
  const env = { ...interpreter, memory, commit, helper, compute, ticks } as unknown as WebAssembly.ModuleImports;
  const instance = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), { env });
  interpreter.handlers.set(handler.index, instance.exports.handler);
}
