// The interpreter's module, generated before there is an engine: it takes a good part of a second, and a vCPU's thread has nothing to do
// while the kernel is unpacked.
import type { Region } from '../../memory/arena.ts';
import { instructionSet } from '../instruction-set.ts';
import { generateInterpreter, type InterpreterModule } from './generate.ts';

interface Prepared {
  readonly vcpu: Region;
  readonly code: Region;
  readonly module: InterpreterModule;
}
let prepared: Prepared | undefined;

const isAt = (a: Region, b: Region): boolean => a.at === b.at && a.size === b.size;

/** Generates the module that this thread's next engine takes, if its regions are these. */
export function prepareInterpreter(vcpu: Region, code: Region): void {
  prepared = { vcpu, code, module: generateInterpreter(instructionSet().variants, vcpu, code) };
}

/** The module for a vCPU whose state and code cache lie in these regions. */
export function interpreterModule(vcpu: Region, code: Region): InterpreterModule {
  const there = prepared;
  prepared = undefined;
  if (there !== undefined && isAt(there.vcpu, vcpu) && isAt(there.code, code)) return there.module;
  return generateInterpreter(instructionSet().variants, vcpu, code);
}
