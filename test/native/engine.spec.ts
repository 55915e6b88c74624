// A slice of `npm run fuzz:cpu`: the rows of the instruction table on the engine and on the host's own CPU.
import { afterAll, describe, expect, it } from 'vitest';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import { CpuImage, type CpuMode, type Emulator, FLAG } from './cpu-image.ts';
import { EngineEmulator } from './engine-emulator.ts';
import { compareCpus } from './fuzz-cpu.ts';
import { NativeCpu } from './oracle.ts';
import { existsIn, NOT_COMPARABLE, rowName } from './row-cases.ts';
import { RowFuzz } from './row-fuzz.ts';

const native = NativeCpu.open();
if (!(native instanceof NativeCpu)) console.warn(`engine against the native CPU: skipped: ${native.unavailable}`);

describe.skipIf(!(native instanceof NativeCpu))('the engine and the native CPU', () => {
  const cpu = native as NativeCpu;
  afterAll(() => cpu.close());

  it('agree on 20 000 random cases over all rows', () => {
    const modes = [...cpu.modes];
    const fuzz = new RowFuzz(ROWS, modes);
    const report = compareCpus({
      native: cpu,
      emulator: new EngineEmulator(),
      seed: 20260,
      count: 20_000,
      next: fuzz.next,
      states: { unmaskOneIn: 8, alignmentCheckOneIn: 16, singleStepOneIn: 64 },
    });
    expect(report.descriptions).toEqual([]);
    const missed = fuzz.rows.filter((row) => modes.every((mode) => !existsIn(row, mode) || fuzz.times(row, mode) === 0));
    expect(missed.map(rowName)).toEqual([]);
    expect([...report.outcomes.keys()]).toEqual(
      expect.arrayContaining(['done', '#0', '#1', '#6', '#12', '#13', '#14', '#17', '#19']),
    );
  }, 60_000);

  it('do not agree, whatever is not compared on this host, when the engine is wrong', () => {
    const engine = new EngineEmulator();
    const wrong: Emulator = {
      run: (code, state) => {
        const result = engine.run(code, state);
        result.image.gpr[3] = (result.image.gpr[3] ?? 0n) ^ 1n;
        return result;
      },
    };
    const { next } = new RowFuzz(ROWS, [...cpu.modes]);
    const { differing } = compareCpus({ native: cpu, emulator: wrong, seed: 20261, count: 2000, next, describePerName: 0 });
    expect([...differing.values()].reduce((a, b) => a + b, 0)).toBeGreaterThan(1950);
  });

  it('skip no row without a reason that still applies', () => {
    const mnemonics = new Set(ROWS.map(({ mnemonic }) => mnemonic));
    expect([...NOT_COMPARABLE.keys()].filter((name) => !mnemonics.has(name))).toEqual([]);
  });
});

describe('the engine as an emulator', () => {
  const emulator = new EngineEmulator();
  const run = (code: readonly number[], mode: CpuMode, prepare: (state: CpuImage) => void = () => {}) => {
    const state = new CpuImage();
    state.reset(mode);
    prepare(state);
    return emulator.run(Uint8Array.from(code), state);
  };

  it.each([64, 32, 16] as const)('ends behind the code in %i-bit mode', (mode) => {
    const { outcome, image } = run([0x40, 0x90], mode);
    expect([outcome, image.rip & 0xfffn, image.mode]).toEqual(['done', 0x802n, mode]);
  });
  it('reports a fault with the registers as they were', () => {
    const { outcome, fault, image } = run([0x48, 0x8b, 0x00], 64, (state) => {
      state.gpr[0] = 0x1234n;
    });
    expect([outcome, fault, image.rip, image.gpr[0]]).toEqual([
      'fault',
      { vector: 14, errorCode: 4, cr2: 0x1234n },
      0x1000_0800n,
      0x1234n,
    ]);
  });
  it('takes an INT3 of the code for a fault and one of the filling for the end', () => {
    expect(run([0xcc], 64).fault).toEqual({ vector: 3, errorCode: 0, cr2: 0n });
    const { outcome, image } = run([0xeb, 0x10], 64);
    expect([outcome, image.rip]).toEqual(['done', 0x1000_0812n]);
  });
  it('checks alignment', () => {
    const misaligned = (state: CpuImage) => {
      state.gpr[0] = 0x2000_0001n;
      state.rflags |= FLAG.ac;
    };
    expect(run([0x8b, 0x00], 64, misaligned).fault).toEqual({ vector: 17, errorCode: 0, cr2: 0n });
    expect(run([0x8a, 0x00], 64, misaligned).outcome).toBe('done');
  });
  it('forgets the code of the case before', () => {
    expect(run([0xb0, 0x01], 64).image.gpr[0]).toBe(1n);
    expect(run([0xb0, 0x02], 64).image.gpr[0]).toBe(2n);
  });
  it('gives up a case that does not end', () => {
    expect(run([0xeb, 0xfe], 64).outcome).toBe('timeout');
  });
});
