// Arithmetic, logic, shifts, multiplication, bits. SDM vol. 2, tables.

import type { Semantics } from '../../emit/semantics.ts';
import * as alu from '../../sem/alu.ts';
import * as bits from '../../sem/bits.ts';
import * as muldiv from '../../sem/muldiv.ts';
import * as shift from '../../sem/shift.ts';
import { type Row, row } from '../row.ts';

const hex = (value: number): string => value.toString(16).padStart(2, '0');

/** The eight operations of opcodes 00..3F and of group 1, by number. */
const GROUP1: readonly (readonly [string, Semantics])[] = [
  ['add', alu.add],
  ['or', alu.or],
  ['adc', alu.adc],
  ['sbb', alu.sbb],
  ['and', alu.and],
  ['sub', alu.sub],
  ['xor', alu.xor],
  ['cmp', alu.cmp],
];
const ARITHMETIC: readonly Row[] = GROUP1.flatMap(([name, meaning], n) => {
  const lock = name === 'cmp' ? '' : 'lock';
  return [
    ...row(hex(n * 8), name, 'Eb,Gb', meaning, lock),
    ...row(hex(n * 8 + 1), name, 'Ev,Gv', meaning, lock),
    ...row(hex(n * 8 + 2), name, 'Gb,Eb', meaning),
    ...row(hex(n * 8 + 3), name, 'Gv,Ev', meaning),
    ...row(hex(n * 8 + 4), name, 'AL,Ib', meaning),
    ...row(hex(n * 8 + 5), name, 'rAX,Iz', meaning),
    ...row(`80 /${n}`, name, 'Eb,Ib', meaning, lock),
    ...row(`81 /${n}`, name, 'Ev,Iz', meaning, lock),
    ...row(`82 /${n}`, name, 'Eb,Ib', meaning, `i64 ${lock}`),
    ...row(`83 /${n}`, name, 'Ev,Is', meaning, lock),
  ];
});

/** Group 2 by ModRM.reg; 6 is an alias of 4. */
const GROUP2 = [
  ['rol', shift.rol],
  ['ror', shift.ror],
  ['rcl', shift.rcl],
  ['rcr', shift.rcr],
  ['shl', shift.shl],
  ['shr', shift.shr],
  ['shl', shift.shl],
  ['sar', shift.sar],
] as const;
const SHIFTS: readonly Row[] = GROUP2.flatMap(([name, { byCount, byOne }], n) => [
  ...row(`c0 /${n}`, name, 'Eb,Ib', byCount),
  ...row(`c1 /${n}`, name, 'Ev,Ib', byCount),
  ...row(`d0 /${n}`, name, 'Eb,1', byOne),
  ...row(`d1 /${n}`, name, 'Ev,1', byOne),
  ...row(`d2 /${n}`, name, 'Eb,CL', byCount),
  ...row(`d3 /${n}`, name, 'Ev,CL', byCount),
]);

/** Group 3, opcodes F6 and F7; 1 is an alias of 0. */
const GROUP3: readonly Row[] = [
  ...[0, 1].flatMap((n) => [...row(`f6 /${n}`, 'test', 'Eb,Ib', alu.test), ...row(`f7 /${n}`, 'test', 'Ev,Iz', alu.test)]),
  ...(
    [
      [2, 'not', alu.not, 'lock'],
      [3, 'neg', alu.neg, 'lock'],
      [4, 'mul', muldiv.mul, ''],
      [5, 'imul', muldiv.imul1, ''],
      [6, 'div', muldiv.div, ''],
      [7, 'idiv', muldiv.idiv, ''],
    ] as const
  ).flatMap(([n, name, meaning, lock]) => [
    ...row(`f6 /${n}`, name, 'Eb', meaning, lock),
    ...row(`f7 /${n}`, name, 'Ev', meaning, lock),
  ]),
];

const INCREMENTS: readonly Row[] = [
  ...row('40+', 'inc', 'Zv', alu.inc, 'i64'),
  ...row('48+', 'dec', 'Zv', alu.dec, 'i64'),
  ...row('fe /0', 'inc', 'Eb', alu.inc, 'lock'),
  ...row('fe /1', 'dec', 'Eb', alu.dec, 'lock'),
  ...row('ff /0', 'inc', 'Ev', alu.inc, 'lock'),
  ...row('ff /1', 'dec', 'Ev', alu.dec, 'lock'),
];

/** BT and its kin: opcode with a register, and number in group 8. */
const BIT_TESTS: readonly Row[] = (
  [
    ['bt', 'a3', 4, bits.bt, ''],
    ['bts', 'ab', 5, bits.bts, 'lock'],
    ['btr', 'b3', 6, bits.btr, 'lock'],
    ['btc', 'bb', 7, bits.btc, 'lock'],
  ] as const
).flatMap(([name, opcode, n, { byRegister, byImmediate }, lock]) => [
  ...row(`0f ${opcode}`, name, 'Ev,Gv', byRegister, lock),
  ...row(`0f ba /${n}`, name, 'Ev,Ib', byImmediate, lock),
]);

export const ALU_ROWS: readonly Row[] = [
  ...ARITHMETIC,
  ...SHIFTS,
  ...GROUP3,
  ...INCREMENTS,
  ...BIT_TESTS,
  ...row('84', 'test', 'Eb,Gb', alu.test),
  ...row('85', 'test', 'Ev,Gv', alu.test),
  ...row('a8', 'test', 'AL,Ib', alu.test),
  ...row('a9', 'test', 'rAX,Iz', alu.test),
  ...row('69', 'imul', 'Gv,Ev,Iz', muldiv.imul3),
  ...row('6b', 'imul', 'Gv,Ev,Is', muldiv.imul3),
  ...row('0f af', 'imul', 'Gv,Ev', muldiv.imul2),
  ...row('0f a4', 'shld', 'Ev,Gv,Ib', shift.shld),
  ...row('0f a5', 'shld', 'Ev,Gv,CL', shift.shld),
  ...row('0f ac', 'shrd', 'Ev,Gv,Ib', shift.shrd),
  ...row('0f ad', 'shrd', 'Ev,Gv,CL', shift.shrd),
  ...row('0f bc', 'bsf', 'Gv,Ev', bits.bsf),
  ...row('0f bd', 'bsr', 'Gv,Ev', bits.bsr),
  ...row('f3 0f b8', 'popcnt', 'Gv,Ev', bits.popcnt),
  ...row('f2 0f 38 f0', 'crc32', 'Gy,Eb', bits.crc32),
  ...row('f2 0f 38 f1', 'crc32', 'Gy,Ev', bits.crc32),
];
