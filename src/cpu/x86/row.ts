// The instruction table's row: how an instruction is encoded, what its operands are, and what it means.
// Decoder, interpreter, translator and test generators all read rows and nothing else.
import type { Semantics } from '../emit/semantics.ts';

/** Where an operand comes from: SDM vol. 2, appendix A.2.1, and its size code, A.2.2. */
export type OperandSource =
  /** ModRM.rm: register or memory. */
  | 'E'
  /** ModRM.reg, general register. */
  | 'G'
  /** ModRM.rm, memory only. */
  | 'M'
  /** ModRM.rm, general register only. */
  | 'R'
  /** Low 3 bits of the opcode. */
  | 'Z'
  /** Immediate. */
  | 'I'
  /** Relative branch target. */
  | 'J'
  /** Absolute offset in the instruction. */
  | 'O'
  /** Segment, control and debug register by ModRM.reg. */
  | 'S'
  | 'C'
  | 'D'
  /** XMM register by ModRM.reg; by rm, register or memory; by rm, register only. */
  | 'V'
  | 'W'
  | 'U'
  /** The same for MMX. */
  | 'P'
  | 'Q'
  | 'N'
  /** VEX.vvvv: general register; XMM or YMM register. */
  | 'B'
  | 'H'
  /** XMM or YMM register by the high half of the last immediate byte. */
  | 'L'
  /** XMM or YMM register that is the index of a vector of addresses (VSIB). */
  | 'K'
  /** A fixed general register. */
  | 'fixed'
  /** The constant 1. */
  | 'one';

export interface OperandSpec {
  readonly source: OperandSource;
  /** Bytes, or how to find them: v = operand size, z = operand size but at most 4, y = 4 or 8. */
  readonly size: number | 'v' | 'z' | 'y';
  /** For `fixed`: the register number. */
  readonly register: number;
  /** Immediate of one byte, sign-extended to the operand size. */
  readonly signExtended: boolean;
}

/** Opcode maps: one-byte, 0F, 0F38, 0F3A. */
export type OpcodeMap = 0 | 1 | 2 | 3;
/** Mandatory prefix: selects among rows of one opcode. `any`: prefixes keep their ordinary meaning. */
export type MandatoryPrefix = 'any' | 'none' | '66' | 'f3' | 'f2';

/** What a VEX prefix must say. SDM vol. 2, 2.3. */
export interface VexForm {
  /** 1: the vectors have 256 bits; undefined: either. */
  readonly l: 0 | 1 | undefined;
  readonly w: 0 | 1 | undefined;
}

export interface Row {
  /** Position in the table; rows are compared and found by it. */
  index: number;
  readonly map: OpcodeMap;
  readonly opcode: number;
  readonly prefix: MandatoryPrefix;
  /** ModRM.reg selects this row, or undefined. */
  readonly extension: number | undefined;
  /** The whole ModRM byte selects this row, or undefined. */
  readonly modrm: number | undefined;
  readonly hasModrm: boolean;
  readonly mnemonic: string;
  readonly operands: readonly OperandSpec[];
  readonly semantics: Semantics;
  readonly lock: boolean;
  /** F2 and F3 make it something else, or #UD. */
  readonly noRepeat: boolean;
  /** i64: invalid in 64-bit mode. o64: 64-bit mode only. */
  readonly modes: 'all' | 'i64' | 'o64';
  /** d64: the operand size defaults to 64 in 64-bit mode (66 still gives 16). f64: it is always 64 there. */
  readonly width: 'ordinary' | 'd64' | 'f64';
  /** The instruction has a VEX prefix, and then no other than of a segment or address size. */
  readonly vex: VexForm | undefined;
}

const SIZES: Readonly<Record<string, number | 'v' | 'z' | 'y'>> = {
  b: 1,
  w: 2,
  d: 4,
  q: 8,
  v: 'v',
  z: 'z',
  y: 'y',
  x: 16,
  h: 32,
  o: 16,
  t: 10,
  p: 6,
  s: 10,
  n: 0,
  f: 28,
  u: 14,
  e: 94,
};
const FIXED: Readonly<Record<string, readonly [number, number | 'v' | 'z']>> = {
  AL: [0, 1],
  CL: [1, 1],
  DX: [2, 2],
  AX: [0, 2],
  eAX: [0, 'z'],
  rAX: [0, 'v'],
};

function operand(text: string): OperandSpec {
  const spec = (source: OperandSource, size: number | 'v' | 'z' | 'y', register = 0, signExtended = false): OperandSpec => ({
    source,
    size,
    register,
    signExtended,
  });
  const fixed = FIXED[text];
  if (fixed !== undefined) return spec('fixed', fixed[1], fixed[0]);
  if (text === '1') return spec('one', 1);
  if (text === 'Is') return spec('I', 1, 0, true);
  const size = SIZES[text[1] ?? 'n'];
  if (size === undefined || !'EGMRZIJOSCDVWUPQNBHLK'.includes(text[0] as string)) throw new Error(`operand ${text}?`);
  return spec(text[0] as OperandSource, size);
}

/** Sources that need a ModRM byte. */
const MODRM = 'EGMRSCDVWUPQN';

/**
 * Makes a row from the notation of the SDM's opcode tables: `'66 0f 38 17'`, `'80 /0'`, `'0f 01 =c1'` (whole ModRM byte),
 * `'50+'` (eight opcodes, register in the low bits). `options`: lock, i64, o64, d64, f64, np (no 66, F3 or F2), nr (no F3 or F2).
 */
export function row(encoding: string, mnemonic: string, operands: string, semantics: Semantics, options = ''): Row[] {
  const words = encoding.split(' ');
  const flags = options.split(' ');
  let prefix: MandatoryPrefix = flags.includes('np') ? 'none' : 'any';
  if ((words[0] === '66' || words[0] === 'f3' || words[0] === 'f2') && /^[0-9a-f]{2}/.test(words[1] ?? ''))
    prefix = words.shift() as '66';
  let map: OpcodeMap = 0;
  if (words[0] === '0f') {
    words.shift();
    map = 1;
    const [mapByte, second] = words as readonly (string | undefined)[];
    if ((mapByte === '38' || mapByte === '3a') && second !== undefined && /^[0-9a-f]{2}/.test(second)) {
      words.shift();
      map = mapByte === '38' ? 2 : 3;
    }
  }
  const [first, ...rest] = words;
  const plus = first?.endsWith('+') === true;
  const opcode = Number.parseInt(first ?? '', 16);
  let extension: number | undefined;
  let modrm: number | undefined;
  for (const word of rest) {
    if (word.startsWith('/')) extension = Number(word.slice(1));
    else if (word.startsWith('=')) modrm = Number.parseInt(word.slice(1), 16);
    else throw new Error(`${mnemonic}: ${encoding}?`);
  }
  const specs = operands === '' ? [] : operands.split(',').map(operand);
  const base: Omit<Row, 'opcode'> = {
    index: -1,
    map,
    prefix,
    extension,
    modrm,
    hasModrm: extension !== undefined || modrm !== undefined || specs.some((s) => MODRM.includes(s.source)),
    mnemonic,
    operands: specs,
    semantics,
    lock: flags.includes('lock'),
    noRepeat: flags.includes('nr'),
    modes: flags.includes('i64') ? 'i64' : flags.includes('o64') ? 'o64' : 'all',
    width: flags.includes('f64') ? 'f64' : flags.includes('d64') ? 'd64' : 'ordinary',
    vex: undefined,
  };
  return Array.from({ length: plus ? 8 : 1 }, (_, i) => ({ ...base, opcode: opcode + i }));
}
