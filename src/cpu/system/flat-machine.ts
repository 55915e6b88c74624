// A CPU over a little memory whose linear and physical addresses agree, with the usual tables: the bench of this folder's specs.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { GuestMemory, P2M_BYTES } from '../../memory/guest-memory.ts';
import { GPR } from '../../vcpu/contract.ts';
import { Cpu, GuestFault } from '../cpu.ts';
import { CR0, CR4, EFER, FLAG, PF, SEGMENT, STATE, VCPU_BYTES, VECTOR } from '../state.ts';
import type { BulkMemory } from './bulk-memory.ts';
import { resetRegisters } from './reset.ts';

const RAM_BYTES = 0x20000;
const P2M_AT = 0x1000;
const CPU_AT = P2M_AT + P2M_BYTES;
const RAM_AT = CPU_AT + VCPU_BYTES;

/** Where things lie. */
export const AT = { gdt: 0x1000, idt: 0x2000, tss: 0x3000, tss2: 0x3800, ldt: 0x4000, kernelStack: 0x8000, ist1: 0x9000, userStack: 0xa000 } as const;
/** Selectors of the GDT that `FlatMachine` builds. */
export const SELECTOR = {
  kernelCode: 0x08, kernelData: 0x10, userCode: 0x1b, userData: 0x23, kernelCode64: 0x28, userCode64: 0x33, tss: 0x38, ldt: 0x48,
  gate: 0x58, tss2: 0x68, free: 0x78, kernelCode16: 0x90, kernelData16: 0x98, conforming: 0xa0,
} as const;

/** Descriptor bits 52..55. */
export const SIZE = { g: 8, d: 4, l: 2 } as const;

/** Packs a segment descriptor. SDM vol. 3, figure 3-8. */
export function segment(base: number, limit: number, access: number, size: number): bigint {
  const low = (BigInt(limit) & 0xffffn) | ((BigInt(base) & 0xff_ffffn) << 16n);
  const high = BigInt(access) | ((BigInt(limit) >> 16n) << 8n) | (BigInt(size) << 12n) | ((BigInt(base) >> 24n) << 16n);
  return low | (high << 40n);
}

/** Packs the low half of a gate; `count` is the parameter count or IST index. */
export function gate(selector: number, offset: bigint, access: number, count = 0): bigint {
  return (offset & 0xffffn) | (BigInt(selector) << 16n) | (BigInt(count) << 32n) | (BigInt(access) << 40n) | (((offset >> 16n) & 0xffffn) << 48n);
}

/** Memory that faults beyond its end, on pages taken away, and on writes to pages made read-only. */
class FlatMemory implements BulkMemory {
  readonly #cpu: Cpu;
  readonly #ram: DataView;
  readonly missing = new Set<number>();
  readonly readOnly = new Set<number>();
  readonly flushes: boolean[] = [];

  constructor(cpu: Cpu, ram: DataView) {
    this.#cpu = cpu;
    this.#ram = ram;
  }
  read(linear: bigint, size: number): bigint {
    const at = this.#check(linear, size, false);
    let value = 0n;
    for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(this.#ram.getUint8(at + i));
    return value;
  }
  write(linear: bigint, size: number, value: bigint): void {
    const at = this.#check(linear, size, true);
    for (let i = 0; i < size; i++) this.#ram.setUint8(at + i, Number((value >> BigInt(i * 8)) & 0xffn));
  }
  probeWrite(linear: bigint, size: number): void {
    this.#check(linear, size, true);
  }
  readBytes(linear: bigint, into: Uint8Array): void {
    for (let i = 0; i < into.length; i++) into[i] = Number(this.read(linear + BigInt(i), 1));
  }
  writeBytes(linear: bigint, from: Uint8Array): void {
    for (const [i, byte] of from.entries()) this.write(linear + BigInt(i), 1, BigInt(byte));
  }
  flush(includeGlobal: boolean): void {
    this.flushes.push(includeGlobal);
  }
  invalidatePage(): void {}

  #check(linear: bigint, size: number, write: boolean): number {
    for (const byte of [linear, linear + BigInt(size - 1)]) {
      const page = Number(byte >> 12n);
      const absent = byte < 0n || byte >= BigInt(RAM_BYTES) || this.missing.has(page);
      if (!absent && !(write && this.readOnly.has(page))) continue;
      this.#cpu.set64(STATE.faultAddress, byte);
      throw new GuestFault(VECTOR.pf, (absent ? 0 : PF.present) | (write ? PF.write : 0));
    }
    return Number(linear);
  }
}

export class FlatMachine {
  readonly cpu: Cpu;
  readonly mem: FlatMemory;
  readonly ram: DataView;

  constructor() {
    const buffer = new SharedArrayBuffer(RAM_AT + RAM_BYTES);
    const memory = new GuestMemory(buffer, P2M_AT as HostAddress);
    for (let page = 0; page < RAM_BYTES >> 12; page++) memory.map(page as Gfn, (RAM_AT + page * 4096) as HostAddress);
    this.cpu = new Cpu(memory, CPU_AT as HostAddress);
    this.ram = new DataView(buffer, RAM_AT, RAM_BYTES);
    this.mem = new FlatMemory(this.cpu, this.ram);
    resetRegisters(this.cpu);
  }

  /** Real-address mode, 16-bit, flat at 0, stack at 0:8000. */
  real(): this {
    const { cpu } = this;
    cpu.setSegment(SEGMENT.cs, 0, 0x9b, 0xffff, 0n);
    cpu.u16[(STATE.idtr + 8) >> 1] = 0x3ff;
    cpu.setGpr(GPR.rsp, 0x8000n);
    cpu.rip = 0x500n;
    cpu.updateMode();
    return this;
  }

  /** 32-bit protected mode without paging at `level` (0 or 3), tables and a busy 32-bit TSS loaded. */
  protected32(level: 0 | 3 = 0): this {
    const { cpu } = this;
    this.#tables(8);
    cpu.set64(STATE.cr0, BigInt(CR0.pe | CR0.et | CR0.ne));
    this.tss32(AT.tss, { 4: AT.kernelStack, 8: SELECTOR.kernelData });
    cpu.setSegment(SEGMENT.tr, SELECTOR.tss, 0x8b, 0x67, BigInt(AT.tss));
    this.#flat(level, SELECTOR.kernelCode, SELECTOR.userCode, 0xc09b);
    return this;
  }

  /** 64-bit mode at `level`, tables and a 64-bit TSS (RSP0, IST1) loaded. */
  long(level: 0 | 3 = 0): this {
    const { cpu } = this;
    this.#tables(16);
    cpu.set64(STATE.cr0, BigInt((CR0.pe | CR0.pg | CR0.et | CR0.ne | CR0.wp) >>> 0));
    cpu.set64(STATE.cr4, BigInt(CR4.pae));
    cpu.set64(STATE.efer, BigInt(EFER.sce | EFER.lme | EFER.lma | EFER.nxe));
    this.put64(AT.tss + 4, BigInt(AT.kernelStack));
    this.put64(AT.tss + 0x24, BigInt(AT.ist1));
    cpu.setSegment(SEGMENT.tr, SELECTOR.tss, 0x8b, 0x67, BigInt(AT.tss));
    this.#flat(level, SELECTOR.kernelCode64, SELECTOR.userCode64, 0xa09b);
    return this;
  }

  /** Virtual-8086 mode under `protected32`, IOPL as given, CS=0100, SS=0800, SP=1000. */
  v86(iopl: number): this {
    this.protected32(3);
    const { cpu } = this;
    const load = (which: number, selector: number) => cpu.setSegment(which, selector, 0xf3, 0xffff, BigInt(selector) << 4n);
    for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) load(which, 0x700 + which);
    load(SEGMENT.cs, 0x100);
    load(SEGMENT.ss, 0x800);
    cpu.rflags = FLAG.vm | FLAG.if | (iopl << 12) | 2;
    cpu.setGpr(GPR.rsp, 0x1000n);
    cpu.rip = 0x20n;
    cpu.updateMode();
    return this;
  }

  /** Segment or system descriptor, by selector. */
  describe(selector: number, descriptor: bigint, upper = 0n): void {
    this.put64(AT.gdt + (selector & 0xfff8), descriptor);
    if (this.cpu.longMode && upper !== 0n) this.put64(AT.gdt + (selector & 0xfff8) + 8, upper);
  }

  /** An IDT entry of the mode's size. */
  vector(vector: number, descriptor: bigint, upper = 0n): void {
    if (!this.cpu.longMode) {
      this.put64(AT.idt + vector * 8, descriptor);
      return;
    }
    this.put64(AT.idt + vector * 16, descriptor);
    this.put64(AT.idt + vector * 16 + 8, upper);
  }

  tss32(at: number, fields: Readonly<Record<number, number>>): void {
    for (const [offset, value] of Object.entries(fields)) this.ram.setUint32(at + Number(offset), value, true);
  }

  get64(at: number): bigint {
    return this.ram.getBigUint64(at, true);
  }
  put64(at: number, value: bigint): void {
    this.ram.setBigUint64(at, value, true);
  }
  get32(at: number): number {
    return this.ram.getUint32(at, true);
  }
  get16(at: number): number {
    return this.ram.getUint16(at, true);
  }

  /** The fault that `action` raises, as [vector, error code]; undefined if none. */
  fault(action: () => unknown): readonly [number, number | undefined] | undefined {
    try {
      action();
    } catch (thrown) {
      if (thrown instanceof GuestFault) return [thrown.vector, thrown.errorCode];
      throw thrown;
    }
    return undefined;
  }

  #tables(idtEntry: number): void {
    const { cpu } = this;
    cpu.set64(STATE.gdtr, BigInt(AT.gdt));
    cpu.u16[(STATE.gdtr + 8) >> 1] = 0xff;
    cpu.set64(STATE.idtr, BigInt(AT.idt));
    cpu.u16[(STATE.idtr + 8) >> 1] = 256 * idtEntry - 1;
    const all = 0xfffff;
    this.describe(SELECTOR.kernelCode, segment(0, all, 0x9a, SIZE.g | SIZE.d));
    this.describe(SELECTOR.kernelData, segment(0, all, 0x92, SIZE.g | SIZE.d));
    this.describe(SELECTOR.userCode, segment(0, all, 0xfa, SIZE.g | SIZE.d));
    this.describe(SELECTOR.userData, segment(0, all, 0xf2, SIZE.g | SIZE.d));
    this.describe(SELECTOR.kernelCode64, segment(0, all, 0x9a, SIZE.g | SIZE.l));
    this.describe(SELECTOR.userCode64, segment(0, all, 0xfa, SIZE.g | SIZE.l));
    this.describe(SELECTOR.tss, segment(AT.tss, 0x67, 0x8b, 0));
    this.describe(SELECTOR.ldt, segment(AT.ldt, 0xff, 0x82, 0));
    this.describe(SELECTOR.kernelCode16, segment(0, 0xffff, 0x9a, 0));
    this.describe(SELECTOR.kernelData16, segment(0, 0xffff, 0x92, 0));
    this.describe(SELECTOR.conforming, segment(0, all, 0x9e, SIZE.g | SIZE.d));
  }

  #flat(level: 0 | 3, kernelCode: number, userCode: number, codeAttributes: number): void {
    const { cpu } = this;
    const dpl = level << 5;
    const data = level === 0 ? SELECTOR.kernelData : SELECTOR.userData;
    cpu.setSegment(SEGMENT.cs, level === 0 ? kernelCode : userCode, codeAttributes | dpl, 0xffff_ffff, 0n);
    for (const which of [SEGMENT.es, SEGMENT.ss, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) {
      cpu.setSegment(which, data, 0xc093 | dpl, 0xffff_ffff, 0n);
    }
    cpu.set32(STATE.cpl, level);
    cpu.setGpr(GPR.rsp, BigInt(level === 0 ? AT.kernelStack : AT.userStack));
    cpu.rip = 0x5000n;
    cpu.rflags = FLAG.if | 2;
    cpu.updateMode();
  }
}
