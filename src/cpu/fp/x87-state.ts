// The x87 registers as bytes in memory, so that the engine, a second vCPU and save/restore see one truth.
import { INTEGER_BIT } from './num.ts';

/** Offsets from the base of the state. Registers are R0..R7 by number, not by stack position; MMX lies in their `m`. */
export const X87_LAYOUT = {
  /** u16 */
  fcw: 0,
  /** u16; TOP included */
  fsw: 2,
  /** u8, abridged: bit i set = R(i) is not empty (FXSAVE form) */
  ftw: 4,
  /** u16, 11 bits */
  fop: 6,
  /** u64 */
  fip: 8,
  /** u64 */
  fdp: 16,
  /** u16 */
  fcs: 24,
  /** u16 */
  fds: 26,
  /** 8 registers of 16 bytes: significand u64, sign and exponent u16, 6 bytes unused */
  registers: 32,
  registerStride: 16,
  size: 160,
} as const;

/** Status word (SDM vol. 1, 8.1.3); bits 0..5 are FLAG. */
export const FSW = {
  SF: 0x40,
  ES: 0x80,
  C0: 0x100,
  C1: 0x200,
  C2: 0x400,
  topShift: 11,
  C3: 0x4000,
  B: 0x8000,
} as const;
export const FCW = { masks: 0x3f, precisionShift: 8, roundingShift: 10, reset: 0x37f, reserved: 0x40 } as const;

const TAG = { valid: 0, zero: 1, special: 2, empty: 3 } as const;

export class X87State {
  readonly view: DataView;
  readonly base: number;

  /** @param base byte offset of the X87_LAYOUT.size bytes in `view` */
  constructor(view: DataView, base: number) {
    this.view = view;
    this.base = base;
  }

  get fcw(): number {
    return this.view.getUint16(this.base + X87_LAYOUT.fcw, true);
  }
  /** Bit 6 always reads as one; bits 7 and 13..15 as zero. */
  set fcw(value: number) {
    this.view.setUint16(this.base + X87_LAYOUT.fcw, (value & 0x1f3f) | FCW.reserved, true);
  }
  get fsw(): number {
    return this.view.getUint16(this.base + X87_LAYOUT.fsw, true);
  }
  set fsw(value: number) {
    this.view.setUint16(this.base + X87_LAYOUT.fsw, value, true);
  }
  get ftw(): number {
    return this.view.getUint8(this.base + X87_LAYOUT.ftw);
  }
  set ftw(value: number) {
    this.view.setUint8(this.base + X87_LAYOUT.ftw, value);
  }
  get fop(): number {
    return this.view.getUint16(this.base + X87_LAYOUT.fop, true);
  }
  set fop(value: number) {
    this.view.setUint16(this.base + X87_LAYOUT.fop, value & 0x7ff, true);
  }
  get fip(): bigint {
    return this.view.getBigUint64(this.base + X87_LAYOUT.fip, true);
  }
  set fip(value: bigint) {
    this.view.setBigUint64(this.base + X87_LAYOUT.fip, value, true);
  }
  get fdp(): bigint {
    return this.view.getBigUint64(this.base + X87_LAYOUT.fdp, true);
  }
  set fdp(value: bigint) {
    this.view.setBigUint64(this.base + X87_LAYOUT.fdp, value, true);
  }
  get fcs(): number {
    return this.view.getUint16(this.base + X87_LAYOUT.fcs, true);
  }
  set fcs(value: number) {
    this.view.setUint16(this.base + X87_LAYOUT.fcs, value, true);
  }
  get fds(): number {
    return this.view.getUint16(this.base + X87_LAYOUT.fds, true);
  }
  set fds(value: number) {
    this.view.setUint16(this.base + X87_LAYOUT.fds, value, true);
  }

  get top(): number {
    return (this.fsw >> FSW.topShift) & 7;
  }
  set top(value: number) {
    this.fsw = (this.fsw & ~(7 << FSW.topShift)) | ((value & 7) << FSW.topShift);
  }

  /** Byte offset in `view` of ST(i). */
  at(i: number): number {
    return this.base + X87_LAYOUT.registers + ((this.top + i) & 7) * X87_LAYOUT.registerStride;
  }
  isEmpty(i: number): boolean {
    return !((this.ftw >> ((this.top + i) & 7)) & 1);
  }
  setEmpty(i: number, empty: boolean): void {
    const bit = 1 << ((this.top + i) & 7);
    this.ftw = empty ? this.ftw & ~bit : this.ftw | bit;
  }
  significand(i: number): bigint {
    return this.view.getBigUint64(this.at(i), true);
  }
  signExponent(i: number): number {
    return this.view.getUint16(this.at(i) + 8, true);
  }

  /** FNINIT. The registers keep their contents. */
  reset(): void {
    this.fcw = FCW.reset;
    this.fsw = 0;
    this.ftw = 0;
    this.fop = 0;
    this.fip = 0n;
    this.fdp = 0n;
    this.fcs = 0;
    this.fds = 0;
  }

  /** What every MMX instruction but EMMS does first: TOP = 0, all registers valid (SDM vol. 1, 9.6.2). */
  enterMmx(): void {
    this.top = 0;
    this.ftw = 0xff;
  }
  /** EMMS. */
  leaveMmx(): void {
    this.top = 0;
    this.ftw = 0;
  }
  /** Byte offset in `view` of MM(r); the write of an MMX register also sets the 16 bits after it to ones. */
  mmxAt(r: number): number {
    return this.base + X87_LAYOUT.registers + (r & 7) * X87_LAYOUT.registerStride;
  }
  writeMmx(r: number, value: bigint): void {
    const at = this.mmxAt(r);
    this.view.setBigUint64(at, value, true);
    this.view.setUint16(at + 8, 0xffff, true);
  }

  /** Sets ES and B from the flags and masks, as every load of FCW or FSW does. */
  summarize(): void {
    const fsw = this.fsw;
    const pending = (fsw & ~this.fcw & FCW.masks) !== 0;
    this.fsw = pending ? fsw | FSW.ES | FSW.B : fsw & ~(FSW.ES | FSW.B);
  }

  /** The full tag word of FNSTENV, two bits a register, computed from the contents. */
  fullTags(): number {
    let tags = 0;
    for (let r = 0; r < 8; r++) tags |= this.tagOf(r) << (2 * r);
    return tags;
  }
  private tagOf(r: number): number {
    if (!((this.ftw >> r) & 1)) return TAG.empty;
    const at = this.base + X87_LAYOUT.registers + r * X87_LAYOUT.registerStride;
    const exponent = this.view.getUint16(at + 8, true) & 0x7fff;
    const m = this.view.getBigUint64(at, true);
    if (exponent === 0) return m === 0n ? TAG.zero : TAG.special;
    return exponent === 0x7fff || !(m & INTEGER_BIT) ? TAG.special : TAG.valid;
  }
  /** Takes a full tag word; only "empty" matters. */
  setFullTags(tags: number): void {
    let ftw = 0;
    for (let r = 0; r < 8; r++) if (((tags >> (2 * r)) & 3) !== TAG.empty) ftw |= 1 << r;
    this.ftw = ftw;
  }
}
