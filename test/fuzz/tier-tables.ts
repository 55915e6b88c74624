// Frames, descriptor tables and handlers of the machine that programs of both tiers run on.
import { VECTOR } from '../../src/cpu/state.ts';
import { CODE, type DataSegment, FIRST_SEGMENT, FIRST_SEGMENT_16, SEGMENTS, SEGMENTS_16 } from './tier-map.ts';

export const PAGE = 4096;
export const KERNEL = 0xffff_8000_0000_0000n;
/** Guest frames. Code has two sets of them, and neither lies as its linear addresses do. */
export const GFN = {
  pml4: 1,
  tables: 2,
  code: [0x23, 0x21, 0x26, 0x20],
  otherCode: [0x33, 0x30, 0x31, 0x35],
  data: [0x41, 0x40, 0x43, 0x42, 0x47, 0x46, 0x45, 0x44],
  lazy: [0x50, 0x52, 0x51, 0x53],
  supervisor: [0x5b, 0x5a, 0x59, 0x58],
  fuel: 0x60,
  stack: [0x64, 0x66, 0x65, 0x67],
  gdt: 0x70,
  idt: 0x71,
  tss: 0x72,
  handlers: 0x73,
  faultStack: 0x74,
  interruptStack: 0x75,
  mmio: 0x9000,
} as const;
export const SELECTOR = {
  kernelCode: 0x08,
  kernelData: 0x10,
  userData: 0x1b,
  userCode: 0x23,
  tss: 0x28,
  kernelCode32: 0x38,
  userCode32: 0x83,
  /** What SYSENTER and SYSEXIT count from: code and stack of the kernel, of 32-bit and of 64-bit users. */
  sysenter: 0x90,
  kernelCode16: 0xc0,
  userCode16: 0xcb,
} as const;
export const WITH_ERROR: ReadonlySet<number> = new Set([
  VECTOR.df,
  VECTOR.ts,
  VECTOR.np,
  VECTOR.ss,
  VECTOR.gp,
  VECTOR.pf,
  VECTOR.ac,
]);
/** Bytes of a handler: HLT, then the way back. */
export const HANDLER_BYTES = 16;
export const INTERRUPT = 0x40;
/** INT of this vector returns at once. */
const CALL = 0x80;
/** Slots of handlers whose vectors nobody raises: where SYSCALL and SYSENTER lead. */
export const SYSCALL_SLOT = 0xf0;
export const SYSENTER_SLOT = { 64: 0xf1, 32: 0xf2, 16: 0xf2 } as const;
const IRETQ = [0x48, 0xcf];
const HLT = 0xf4;
/** Code that is not that of an exception, by its slot. */
const HANDLERS: ReadonlyMap<number, readonly number[]> = new Map([
  [INTERRUPT, IRETQ],
  [CALL, IRETQ],
  [SYSCALL_SLOT, [0x48, 0x0f, 0x07]], // sysretq
  [SYSENTER_SLOT[64], [0xfb, 0x48, 0x0f, 0x35]], // sti; sysexitq
  [SYSENTER_SLOT[32], [0xfb, 0x0f, 0x35]],
]);

/** Linear address of the code of a vector or slot. */
export const handlerAt = (slot: number): bigint => KERNEL + BigInt(GFN.handlers * PAGE + slot * HANDLER_BYTES);

/** Writes the tables into RAM. Returns what the page of handlers holds. */
export function writeDescriptorTables(view: DataView, user: boolean): Uint8Array {
  const gdt = GFN.gdt * PAGE;
  const descriptors = [
    [SELECTOR.kernelCode, 0x00af_9b00_0000_ffffn],
    [SELECTOR.kernelData, 0x00cf_9300_0000_ffffn],
    [SELECTOR.userData, 0x00cf_f300_0000_ffffn],
    [SELECTOR.userCode, 0x00af_fb00_0000_ffffn],
    [SELECTOR.kernelCode32, 0x00cf_9b00_0000_ffffn],
    [SELECTOR.userCode32, 0x00cf_fb00_0000_ffffn],
    [SELECTOR.sysenter, 0x00af_9b00_0000_ffffn],
    [SELECTOR.sysenter + 8, 0x00cf_9300_0000_ffffn],
    [SELECTOR.sysenter + 16, 0x00cf_fb00_0000_ffffn],
    [SELECTOR.sysenter + 24, 0x00cf_f300_0000_ffffn],
    [SELECTOR.sysenter + 32, 0x00af_fb00_0000_ffffn],
    [SELECTOR.sysenter + 40, 0x00cf_f300_0000_ffffn],
    [SELECTOR.kernelCode16, CODE_16],
    [SELECTOR.userCode16, CODE_16 | (0x60n << 40n)],
    ...SEGMENTS.map((segment, i) => [(FIRST_SEGMENT + i) * 8, descriptor(segment, user)] as const),
    ...SEGMENTS_16.map((segment, i) => [(FIRST_SEGMENT_16 + i) * 8, descriptor(segment, user)] as const),
  ] as const;
  for (const [selector, value] of descriptors) view.setBigUint64(gdt + (selector & ~7), value, true);
  const address = (gfn: number) => KERNEL + BigInt(gfn * PAGE);
  // IST 1 for exceptions, 2 for what returns at once.
  view.setBigUint64(GFN.tss * PAGE + 0x24, address(GFN.faultStack) + BigInt(PAGE), true);
  view.setBigUint64(GFN.tss * PAGE + 0x2c, address(GFN.interruptStack) + BigInt(PAGE), true);
  view.setUint16(GFN.tss * PAGE + 0x66, 0x68, true);
  const handlers = new Uint8Array(PAGE).fill(0xf4);
  for (let vector = 0; vector < 256; vector++) {
    const at = vector * HANDLER_BYTES;
    const code = HANDLERS.get(vector) ?? (WITH_ERROR.has(vector) ? [HLT, 0x48, 0x83, 0xc4, 8, ...IRETQ] : [HLT, ...IRETQ]);
    handlers.set(code, at);
    const target = handlerAt(vector);
    const gate = GFN.idt * PAGE + vector * 16;
    view.setUint32(gate, Number(target & 0xffffn) | (SELECTOR.kernelCode << 16), true);
    const rights = vector === CALL ? 0xee : 0x8e;
    const stack = vector === INTERRUPT || vector === CALL ? 2 : 1;
    view.setUint32(gate + 4, Number(target & 0xffff_0000n) | (rights << 8) | stack, true);
    view.setUint32(gate + 8, Number(target >> 32n), true);
  }
  return handlers;
}

/** 64 KiB that begin with the code; for the kernel. */
const CODE_16 = 0x0000_9b00_0000_ffffn | (BigInt(CODE.at & 0xff_ffff) << 16n) | (BigInt(CODE.at >>> 24) << 56n);

/** SDM vol. 3, figure 3-8. */
function descriptor({ base, limitPages, type, big }: DataSegment, user: boolean): bigint {
  const low = (limitPages & 0xffff) | ((base & 0xffff) << 16);
  const access = 0x90 | type | (user ? 0x60 : 0);
  const high =
    ((base >>> 16) & 0xff) | (access << 8) | (limitPages & 0xf0000) | (big ? 0xc0_0000 : 0x80_0000) | (base & 0xff00_0000);
  return BigInt(low >>> 0) | (BigInt(high >>> 0) << 32n);
}
