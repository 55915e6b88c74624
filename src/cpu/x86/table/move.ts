// Data movement, the stack, exchange, string instructions. SDM vol. 2, tables.

import type { Semantics } from '../../emit/semantics.ts';
import * as atomic from '../../sem/atomic.ts';
import * as move from '../../sem/move.ts';
import * as stack from '../../sem/stack.ts';
import * as string from '../../sem/string.ts';
import * as stringCompare from '../../sem/string-compare.ts';
import { movFromSegment, movToSegment } from '../../sem/system.ts';
import { SEGMENT } from '../../state.ts';
import { type Row, row } from '../row.ts';

const hex = (value: number): string => value.toString(16).padStart(2, '0');

const MOVES: readonly Row[] = [
  ...row('88', 'mov', 'Eb,Gb', move.mov),
  ...row('89', 'mov', 'Ev,Gv', move.mov),
  ...row('8a', 'mov', 'Gb,Eb', move.mov),
  ...row('8b', 'mov', 'Gv,Ev', move.mov),
  ...[0, 1, 2, 3, 4, 5].flatMap((n) => [
    ...row(`8c /${n}`, 'mov', 'Rv,Sw', movFromSegment[n] as Semantics),
    ...row(`8c /${n}`, 'mov', 'Mw,Sw', movFromSegment[n] as Semantics),
  ]),
  // CS is loaded by control transfers only.
  ...[0, 2, 3, 4, 5].flatMap((n) => row(`8e /${n}`, 'mov', 'Sw,Ew', movToSegment[n] as Semantics)),
  ...row('a0', 'mov', 'AL,Ob', move.mov),
  ...row('a1', 'mov', 'rAX,Ov', move.mov),
  ...row('a2', 'mov', 'Ob,AL', move.mov),
  ...row('a3', 'mov', 'Ov,rAX', move.mov),
  ...row('b0+', 'mov', 'Zb,Ib', move.mov),
  ...row('b8+', 'mov', 'Zv,Iv', move.mov),
  ...row('c6 /0', 'mov', 'Eb,Ib', move.mov),
  ...row('c7 /0', 'mov', 'Ev,Iz', move.mov),
  ...row('63', 'movsxd', 'Gv,Ez', move.movsxd, 'o64'),
  ...row('0f b6', 'movzx', 'Gv,Eb', move.movzx),
  ...row('0f b7', 'movzx', 'Gv,Ew', move.movzx),
  ...row('0f be', 'movsx', 'Gv,Eb', move.movsx),
  ...row('0f bf', 'movsx', 'Gv,Ew', move.movsx),
  ...row('0f 38 f0', 'movbe', 'Gv,Mv', move.movbe, 'nr'),
  ...row('0f 38 f1', 'movbe', 'Mv,Gv', move.movbe, 'nr'),
  ...row('0f c8+', 'bswap', 'Zv', move.bswap),
  ...row('8d', 'lea', 'Gv,Mv', move.lea),
  ...row('d7', 'xlat', '', move.xlat),
  ...row('98', 'cbw', '', move.cbw),
  ...row('99', 'cwd', '', move.cwd),
  ...move.cmov.flatMap((meaning, code) => row(`0f ${hex(0x40 + code)}`, meaning.name, 'Gv,Ev', meaning)),
  ...move.setcc.flatMap((meaning, code) => row(`0f ${hex(0x90 + code)}`, meaning.name, 'Eb', meaning)),
];

const FAR_POINTERS: readonly Row[] = [
  ...row('c4', 'les', 'Gv,Mn', move.loadFarPointer('les', SEGMENT.es), 'i64'),
  ...row('c5', 'lds', 'Gv,Mn', move.loadFarPointer('lds', SEGMENT.ds), 'i64'),
  ...row('0f b2', 'lss', 'Gv,Mn', move.loadFarPointer('lss', SEGMENT.ss)),
  ...row('0f b4', 'lfs', 'Gv,Mn', move.loadFarPointer('lfs', SEGMENT.fs)),
  ...row('0f b5', 'lgs', 'Gv,Mn', move.loadFarPointer('lgs', SEGMENT.gs)),
];

const EXCHANGES: readonly Row[] = [
  ...row('86', 'xchg', 'Eb,Gb', move.xchg, 'lock'),
  ...row('87', 'xchg', 'Ev,Gv', move.xchg, 'lock'),
  ...row('90', 'nop', 'Zv,rAX', move.nopOrXchg),
  // Also with REX.B.
  ...row('f3 90', 'pause', '', move.nop),
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((n) => row(hex(0x90 + n), 'xchg', 'Zv,rAX', move.xchg)),
  ...row('0f b0', 'cmpxchg', 'Eb,Gb', atomic.cmpxchg, 'lock'),
  ...row('0f b1', 'cmpxchg', 'Ev,Gv', atomic.cmpxchg, 'lock'),
  ...row('0f c0', 'xadd', 'Eb,Gb', atomic.xadd, 'lock'),
  ...row('0f c1', 'xadd', 'Ev,Gv', atomic.xadd, 'lock'),
  ...row('0f c7 /1', 'cmpxchg8b', 'Mq', atomic.cmpxchg8b, 'lock'),
];

const STACK: readonly Row[] = [
  ...row('50+', 'push', 'Zv', stack.push, 'd64'),
  ...row('58+', 'pop', 'Zv', stack.pop, 'd64'),
  ...row('68', 'push', 'Iz', stack.pushImmediate, 'd64'),
  ...row('6a', 'push', 'Is', stack.pushImmediate, 'd64'),
  ...row('8f /0', 'pop', 'Ev', stack.pop, 'd64'),
  ...row('ff /6', 'push', 'Ev', stack.push, 'd64'),
  ...row('60', 'pusha', '', stack.pusha, 'i64'),
  ...row('61', 'popa', '', stack.popa, 'i64'),
  ...row('c8', 'enter', 'Iw,Ib', stack.enter, 'd64'),
  ...row('c9', 'leave', '', stack.leave, 'd64'),
  ...row('06', 'push es', '', stack.pushSegment('pushEs', SEGMENT.es), 'i64'),
  ...row('0e', 'push cs', '', stack.pushSegment('pushCs', SEGMENT.cs), 'i64'),
  ...row('16', 'push ss', '', stack.pushSegment('pushSs', SEGMENT.ss), 'i64'),
  ...row('1e', 'push ds', '', stack.pushSegment('pushDs', SEGMENT.ds), 'i64'),
  ...row('0f a0', 'push fs', '', stack.pushSegment('pushFs', SEGMENT.fs), 'd64'),
  ...row('0f a8', 'push gs', '', stack.pushSegment('pushGs', SEGMENT.gs), 'd64'),
  ...row('07', 'pop es', '', stack.popSegment('popEs', SEGMENT.es), 'i64'),
  ...row('17', 'pop ss', '', stack.popSegment('popSs', SEGMENT.ss), 'i64'),
  ...row('1f', 'pop ds', '', stack.popSegment('popDs', SEGMENT.ds), 'i64'),
  ...row('0f a1', 'pop fs', '', stack.popSegment('popFs', SEGMENT.fs), 'd64'),
  ...row('0f a9', 'pop gs', '', stack.popSegment('popGs', SEGMENT.gs), 'd64'),
];

const STRINGS: readonly Row[] = [
  ...row('6c', 'insb', '', string.ins.bytes),
  ...row('6d', 'ins', '', string.ins.words),
  ...row('6e', 'outsb', '', string.outs.bytes),
  ...row('6f', 'outs', '', string.outs.words),
  ...row('a4', 'movsb', '', string.movs.bytes),
  ...row('a5', 'movs', '', string.movs.words),
  ...row('a6', 'cmpsb', '', stringCompare.cmps.bytes),
  ...row('a7', 'cmps', '', stringCompare.cmps.words),
  ...row('aa', 'stosb', '', string.stos.bytes),
  ...row('ab', 'stos', '', string.stos.words),
  ...row('ac', 'lodsb', '', string.lods.bytes),
  ...row('ad', 'lods', '', string.lods.words),
  ...row('ae', 'scasb', '', stringCompare.scas.bytes),
  ...row('af', 'scas', '', stringCompare.scas.words),
];

/** Reserved for hints: prefetches, ENDBR, NOP with an operand. */
const HINTS: readonly Row[] = ['0d', '18', '19', '1a', '1b', '1c', '1d', '1e', '1f'].flatMap((opcode) =>
  row(`0f ${opcode}`, opcode === '0d' || opcode === '18' ? 'prefetch' : 'nop', 'Ev', move.hintNop),
);

export const MOVE_ROWS: readonly Row[] = [...MOVES, ...FAR_POINTERS, ...EXCHANGES, ...STACK, ...STRINGS, ...HINTS];
