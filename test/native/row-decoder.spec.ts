import { describe, expect, it } from 'vitest';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import { compareDecoders, describeMismatch } from './fuzz-decoder.ts';
import { describedDifferently, gprName, IMPLEMENTED_FEATURES, rowDecode } from './row-decoder.ts';

describe("the engine's decoder", () => {
  it.each([16, 32, 64] as const)('agrees with iced-x86 on random strings in %i-bit mode', (mode) => {
    const report = compareDecoders({
      seed: 2026,
      mode,
      count: 30_000,
      decode: rowDecode(ROWS),
      exempt: describedDifferently,
      implemented: (_, features) => features.every((feature) => IMPLEMENTED_FEATURES.has(feature)),
    });
    expect(report.mismatches.map(describeMismatch)).toEqual([]);
    expect(report.agreed).toBeGreaterThan(15_000);
  });
});

describe('names of registers', () => {
  it('tells AH from SPL by the REX prefix', () => {
    expect([gprName(4, 1, false), gprName(4, 1, true)]).toEqual(['ah', 'spl']);
    expect([9, 1, 0].map((number) => gprName(number, 1, true))).toEqual(['r9l', 'cl', 'al']);
    expect([2, 4, 8].map((size) => [gprName(0, size, false), gprName(12, size, true)])).toEqual([
      ['ax', 'r12w'],
      ['eax', 'r12d'],
      ['rax', 'r12'],
    ]);
  });
});
