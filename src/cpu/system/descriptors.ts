// Segment and gate descriptors: fetched from the GDT or LDT, taken apart. SDM vol. 3, 3.4.5 and 3.5.
import { type Cpu, GuestFault, type LinearMemory } from '../cpu.ts';
import { ATTR, SEG, SEGMENT, STATE } from '../state.ts';
import { selectorError } from './faults.ts';
import { linear, tableBase, tableLimit } from './system-state.ts';

/** Types of system descriptors. SDM vol. 3, table 3-2. In IA-32e mode only ldt, tss, tssBusy and the 32-bit gates (as 64-bit ones) exist. */
export const SYSTEM_TYPE = {
  tss16: 1,
  ldt: 2,
  tss16Busy: 3,
  callGate16: 4,
  taskGate: 5,
  interruptGate16: 6,
  trapGate16: 7,
  tss: 9,
  tssBusy: 11,
  callGate: 12,
  interruptGate: 14,
  trapGate: 15,
} as const;

const ATTRIBUTE_BITS = 0xf0ff;

/** A descriptor as it stood in memory. */
export class Descriptor {
  readonly selector: number;
  /** Linear address of its first byte. */
  readonly at: bigint;
  readonly low: number;
  readonly high: number;
  /** Bits 63:32 of the base or offset: the third dword of a 16-byte descriptor. */
  readonly upper: number;
  constructor(selector: number, at: bigint, low: number, high: number, upper = 0) {
    this.selector = selector;
    this.at = at;
    this.low = low;
    this.high = high;
    this.upper = upper;
  }

  /** Bits 40..55, without the limit: the format of STATE.seg. */
  get attributes(): number {
    return (this.high >>> 8) & ATTRIBUTE_BITS;
  }
  get type(): number {
    return (this.high >>> 8) & 0xf;
  }
  /** Code or data. */
  get isSegment(): boolean {
    return (this.high & (ATTR.s << 8)) !== 0;
  }
  get isCode(): boolean {
    return this.isSegment && (this.type & ATTR.code) !== 0;
  }
  get isWritableData(): boolean {
    return this.isSegment && (this.type & (ATTR.code | ATTR.rw)) === ATTR.rw;
  }
  /** Data of any kind, or readable code. */
  get isReadable(): boolean {
    return this.isSegment && (this.type & (ATTR.code | ATTR.rw)) !== ATTR.code;
  }
  /** Of code segments only. */
  get isConforming(): boolean {
    return (this.type & ATTR.dc) !== 0;
  }
  get dpl(): number {
    return (this.high >>> 13) & 3;
  }
  get isPresent(): boolean {
    return (this.high & 0x8000) !== 0;
  }
  get isLong(): boolean {
    return (this.attributes & ATTR.long) !== 0;
  }
  get isBig(): boolean {
    return (this.attributes & ATTR.db) !== 0;
  }
  /** In bytes: granularity applied. */
  get limit(): number {
    const raw = (this.low & 0xffff) | (this.high & 0xf0000);
    return this.attributes & ATTR.g ? ((raw << 12) | 0xfff) >>> 0 : raw;
  }
  get base(): bigint {
    const low = ((this.low >>> 16) | ((this.high & 0xff) << 16) | (this.high & 0xff000000)) >>> 0;
    return BigInt(low) | (BigInt(this.upper) << 32n);
  }

  // As a gate.
  get gateSelector(): number {
    return this.low >>> 16;
  }
  get gateOffset(): bigint {
    return BigInt(((this.low & 0xffff) | (this.high & 0xffff0000)) >>> 0) | (BigInt(this.upper) << 32n);
  }
  /** Words or dwords that a legacy call gate copies to the inner stack. */
  get gateParameters(): number {
    return this.high & 0x1f;
  }
  /** The interrupt-stack-table index of a 64-bit gate. */
  get gateStack(): number {
    return this.high & 7;
  }
}

/** A null selector: index 0 in the GDT, whatever the RPL. */
export const isNull = (selector: number): boolean => (selector & 0xfffc) === 0;

const USES_LDT = 4;

/**
 * Reads the descriptor a selector names; a system descriptor in IA-32e mode with its upper half.
 * The caller has dealt with null selectors.
 * @throws GuestFault `vector`(selector) when it lies beyond its table; #PF.
 */
export function readDescriptor(cpu: Cpu, mem: LinearMemory, selector: number, vector: number): Descriptor {
  const index = selector & 0xfff8;
  let base: bigint;
  let limit: number;
  if (selector & USES_LDT) {
    if ((cpu.attributes(SEGMENT.ldtr) & ATTR.present) === 0) throw new GuestFault(vector, selectorError(selector));
    base = cpu.segBase(SEGMENT.ldtr);
    limit = cpu.limit(SEGMENT.ldtr);
  } else {
    base = tableBase(cpu, 'gdtr');
    limit = tableLimit(cpu, 'gdtr');
  }
  if (index + 7 > limit) throw new GuestFault(vector, selectorError(selector));
  const at = linear(cpu, base + BigInt(index));
  const value = mem.read(at, 8, true);
  const low = Number(value & 0xffff_ffffn);
  const high = Number(value >> 32n);
  if (!cpu.longMode || high & (ATTR.s << 8)) return new Descriptor(selector, at, low, high);
  // SDM vol. 3, 3.5.2 and 5.8.3.1: 16 bytes, and the type field of the upper half must be 0.
  if (index + 15 > limit) throw new GuestFault(vector, selectorError(selector));
  const more = mem.read(linear(cpu, at + 8n), 8, true);
  if ((more >> 32n) & 0x1f00n) throw new GuestFault(vector, selectorError(selector));
  return new Descriptor(selector, at, low, high, Number(more & 0xffff_ffffn));
}

/** Sets the accessed bit in memory, as every load of a segment register does. SDM vol. 3, 3.4.5.1. */
export function markAccessed(mem: LinearMemory, descriptor: Descriptor): void {
  if (descriptor.type & ATTR.accessed) return;
  mem.write(descriptor.at + 5n, 1, BigInt(((descriptor.high >>> 8) & 0xff) | ATTR.accessed), true);
}

const BUSY = 2;

/** Sets or clears the busy bit of a TSS descriptor in memory. */
export function markBusy(cpu: Cpu, mem: LinearMemory, at: bigint, busy: boolean): void {
  const where = linear(cpu, at + 5n);
  const access = mem.read(where, 1, true);
  mem.write(where, 1, busy ? access | BigInt(BUSY) : access & ~BigInt(BUSY), true);
}

/** Loads a segment register from a code or data descriptor; the accessed bit counts as set. */
export function setFromDescriptor(cpu: Cpu, which: number, selector: number, descriptor: Descriptor): void {
  const accessed = descriptor.isSegment ? ATTR.accessed : 0;
  cpu.setSegment(which, selector, descriptor.attributes | accessed, descriptor.limit, descriptor.base);
}

/** Makes a segment register unusable. The base stays: 64-bit code may have set that of FS or GS by MSR. */
export function setNull(cpu: Cpu, which: number, selector = 0): void {
  const at = STATE.seg + which * SEG.sizeof;
  cpu.u16[(at + SEG.selector) >> 1] = selector;
  cpu.u16[(at + SEG.attributes) >> 1] = 0;
}
