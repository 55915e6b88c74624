// Rows of instructions with a VEX prefix.
import type { Semantics } from '../emit/semantics.ts';
import { type Row, row, type VexForm } from './row.ts';

const L: Readonly<Record<string, VexForm['l']>> = { lz: 0, 128: 0, 256: 1, lig: undefined };
const W: Readonly<Record<string, VexForm['w']>> = { w0: 0, w1: 1, wig: undefined };
const MAPS: Readonly<Record<string, string>> = { '0f': '0f', '0f38': '0f 38', '0f3a': '0f 3a' };

/**
 * Makes a row from the SDM's notation in lower case: `'128.66.0f.wig 58'`, `'lz.np.0f38.w0 f3 /1'`. In a form of 256 bits
 * operands of size `x` have 32 bytes.
 */
export function vex(encoding: string, mnemonic: string, operands: string, semantics: Semantics, options = ''): Row[] {
  const [form = '', ...opcode] = encoding.split(' ');
  const [length = '', prefix = '', map = '', w = ''] = form.split('.');
  if (!(length in L) || !(w in W) || !(map in MAPS)) throw new Error(`${mnemonic}: ${encoding}?`);
  const sized = length === '256' ? operands.replaceAll('x', 'h') : operands;
  const legacy = `${prefix === 'np' ? '' : `${prefix} `}${MAPS[map] ?? ''} ${opcode.join(' ')}`;
  const rows = row(legacy, mnemonic, sized, semantics, prefix === 'np' ? `np ${options}` : options);
  return rows.map((made) => ({ ...made, vex: { l: L[length], w: W[w] } }));
}
