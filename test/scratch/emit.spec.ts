import { it } from 'vitest';
import { instructionSet } from '../../src/cpu/engine.ts';
import { FunctionBuilder } from '../../src/wasm/function-builder.ts';
import { InterpreterEmitter } from '../../src/cpu/interpreter/interpreter-emitter.ts';
it('emits all', () => {
  const { variants } = instructionSet();
  const ref = { index: 0, results: ['i32'] as const };
  const rt = { readSlow: ref, writeSlow: ref, commit: ref, addressSlow: { index: 0, results: ['i64'] as const }, segmentSlow: { index: 0, results: ['i64'] as const }, helper: ref, compute: ref, helperNumber: () => 0, computeNumber: () => 0 };
  const bad = new Map<string, string>();
  let hot = 0, hotBytes = 0;
  for (const h of variants.handlers) {
    const f = new FunctionBuilder(['i32'], ['i32']);
    try {
      f.scope(() => { h.semantics.emit(new InterpreterEmitter(f, f.params[0]!, 0x1000, h.semantics, h.variant, rt as never, { fault() {}, jump() {}, take() {}, status() {} })); });
      if (h.semantics.hot && !h.variant.lock && h.variant.osize !== 2 && h.variant.long) { hot++; hotBytes += f.finish().length; }
    } catch (e) { bad.set(h.semantics.name + ' :: ' + String(e).slice(0, 200), h.key + '\n' + (e as Error).stack?.split('\n').slice(1, 5).join('\n')); }
  }
  console.log('hot', hot, hotBytes);
  for (const [k, v] of bad) console.log(k, v);
}, 60000);
