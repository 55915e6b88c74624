// SSE to SSE4.1: floating-point arithmetic, comparison and conversion. SDM vol. 2, appendix A, tables.
import type { Semantics } from '../../emit/semantics.ts';
import {
  cvtdq2pd, cvtdq2ps, cvtpd2dq, cvtpd2pi, cvtpd2ps, cvtpi2pd, cvtpi2ps, cvtps2dq, cvtps2pd, cvtps2pi, cvtsd2si, cvtsd2ss, cvtsi2sd,
  cvtsi2ss, cvtss2sd, cvtss2si, cvttpd2dq, cvttpd2pi, cvttps2dq, cvttps2pi, cvttsd2si, cvttss2si,
} from '../../sem/sse-convert.ts';
import {
  add, addsubpd, addsubps, cmp, comisd, comiss, div, dppd, dpps, haddpd, haddps, hsubpd, hsubps, max, min, mul, rcpps, rcpss, round,
  rsqrtps, rsqrtss, sqrt, sub, ucomisd, ucomiss,
} from '../../sem/sse-float.ts';
import type { FormName } from '../../sem/sse-operation.ts';
import { type Row, row } from '../row.ts';

/** The four forms of one opcode: none packed single, 66 packed double, F3 scalar single, F2 scalar double. */
const forms = (opcode: string, name: string, semantics: Readonly<Record<FormName, Semantics>>, immediate = ''): Row[] => [
  ...row(`0f ${opcode}`, `${name}ps`, `Vx,Wx${immediate}`, semantics.ps, 'np'),
  ...row(`66 0f ${opcode}`, `${name}pd`, `Vx,Wx${immediate}`, semantics.pd),
  ...row(`f3 0f ${opcode}`, `${name}ss`, `Vx,Wd${immediate}`, semantics.ss),
  ...row(`f2 0f ${opcode}`, `${name}sd`, `Vx,Wq${immediate}`, semantics.sd),
];

export const SSE_FLOAT_ROWS: readonly Row[] = [
  ...forms('51', 'sqrt', sqrt),
  ...forms('58', 'add', add),
  ...forms('59', 'mul', mul),
  ...forms('5c', 'sub', sub),
  ...forms('5d', 'min', min),
  ...forms('5e', 'div', div),
  ...forms('5f', 'max', max),
  ...forms('c2', 'cmp', cmp, ',Ib'),
  ...row('0f 52', 'rsqrtps', 'Vx,Wx', rsqrtps, 'np'),
  ...row('f3 0f 52', 'rsqrtss', 'Vx,Wd', rsqrtss),
  ...row('0f 53', 'rcpps', 'Vx,Wx', rcpps, 'np'),
  ...row('f3 0f 53', 'rcpss', 'Vx,Wd', rcpss),
  ...row('0f 2e', 'ucomiss', 'Vx,Wd', ucomiss, 'np'),
  ...row('66 0f 2e', 'ucomisd', 'Vx,Wq', ucomisd),
  ...row('0f 2f', 'comiss', 'Vx,Wd', comiss, 'np'),
  ...row('66 0f 2f', 'comisd', 'Vx,Wq', comisd),
  ...row('66 0f 7c', 'haddpd', 'Vx,Wx', haddpd),
  ...row('f2 0f 7c', 'haddps', 'Vx,Wx', haddps),
  ...row('66 0f 7d', 'hsubpd', 'Vx,Wx', hsubpd),
  ...row('f2 0f 7d', 'hsubps', 'Vx,Wx', hsubps),
  ...row('66 0f d0', 'addsubpd', 'Vx,Wx', addsubpd),
  ...row('f2 0f d0', 'addsubps', 'Vx,Wx', addsubps),
  ...row('66 0f 3a 08', 'roundps', 'Vx,Wx,Ib', round.ps),
  ...row('66 0f 3a 09', 'roundpd', 'Vx,Wx,Ib', round.pd),
  ...row('66 0f 3a 0a', 'roundss', 'Vx,Wd,Ib', round.ss),
  ...row('66 0f 3a 0b', 'roundsd', 'Vx,Wq,Ib', round.sd),
  ...row('66 0f 3a 40', 'dpps', 'Vx,Wx,Ib', dpps),
  ...row('66 0f 3a 41', 'dppd', 'Vx,Wx,Ib', dppd),
  ...row('0f 2a', 'cvtpi2ps', 'Vx,Qq', cvtpi2ps, 'np'),
  ...row('66 0f 2a', 'cvtpi2pd', 'Vx,Qq', cvtpi2pd),
  ...row('f3 0f 2a', 'cvtsi2ss', 'Vx,Ey', cvtsi2ss),
  ...row('f2 0f 2a', 'cvtsi2sd', 'Vx,Ey', cvtsi2sd),
  ...row('0f 2c', 'cvttps2pi', 'Pq,Wq', cvttps2pi, 'np'),
  ...row('66 0f 2c', 'cvttpd2pi', 'Pq,Wx', cvttpd2pi),
  ...row('f3 0f 2c', 'cvttss2si', 'Gy,Wd', cvttss2si),
  ...row('f2 0f 2c', 'cvttsd2si', 'Gy,Wq', cvttsd2si),
  ...row('0f 2d', 'cvtps2pi', 'Pq,Wq', cvtps2pi, 'np'),
  ...row('66 0f 2d', 'cvtpd2pi', 'Pq,Wx', cvtpd2pi),
  ...row('f3 0f 2d', 'cvtss2si', 'Gy,Wd', cvtss2si),
  ...row('f2 0f 2d', 'cvtsd2si', 'Gy,Wq', cvtsd2si),
  ...row('0f 5a', 'cvtps2pd', 'Vx,Wq', cvtps2pd, 'np'),
  ...row('66 0f 5a', 'cvtpd2ps', 'Vx,Wx', cvtpd2ps),
  ...row('f3 0f 5a', 'cvtss2sd', 'Vx,Wd', cvtss2sd),
  ...row('f2 0f 5a', 'cvtsd2ss', 'Vx,Wq', cvtsd2ss),
  ...row('0f 5b', 'cvtdq2ps', 'Vx,Wx', cvtdq2ps, 'np'),
  ...row('66 0f 5b', 'cvtps2dq', 'Vx,Wx', cvtps2dq),
  ...row('f3 0f 5b', 'cvttps2dq', 'Vx,Wx', cvttps2dq),
  ...row('f3 0f e6', 'cvtdq2pd', 'Vx,Wq', cvtdq2pd),
  ...row('f2 0f e6', 'cvtpd2dq', 'Vx,Wx', cvtpd2dq),
  ...row('66 0f e6', 'cvttpd2dq', 'Vx,Wx', cvttpd2dq),
];
