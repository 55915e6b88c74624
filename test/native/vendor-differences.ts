// Where another vendor's CPU may differ from the engine, which follows Intel's: what is left out of the comparison with such
// a host, and by which authority. A rule is asked only about a case that differs, and excuses no more than its part of it.
import type { Row } from '../../src/cpu/x86/row.ts';
import { AMD_DIFFERENCES } from './amd-differences.ts';
import type { Undefined } from './compare.ts';
import type { CpuImage, CpuMode, CpuResult } from './cpu-image.ts';
import type { HostVendor } from './host-vendor.ts';

/** A case of a row, as far as it can be known before it runs. */
export interface CaseSubject {
  readonly row: Row;
  readonly mode: CpuMode;
  readonly code: Uint8Array;
  /** Operand and address size in bytes, as Intel's manual has them. */
  readonly osize: 2 | 4 | 8;
  readonly asize: 2 | 4 | 8;
  /** The REX prefix right before the opcode; 0: none. */
  readonly rex: number;
  /** The operand that ModRM.rm names lies in memory; else it is register `rm`. */
  readonly memory: boolean;
  readonly rm: number;
  /** Shifts: the count before masking. */
  readonly count: (before: CpuImage) => number;
}

/** A case that has run on both. */
export interface DifferingCase extends CaseSubject {
  readonly before: CpuImage;
  readonly native: CpuResult;
  readonly emulated: CpuResult;
  /** What the emulator makes of it with AC clear: the faults that #AC hides. Valid until the next call. */
  readonly withoutAlignmentCheck: () => CpuResult;
}

export interface VendorDifference {
  /** The rows it is about, by their names. */
  readonly rows: RegExp;
  /** What is not compared, and when: printed. */
  readonly what: string;
  /** Who says so. */
  readonly source: string;
  /** What of this case is not compared; undefined: the rule does not fit it. */
  readonly excuse: (differing: DifferingCase) => Undefined | undefined;
}

/** Nothing but Intel's own CPUs is expected to agree in everything the manuals leave open. */
export const VENDOR_DIFFERENCES: Readonly<Record<HostVendor, readonly VendorDifference[]>> = {
  intel: [],
  amd: AMD_DIFFERENCES,
  other: [],
};

/** The excuses for a case, put together, and the rules they come from. `name`: that of the row. */
export function excusesFor(
  vendor: HostVendor,
  name: string,
  differing: DifferingCase,
  undefinedState: Undefined,
): { readonly undefinedState: Undefined; readonly rules: readonly VendorDifference[] } {
  const rules: VendorDifference[] = [];
  let all = undefinedState;
  for (const rule of VENDOR_DIFFERENCES[vendor]) {
    const excuse = rule.rows.test(name) ? rule.excuse(differing) : undefined;
    if (excuse === undefined) continue;
    rules.push(rule);
    all = {
      ...all,
      ...excuse,
      flags: (all.flags ?? 0) | (excuse.flags ?? 0),
      whichFault: all.whichFault === true || excuse.whichFault === true,
    };
  }
  return { undefinedState: all, rules };
}
