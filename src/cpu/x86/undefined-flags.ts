// Flags that the SDM calls undefined after an instruction: what a comparison with another processor must leave out. For most
// of them the engine does what current Intel processors do, so a comparison with one of those may be stricter.
import { FLAG } from '../state.ts';
import type { Row } from './row.ts';

/** When the flags are undefined; `count` is the masked count of a shift or rotate, `size` the operand's width in bits. */
export type UndefinedWhen =
  | 'always'
  /** OF of shifts and rotates. */
  | 'count is not 1'
  /** CF of SHL and SHR (8 and 16 bits only, as the count is masked). */
  | 'count is not below size'
  /** All flags (and the result) of SHLD and SHRD with 16 bits. */
  | 'count is above size'
  | 'source is 0'
  | 'count is not 0';

export interface UndefinedFlags {
  /** Mask of RFLAGS bits. */
  readonly flags: number;
  readonly when: UndefinedWhen;
}

const { cf, pf, af, zf, sf, of, arithmetic } = FLAG;
const always = (flags: number): readonly UndefinedFlags[] => [{ flags, when: 'always' }];

const shift: readonly UndefinedFlags[] = [
  { flags: af, when: 'count is not 0' },
  { flags: of, when: 'count is not 1' },
  { flags: cf, when: 'count is not below size' },
];
const arithmeticShift: readonly UndefinedFlags[] = [{ flags: af, when: 'count is not 0' }, { flags: of, when: 'count is not 1' }];
const rotate: readonly UndefinedFlags[] = [{ flags: of, when: 'count is not 1' }];
const doubleShift: readonly UndefinedFlags[] = [
  { flags: af, when: 'count is not 0' },
  { flags: of, when: 'count is not 1' },
  { flags: arithmetic, when: 'count is above size' },
];

/** By mnemonic. Sources: SDM vol. 2, "Flags Affected" of each. */
const BY_MNEMONIC: Readonly<Record<string, readonly UndefinedFlags[]>> = {
  and: always(af),
  or: always(af),
  xor: always(af),
  test: always(af),
  shl: shift,
  shr: shift,
  sar: arithmeticShift,
  rol: rotate,
  ror: rotate,
  rcl: rotate,
  rcr: rotate,
  shld: doubleShift,
  shrd: doubleShift,
  mul: always(sf | zf | af | pf),
  imul: always(sf | zf | af | pf),
  div: always(arithmetic),
  idiv: always(arithmetic),
  bt: always(of | sf | af | pf),
  bts: always(of | sf | af | pf),
  btr: always(of | sf | af | pf),
  btc: always(of | sf | af | pf),
  bsf: always(cf | of | sf | af | pf),
  bsr: always(cf | of | sf | af | pf),
  aaa: always(of | sf | zf | pf),
  aas: always(of | sf | zf | pf),
  aam: always(of | af | cf),
  aad: always(of | af | cf),
  daa: always(of),
  das: always(of),
};

/** What is undefined after an instruction of this row; empty for most. */
export const undefinedFlags = (row: Row): readonly UndefinedFlags[] => BY_MNEMONIC[row.mnemonic] ?? [];

/** Mnemonics whose destination register is undefined: BSF and BSR of 0, BSWAP of 16 bits, SHLD and SHRD of 16 bits by more. */
export const UNDEFINED_RESULT: Readonly<Record<string, UndefinedWhen>> = {
  bsf: 'source is 0', bsr: 'source is 0', bswap: 'always', shld: 'count is above size', shrd: 'count is above size',
};
