// AVX and AVX2 forms of the SSE rows. SDM vol. 2, appendix A, tables: those with a v in front.
import { type AvxOptions, avxOf } from '../../sem/avx/avx-of.ts';
import { vcmp } from '../../sem/sse-float.ts';
import type { FormName } from '../../sem/sse-operation.ts';
import type { OperandSpec, Row } from '../row.ts';
import { CRYPTO_ROWS } from './crypto.ts';
import { SSE_FLOAT_ROWS } from './sse-float.ts';
import { SSE_INTEGER_ROWS } from './sse-integer.ts';
import { SSE_MOVE_ROWS } from './sse-move.ts';
import { SSE_STRING_ROWS } from './sse-string.ts';

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/));

/** SSE alone: general or MMX registers, XMM0 as an implied operand, SHA. */
const WITHOUT = words('movnti movq2dq pblendvb blendvps blendvpd');
/** SSE's semantics write their first operand without reading it, and so does AVX. */
const TWO_OPERANDS = words('cvtps2pd sqrtps sqrtpd rcpps rsqrtps roundps roundpd');
/** L says nothing: scalars. */
const isScalar = (name: string): boolean => !name.startsWith('p') && /(ss|sd|s[sd]2si|si2s[sd])$/.test(name);

/** Both halves alike: AVX. */
const WIDE_AVX = words(`
  movups movupd movaps movapd movntps movntpd movdqa movdqu movntdq lddqu movsldup movshdup movddup movmskps movmskpd
  andps andpd andnps andnpd orps orpd xorps xorpd unpcklps unpcklpd unpckhps unpckhpd shufps shufpd blendps blendpd
  sqrtps sqrtpd addps addpd mulps mulpd subps subpd minps minpd divps divpd maxps maxpd cmpps cmppd rsqrtps rcpps
  haddpd haddps hsubpd hsubps addsubpd addsubps roundps roundpd dpps
  cvtps2pd cvtpd2ps cvtdq2ps cvtps2dq cvttps2dq cvtdq2pd cvtpd2dq cvttpd2dq`);
/** Packed integers of 256 bits came with AVX2; what has no such form. */
const NARROW = words(`
  movd movq movss movsd movlps movlpd movhps movhpd movhlps movlhps ldmxcsr stmxcsr maskmovdqu pinsrb pinsrw pinsrd pextrb
  pextrw pextrd extractps insertps phminposuw dppd ptest pcmpestrm pcmpestri pcmpistrm pcmpistri
  aesimc aesenc aesenclast aesdec aesdeclast aeskeygenassist pclmulqdq`);

/** What differs from "each half by itself, with its own operands". */
const OPTIONS: Readonly<Record<string, AvxOptions>> = {
  // What libraries' string functions use.
  ...Object.fromEntries(['movups', 'movdqu', 'pcmpeqb', 'pminub', 'por', 'pxor'].map((name) => [name, { hot: true }])),
  ...Object.fromEntries(
    ['movaps', 'movapd', 'movdqa', 'movntps', 'movntpd', 'movntdq', 'movntdqa'].map((name) => [
      name,
      { aligned: true, hot: true },
    ]),
  ),
  shufpd: { immediateShift: 2 },
  blendps: { immediateShift: 4 },
  blendpd: { immediateShift: 2 },
  mpsadbw: { immediateShift: 3 },
  movmskps: { bits: 4 },
  movmskpd: { bits: 2 },
  pmovmskb: { bits: 16, hot: true },
  cvtps2pd: { part: 8 },
  cvtdq2pd: { part: 8 },
  cvtpd2ps: { narrow: true },
  cvtpd2dq: { narrow: true },
  cvttpd2dq: { narrow: true },
  ...Object.fromEntries(
    Object.entries({ bw: 8, bd: 4, bq: 2, wd: 8, wq: 4, dq: 8 }).flatMap(([lanes, part]) => [
      [`pmovsx${lanes}`, { part }],
      [`pmovzx${lanes}`, { part }],
    ]),
  ),
};
/** Counts in a register have 128 bits. */
const SHIFT_BY_VECTOR = words('psrlw psraw psllw psrld psrad pslld psrlq psllq');

const operand = (source: OperandSpec['source'], size: OperandSpec['size']): OperandSpec => ({
  source,
  size,
  register: 0,
  signExtended: false,
});

/** The operands of the form with `bytes` a register; sizes that SSE has below 16 grow with a widening or a MOVDDUP. */
function operandsOf(row: Row, three: boolean, bytes: 16 | 32): OperandSpec[] {
  const { mnemonic } = row;
  const part = OPTIONS[mnemonic]?.part;
  const specs = row.operands.map((spec, n): OperandSpec => {
    if (bytes === 16 || !'VHWUM'.includes(spec.source)) return spec;
    if (n === 0) return OPTIONS[mnemonic]?.narrow === true ? spec : { ...spec, size: 32 };
    if (part !== undefined) return { ...spec, size: part * 2 };
    if (SHIFT_BY_VECTOR.has(mnemonic) && spec.source === 'W') return spec;
    return { ...spec, size: 32 };
  });
  if (three) specs.splice(1, 0, operand('H', bytes));
  // Shifts by an immediate write the register in VEX.vvvv.
  const [first, second] = specs;
  if (three && first?.source === 'U' && row.extension !== undefined && second !== undefined)
    specs.splice(0, 2, operand('H', bytes), operand('U', bytes));
  return specs;
}

/** The AVX forms of one SSE row: of 128 bits or scalar, and of 256. */
function formsOf(row: Row): Row[] {
  const { mnemonic } = row;
  const compare = /^cmp(ps|pd|ss|sd)$/.exec(mnemonic)?.[1] as FormName | undefined;
  const sse = compare === undefined ? row.semantics : vcmp[compare];
  const two = TWO_OPERANDS.has(mnemonic) && !isScalar(mnemonic);
  const three = sse.access[0] === 'rw' && !two;
  const options = { ...OPTIONS[mnemonic], threeOperands: three };
  const semantics = avxOf(sse, options);
  const base = { ...row, mnemonic: `v${mnemonic}`, semantics, prefix: row.prefix === 'any' ? ('none' as const) : row.prefix };
  const scalar = isScalar(mnemonic);
  const rows: Row[] = [{ ...base, operands: operandsOf(row, three, 16), vex: { l: scalar ? undefined : 0, w: undefined } }];
  if (!scalar && !NARROW.has(mnemonic)) rows.push({ ...base, operands: operandsOf(row, three, 32), vex: { l: 1, w: undefined } });
  return rows;
}

const isSse = (row: Row): boolean =>
  !WITHOUT.has(row.mnemonic) && !row.mnemonic.startsWith('sha') && row.operands.every(({ source }) => !'PQN'.includes(source));
const ALL: readonly Row[] = [...SSE_MOVE_ROWS, ...SSE_INTEGER_ROWS, ...SSE_FLOAT_ROWS, ...SSE_STRING_ROWS, ...CRYPTO_ROWS]
  .filter(isSse)
  .flatMap(formsOf);

/** The forms that CPUID.1:ECX.AVX stands for, and those of AVX2. */
export const AVX_FORM_ROWS: readonly Row[] = ALL.filter(({ vex, mnemonic }) => vex?.l !== 1 || WIDE_AVX.has(mnemonic.slice(1)));
export const AVX2_FORM_ROWS: readonly Row[] = ALL.filter(({ vex, mnemonic }) => vex?.l === 1 && !WIDE_AVX.has(mnemonic.slice(1)));
