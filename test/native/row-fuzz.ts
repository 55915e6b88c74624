// Chooses rows and modes for random cases, evenly, and counts them.
import type { Row } from '../../src/cpu/x86/row.ts';
import { DATA_BASE, SELECTOR } from './address-map.ts';
import type { CpuMode } from './cpu-image.ts';
import type { CaseRecipe } from './fuzz-cpu.ts';
import type { Random } from './random.ts';
import { caseOf, existsIn, NOT_COMPARABLE } from './row-cases.ts';

export class RowFuzz {
  readonly rows: readonly Row[];
  readonly skipped: readonly Row[];
  readonly #modes: readonly CpuMode[];
  readonly #pairs: readonly (readonly [Row, CpuMode])[];
  readonly #strict: boolean;
  readonly #times = new Map<Row, Map<CpuMode, number>>();

  /** `strict`: flags that the manual leaves undefined are compared too. */
  constructor(rows: readonly Row[], modes: readonly CpuMode[], strict = false) {
    this.#strict = strict;
    this.#modes = modes;
    this.rows = rows.filter(({ mnemonic }) => !NOT_COMPARABLE.has(mnemonic));
    this.skipped = rows.filter(({ mnemonic }) => NOT_COMPARABLE.has(mnemonic));
    // Sixty-four-bit code is what runs most: half of the cases. x87 rows stand for many instructions each.
    this.#pairs = this.rows.flatMap((row) =>
      modes
        .filter((mode) => existsIn(row, mode))
        .flatMap((mode) => {
          const weight = (mode === 64 ? 2 : 1) * (row.mnemonic === 'x87' ? 16 : 1);
          return Array.from({ length: weight }, () => [row, mode] as const);
        }),
    );
    if (this.#pairs.length === 0) throw new RangeError('no rows to test');
  }

  /** The next random case. */
  readonly next = (random: Random): CaseRecipe => {
    const [row, mode] = random.pick(this.#pairs);
    const times = this.#times.get(row) ?? new Map<CpuMode, number>();
    this.#times.set(row, times);
    times.set(mode, (times.get(mode) ?? 0) + 1);
    return caseOf(row, mode, random, this.#strict);
  };

  /**
   * Several instructions in a row, each with the operands of a case of its own: what one leaves, the next ones find. All of
   * a mode; none that is undefined or approximate, that locks, or that goes elsewhere.
   */
  readonly nextSequence = (random: Random): CaseRecipe => {
    const [, mode] = random.pick(this.#pairs);
    const parts: CaseRecipe[] = [];
    for (let length = 2 + random.below(7); parts.length < length; ) {
      const [row] = random.pick(this.#pairs);
      if (!existsIn(row, mode) || row.lock || /^(x87|iret|j|loop|call|ret|int|bound|mov$|pop .s|l.s$)/.test(row.mnemonic))
        continue;
      if (row.semantics.endsBlock || (row.mnemonic === 'mov' && row.operands.some(({ source }) => source === 'S'))) continue;
      const part = caseOf(row, mode, random, true);
      if (!part.code.includes(0xf0) && part.code.length < 16) parts.push(part);
    }
    const code = Uint8Array.from(parts.flatMap((part) => [...part.code]));
    return {
      name: `sequence in ${mode}-bit mode`,
      mode,
      code,
      end: 'trap',
      adjust: (state, random_) => {
        for (const part of parts) part.adjust?.(state, random_);
        // ESP of a 16-bit stack points at the native process's own memory: it must not get anywhere as an address.
        const stack = state.selectors[2];
        if (mode !== 32 || (stack !== SELECTOR.data16 && stack !== SELECTOR.expandDown16)) return;
        state.selectors[2] = SELECTOR.data;
        state.gpr32[8] = DATA_BASE + 0x1000;
      },
    };
  };

  times(row: Row, mode: CpuMode): number {
    return this.#times.get(row)?.get(mode) ?? 0;
  }

  /** Lines of a table: mnemonic, rows, cases in each mode. */
  coverageTable(): string[] {
    const mnemonics = [...new Set(this.rows.map(({ mnemonic }) => mnemonic))].sort();
    const line = (cells: readonly (string | number)[]) =>
      cells.map((cell, i) => (i === 0 ? String(cell).padEnd(12) : String(cell).padStart(9))).join('');
    return [
      line(['', 'rows', ...this.#modes.map((mode) => `${mode}-bit`)]),
      ...mnemonics.map((mnemonic) => {
        const rows = this.rows.filter((row) => row.mnemonic === mnemonic);
        return line([
          mnemonic,
          rows.length,
          ...this.#modes.map((mode) => rows.reduce((sum, row) => sum + this.times(row, mode), 0)),
        ]);
      }),
    ];
  }
}
