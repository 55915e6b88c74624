import { it } from 'vitest';
import { NativeCpu } from '../native/oracle.ts';
import { compareCpus } from '../native/fuzz-cpu.ts';
import { INTEGER_ROWS } from '../../src/cpu/x86/table/integer.ts';
import { EngineEmulator } from './engine-emulator.ts';
import { recipeFor } from './row-recipe.ts';
import { CodeCache } from '../../src/cpu/interpreter/code-cache.ts';
import { REC } from '../../src/cpu/interpreter/record.ts';
import { STATE } from '../../src/cpu/state.ts';
import { instructionSet } from '../../src/cpu/engine.ts';
const original = CodeCache.prototype.decode;
const handlers = instructionSet().variants.handlers;
CodeCache.prototype.decode = function (this: CodeCache, table: number, offset: number): number {
  const first = original.call(this, table, offset);
  const { view } = mem.memory!;
  for (let r = first; ; r += 32) {
    const op = view.getUint16(r + REC.op, true);
    if (op < 6) break;
    if (/^(movs|cmps|stos|lods|scas)b?$|xlat/.test(handlers[op - 6]!.mnemonic)) {
      const seg = view.getUint8(r + REC.segment);
      view.setUint16(r + REC.segmentBase, seg >= 4 ? STATE.seg + seg * 24 + 8 : STATE.zero, true);
    }
  }
  return first;
};
const mem: { memory?: any } = {};
const SKIP = /^(x87|fwait|cpuid|rdtsc|rdtscp|rdrand|xgetbv|xsetbv|sgdt|sidt|lgdt|lidt|sldt|str|smsw|lmsw|lar|lsl|verr|verw|lldt|ltr|syscall|sysret|sysenter|sysexit|vmcall|vmmcall|hlt|int|in|out|ins|insb|outs|outsb|fxsave|fxrstor|xsave|xrstor|xsaveopt|rdmsr|wrmsr|rdpmc|swapgs|iret|callf|jmpf|retf|clac|stac|wbinvd|invd|invlpg|clts|rdfsbase|rdgsbase|wrfsbase|wrgsbase|cli|sti|int1|int3|les|lds|lss|lfs|lgs|arpl|ud0|ud1|ud2)$/;
it('fuzz', () => {
  const native = NativeCpu.open();
  if ('unavailable' in native) { console.log(native.unavailable); return; }
  const emulator = new EngineEmulator();
  mem.memory = emulator.engine.cpu.memory;
  const only = process.env.ONLY ? new RegExp(process.env.ONLY) : /./;
  const rows = INTEGER_ROWS.filter((r) => !SKIP.test(r.mnemonic) && only.test(r.mnemonic));
  const modes = (process.env.MODES ?? '64').split(',').map(Number) as (16 | 32 | 64)[];
  const t = Date.now();
  const report = compareCpus({
    native, emulator, seed: Number(process.env.SEED ?? 1), count: Number(process.env.COUNT ?? 20000),
    next: (random) => {
      for (;;) {
        const r = recipeFor(random.pick(rows), random.pick(modes), random);
        if (r !== undefined) return r;
      }
    },
  });
  console.log('ms', Date.now() - t, [...report.outcomes].join(' '));
  console.log([...report.differing].sort((a, b) => b[1] - a[1]).map((x) => x.join(': ')).join('\n'));
  console.log(report.descriptions.slice(0, Number(process.env.SHOW ?? 6)).map((d) => d.slice(0, d.indexOf('\nfrom')).split('\n').slice(0, 12).join('\n') + '\n' + d.slice(d.indexOf('\nfrom')).split('\n').slice(2, 7).join('\n')).join('\n\n'));
  native.close();
}, 300000);
