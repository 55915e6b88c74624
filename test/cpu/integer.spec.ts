// Every integer row that user code can run, with random operands, flags, prefixes and memory, on the engine and on the host's CPU.
import { afterAll, describe, expect, it } from 'vitest';
import { INTEGER_ROWS } from '../../src/cpu/x86/table/integer.ts';
import type { CpuMode } from '../native/cpu-image.ts';
import { compareCpus } from '../native/fuzz-cpu.ts';
import { NativeCpu } from '../native/oracle.ts';
import { EngineEmulator } from './engine-emulator.ts';
import { recipeFor } from './row-recipe.ts';

/**
 * Not compared: what answers for the host (CPUID, RDTSC, …), what its kernel emulates or intercepts (SGDT, INT n, INT1, VMCALL, …), what loads
 * selectors that the kernel changes, and the x87, which has a test of its own.
 */
const NOT_COMPARED = new RegExp(`^(${[
  'x87', 'fwait', 'cpuid', 'rdtsc', 'rdtscp', 'rdrand', 'rdpmc', 'xgetbv', 'sgdt', 'sidt', 'sldt', 'str', 'smsw', 'lar', 'lsl', 'verr', 'verw',
  'sysenter', 'sysexit', 'vmcall', 'vmmcall', 'int', 'int1', 'fxsave', 'fxrstor', 'xsave', 'xrstor', 'xsaveopt', 'callf', 'jmpf', 'retf', 'iret',
  'popf', 'pop [defgs]s',
].join('|')})$`);

const native = NativeCpu.open();
afterAll(() => {
  if (!('unavailable' in native)) native.close();
});

describe.skipIf('unavailable' in native)('integer instructions agree with the CPU of this machine', () => {
  const rows = INTEGER_ROWS.filter((row) => !NOT_COMPARED.test(row.mnemonic));
  const emulator = new EngineEmulator();

  it.each([64, 32, 16] as const)('in %i-bit mode', (mode: CpuMode) => {
    if ('unavailable' in native || !native.modes.has(mode)) return;
    const report = compareCpus({
      native, emulator, seed: 1000 + mode, count: 5000,
      next: (random) => {
        for (;;) {
          const recipe = recipeFor(random.pick(rows), mode, random);
          if (recipe !== undefined) return recipe;
        }
      },
    });
    expect(report.descriptions.join('\n\n')).toBe('');
  });
});
