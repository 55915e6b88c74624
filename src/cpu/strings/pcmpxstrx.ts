// PCMPESTRI, PCMPESTRM, PCMPISTRI, PCMPISTRM: comparison of two short strings. SDM vol. 2, section 4.1.
import type { Cpu } from '../cpu.ts';
import { FLAG, STATE } from '../state.ts';

/** Where generated code leaves the operands and finds the answers. */
export const STRING_SLOT = {
  /** First operand (the register) and second operand. */
  first: STATE.vectorScratch,
  second: STATE.vectorScratch + 16,
  /** The mask for XMM0. */
  mask: STATE.vectorScratch + 32,
  /** u32. */
  immediate: STATE.scratch,
  /** u32: the six arithmetic flags as in EFLAGS; u32: index for ECX. */
  flags: STATE.scratch + 8,
  index: STATE.scratch + 12,
  /** i64 each: RAX and RDX, or EAX and EDX sign-extended. */
  firstLength: STATE.scratch + 16,
  secondLength: STATE.scratch + 24,
} as const;

/** The argument of the compute 'pcmpxstrx'. */
export const STRING_LENGTH = { implicit: 0, explicit: 1 } as const;

/** imm8[3:2]. */
const AGGREGATION = { equalAny: 0, ranges: 1, equalEach: 2, equalOrdered: 3 } as const;

interface Text {
  readonly elements: readonly number[];
  /** Elements that count. */
  readonly length: number;
}

/** Compares the strings in STRING_SLOT. Never faults: answers 0. */
export function pcmpxstrx(cpu: Cpu, argument: number): number {
  const immediate = cpu.get32(STRING_SLOT.immediate);
  const explicit = argument === STRING_LENGTH.explicit;
  const count = immediate & 1 ? 8 : 16;
  const first = text(cpu, STRING_SLOT.first, immediate, explicit ? cpu.get64(STRING_SLOT.firstLength) : undefined);
  const second = text(cpu, STRING_SLOT.second, immediate, explicit ? cpu.get64(STRING_SLOT.secondLength) : undefined);
  const full = (1 << count) - 1;
  let result = aggregate((immediate >> 2) & 3, first, second, count);
  if (immediate & 0x10) result ^= immediate & 0x20 ? (1 << second.length) - 1 : full;

  cpu.set32(
    STRING_SLOT.flags,
    (result !== 0 ? FLAG.cf : 0) |
      (second.length < count ? FLAG.zf : 0) |
      (first.length < count ? FLAG.sf : 0) |
      (result & 1 ? FLAG.of : 0),
  );
  const mostSignificant = (immediate & 0x40) !== 0;
  cpu.set32(STRING_SLOT.index, result === 0 ? count : 31 - Math.clz32(mostSignificant ? result : result & -result));
  writeMask(cpu, result, count, mostSignificant);
  return 0;
}

/** In loops by hand: this is the inner loop of strlen, strchr and their like. */
function text({ view }: Cpu, at: number, immediate: number, length: bigint | undefined): Text {
  const count = immediate & 1 ? 8 : 16;
  const signed = (immediate & 2) !== 0;
  const elements: number[] = [];
  if (count === 16) for (let i = 0; i < 16; i++) elements.push(signed ? view.getInt8(at + i) : view.getUint8(at + i));
  else for (let i = 0; i < 16; i += 2) elements.push(signed ? view.getInt16(at + i, true) : view.getUint16(at + i, true));
  if (length === undefined) {
    const end = elements.indexOf(0);
    return { elements, length: end < 0 ? count : end };
  }
  const whole = BigInt.asIntN(64, length);
  const magnitude = whole < 0n ? -whole : whole;
  return { elements, length: magnitude > BigInt(count) ? count : Number(magnitude) };
}

/** IntRes1: bit j is about element j of the second string; what lies beyond a string's end follows table 4-7. */
function aggregate(how: number, first: Text, second: Text, count: number): number {
  let result = 0;
  for (let j = 0; j < count; j++) if (holds(how, first, second, count, j)) result |= 1 << j;
  return result;
}

function holds(how: number, first: Text, second: Text, count: number, j: number): boolean {
  const a = first.elements;
  const b = second.elements;
  const value = b[j] as number;
  switch (how) {
    case AGGREGATION.equalAny: {
      if (j >= second.length) return false;
      for (let i = 0; i < first.length; i++) if (a[i] === value) return true;
      return false;
    }
    case AGGREGATION.ranges: {
      if (j >= second.length) return false;
      for (let i = 0; i + 1 < first.length; i += 2) if (value >= (a[i] as number) && value <= (a[i + 1] as number)) return true;
      return false;
    }
    case AGGREGATION.equalEach:
      return j < first.length && j < second.length ? a[j] === value : j >= first.length && j >= second.length;
    default: {
      for (let i = 0; i + j < count && i < first.length; i++) if (i + j >= second.length || a[i] !== b[i + j]) return false;
      return true;
    }
  }
}

function writeMask({ view }: Cpu, result: number, count: number, expanded: boolean): void {
  view.setBigUint64(STRING_SLOT.mask, 0n, true);
  view.setBigUint64(STRING_SLOT.mask + 8, 0n, true);
  if (!expanded) view.setUint16(STRING_SLOT.mask, result, true);
  else {
    const size = 16 / count;
    for (let i = 0; i < 16; i++) view.setUint8(STRING_SLOT.mask + i, (result >> Math.floor(i / size)) & 1 ? 0xff : 0);
  }
}
