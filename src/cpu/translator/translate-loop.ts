// One hot loop as one WebAssembly function: registers and flags in locals, branches inside it as structured control flow.
//
// What the shape rests on: in address order, with no branch but those to the head going backwards, every forward target is
// the end of a block that opens at the head. Blocks nest with the farthest target outermost, so any forward branch can
// leave to any of them.
import { type Expr, i32, i64, type Local } from '../../wasm/expr.ts';
import type { FunctionBuilder, FunctionRef, Label } from '../../wasm/function-builder.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { MemoryRuntime } from '../emit/operand-emitter.ts';
import { RUN } from '../interpreter/run-function.ts';
import { STATE, TLB } from '../state.ts';
import type { HotLoop } from './hot-loop.ts';
import { RegisterLocals, RegisterUse } from './register-locals.ts';
import { TranslatorEmitter } from './translator-emitter.ts';
import { Untranslatable } from './untranslatable.ts';

/** What a translation holds for; the caller must not enter it when one of these differs. */
export interface Assumptions {
  /** Address of the vCPU's state. */
  readonly base: number;
  /** One of MMU_INDEX: decides which TLBs memory operands use. */
  readonly mmuIndex: number;
  /** Size of the shared memory in 64 KiB. */
  readonly pages: number;
}

/** What the module imports, all from `env`: the memory and the slow paths, as the interpreter's module does. */
export interface TranslationImports {
  readonly memory: WebAssembly.Memory;
  readMiss(size: number): number;
  writeMiss(size: number): number;
  commit(): number;
}

export interface TranslationExports {
  /**
   * Runs at most about `budget` instructions from the loop's head; answers as `run` of the interpreter: `RUN.poll` with
   * `STATE.rip` on the next instruction (outside the loop, or its head), or `RUN.fault`. Unspent budget is in `STATE.left`.
   */
  loop(budget: number): number;
}

/** @throws Untranslatable with the reason, before anything else happens */
export function translateLoop(loop: HotLoop, assumptions: Assumptions): Uint8Array<ArrayBuffer> {
  const use = new RegisterUse();
  emitModule(loop, assumptions, use);
  return emitModule(loop, assumptions, use);
}

/** Emits the loop with the prologue and epilogue that `use` calls for, and adds to it. Twice, and it is complete. */
function emitModule(loop: HotLoop, assumptions: Assumptions, use: RegisterUse): Uint8Array<ArrayBuffer> {
  const { base, pages } = assumptions;
  const m = new ModuleBuilder();
  m.importMemory(pages, pages);
  const readMiss = m.importFunction('readMiss', ['i32'], ['i32']);
  const writeMiss = m.importFunction('writeMiss', ['i32'], ['i32']);
  const commit = m.importFunction('commit', [], ['i32']);
  const slow = (miss: FunctionRef) =>
    m.add(['i64', 'i32'], ['i32'], (f) => {
      const [linear, size] = f.params as [Local, Local];
      f.store(i32(base), 8, linear, STATE.slowAddress);
      f.return(f.callValue(miss, size));
    });
  const memory: MemoryRuntime = { readSlow: slow(readMiss), writeSlow: slow(writeMiss), commit };
  m.export(
    'loop',
    m.add(['i32'], ['i32'], (f) => new LoopFunction(f, loop, assumptions, memory, use).emit()),
  );
  return m.finish();
}

class LoopFunction {
  readonly #f: FunctionBuilder;
  readonly #loop: HotLoop;
  readonly #assumptions: Assumptions;
  readonly #memory: MemoryRuntime;
  readonly #use: RegisterUse;
  readonly #state: Expr;
  readonly #registers: RegisterLocals;
  readonly #left: Local;
  readonly #rip: Local;
  readonly #code: Local;
  /** Targets of branches inside the loop, ascending, the head excluded. */
  readonly #targets: readonly bigint[];
  readonly #labels = new Map<bigint, Label>();
  #exit: Label | undefined;
  /** Instructions complete since `left` was last settled on this path. */
  #pending = 0;

  constructor(f: FunctionBuilder, loop: HotLoop, assumptions: Assumptions, memory: MemoryRuntime, use: RegisterUse) {
    this.#f = f;
    this.#loop = loop;
    this.#assumptions = assumptions;
    this.#memory = memory;
    this.#use = use;
    this.#state = i32(assumptions.base);
    this.#registers = new RegisterLocals(f, this.#state, use);
    this.#left = f.params[0] as Local;
    this.#rip = f.variable('i64');
    this.#code = f.variable('i32');
    this.#targets = forwardTargets(loop);
  }

  emit(): void {
    const f = this.#f;
    this.#registers.load(this.#use);
    f.block((exit) => {
      this.#exit = exit;
      f.loop((head) => {
        this.#labels.set(this.#loop.head, head);
        this.#blocks(this.#targets.length);
      });
      this.#leave(RUN.poll, i64(this.#loop.end));
    });
    // The shared exit.
    this.#registers.store(this.#use);
    f.store(this.#state, 8, this.#rip, STATE.rip);
    f.store(this.#state, 4, this.#left, STATE.left);
    f.return(this.#code);
  }

  /** A block that ends at target `n − 1`, around those of the nearer targets, and the code from there to the next target. */
  #blocks(n: number): void {
    const target = this.#targets[n - 1];
    if (target === undefined) {
      this.#straight(this.#loop.head, this.#targets[0] ?? this.#loop.end);
      return;
    }
    this.#f.block((end) => {
      this.#labels.set(target, end);
      this.#blocks(n - 1);
      // Falling into a target: paths must agree on what is settled.
      this.#settle(0);
      this.#pending = 0;
    });
    this.#labels.delete(target);
    this.#straight(target, this.#targets[n] ?? this.#loop.end);
  }

  #straight(from: bigint, to: bigint): void {
    for (const at of this.#loop.instructions) {
      if (at.rip < from || at.rip >= to) continue;
      const tlbs = this.#assumptions.base + TLB.at + 3 * this.#assumptions.mmuIndex * TLB.bytes;
      const e = new TranslatorEmitter(this.#f, at, this.#assumptions.base, tlbs, this.#registers, this.#memory, {
        fault: () => this.#leave(RUN.fault, i64(at.rip)),
        interpret: () => this.#leave(RUN.poll, i64(at.rip)),
        jump: (rip) => this.#leave(RUN.poll, rip, 1),
        branch: (target) => this.#branch(target),
      });
      this.#f.scope(() => at.handler.semantics.emit(e));
      this.#pending++;
    }
  }

  /** A taken branch; its instruction is complete but not yet counted as pending. */
  #branch(target: bigint): void {
    const f = this.#f;
    const label = this.#labels.get(target);
    if (label === undefined) {
      this.#leave(RUN.poll, i64(target), 1);
      return;
    }
    this.#settle(1);
    if (target === this.#loop.head) {
      const spent = this.#state.load('i32', 4, STATE.request).or(this.#left.leS(0));
      f.if(spent, () => this.#exitWith(RUN.poll, i64(target)));
    }
    f.br(label);
  }

  #settle(more: 0 | 1): void {
    const count = this.#pending + more;
    if (count > 0) this.#f.set(this.#left, this.#left.sub(count));
  }
  #leave(code: number, rip: Expr, more: 0 | 1 = 0): void {
    this.#settle(more);
    this.#exitWith(code, rip);
  }
  #exitWith(code: number, rip: Expr): void {
    if (this.#exit === undefined) throw new Error('outside the function');
    this.#f.set(this.#rip, rip);
    this.#f.set(this.#code, i32(code));
    this.#f.br(this.#exit);
  }
}

/** Targets inside the loop, in address order. */
function forwardTargets(loop: HotLoop): readonly bigint[] {
  const starts = new Set(loop.instructions.map(({ rip }) => rip));
  const targets = new Set<bigint>();
  for (const { rip, target } of loop.instructions) {
    if (target === undefined || target === loop.head || target <= loop.head || target >= loop.end) continue;
    if (target <= rip) throw new Untranslatable(`an inner loop at ${target.toString(16)}`);
    if (!starts.has(target)) throw new Untranslatable(`a branch into the middle of an instruction, at ${target.toString(16)}`);
    targets.add(target);
  }
  return [...targets].sort((a, b) => (a < b ? -1 : 1));
}
