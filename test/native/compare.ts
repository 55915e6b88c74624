// Compares what the native CPU and an emulator made of the same case, and says where they differ in words.
import { Decoder, DecoderOptions, Formatter, FormatterSyntax } from 'iced-x86';
import { DATA_BASE, STUB_BASE, STUB_SIZE } from './address-map.ts';
import type { CpuImage, CpuResult } from './cpu-image.ts';
import { FLAG, FXSAVE, IMAGE } from './cpu-image.ts';
import type { NativeCase } from './oracle.ts';

const GPR_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const SEGMENT_NAMES = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'];
/** IF and IOPL are not the code's to change at CPL 3, and RF in a pushed image depends on the exception. */
const COMPARED_FLAGS =
  FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.tf | FLAG.df | FLAG.of | FLAG.nt | FLAG.ac | FLAG.id;
/** The addresses from here on belong to the kernel: Linux hides whether something is mapped there by always setting P. */
const KERNEL_START = 0x7fff_ffff_f000n;
const FLAG_NAMES = Object.entries(FLAG);

/** What the SDM leaves undefined after these instructions, and what is not to be compared for another reason. */
export interface Undefined {
  /** Flags, as a mask of RFLAGS bits. */
  readonly flags?: number;
  /** General registers, as a mask of 1 << number. */
  readonly gprs?: number;
  /** The x87 condition codes C0…C3, as a mask of FSW bits. */
  readonly fsw?: number;
  /** x87 registers may differ by one unit in the last place. */
  readonly approximate?: boolean;
  /** Compare the last x87 opcode and instruction and data pointers too. Default: false, as CPUs differ in them. */
  readonly comparePointers?: boolean;
  /** Compare the upper halves of the YMM registers too. Default: false. */
  readonly compareYmm?: boolean;
  /** Nothing at all is compared. */
  readonly everything?: boolean;
  /** How it ends, the fault and RIP. */
  readonly control?: boolean;
  /** RIP alone. */
  readonly rip?: boolean;
  /** Which exception it is, but not that there is one. */
  readonly whichFault?: boolean;
  /** Bits of general registers, by number. */
  readonly gprBits?: ReadonlyMap<number, bigint>;
  /** Bytes of the data window, by offset. */
  readonly memory?: readonly number[];
  /** The x87 registers, their tags and TOP. */
  readonly x87?: boolean;
  /** Lanes may have the error of RCPPS, or be different NaNs. */
  readonly xmm?: 'approximate' | 'singleNaN' | 'doubleNaN';
}

export interface Difference {
  /** A register, `fault`, `outcome`, or the address of a byte of memory. */
  readonly what: string;
  readonly before: string;
  readonly native: string;
  readonly emulated: string;
}

/** True when nothing differs but what is undefined. Takes about 2 µs. */
export function agree(native: CpuResult, emulated: CpuResult, undefinedState: Undefined = {}): boolean {
  if (undefinedState.everything === true) return true;
  const a = native.image,
    b = emulated.image;
  const control = undefinedState.control !== true;
  if (control && (native.outcome !== emulated.outcome || !sameFault(native, emulated, undefinedState))) return false;
  if (control && undefinedState.rip !== true && a.rip !== b.rip) return false;
  if (((a.rflags ^ b.rflags) & COMPARED_FLAGS & ~(undefinedState.flags ?? 0)) !== 0) return false;
  const skip = undefinedState.gprs ?? 0;
  for (let i = 0; i < 32; i++)
    if (a.gpr32[i] !== b.gpr32[i] && !(skip & (1 << (i >>> 1))) && !sameGpr(a, b, i >>> 1, undefinedState)) return false;
  if (a.fcw !== b.fcw || a.mxcsr !== b.mxcsr || ((a.fsw ^ b.fsw) & comparedFsw(undefinedState)) !== 0) return false;
  if (a.ftw !== b.ftw && undefinedState.x87 !== true) return false;
  for (let i = 0; i < 6; i++) if (selectorOf(a, i) !== selectorOf(b, i)) return false;
  if (a.mode === 64 && (a.fsBase !== b.fsBase || a.gsBase !== b.gsBase)) return false;
  for (let i = 0; i < 8; i++) if (!sameX87(a, b, i, undefinedState)) return false;
  if (!sameBytes(a.fxsave, b.fxsave, FXSAVE.xmm, FXSAVE.end)) {
    if (undefinedState.xmm === undefined) return false;
    for (let i = 0; i < 16; i++) if (!sameXmm(a, b, i, undefinedState)) return false;
  }
  if (undefinedState.comparePointers === true && !sameBytes(a.fxsave, b.fxsave, FXSAVE.fop, FXSAVE.mxcsr)) return false;
  if (undefinedState.compareYmm === true && !sameBytes(a.bytes, b.bytes, IMAGE.ymmHigh, IMAGE.data)) {
    if (undefinedState.xmm === undefined) return false;
    for (let i = 0; i < 16; i++) if (!sameLanes(a, b, IMAGE.ymmHigh + 16 * i, undefinedState)) return false;
  }
  if (Buffer.compare(a.data, b.data) === 0) return true;
  return (
    undefinedState.memory !== undefined && differingBytes(native, emulated).every((at) => undefinedState.memory?.includes(at))
  );
}

/** The offsets in the data window at which the two differ, ascending. */
export function differingBytes({ image: a }: CpuResult, { image: b }: CpuResult): number[] {
  const found: number[] = [];
  for (let i = 0; i < a.data.length; i++) if (a.data[i] !== b.data[i]) found.push(i);
  return found;
}

/** An exception has left everything as it was, so that the instruction could be started again. */
export function stateUntouched(before: CpuImage, { fault, image }: CpuResult): boolean {
  return fault !== undefined && agree({ outcome: 'done', image: before }, { outcome: 'done', image });
}

/** Everything that differs, in the order of the image; empty exactly when `agree` is true. */
export function differences(
  before: CpuImage,
  native: CpuResult,
  emulated: CpuResult,
  undefinedState: Undefined = {},
): Difference[] {
  const found: Difference[] = [];
  const note = (what: string, old: string, a: string, b: string) => {
    if (a !== b) found.push({ what, before: old, native: a, emulated: b });
  };
  if (undefinedState.everything === true) return found;
  const a = native.image,
    b = emulated.image;
  if (undefinedState.control !== true) {
    note('outcome', '', native.outcome, emulated.outcome);
    if (!sameFault(native, emulated, undefinedState))
      found.push({ what: 'fault', before: '', native: faultText(native), emulated: faultText(emulated) });
    if (undefinedState.rip !== true) note('rip', hex(before.rip, 8), hex(a.rip, 8), hex(b.rip, 8));
  }
  const flags = COMPARED_FLAGS & ~(undefinedState.flags ?? 0);
  note('rflags', flagsText(before.rflags & flags), flagsText(a.rflags & flags), flagsText(b.rflags & flags));
  GPR_NAMES.forEach((name, i) => {
    if (!((undefinedState.gprs ?? 0) & (1 << i)) && !sameGpr(a, b, i, undefinedState))
      note(name, hex(before.gpr[i]!, 16), hex(a.gpr[i]!, 16), hex(b.gpr[i]!, 16));
  });
  SEGMENT_NAMES.forEach((name, i) =>
    note(name, hex(before.selectors[i]!, 4), hex(selectorOf(a, i), 4), hex(selectorOf(b, i), 4)),
  );
  // In legacy modes what a null selector leaves in the base depends on the CPU, and a valid one's base is the descriptor's.
  if (a.mode === 64)
    for (const name of ['fsBase', 'gsBase'] as const) note(name, hex(before[name], 16), hex(a[name], 16), hex(b[name], 16));
  note('fcw', hex(before.fcw, 4), hex(a.fcw, 4), hex(b.fcw, 4));
  const fsw = comparedFsw(undefinedState);
  note('fsw', hex(before.fsw & fsw, 4), hex(a.fsw & fsw, 4), hex(b.fsw & fsw, 4));
  if (undefinedState.x87 !== true) note('ftw', hex(before.ftw, 2), hex(a.ftw, 2), hex(b.ftw, 2));
  note('mxcsr', hex(before.mxcsr, 4), hex(a.mxcsr, 4), hex(b.mxcsr, 4));
  const part = (name: string, offset: number, size: number) =>
    note(
      name,
      littleEndian(before.bytes, offset, size),
      littleEndian(a.bytes, offset, size),
      littleEndian(b.bytes, offset, size),
    );
  if (undefinedState.comparePointers === true) {
    part('fop', IMAGE.fxsave + FXSAVE.fop, 2);
    part('fip', IMAGE.fxsave + FXSAVE.fip, 8);
    part('fdp', IMAGE.fxsave + FXSAVE.fdp, 8);
  }
  for (let i = 0; i < 8; i++) if (!sameX87(a, b, i, undefinedState)) part(`st${i}`, IMAGE.fxsave + FXSAVE.st + 16 * i, 10);
  for (let i = 0; i < 16; i++) if (!sameXmm(a, b, i, undefinedState)) part(`xmm${i}`, IMAGE.fxsave + FXSAVE.xmm + 16 * i, 16);
  if (undefinedState.compareYmm === true)
    for (let i = 0; i < 16; i++)
      if (!sameLanes(a, b, IMAGE.ymmHigh + 16 * i, undefinedState)) part(`ymm${i}[255:128]`, IMAGE.ymmHigh + 16 * i, 16);
  for (const i of differingBytes(native, emulated))
    if (undefinedState.memory?.includes(i) !== true) part(`[${hex(DATA_BASE + i, 8)}]`, IMAGE.data + i, 1);
  return found;
}

/** A report for a person: the code, its disassembly, the differences with old values, and the state it started from. */
export function describeDifference({ code, state }: NativeCase, found: readonly Difference[], title = ''): string {
  const shown = found.slice(0, 24);
  const rows = [{ what: '', before: 'before', native: 'native', emulated: 'emulated' }, ...shown];
  const width = (key: keyof Difference) => Math.max(...rows.map((row) => row[key].length));
  const widths = { what: width('what'), before: width('before'), native: width('native') };
  return [
    `${title}${title && ': '}${state.mode}-bit ${[...code].map((byte) => hex(byte, 2)).join(' ')}`,
    ...disassemble(code, state.mode, state.rip).map((line) => `  ${line}`),
    ...rows.map(
      (row) =>
        `  ${row.what.padEnd(widths.what)}  ${row.before.padEnd(widths.before)}  ${row.native.padEnd(widths.native)}  ${row.emulated}`,
    ),
    ...(found.length > shown.length ? [`  and ${found.length - shown.length} more`] : []),
    'from',
    ...describeImage(state).map((line) => `  ${line}`),
  ].join('\n');
}

/** One line for each instruction of `code`, as iced-x86 reads it. */
export function disassemble(code: Uint8Array, mode: 16 | 32 | 64, rip: bigint): string[] {
  const decoder = new Decoder(mode, code, DecoderOptions.None);
  decoder.ip = rip;
  const formatter = new Formatter(FormatterSyntax.Intel);
  const lines: string[] = [];
  while (decoder.canDecode) {
    const instruction = decoder.decode();
    lines.push(`${hex(instruction.ip, 8)}  ${formatter.format(instruction)}`);
    instruction.free();
  }
  formatter.free();
  decoder.free();
  return lines;
}

/** The registers of `image`, a few to a line. */
export function describeImage(image: CpuImage): string[] {
  const lines = [
    `rip ${hex(image.rip, 8)}  rflags ${flagsText(image.rflags)}  mxcsr ${hex(image.mxcsr, 4)}  fcw ${hex(image.fcw, 4)}  fsw ${hex(image.fsw, 4)}  ftw ${hex(image.ftw, 2)}`,
  ];
  for (let i = 0; i < 16; i += 4)
    lines.push(
      GPR_NAMES.slice(i, i + 4)
        .map((name, j) => `${name.padEnd(3)} ${hex(image.gpr[i + j]!, 16)}`)
        .join('  '),
    );
  for (let i = 0; i < 8; i += 2) {
    lines.push([i, i + 1].map((n) => `st${n} ${littleEndian(image.fxsave, FXSAVE.st + 16 * n, 10)}`).join('  '));
  }
  for (let i = 0; i < 16; i += 2) {
    lines.push([i, i + 1].map((n) => `${`xmm${n}`.padEnd(5)} ${littleEndian(image.fxsave, FXSAVE.xmm + 16 * n, 16)}`).join('  '));
  }
  return lines;
}

function sameGpr(a: CpuImage, b: CpuImage, i: number, { gprBits }: Undefined): boolean {
  return ((a.gpr[i]! ^ b.gpr[i]!) & ~(gprBits?.get(i) ?? 0n)) === 0n;
}

const FSW_TOP = 0x3800;
const comparedFsw = ({ fsw, x87 }: Undefined): number => 0xffff & ~(fsw ?? 0) & ~(x87 === true ? FSW_TOP : 0);

/** SDM vol. 2, RCPPS: each of the two may be off by so much of the value. */
const APPROXIMATION_ERROR = 1.5 * 2 ** -12;

const sameXmm = (a: CpuImage, b: CpuImage, i: number, undefinedState: Undefined): boolean =>
  sameLanes(a, b, IMAGE.fxsave + FXSAVE.xmm + 16 * i, undefinedState);

/** The 16 bytes at an offset of the image. */
function sameLanes(a: CpuImage, b: CpuImage, at: number, { xmm }: Undefined): boolean {
  if (sameBytes(a.bytes, b.bytes, at, at + 16)) return true;
  if (xmm === undefined) return false;
  const size = xmm === 'doubleNaN' ? 8 : 4;
  for (let lane = at; lane < at + 16; lane += size) {
    if (sameBytes(a.bytes, b.bytes, lane, lane + size)) continue;
    const [one, other] = [a, b].map(({ view }) => (size === 8 ? view.getFloat64(lane, true) : view.getFloat32(lane, true))) as [
      number,
      number,
    ];
    const alike =
      xmm === 'approximate'
        ? Math.abs(one - other) <= 2 * APPROXIMATION_ERROR * Math.min(Math.abs(one), Math.abs(other))
        : Number.isNaN(one) && Number.isNaN(other);
    if (!alike) return false;
  }
  return true;
}

function sameX87(a: CpuImage, b: CpuImage, i: number, { approximate, x87 }: Undefined): boolean {
  if (x87 === true) return true;
  const at = FXSAVE.st + 16 * i;
  if (sameBytes(a.fxsave, b.fxsave, at, at + 10)) return true;
  if (approximate !== true) return false;
  const ordered = ({ view }: CpuImage) =>
    (BigInt(view.getUint16(IMAGE.fxsave + at + 8, true)) << 63n) |
    (view.getBigUint64(IMAGE.fxsave + at, true) & ((1n << 63n) - 1n));
  const distance = ordered(a) - ordered(b);
  return distance >= -1n && distance <= 1n;
}

/** Null selectors count as equal: when the native case ended in an exception, the kernel's IRET has cleared their RPL. */
function selectorOf(image: CpuImage, which: number): number {
  const selector = image.selectors[which]!;
  return selector < 4 ? 0 : selector;
}

function sameFault({ fault: a }: CpuResult, { fault: b }: CpuResult, { whichFault }: Undefined = {}): boolean {
  if (a === undefined || b === undefined) return a === b;
  if (whichFault === true) return true;
  if (a.vector !== b.vector || a.cr2 !== b.cr2) return false;
  // Something is mapped where the native process has its own code, too.
  const own = a.cr2 >= BigInt(STUB_BASE) && a.cr2 < BigInt(STUB_BASE + STUB_SIZE);
  const hidden = a.vector === 14 && (own || a.cr2 >= KERNEL_START) ? 1 : 0;
  return (a.errorCode | hidden) === (b.errorCode | hidden);
}

function sameBytes(a: Uint8Array, b: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (a[i] !== b[i]) return false;
  return true;
}

function faultText({ fault }: CpuResult): string {
  if (fault === undefined) return 'none';
  const { vector, errorCode, cr2 } = fault;
  return `vector ${vector} error ${hex(errorCode, 1)}${vector === 14 ? ` cr2 ${hex(cr2, 1)}` : ''}`;
}

function flagsText(flags: number): string {
  return (
    FLAG_NAMES.filter(([, bit]) => flags & bit)
      .map(([name]) => name)
      .join(' ') || '-'
  );
}

function hex(value: number | bigint, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

function littleEndian(bytes: Uint8Array, offset: number, size: number): string {
  return Buffer.from(bytes.subarray(offset, offset + size))
    .reverse()
    .toString('hex');
}
