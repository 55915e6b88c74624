// What of a vCPU's state must be the same in both tiers, and where two states differ, in words.
import { FLAG, SEG, SEGMENT, STATE } from '../state.ts';
import { SYSTEM_STATE } from '../system/system-state.ts';

/** Bytes of the vCPU's region that are taken back and put down: all of its registers. */
export const STATE_BYTES = STATE.ymmHigh + 16 * 16;

/** Words that are not taken back, in order: those that other threads write to, and those that belong to the TLBs. */
export const FOREIGN: readonly { readonly at: number; readonly end: number }[] = [
  { at: STATE.request, end: STATE.interruptPending + 4 },
  { at: STATE.tlbKey, end: STATE.tlbFilledGlobal + 4 },
];

interface Field {
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
}

const GPR_NAMES = ['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'];
const each = (count: number, field: (i: number) => Field): Field[] => Array.from({ length: count }, (_, i) => field(i));

const FIELDS: readonly Field[] = [
  ...each(16, (i) => ({ name: GPR_NAMES[i] as string, at: STATE.gpr + i * 8, bytes: 8 })),
  { name: 'rip', at: STATE.rip, bytes: 8 },
  { name: 'eflags (without arithmetic flags)', at: STATE.eflags, bytes: 4 },
  ...Object.entries(SEGMENT).map(([name, i]) => ({ name, at: STATE.seg + i * SEG.sizeof, bytes: 16 })),
  { name: 'gdtr', at: STATE.gdtr, bytes: 10 },
  { name: 'idtr', at: STATE.idtr, bytes: 10 },
  ...(['cr0', 'cr2', 'cr3', 'cr4', 'cr8', 'efer', 'xcr0'] as const).map((name) => ({ name, at: STATE[name], bytes: 8 })),
  ...each(8, (i) => ({ name: `dr${i}`, at: STATE.dr + i * 8, bytes: 8 })),
  { name: 'MSRs', at: STATE.star, bytes: STATE.miscEnable + 8 - STATE.star },
  { name: 'cpl', at: STATE.cpl, bytes: 4 },
  { name: 'code mode', at: STATE.codeMode, bytes: 4 },
  { name: 'TLBs in force', at: STATE.tlbRead, bytes: 16 },
  { name: 'interrupt shadow', at: STATE.shadow, bytes: 4 },
  { name: 'mxcsr', at: STATE.mxcsr, bytes: 4 },
  ...(['fcw', 'fsw', 'ftw', 'fop'] as const).map((name) => ({ name, at: STATE[name], bytes: 2 })),
  ...(['fip', 'fdp'] as const).map((name) => ({ name, at: STATE[name], bytes: 8 })),
  ...(['fcs', 'fds'] as const).map((name) => ({ name, at: STATE[name], bytes: 2 })),
  ...each(8, (i) => ({ name: `x87 R${i}`, at: STATE.x87 + i * 16, bytes: 10 })),
  ...each(16, (i) => ({ name: `xmm${i}`, at: STATE.xmm + i * 16, bytes: 16 })),
  ...each(16, (i) => ({ name: `ymm${i} above xmm${i}`, at: STATE.ymmHigh + i * 16, bytes: 16 })),
  { name: 'SSE and MMX blocked', at: STATE.sseBlocked, bytes: 8 },
  { name: 'VEX and AVX blocked', at: STATE.vexBlocked, bytes: 8 },
  { name: 'MTRRs', at: SYSTEM_STATE.mtrrDefType, bytes: SYSTEM_STATE.nmiBlocked - SYSTEM_STATE.mtrrDefType },
  { name: 'NMI blocked', at: SYSTEM_STATE.nmiBlocked, bytes: 4 },
];
const FAULT_FIELDS: readonly Field[] = [
  { name: 'vector of the fault', at: STATE.faultVector, bytes: 4 },
  { name: 'error code of the fault', at: STATE.faultError, bytes: 4 },
];

/** Indices of the 32-bit words that hold fields: where all are equal nothing can differ. */
const WORDS: Uint16Array = Uint16Array.from(
  new Set(
    [...FIELDS, { at: STATE.flagZ, bytes: STATE.flagC + 4 - STATE.flagZ }].flatMap(({ at, bytes }) =>
      Array.from({ length: ((at + bytes + 3) >> 2) - (at >> 2) }, (_, i) => (at >> 2) + i),
    ),
  ),
);

export interface Difference {
  readonly what: string;
  readonly translated: string;
  readonly interpreted: string;
}

/** Most significant byte first. */
const hex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'))
    .reverse()
    .join('');

/** A vCPU at one moment: the first STATE_BYTES of its region, and RFLAGS. */
export interface StateCopy {
  readonly bytes: Uint8Array;
  /** The same as 32-bit words. */
  readonly words: Uint32Array;
  readonly rflags: number;
}

const FLAG_NAMES = { CF: FLAG.cf, PF: FLAG.pf, AF: FLAG.af, ZF: FLAG.zf, SF: FLAG.sf, OF: FLAG.of };
const flagText = (rflags: number): string =>
  Object.entries(FLAG_NAMES)
    .map(([name, bit]) => `${name}=${rflags & bit ? 1 : 0}`)
    .join(' ');

function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  for (const word of WORDS) if (a[word] !== b[word]) return false;
  return true;
}

/** `fault`: the fault slots count too. */
export function stateDifferences(translated: StateCopy, interpreted: StateCopy, fault: boolean): Difference[] {
  const differences: Difference[] = [];
  if (!fault && sameWords(translated.words, interpreted.words)) return differences;
  const [one, other] = [translated.bytes, interpreted.bytes];
  for (const { name, at, bytes } of fault ? [...FIELDS, ...FAULT_FIELDS] : FIELDS) {
    let same = true;
    for (let i = at; i < at + bytes; i++) if (one[i] !== other[i]) same = false;
    if (same) continue;
    differences.push({ what: name, translated: hex(one.slice(at, at + bytes)), interpreted: hex(other.slice(at, at + bytes)) });
  }
  // The words that the arithmetic flags are kept in may differ where the flags do not.
  if ((translated.rflags ^ interpreted.rflags) & FLAG.arithmetic)
    differences.push({ what: 'flags', translated: flagText(translated.rflags), interpreted: flagText(interpreted.rflags) });
  return differences;
}
