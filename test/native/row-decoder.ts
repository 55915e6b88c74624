// The engine's decoder in the form `fuzz-decoder.ts` compares with iced-x86.
import { CODE_MODE } from '../../src/cpu/state.ts';
import { BASE_RIP, DECODE, Decoder, Instruction, NO_REGISTER, sizeOf } from '../../src/cpu/x86/decoder.ts';
import type { OperandSpec, Row } from '../../src/cpu/x86/row.ts';
import type { Decode, DecodedBytes, DecodedMemory, Mismatch } from './fuzz-decoder.ts';

const MODES = { 16: CODE_MODE.code16, 32: CODE_MODE.code32, 64: CODE_MODE.code64 } as const;
const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
const WORDS = ['ax', 'cx', 'dx', 'bx', 'sp', 'bp', 'si', 'di'];
const LEGACY_BYTES = ['al', 'cl', 'dl', 'bl', 'ah', 'ch', 'dh', 'bh'];
const REX_BYTES = ['al', 'cl', 'dl', 'bl', 'spl', 'bpl', 'sil', 'dil'];

/** What the engine implements, by the names iced-x86 gives to CPUID features: x86-64-v2 and what comes with it. */
export const IMPLEMENTED_FEATURES: ReadonlySet<string> = new Set([
  'INTEL8086',
  'INTEL8086_ONLY',
  'INTEL186',
  'INTEL286',
  'INTEL386',
  'INTEL486',
  'X64',
  'FPU',
  'FPU287',
  'FPU387',
  'MMX',
  'SSE',
  'SSE2',
  'SSE3',
  'SSSE3',
  'SSE4_1',
  'SSE4_2',
  'POPCNT',
  'CMOV',
  'CX8',
  'CMPXCHG16B',
  'MOVBE',
  'LZCNT',
  'BMI1',
  'BMI2',
  'ADX',
  'AES',
  'PCLMULQDQ',
  'SHA',
  'AVX',
  'AVX2',
  'FMA',
  'F16C',
  'FXSR',
  'XSAVE',
  'XSAVEOPT',
  'RDTSCP',
  'RDRAND',
  'CLFSH',
  'CPUID',
  'FSGSBASE',
  'MSR',
  'MULTIBYTENOP',
  'PAUSE',
  'PREFETCHW',
  'RDPMC',
  'SEP',
  'SMAP',
  'SYSCALL',
  'TSC',
]);

/** Where rows and iced-x86 describe the same thing differently; for `DecoderFuzzOptions.exempt`. */
export function describedDifferently(form: string, kind: Mismatch['kind']): boolean {
  // NOPs have operands for iced-x86 or none, and RDSSP is one of them where there is no shadow stack.
  if (kind === 'registers' && /^(Reservednop|Nop|Pause|Rdssp|Endbr)/.test(form)) return true;
  // A register of which only the low 16 bits are read goes by its 16-bit name here.
  if (kind === 'registers' && /_r(32|64)m16|^(Arpl|Lar|Lsl)_/.test(form)) return true;
  // These zero-extend to 64 bits, or read the low bits only, whichever size is named.
  if (
    kind === 'registers' &&
    /^((VEX_V)?(movmskp[sd]|pmovmskb|pextr[bw]|extractps)_r64|(VEX_V)?pinsr[bw]_xmm_(xmm_)?r64)/i.test(form)
  )
    return true;
  // That there is no CR1 or CR5, or no such x87 instruction, is found when it is executed: the comparison with the CPU sees it.
  if (kind === 'accepts' && /^INVALID (mov|x87 .*)$/.test(form)) return true;
  // The memory operand of XLAT is implied here.
  return kind === 'memory' && form === 'Xlat_m8';
}

/** The name of a general register of 1, 2, 4 or 8 bytes as iced-x86 has it, in lower case (`r9l` for R9B). */
export function gprName(number: number, size: number, rex: boolean): string {
  if (number >= 8) return `r${number}${size === 1 ? 'l' : size === 2 ? 'w' : size === 4 ? 'd' : ''}`;
  if (size === 1) return (rex ? REX_BYTES : LEGACY_BYTES)[number] ?? '?';
  return `${size === 8 ? 'r' : size === 4 ? 'e' : ''}${WORDS[number]}`;
}

/** Wraps a decoder for `rows`. An answer is valid until the next one. */
export function rowDecode(rows: readonly Row[]): Decode {
  const decoder = new Decoder(rows);
  const out = new Instruction();
  return (bytes, mode) => {
    if (decoder.decode(bytes, 0, bytes.length, MODES[mode], out) !== DECODE.ok) return { invalid: true, length: 0 };
    return answer(out, mode);
  };
}

function answer(insn: Instruction, mode: 16 | 32 | 64): DecodedBytes {
  const operands = insn.row?.operands ?? [];
  // x87 rows take their stack registers from ModRM themselves.
  const x87 = insn.row?.map === 0 && (insn.row.opcode & 0xf8) === 0xd8;
  const registers = operands.map((spec) => registerOf(insn, spec, mode)).filter((name) => name !== undefined);
  const immediates: bigint[] = [];
  let branch: bigint | undefined;
  for (const { source } of operands) {
    if (source === 'J') branch = wide(insn.immediate, insn.immediateHigh);
    else if (source === 'I')
      immediates.push(immediates.length === 0 ? wide(insn.immediate, insn.immediateHigh) : BigInt(insn.immediate2));
  }
  // A far pointer is two immediates here and none for iced-x86.
  const far = insn.row?.map === 0 && (insn.row.opcode === 0x9a || insn.row.opcode === 0xea);
  const mnemonic = insn.row?.mnemonic ?? '';
  const name = x87
    ? `${mnemonic} ${insn.row?.opcode.toString(16)} ${insn.memory ? `/${insn.reg & 7}` : insn.modrm.toString(16)}`
    : mnemonic;
  return {
    length: insn.length,
    name,
    ...(!x87 && { registers }),
    memory: memoryOf(insn),
    ...(!far && { immediates }),
    ...(branch !== undefined && { branch }),
  };
}

const wide = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low >>> 0);

/** The register an operand names by ModRM or by the low bits of the opcode. */
function registerOf(insn: Instruction, spec: OperandSpec, mode: 16 | 32 | 64): string | undefined {
  const gpr = (number: number) => gprName(number, sizeOf(spec, insn.osize), insn.rex !== 0);
  const vector = (number: number) => `${spec.size === 32 ? 'ymm' : 'xmm'}${number}`;
  switch (spec.source) {
    case 'E':
      return insn.memory ? undefined : gpr(insn.rm);
    case 'R':
      return gpr(insn.rm);
    case 'G':
      return gpr(insn.reg);
    case 'Z':
      return gpr(insn.opcodeRegister);
    case 'S':
      return SEGMENTS[insn.reg & 7];
    case 'C':
      return `cr${mode === 64 ? insn.reg : insn.reg & 7}`;
    case 'D':
      return `dr${insn.reg}`;
    case 'V':
      return vector(insn.reg);
    case 'W':
      return insn.memory ? undefined : vector(insn.rm);
    case 'U':
      return vector(insn.rm);
    case 'B':
      return gpr(insn.vvvv);
    case 'H':
      return vector(insn.vvvv);
    case 'L':
      return vector(insn.register4);
    case 'P':
      return `mm${insn.reg & 7}`;
    case 'Q':
      return insn.memory ? undefined : `mm${insn.rm & 7}`;
    case 'N':
      return `mm${insn.rm & 7}`;
    default:
      return undefined;
  }
}

function memoryOf(insn: Instruction): DecodedMemory | null {
  if (!insn.memory) return null;
  const name = (number: number) =>
    number === NO_REGISTER ? undefined : number === BASE_RIP ? 'rip' : gprName(number, insn.asize, true);
  const vectors = insn.row?.operands.find(({ source }) => source === 'K');
  return {
    base: name(insn.base),
    index: vectors === undefined ? name(insn.index) : `${vectors.size === 32 ? 'ymm' : 'xmm'}${insn.vectorIndex}`,
    scale: 1 << insn.scale,
    displacement: wide(insn.displacement, insn.displacementHigh),
    segment: SEGMENTS[insn.segment] ?? '?',
  };
}
