// SSE2 to SSE4.2: packed integers, logic, shuffles, shifts, inserts. SDM vol. 2, appendix A, tables.

import type { Semantics } from '../../emit/semantics.ts';
import { mpsadbw, pextrb, pextrd, pextrw, pinsrb, pinsrd, pinsrw } from '../../sem/sse-insert.ts';
import { EXTENSIONS, pabsb, pabsd, pabsw, packed, phminposuw } from '../../sem/sse-integer.ts';
import { palignr, pslldq, psrldq, SHIFTS } from '../../sem/sse-shift.ts';
import {
  blendpd,
  blendps,
  blendvpd,
  blendvps,
  insertps,
  pblendvb,
  pblendw,
  pshufd,
  pshufhw,
  pshuflw,
  ptest,
  shufpd,
  shufps,
} from '../../sem/sse-shuffle.ts';
import { type Row, row } from '../row.ts';

/** `destination = f(destination, source)` of the 66 0F map by last opcode byte. */
// biome-ignore format: a table reads best by its columns.
const PACKED_0F: Readonly<Record<string, string>> = {
  60: 'punpcklbw', 61: 'punpcklwd', 62: 'punpckldq', 63: 'packsswb', 64: 'pcmpgtb', 65: 'pcmpgtw', 66: 'pcmpgtd', 67: 'packuswb',
  68: 'punpckhbw', 69: 'punpckhwd', '6a': 'punpckhdq', '6b': 'packssdw', '6c': 'punpcklqdq', '6d': 'punpckhqdq',
  74: 'pcmpeqb', 75: 'pcmpeqw', 76: 'pcmpeqd',
  d4: 'paddq', d5: 'pmullw', d8: 'psubusb', d9: 'psubusw', da: 'pminub', db: 'pand', dc: 'paddusb', dd: 'paddusw', de: 'pmaxub', df: 'pandn',
  e0: 'pavgb', e3: 'pavgw', e4: 'pmulhuw', e5: 'pmulhw', e8: 'psubsb', e9: 'psubsw', ea: 'pminsw', eb: 'por',
  ec: 'paddsb', ed: 'paddsw', ee: 'pmaxsw', ef: 'pxor',
  f4: 'pmuludq', f5: 'pmaddwd', f6: 'psadbw', f8: 'psubb', f9: 'psubw', fa: 'psubd', fb: 'psubq', fc: 'paddb', fd: 'paddw', fe: 'paddd',
};
/** The same of the 66 0F 38 map. */
// biome-ignore format: a table reads best by its columns.
const PACKED_0F38: Readonly<Record<string, string>> = {
  '00': 'pshufb', '01': 'phaddw', '02': 'phaddd', '03': 'phaddsw', '04': 'pmaddubsw', '05': 'phsubw', '06': 'phsubd', '07': 'phsubsw',
  '08': 'psignb', '09': 'psignw', '0a': 'psignd', '0b': 'pmulhrsw',
  28: 'pmuldq', 29: 'pcmpeqq', '2b': 'packusdw', 37: 'pcmpgtq',
  38: 'pminsb', 39: 'pminsd', '3a': 'pminuw', '3b': 'pminud', '3c': 'pmaxsb', '3d': 'pmaxsd', '3e': 'pmaxuw', '3f': 'pmaxud',
  40: 'pmulld',
};
/** Shifts by opcode: of a vector count, and the group and extension of an immediate count. */
// biome-ignore format: a table reads best by its columns.
const SHIFT_OPCODES: readonly (readonly [string, string, string])[] = [
  ['psrlw', 'd1', '71 /2'], ['psraw', 'e1', '71 /4'], ['psllw', 'f1', '71 /6'],
  ['psrld', 'd2', '72 /2'], ['psrad', 'e2', '72 /4'], ['pslld', 'f2', '72 /6'],
  ['psrlq', 'd3', '73 /2'], ['psllq', 'f3', '73 /6'],
];
const EXTENSION_OPCODES: readonly (readonly [number, string, string])[] = [
  [0, 'bw', 'Wq'],
  [1, 'bd', 'Wd'],
  [3, 'wd', 'Wq'],
  [4, 'wq', 'Wd'],
  [5, 'dq', 'Wq'],
];
const shift = (name: string) => SHIFTS.get(name) as { byVector: Semantics; byImmediate: Semantics };
const extension = (name: string) => EXTENSIONS[name] as Semantics;

export const SSE_INTEGER_ROWS: readonly Row[] = [
  ...Object.entries(PACKED_0F).flatMap(([opcode, name]) => row(`66 0f ${opcode}`, name, 'Vx,Wx', packed(name))),
  ...Object.entries(PACKED_0F38).flatMap(([opcode, name]) => row(`66 0f 38 ${opcode}`, name, 'Vx,Wx', packed(name))),
  ...SHIFT_OPCODES.flatMap(([name, opcode, group]) => [
    ...row(`66 0f ${opcode}`, name, 'Vx,Wx', shift(name).byVector),
    ...row(`66 0f ${group}`, name, 'Ux,Ib', shift(name).byImmediate),
  ]),
  ...row('66 0f 73 /3', 'psrldq', 'Ux,Ib', psrldq),
  ...row('66 0f 73 /7', 'pslldq', 'Ux,Ib', pslldq),
  ...row('66 0f 38 1c', 'pabsb', 'Vx,Wx', pabsb),
  ...row('66 0f 38 1d', 'pabsw', 'Vx,Wx', pabsw),
  ...row('66 0f 38 1e', 'pabsd', 'Vx,Wx', pabsd),
  ...EXTENSION_OPCODES.flatMap(([low, lanes, source]) => [
    ...row(`66 0f 38 2${low}`, `pmovsx${lanes}`, `Vx,${source}`, extension(`pmovsx${lanes}`)),
    ...row(`66 0f 38 3${low}`, `pmovzx${lanes}`, `Vx,${source}`, extension(`pmovzx${lanes}`)),
  ]),
  ...row('66 0f 38 22', 'pmovsxbq', 'Vx,Ww', extension('pmovsxbq')),
  ...row('66 0f 38 32', 'pmovzxbq', 'Vx,Ww', extension('pmovzxbq')),
  ...row('66 0f 38 41', 'phminposuw', 'Vx,Wx', phminposuw),
  // The same bits under floating-point names.
  ...row('0f 54', 'andps', 'Vx,Wx', packed('pand'), 'np'),
  ...row('66 0f 54', 'andpd', 'Vx,Wx', packed('pand')),
  ...row('0f 55', 'andnps', 'Vx,Wx', packed('pandn'), 'np'),
  ...row('66 0f 55', 'andnpd', 'Vx,Wx', packed('pandn')),
  ...row('0f 56', 'orps', 'Vx,Wx', packed('por'), 'np'),
  ...row('66 0f 56', 'orpd', 'Vx,Wx', packed('por')),
  ...row('0f 57', 'xorps', 'Vx,Wx', packed('pxor'), 'np'),
  ...row('66 0f 57', 'xorpd', 'Vx,Wx', packed('pxor')),
  ...row('0f 14', 'unpcklps', 'Vx,Wx', packed('punpckldq'), 'np'),
  ...row('66 0f 14', 'unpcklpd', 'Vx,Wx', packed('punpcklqdq')),
  ...row('0f 15', 'unpckhps', 'Vx,Wx', packed('punpckhdq'), 'np'),
  ...row('66 0f 15', 'unpckhpd', 'Vx,Wx', packed('punpckhqdq')),
  ...row('66 0f 70', 'pshufd', 'Vx,Wx,Ib', pshufd),
  ...row('f2 0f 70', 'pshuflw', 'Vx,Wx,Ib', pshuflw),
  ...row('f3 0f 70', 'pshufhw', 'Vx,Wx,Ib', pshufhw),
  ...row('0f c6', 'shufps', 'Vx,Wx,Ib', shufps, 'np'),
  ...row('66 0f c6', 'shufpd', 'Vx,Wx,Ib', shufpd),
  ...row('66 0f c4', 'pinsrw', 'Vx,Rd,Ib', pinsrw),
  ...row('66 0f c4', 'pinsrw', 'Vx,Mw,Ib', pinsrw),
  ...row('66 0f c5', 'pextrw', 'Gd,Ux,Ib', pextrw),
  ...row('66 0f 38 10', 'pblendvb', 'Vx,Wx', pblendvb),
  ...row('66 0f 38 14', 'blendvps', 'Vx,Wx', blendvps),
  ...row('66 0f 38 15', 'blendvpd', 'Vx,Wx', blendvpd),
  ...row('66 0f 38 17', 'ptest', 'Vx,Wx', ptest),
  ...row('66 0f 3a 0c', 'blendps', 'Vx,Wx,Ib', blendps),
  ...row('66 0f 3a 0d', 'blendpd', 'Vx,Wx,Ib', blendpd),
  ...row('66 0f 3a 0e', 'pblendw', 'Vx,Wx,Ib', pblendw),
  ...row('66 0f 3a 0f', 'palignr', 'Vx,Wx,Ib', palignr),
  ...row('66 0f 3a 14', 'pextrb', 'Rd,Vx,Ib', pextrb),
  ...row('66 0f 3a 14', 'pextrb', 'Mb,Vx,Ib', pextrb),
  ...row('66 0f 3a 15', 'pextrw', 'Rd,Vx,Ib', pextrw),
  ...row('66 0f 3a 15', 'pextrw', 'Mw,Vx,Ib', pextrw),
  ...row('66 0f 3a 16', 'pextrd', 'Ey,Vx,Ib', pextrd),
  ...row('66 0f 3a 17', 'extractps', 'Ed,Vx,Ib', pextrd),
  ...row('66 0f 3a 20', 'pinsrb', 'Vx,Rd,Ib', pinsrb),
  ...row('66 0f 3a 20', 'pinsrb', 'Vx,Mb,Ib', pinsrb),
  ...row('66 0f 3a 21', 'insertps', 'Vx,Ux,Ib', insertps),
  ...row('66 0f 3a 21', 'insertps', 'Vx,Md,Ib', insertps),
  ...row('66 0f 3a 22', 'pinsrd', 'Vx,Ey,Ib', pinsrd),
  ...row('66 0f 3a 42', 'mpsadbw', 'Vx,Wx,Ib', mpsadbw),
];
