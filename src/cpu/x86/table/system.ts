// Flags, ports, system registers, x87 escapes and the rest of the integer maps. SDM vol. 2, tables; vol. 3, 2.8.
import * as decimal from '../../sem/decimal.ts';
import * as flags from '../../sem/flags.ts';
import * as legacy from '../../sem/legacy-transfer.ts';
import { nop } from '../../sem/move.ts';
import * as system from '../../sem/system.ts';
import * as helpers from '../../sem/system-helpers.ts';
import * as transfer from '../../sem/transfer.ts';
import * as x87 from '../../sem/x87/escapes.ts';
import * as state from '../../sem/xsave.ts';
import { SEGMENT } from '../../state.ts';
import { type Row, row } from '../row.ts';

const FLAGS: readonly Row[] = [
  ...row('f5', 'cmc', '', flags.cmc),
  ...row('f8', 'clc', '', flags.clc),
  ...row('f9', 'stc', '', flags.stc),
  ...row('fa', 'cli', '', flags.cli),
  ...row('fb', 'sti', '', flags.sti),
  ...row('fc', 'cld', '', flags.cld),
  ...row('fd', 'std', '', flags.std),
  ...row('9c', 'pushf', '', flags.pushf, 'd64'),
  ...row('9d', 'popf', '', flags.popf, 'd64'),
  ...row('9e', 'sahf', '', flags.sahf),
  ...row('9f', 'lahf', '', flags.lahf),
  ...row('d6', 'salc', '', flags.salc, 'i64'),
  ...row('0f 01 =ca', 'clac', '', flags.clac, 'np'),
  ...row('0f 01 =cb', 'stac', '', flags.stac, 'np'),
];

const DECIMAL: readonly Row[] = [
  ...row('27', 'daa', '', decimal.daa, 'i64'),
  ...row('2f', 'das', '', decimal.das, 'i64'),
  ...row('37', 'aaa', '', decimal.aaa, 'i64'),
  ...row('3f', 'aas', '', decimal.aas, 'i64'),
  ...row('d4', 'aam', 'Ib', decimal.aam, 'i64'),
  ...row('d5', 'aad', 'Ib', decimal.aad, 'i64'),
];

const PORTS: readonly Row[] = [
  ...row('e4', 'in', 'AL,Ib', helpers.portIn),
  ...row('e5', 'in', 'eAX,Ib', helpers.portIn),
  ...row('e6', 'out', 'Ib,AL', helpers.portOut),
  ...row('e7', 'out', 'Ib,eAX', helpers.portOut),
  ...row('ec', 'in', 'AL,DX', helpers.portIn),
  ...row('ed', 'in', 'eAX,DX', helpers.portIn),
  ...row('ee', 'out', 'DX,AL', helpers.portOut),
  ...row('ef', 'out', 'DX,eAX', helpers.portOut),
];

const DESCRIPTORS: readonly Row[] = [
  ...row('63', 'arpl', 'Ew,Gw', system.arpl, 'i64'),
  ...row('0f 00 /0', 'sldt', 'Rv', system.sldt),
  ...row('0f 00 /0', 'sldt', 'Mw', system.sldt),
  ...row('0f 00 /1', 'str', 'Rv', system.str),
  ...row('0f 00 /1', 'str', 'Mw', system.str),
  ...row('0f 00 /2', 'lldt', 'Ew', system.lldt),
  ...row('0f 00 /3', 'ltr', 'Ew', system.ltr),
  ...row('0f 00 /4', 'verr', 'Ew', system.verr),
  ...row('0f 00 /5', 'verw', 'Ew', system.verw),
  ...row('0f 01 /0', 'sgdt', 'Mn', helpers.sgdt),
  ...row('0f 01 /1', 'sidt', 'Mn', helpers.sidt),
  ...row('0f 01 /2', 'lgdt', 'Mn', helpers.lgdt),
  ...row('0f 01 /3', 'lidt', 'Mn', helpers.lidt),
  ...row('0f 01 /4', 'smsw', 'Rv', system.smsw),
  ...row('0f 01 /4', 'smsw', 'Mw', system.smsw),
  ...row('0f 01 /6', 'lmsw', 'Ew', system.lmsw),
  ...row('0f 01 /7', 'invlpg', 'Mb', system.invlpg),
  ...row('0f 02', 'lar', 'Gv,Ew', system.lar),
  ...row('0f 03', 'lsl', 'Gv,Ew', system.lsl),
  ...row('62', 'bound', 'Gv,Mv', system.bound, 'i64'),
];

const REGISTERS: readonly Row[] = [
  ...row('0f 20', 'mov', 'Ry,Cy', system.movFromControl, 'f64'),
  ...row('0f 21', 'mov', 'Ry,Dy', helpers.movFromDebug, 'f64'),
  ...row('0f 22', 'mov', 'Cy,Ry', helpers.movToControl, 'f64'),
  ...row('0f 23', 'mov', 'Dy,Ry', helpers.movToDebug, 'f64'),
  ...row('0f 06', 'clts', '', system.clts),
  ...row('0f 30', 'wrmsr', '', helpers.wrmsr),
  ...row('0f 31', 'rdtsc', '', system.rdtsc),
  ...row('0f 32', 'rdmsr', '', helpers.rdmsr),
  ...row('0f 33', 'rdpmc', '', system.rdpmc),
  ...row('0f a2', 'cpuid', '', system.cpuid),
  ...row('0f 01 =d0', 'xgetbv', '', helpers.xgetbv, 'np'),
  ...row('0f 01 =d1', 'xsetbv', '', helpers.xsetbv, 'np'),
  ...row('0f 01 =f9', 'rdtscp', '', system.rdtscp),
  ...row('0f 01 =f8', 'swapgs', '', system.swapgs, 'o64'),
  ...row('f3 0f ae /0', 'rdfsbase', 'Ry', system.readBase('rdfsbase', SEGMENT.fs), 'o64'),
  ...row('f3 0f ae /1', 'rdgsbase', 'Ry', system.readBase('rdgsbase', SEGMENT.gs), 'o64'),
  ...row('f3 0f ae /2', 'wrfsbase', 'Ry', system.writeBase('wrfsbase', SEGMENT.fs), 'o64'),
  ...row('f3 0f ae /3', 'wrgsbase', 'Ry', system.writeBase('wrgsbase', SEGMENT.gs), 'o64'),
  ...row('0f c7 /6', 'rdrand', 'Rv', system.rdrand, 'nr'),
];

const CALLS: readonly Row[] = [
  ...row('0f 05', 'syscall', '', transfer.syscall),
  ...row('0f 07', 'sysret', '', transfer.sysret),
  ...row('0f 34', 'sysenter', '', legacy.sysenter),
  ...row('0f 35', 'sysexit', '', legacy.sysexit),
  // AMD's VMMCALL, 0f 01 d9, is #UD on Intel's processors, also under Xen.
  ...row('0f 01 =c1', 'vmcall', '', helpers.hypercall, 'np'),
  ...row('f4', 'hlt', '', helpers.hlt),
];

/** Fences ignore the low three bits of ModRM. */
const fence = (name: string, first: number): Row[] =>
  [0, 1, 2, 3, 4, 5, 6, 7].flatMap((rm) => row(`0f ae =${(first + rm).toString(16)}`, name, '', nop, 'np'));

const MEMORY: readonly Row[] = [
  ...row('0f ae /0', 'fxsave', 'Mn', helpers.fxsave, 'np'),
  ...row('0f ae /1', 'fxrstor', 'Mn', helpers.fxrstor, 'np'),
  ...row('0f ae /4', 'xsave', 'Mn', state.xsave, 'np'),
  ...row('0f ae /5', 'xrstor', 'Mn', state.xrstor, 'np'),
  ...row('0f ae /6', 'xsaveopt', 'Mn', state.xsaveopt, 'np'),
  ...row('0f ae /7', 'clflush', 'Mb', system.clflush, 'np'),
  ...fence('lfence', 0xe8),
  ...fence('mfence', 0xf0),
  ...fence('sfence', 0xf8),
  // Code that was written is decoded anew in any case.
  ...row('0f 01 =e8', 'serialize', '', nop, 'np'),
  ...row('0f 08', 'invd', '', system.flushCaches),
  ...row('0f 09', 'wbinvd', '', system.flushCaches),
];

const X87: readonly Row[] = [
  ...[0xd8, 0xd9, 0xda, 0xdb, 0xdc, 0xdd, 0xde, 0xdf].flatMap((opcode) =>
    row(opcode.toString(16), 'x87', 'Eb', x87.x87Escape(opcode)),
  ),
  ...row('9b', 'fwait', '', x87.fwait),
];

const UNDEFINED: readonly Row[] = [
  ...row('0f 0b', 'ud2', '', system.ud),
  ...row('0f b9', 'ud1', 'Gv,Ev', system.udWithOperands),
  ...row('0f ff', 'ud0', 'Gv,Ev', system.udWithOperands),
];

export const SYSTEM_ROWS: readonly Row[] = [
  ...FLAGS,
  ...DECIMAL,
  ...PORTS,
  ...DESCRIPTORS,
  ...REGISTERS,
  ...CALLS,
  ...MEMORY,
  ...X87,
  ...UNDEFINED,
];
