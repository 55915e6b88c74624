// What the manual leaves undefined after an instruction, for the comparison with the native CPU.
import { FLAG } from '../../src/cpu/state.ts';
import type { Row } from '../../src/cpu/x86/row.ts';
import { UNDEFINED_FLAGS } from '../../src/cpu/x86/undefined-flags.ts';
import type { Undefined } from './compare.ts';

/** D9 F0…: F2XM1, FYL2X, FPTAN, FPATAN, FYL2XP1, FSINCOS, FSIN, FCOS. SDM vol. 1, 8.3.10: one unit in the last place. */
const TRANSCENDENTAL = new Set([0xf0, 0xf1, 0xf2, 0xf3, 0xf9, 0xfb, 0xfe, 0xff]);
const NOTHING: Undefined = {};
/** C1 says which way it was rounded; UE and PE depend on it too. */
const APPROXIMATE: Undefined = { approximate: true, fsw: 0x0230 };

export interface Operation {
  readonly row: Row;
  readonly code: Uint8Array;
  /** Width of the first operand in bits. */
  readonly width: number;
  /** Shifts: the count operand before masking; 0 for others. */
  readonly count: number;
}

/** What is not to be compared. `strict`: flags that the manual leaves undefined are, for a host like the one they were taken from. */
export function undefinedAfter({ row, code, width, count }: Operation, strict: boolean): Undefined {
  if (row.mnemonic === 'x87')
    return row.opcode === 0xd9 && TRANSCENDENTAL.has(code[code.length - 1] as number) ? APPROXIMATE : NOTHING;
  const flags = strict ? undefined : UNDEFINED_FLAGS[row.mnemonic];
  if (flags === undefined) return NOTHING;
  const masked = count & (width === 64 ? 63 : 31);
  const isShift = flags.countNotOne !== undefined;
  if (isShift && masked === 0) return NOTHING;
  let mask = flags.always;
  if (masked !== 1) mask |= flags.countNotOne ?? 0;
  if (masked >= width) mask |= flags.countBeyondWidth ?? 0;
  return { flags: mask & FLAG.arithmetic };
}
