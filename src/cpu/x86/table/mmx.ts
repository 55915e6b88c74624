// MMX, and the MMX forms that SSE to SSSE3 added. SDM vol. 2, appendix A, tables: the rows without a prefix.
import type { Semantics } from '../../emit/semantics.ts';
import { pextrw, pinsrw } from '../../sem/sse-insert.ts';
import { pabsb, pabsd, pabsw, packedMmx } from '../../sem/sse-integer.ts';
import { emms, maskmov, movdq2q, movFromGeneralMmx, movqMmx, movToGeneralMmx, pmovmskbMmx } from '../../sem/sse-move.ts';
import { palignr, SHIFTS } from '../../sem/sse-shift.ts';
import { pshuflw } from '../../sem/sse-shuffle.ts';
import { type Row, row } from '../row.ts';

// biome-ignore format: a table reads best by its columns.
const PACKED_0F: Readonly<Record<string, string>> = {
  63: 'packsswb', 64: 'pcmpgtb', 65: 'pcmpgtw', 66: 'pcmpgtd', 67: 'packuswb',
  68: 'punpckhbw', 69: 'punpckhwd', '6a': 'punpckhdq', '6b': 'packssdw',
  74: 'pcmpeqb', 75: 'pcmpeqw', 76: 'pcmpeqd',
  d4: 'paddq', d5: 'pmullw', d8: 'psubusb', d9: 'psubusw', da: 'pminub', db: 'pand', dc: 'paddusb', dd: 'paddusw', de: 'pmaxub', df: 'pandn',
  e0: 'pavgb', e3: 'pavgw', e4: 'pmulhuw', e5: 'pmulhw', e8: 'psubsb', e9: 'psubsw', ea: 'pminsw', eb: 'por',
  ec: 'paddsb', ed: 'paddsw', ee: 'pmaxsw', ef: 'pxor',
  f4: 'pmuludq', f5: 'pmaddwd', f6: 'psadbw', f8: 'psubb', f9: 'psubw', fa: 'psubd', fb: 'psubq', fc: 'paddb', fd: 'paddw', fe: 'paddd',
};
// biome-ignore format: a table reads best by its columns.
const PACKED_0F38: Readonly<Record<string, string>> = {
  '00': 'pshufb', '01': 'phaddw', '02': 'phaddd', '03': 'phaddsw', '04': 'pmaddubsw', '05': 'phsubw', '06': 'phsubd', '07': 'phsubsw',
  '08': 'psignb', '09': 'psignw', '0a': 'psignd', '0b': 'pmulhrsw',
};
// biome-ignore format: a table reads best by its columns.
const SHIFT_OPCODES: readonly (readonly [string, string, string])[] = [
  ['psrlw', 'd1', '71 /2'], ['psraw', 'e1', '71 /4'], ['psllw', 'f1', '71 /6'],
  ['psrld', 'd2', '72 /2'], ['psrad', 'e2', '72 /4'], ['pslld', 'f2', '72 /6'],
  ['psrlq', 'd3', '73 /2'], ['psllq', 'f3', '73 /6'],
];
const shift = (name: string) => SHIFTS.get(name) as { byVector: Semantics; byImmediate: Semantics };

export const MMX_ROWS: readonly Row[] = [
  // The low halves need only 4 bytes of memory.
  ...row('0f 60', 'punpcklbw', 'Pq,Qd', packedMmx('punpcklbw'), 'np'),
  ...row('0f 61', 'punpcklwd', 'Pq,Qd', packedMmx('punpcklwd'), 'np'),
  ...row('0f 62', 'punpckldq', 'Pq,Qd', packedMmx('punpckldq'), 'np'),
  ...Object.entries(PACKED_0F).flatMap(([opcode, name]) => row(`0f ${opcode}`, name, 'Pq,Qq', packedMmx(name), 'np')),
  ...Object.entries(PACKED_0F38).flatMap(([opcode, name]) => row(`0f 38 ${opcode}`, name, 'Pq,Qq', packedMmx(name), 'np')),
  ...SHIFT_OPCODES.flatMap(([name, opcode, group]) => [
    ...row(`0f ${opcode}`, name, 'Pq,Qq', shift(name).byVector, 'np'),
    ...row(`0f ${group}`, name, 'Nq,Ib', shift(name).byImmediate, 'np'),
  ]),
  ...row('0f 38 1c', 'pabsb', 'Pq,Qq', pabsb, 'np'),
  ...row('0f 38 1d', 'pabsw', 'Pq,Qq', pabsw, 'np'),
  ...row('0f 38 1e', 'pabsd', 'Pq,Qq', pabsd, 'np'),
  ...row('0f 3a 0f', 'palignr', 'Pq,Qq,Ib', palignr, 'np'),
  ...row('0f 6e', 'movd', 'Pq,Ey', movFromGeneralMmx, 'np'),
  ...row('0f 7e', 'movd', 'Ey,Pq', movToGeneralMmx, 'np'),
  ...row('0f 6f', 'movq', 'Pq,Qq', movqMmx, 'np'),
  ...row('0f 7f', 'movq', 'Qq,Pq', movqMmx, 'np'),
  ...row('0f 70', 'pshufw', 'Pq,Qq,Ib', pshuflw, 'np'),
  ...row('0f 77', 'emms', '', emms, 'np'),
  ...row('0f c4', 'pinsrw', 'Pq,Rd,Ib', pinsrw, 'np'),
  ...row('0f c4', 'pinsrw', 'Pq,Mw,Ib', pinsrw, 'np'),
  ...row('0f c5', 'pextrw', 'Gd,Nq,Ib', pextrw, 'np'),
  ...row('0f d7', 'pmovmskb', 'Gd,Nq', pmovmskbMmx, 'np'),
  ...row('0f e7', 'movntq', 'Mq,Pq', movqMmx, 'np'),
  ...row('0f f7', 'maskmovq', 'Pq,Nq', maskmov, 'np'),
  ...row('f2 0f d6', 'movdq2q', 'Pq,Uq', movdq2q),
];
