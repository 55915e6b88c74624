// Runs an exact number of instructions one by one through the interpreter's handlers, regions passed over.
// The interpreter's loop cannot do that: it looks at its budget at branches only.
import { i32, type Local } from '../../wasm/expr.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { STATUS } from '../interpreter/interpreter-emitter.ts';
import { REC, SPECIAL, SPECIAL_COUNT } from '../interpreter/record.ts';
import { STATE, TLB, VECTOR } from '../state.ts';

/** How the steps ended. `STATE.left` is the number of instructions not done, `STATE.rip` where the next one is. */
export const STEPS = {
  done: 0,
  /** The instruction at RIP raised the exception in the fault slots. */
  fault: 1,
  /** The last instruction done is one that leaves to the machine. */
  exit: 2,
} as const;

export interface StepImports {
  readonly memory: WebAssembly.Memory;
  fetchMiss(): number;
  decodeMiss(table: number, offset: number): number;
  crossPage(record: number): number;
  readonly handler: (handler: number, record: number) => number;
}

/** `(count) → STEPS` for the vCPU at `base`. */
export function singleSteps(base: number, imports: StepImports): (count: number) => number {
  const { memory } = imports;
  const pages = memory.buffer.byteLength / 65536;
  const m = new ModuleBuilder();
  m.importMemory(pages, pages);
  const fetchMiss = m.importFunction('fetchMiss', [], ['i32']);
  const decodeMiss = m.importFunction('decodeMiss', ['i32', 'i32'], ['i32']);
  const crossPage = m.importFunction('crossPage', ['i32'], ['i32']);
  const handler = m.importFunction('handler', ['i32', 'i32'], ['i32']);
  const state = i32(base);
  const steps = m.add(['i32'], ['i32'], (f) => {
    const [left] = f.params as [Local];
    const rip = f.local('i64');
    const table = f.local('i32');
    const rec = f.local('i32');
    const op = f.local('i32');
    const leave = (code: number) => {
      f.store(state, 8, rip, STATE.rip);
      f.store(state, 4, left, STATE.left);
      f.return(i32(code));
    };
    const failed = () => f.if(rec.eqz(), () => leave(STEPS.fault));
    f.set(rip, state.load('i64', 8, STATE.rip));
    f.loop((again) => {
      f.if(left.eqz(), () => leave(STEPS.done));
      const linear = f.let(rip.add(state.load('i64', 8, STATE.codeBase)).and(state.load('i64', 8, STATE.linearMask)));
      const entry = f.let(
        state.load('i32', 4, STATE.tlbExec).add(
          linear
            .shrU(8)
            .wrap()
            .and((TLB.entries - 1) * TLB.entrySize),
        ),
      );
      f.if(
        entry.load('i64', 8, 0).eq(linear.and(-4096).or(state.load('i64', 4, STATE.codeTag))),
        () => f.set(table, entry.load('i32', 4, 8)),
        () => {
          f.store(state, 8, rip, STATE.rip);
          f.store(state, 8, linear, STATE.slowAddress);
          f.set(table, f.callValue(fetchMiss));
          f.if(table.eqz(), () => leave(STEPS.fault));
        },
      );
      const offset = f.let(linear.wrap().and(4095));
      f.store(state, 8, rip.sub(offset.extendU()), STATE.ripBase);
      f.set(rec, table.add(offset.shl(2)).load('i32', 4, 0));
      f.if(rec.eqz(), () => {
        f.store(state, 8, rip, STATE.rip);
        f.set(rec, f.callValue(decodeMiss, table, offset));
        failed();
      });
      f.set(op, rec.load('i32', 2, REC.op));
      f.block((found) => {
        f.brIf(found, op.geU(SPECIAL_COUNT));
        f.if(op.eq(SPECIAL.region), () => {
          f.set(rec, rec.load('i32', 4, REC.displacement));
          f.set(op, rec.load('i32', 2, REC.op));
        });
        f.if(op.eq(SPECIAL.cross), () => {
          f.set(rec, f.callValue(crossPage, rec));
          failed();
          f.set(op, rec.load('i32', 2, REC.op));
        });
        f.brIf(found, op.geU(SPECIAL_COUNT));
        // What is left is no instruction.
        f.store(state, 4, i32(VECTOR.ud), STATE.faultVector);
        f.store(state, 4, i32(-1), STATE.faultError);
        f.if(op.eq(SPECIAL.tooLong), () => {
          f.store(state, 4, i32(VECTOR.gp), STATE.faultVector);
          f.store(state, 4, i32(0), STATE.faultError);
        });
        f.store(state, 4, rec, STATE.record);
        leave(STEPS.fault);
      });
      const length = f.let(rec.load('i64', 1, REC.length));
      const status = f.callValue(handler, op, rec);
      f.if(status.eq(STATUS.fault), () => {
        f.store(state, 4, rec, STATE.record);
        leave(STEPS.fault);
      });
      f.set(rip, rip.add(length));
      f.if(status, () => f.set(rip, state.load('i64', 8, STATE.rip)));
      f.set(left, left.sub(1));
      f.if(status.eq(STATUS.exit), () => leave(STEPS.exit));
      f.br(again);
    });
    f.unreachable();
  });
  m.export('steps', steps);
  const env = imports as unknown as WebAssembly.ModuleImports;
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(m.finish()), { env });
  return exports.steps as (count: number) => number;
}
