// The flags that instructions leave undefined, as the SDM (vol. 2, each instruction; vol. 1, appendix A) has it. The engine
// gives them the values of current Intel processors; a guest must not count on them, and other processors differ.
import { FLAG } from '../state.ts';

const { cf, pf, af, zf, sf, of } = FLAG;

export interface UndefinedFlags {
  /** RFLAGS bits that are undefined whatever the operands. */
  readonly always: number;
  /** And when the masked count is neither 0 nor 1. */
  readonly countNotOne?: number;
  /** And when the masked count is at least the operand's width in bits (8- and 16-bit operands only). */
  readonly countBeyondWidth?: number;
}

const LOGIC: UndefinedFlags = { always: af };
const SHIFT: UndefinedFlags = { always: af, countNotOne: of, countBeyondWidth: cf };
const ROTATE: UndefinedFlags = { always: 0, countNotOne: of };
/** With a 16-bit operand and a count above 16 the result is undefined too. */
const DOUBLE_SHIFT: UndefinedFlags = { always: af, countNotOne: of, countBeyondWidth: cf | pf | zf | sf };
const MULTIPLY: UndefinedFlags = { always: sf | zf | af | pf };
const DIVIDE: UndefinedFlags = { always: FLAG.arithmetic };
const BIT_TEST: UndefinedFlags = { always: of | sf | af | pf };
const BIT_SCAN: UndefinedFlags = { always: cf | of | sf | af | pf };
const UNPACKED: UndefinedFlags = { always: of | sf | zf | pf };
const AAM: UndefinedFlags = { always: of | af | cf };
const COUNT_ZEROS: UndefinedFlags = { always: of | sf | af | pf };
const LOWEST_BIT: UndefinedFlags = { always: af | pf };
const PACKED: UndefinedFlags = { always: of };

/** By mnemonic of the row. */
export const UNDEFINED_FLAGS: Readonly<Record<string, UndefinedFlags>> = {
  and: LOGIC,
  or: LOGIC,
  xor: LOGIC,
  test: LOGIC,
  shl: SHIFT,
  shr: SHIFT,
  sar: { always: af, countNotOne: of },
  rol: ROTATE,
  ror: ROTATE,
  rcl: ROTATE,
  rcr: ROTATE,
  shld: DOUBLE_SHIFT,
  shrd: DOUBLE_SHIFT,
  mul: MULTIPLY,
  imul: MULTIPLY,
  div: DIVIDE,
  idiv: DIVIDE,
  bt: BIT_TEST,
  bts: BIT_TEST,
  btr: BIT_TEST,
  btc: BIT_TEST,
  bsf: BIT_SCAN,
  bsr: BIT_SCAN,
  tzcnt: COUNT_ZEROS,
  lzcnt: COUNT_ZEROS,
  andn: LOWEST_BIT,
  blsr: LOWEST_BIT,
  blsmsk: LOWEST_BIT,
  blsi: LOWEST_BIT,
  bzhi: LOWEST_BIT,
  bextr: { always: af | sf | pf },
  aaa: UNPACKED,
  aas: UNPACKED,
  aam: AAM,
  aad: AAM,
  daa: PACKED,
  das: PACKED,
};
