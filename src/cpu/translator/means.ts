// Which instructions a region can do by itself: found by trying, once for each handler.
import { i32, i64 } from '../../wasm/expr.ts';
import { FunctionBuilder } from '../../wasm/function-builder.ts';
import { StackWindow } from '../emit/stack-window.ts';
import { AssumedSegments, FLAT_FORMS } from './assumed-segments.ts';
import type { RegionInstruction } from './region.ts';
import type { Means } from './region-function.ts';
import { RegisterLocals } from './register-locals.ts';
import { type RegionRuntime, TranslatorEmitter } from './translator-emitter.ts';
import { Untranslatable } from './untranslatable.ts';

const NO_FUNCTION = { index: 0, results: ['i32'] } as const;
const RUNTIME: RegionRuntime = {
  readSlow: NO_FUNCTION,
  writeSlow: NO_FUNCTION,
  commit: NO_FUNCTION,
  plainOnly: true,
  routines: ({ result }) => ({ index: 0, results: [result] }),
  compute: NO_FUNCTION,
  ticks: { index: 0, results: ['f64'] },
  computeNumber: () => 0,
};
const NOWHERE = { interpret: () => {}, fault: () => {}, jump: () => {}, branch: () => {} };

/** ENTER copies a list that it may write to itself: when it fails at its end, it cannot begin again. */
const NOT_TWICE: ReadonlySet<string> = new Set(['enter']);

/** A function that tells, and remembers by handler and, where it decides, the ModRM byte. */
export function meansOf(): (instruction: RegionInstruction) => Means {
  const known = new Map<number, Means>();
  return (instruction) => {
    const { handler, insn } = instruction;
    const key = handler.index * 256 + (handler.semantics.by.modrm === true ? insn.modrm : 0);
    let means = known.get(key);
    if (means === undefined) {
      means = isInline(instruction) ? 'inline' : handler.semantics.endsBlock ? 'leave' : 'handler';
      known.set(key, means);
    }
    return means;
  };
}

/** These work on registers where they are in memory. */
const ON_THE_STATE: ReadonlySet<string> = new Set(['xsave', 'xsaveopt', 'xrstor']);

function isInline(instruction: RegionInstruction): boolean {
  if (ON_THE_STATE.has(instruction.handler.semantics.name)) return false;
  if (NOT_TWICE.has(instruction.handler.semantics.name)) return false;
  const f = new FunctionBuilder([], []);
  const registers = new RegisterLocals(f, i32(0), RUNTIME.routines);
  const segments = new AssumedSegments(i32(0), instruction.mode, FLAT_FORMS);
  const stack = new StackWindow(f, new Set());
  try {
    instruction.handler.semantics.emit(
      new TranslatorEmitter(f, instruction, i64(0), 0, i32(0), registers, segments, stack, RUNTIME, NOWHERE),
    );
    return true;
  } catch (reason) {
    if (reason instanceof Untranslatable) return false;
    throw reason;
  }
}
