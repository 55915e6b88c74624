// Control transfers, near and far, and software interrupts. SDM vol. 2, tables.
import * as branch from '../../sem/branch.ts';
import * as helpers from '../../sem/system-helpers.ts';
import * as transfer from '../../sem/transfer.ts';
import { type Row, row } from '../row.ts';

const hex = (value: number): string => value.toString(16).padStart(2, '0');

export const BRANCH_ROWS: readonly Row[] = [
  ...branch.jumpIf.flatMap((meaning, code) => [
    ...row(hex(0x70 + code), meaning.name, 'Jb', meaning, 'f64'),
    ...row(`0f ${hex(0x80 + code)}`, meaning.name, 'Jz', meaning, 'f64'),
  ]),
  ...row('e0', 'loopne', 'Jb', branch.loopWhileNotZero, 'f64'),
  ...row('e1', 'loope', 'Jb', branch.loopWhileZero, 'f64'),
  ...row('e2', 'loop', 'Jb', branch.loopAlways, 'f64'),
  ...row('e3', 'jcxz', 'Jb', branch.jumpIfCountZero, 'f64'),
  ...row('e8', 'call', 'Jz', branch.callRelative, 'f64'),
  ...row('e9', 'jmp', 'Jz', branch.jumpRelative, 'f64'),
  ...row('eb', 'jmp', 'Jb', branch.jumpRelative, 'f64'),
  ...row('ff /2', 'call', 'Ev', branch.callIndirect, 'f64'),
  ...row('ff /4', 'jmp', 'Ev', branch.jumpIndirect, 'f64'),
  ...row('c2', 'ret', 'Iw', branch.retRelease, 'f64'),
  ...row('c3', 'ret', '', branch.ret, 'f64'),
  ...row('9a', 'callf', 'Iz,Iw', helpers.farCall, 'i64'),
  ...row('ea', 'jmpf', 'Iz,Iw', helpers.farJump, 'i64'),
  ...row('ff /3', 'callf', 'Mn', helpers.farCallIndirect),
  ...row('ff /5', 'jmpf', 'Mn', helpers.farJumpIndirect),
  ...row('ca', 'retf', 'Iw', helpers.farReturnRelease),
  ...row('cb', 'retf', '', helpers.farReturn),
  ...row('cc', 'int3', '', helpers.int3),
  ...row('cd', 'int', 'Ib', helpers.int),
  ...row('ce', 'into', '', helpers.into, 'i64'),
  ...row('cf', 'iret', '', transfer.iret),
  ...row('f1', 'int1', '', helpers.int1),
];
