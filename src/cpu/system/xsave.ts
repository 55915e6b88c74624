// FXSAVE, FXRSTOR, XSAVE, XSAVEOPT, XRSTOR: images of x87, MMX, SSE and AVX state. SDM vol. 1, 10.5 and chapter 13.
import type { Cpu } from '../cpu.ts';
import { CR0, CR4, STATE, STATE_COMPONENTS } from '../state.ts';
import type { BulkMemory } from './bulk-memory.ts';
import { deviceNotAvailable, generalProtection, invalidOpcode } from './faults.ts';
import { is64Bit } from './stack.ts';

/** The legacy region. SDM vol. 1, table 10-2. Registers follow at 32 (ST0..ST7, 16 bytes each) and 160 (XMM). */
export const FXSAVE_IMAGE = {
  fcw: 0,
  fsw: 2,
  ftw: 4,
  fop: 6,
  fip: 8,
  fcs: 12,
  fdp: 16,
  fds: 20,
  mxcsr: 24,
  mxcsrMask: 28,
  st: 32,
  xmm: 160,
} as const;
/** FXSAVE leaves the last 48 bytes and the reserved ones before them alone. */
const FXSAVE_BYTES = 512;
export const HEADER_AT = 512;
const HEADER_BYTES = 64;

export const MXCSR_MASK = 0xffff;
export const MXCSR_DEFAULT = 0x1f80;
export const FCW_DEFAULT = 0x37f;
const { x87: X87, sse: SSE, avx: AVX } = STATE_COMPONENTS;

/** Bits 255:128 of the YMM registers, behind the header. CPUID leaf 0DH sub-leaf 2; SDM vol. 1, 13.5.2. */
export const AVX_AREA = { at: HEADER_AT + HEADER_BYTES, bytes: 256 } as const;
/** Bytes of an area with `components`. */
export const xsaveAreaBytes = (components: number): number => HEADER_AT + HEADER_BYTES + (components & AVX ? AVX_AREA.bytes : 0);

/** FXSAVE or, with REX.W, FXSAVE64: `wide` keeps 64-bit instruction and data pointers. */
export function fxsave(cpu: Cpu, mem: BulkMemory, address: bigint, wide: boolean): void {
  requireFx(cpu);
  checkAligned(address, 16);
  writeImage(cpu, mem, address, X87 | SSE, wide, true);
}

/** @throws GuestFault #NM; #GP(0) for misalignment or reserved MXCSR bits, with nothing loaded; #PF. */
export function fxrstor(cpu: Cpu, mem: BulkMemory, address: bigint, wide: boolean): void {
  requireFx(cpu);
  checkAligned(address, 16);
  const image = readImage(mem, address, FXSAVE_BYTES);
  checkMxcsr(image);
  loadX87(cpu, image, wide);
  cpu.set32(STATE.mxcsr, image.getUint32(FXSAVE_IMAGE.mxcsr, true));
  loadXmm(cpu, image);
}

/**
 * XSAVE and, with `optimized`, XSAVEOPT, which leaves out components in their initial state. Standard format.
 * @param mask EDX:EAX
 */
export function xsave(cpu: Cpu, mem: BulkMemory, address: bigint, mask: bigint, wide: boolean, optimized: boolean): void {
  requireXsave(cpu);
  checkAligned(address, 64);
  const requested = Number(mask & cpu.get64(STATE.xcr0));
  const inUse = componentsInUse(cpu);
  const old = mem.read(address + BigInt(HEADER_AT), 8, false);
  const written = optimized ? requested & inUse : requested;
  mem.probeWrite(address, HEADER_AT + 8, false);
  if (written & AVX) mem.probeWrite(address + BigInt(AVX_AREA.at), xmmCount(cpu) * 16, false);
  writeImage(cpu, mem, address, written, wide, (requested & (SSE | AVX)) !== 0);
  if (written & AVX)
    mem.writeBytes(address + BigInt(AVX_AREA.at), cpu.u8.subarray(STATE.ymmHigh, STATE.ymmHigh + xmmCount(cpu) * 16));
  mem.write(address + BigInt(HEADER_AT), 8, (old & ~BigInt(requested)) | BigInt(requested & inUse), false);
}

/** @throws GuestFault #UD, #NM; #GP(0) for misalignment, a header that is not of the standard format, reserved MXCSR bits; #PF. */
export function xrstor(cpu: Cpu, mem: BulkMemory, address: bigint, mask: bigint, wide: boolean): void {
  requireXsave(cpu);
  checkAligned(address, 64);
  const xcr0 = cpu.get64(STATE.xcr0);
  const requested = Number(mask & xcr0);
  const header = readImage(mem, address + BigInt(HEADER_AT), HEADER_BYTES);
  const present = header.getBigUint64(0, true);
  // SDM vol. 1, 13.8: bits beyond XCR0, a compacted image (XCOMP_BV), reserved header bytes 16..23.
  if (present & ~xcr0 || header.getBigUint64(8, true) !== 0n || header.getBigUint64(16, true) !== 0n) throw generalProtection();
  const image = readImage(mem, address, FXSAVE_BYTES);
  if (requested & (SSE | AVX)) checkMxcsr(image);
  const loadsAvx = (requested & AVX) !== 0 && (present & BigInt(AVX)) !== 0n;
  const high = loadsAvx ? readImage(mem, address + BigInt(AVX_AREA.at), xmmCount(cpu) * 16) : undefined;
  if (requested & X87) {
    if (present & BigInt(X87)) loadX87(cpu, image, wide);
    else initX87(cpu);
  }
  // MXCSR comes with either, whatever the header says: SDM vol. 1, 13.8.1.
  if (requested & (SSE | AVX)) cpu.set32(STATE.mxcsr, image.getUint32(FXSAVE_IMAGE.mxcsr, true));
  if (requested & AVX) {
    if (high !== undefined) cpu.u8.set(new Uint8Array(high.buffer), STATE.ymmHigh);
    else for (let i = 0; i < xmmCount(cpu) * 2; i++) cpu.set64(STATE.ymmHigh + i * 8, 0n);
  }
  if (requested & SSE) {
    if (present & BigInt(SSE)) loadXmm(cpu, image);
    else for (let i = 0; i < xmmCount(cpu) * 2; i++) cpu.set64(STATE.xmm + i * 8, 0n);
  }
}

function requireFx(cpu: Cpu): void {
  if (cpu.cr0 & (CR0.em | CR0.ts)) throw deviceNotAvailable();
}

function requireXsave(cpu: Cpu): void {
  if ((cpu.cr4 & CR4.osxsave) === 0) throw invalidOpcode();
  if (cpu.cr0 & CR0.ts) throw deviceNotAvailable();
}

function checkAligned(address: bigint, alignment: number): void {
  if (address & BigInt(alignment - 1)) throw generalProtection();
}

function checkMxcsr(image: DataView): void {
  if (image.getUint32(FXSAVE_IMAGE.mxcsr, true) & ~MXCSR_MASK) throw generalProtection();
}

/** XMM8..XMM15 exist in 64-bit mode only. */
const xmmCount = (cpu: Cpu): number => (is64Bit(cpu) ? 16 : 8);

function readImage(mem: BulkMemory, address: bigint, bytes: number): DataView {
  const image = new Uint8Array(bytes);
  mem.readBytes(address, image);
  return new DataView(image.buffer);
}

/** Writes the parts of `components`; MXCSR and its mask go with `mxcsr`. Bytes in between keep their contents. */
function writeImage(cpu: Cpu, mem: BulkMemory, address: bigint, components: number, wide: boolean, mxcsr: boolean): void {
  mem.probeWrite(address, FXSAVE_IMAGE.xmm + 256, false);
  if (components & X87) {
    const image = x87Image(cpu, wide);
    mem.writeBytes(address, image.subarray(0, FXSAVE_IMAGE.mxcsr));
    mem.writeBytes(address + BigInt(FXSAVE_IMAGE.st), image.subarray(FXSAVE_IMAGE.st));
  }
  if (mxcsr)
    mem.write(address + BigInt(FXSAVE_IMAGE.mxcsr), 8, BigInt(cpu.get32(STATE.mxcsr)) | (BigInt(MXCSR_MASK) << 32n), false);
  if (components & SSE)
    mem.writeBytes(address + BigInt(FXSAVE_IMAGE.xmm), cpu.u8.subarray(STATE.xmm, STATE.xmm + xmmCount(cpu) * 16));
}

/** Bytes 0..159 of the image; those of MXCSR stay 0. */
function x87Image(cpu: Cpu, wide: boolean): Uint8Array {
  const image = new Uint8Array(FXSAVE_IMAGE.xmm);
  const view = new DataView(image.buffer);
  const fsw = cpu.u16[STATE.fsw >> 1] as number;
  view.setUint16(FXSAVE_IMAGE.fcw, cpu.u16[STATE.fcw >> 1] as number, true);
  view.setUint16(FXSAVE_IMAGE.fsw, fsw, true);
  view.setUint8(FXSAVE_IMAGE.ftw, (cpu.u16[STATE.ftw >> 1] as number) & 0xff);
  view.setUint16(FXSAVE_IMAGE.fop, (cpu.u16[STATE.fop >> 1] as number) & 0x7ff, true);
  // 64-bit pointers, or 32-bit ones with their selectors: SDM vol. 1, table 10-2.
  const pointer = wide ? 8 : 4;
  image.set(cpu.u8.subarray(STATE.fip, STATE.fip + pointer), FXSAVE_IMAGE.fip);
  image.set(cpu.u8.subarray(STATE.fdp, STATE.fdp + pointer), FXSAVE_IMAGE.fdp);
  if (!wide) {
    view.setUint16(FXSAVE_IMAGE.fcs, cpu.u16[STATE.fcs >> 1] as number, true);
    view.setUint16(FXSAVE_IMAGE.fds, cpu.u16[STATE.fds >> 1] as number, true);
  }
  const top = topOf(fsw);
  for (let i = 0; i < 8; i++) {
    const from = STATE.x87 + ((top + i) & 7) * 16;
    image.set(cpu.u8.subarray(from, from + 10), FXSAVE_IMAGE.st + i * 16);
  }
  return image;
}

const topOf = (fsw: number): number => (fsw >> 11) & 7;

const FCW_WRITABLE = 0x1f3f;
const FCW_FIXED = 0x40;
const FSW_ES = 0x80;
const FSW_B = 0x8000;

function loadX87(cpu: Cpu, image: DataView, wide: boolean): void {
  const fcw = (image.getUint16(FXSAVE_IMAGE.fcw, true) & FCW_WRITABLE) | FCW_FIXED;
  const raw = image.getUint16(FXSAVE_IMAGE.fsw, true) & ~(FSW_ES | FSW_B);
  // The error summary follows from the flags and the masks.
  const fsw = raw & ~fcw & 0x3f ? raw | FSW_ES | FSW_B : raw;
  cpu.u16[STATE.fcw >> 1] = fcw;
  cpu.u16[STATE.fsw >> 1] = fsw;
  cpu.u16[STATE.ftw >> 1] = image.getUint8(FXSAVE_IMAGE.ftw);
  cpu.u16[STATE.fop >> 1] = image.getUint16(FXSAVE_IMAGE.fop, true) & 0x7ff;
  cpu.set64(STATE.fip, wide ? image.getBigUint64(FXSAVE_IMAGE.fip, true) : BigInt(image.getUint32(FXSAVE_IMAGE.fip, true)));
  cpu.set64(STATE.fdp, wide ? image.getBigUint64(FXSAVE_IMAGE.fdp, true) : BigInt(image.getUint32(FXSAVE_IMAGE.fdp, true)));
  cpu.u16[STATE.fcs >> 1] = wide ? 0 : image.getUint16(FXSAVE_IMAGE.fcs, true);
  cpu.u16[STATE.fds >> 1] = wide ? 0 : image.getUint16(FXSAVE_IMAGE.fds, true);
  const top = topOf(fsw);
  for (let i = 0; i < 8; i++) {
    const to = STATE.x87 + ((top + i) & 7) * 16;
    cpu.set64(to, image.getBigUint64(FXSAVE_IMAGE.st + i * 16, true));
    cpu.set64(to + 8, BigInt(image.getUint16(FXSAVE_IMAGE.st + i * 16 + 8, true)));
  }
}

function initX87(cpu: Cpu): void {
  cpu.u16[STATE.fcw >> 1] = FCW_DEFAULT;
  for (const slot of [STATE.fsw, STATE.ftw, STATE.fop, STATE.fcs, STATE.fds]) cpu.u16[slot >> 1] = 0;
  cpu.set64(STATE.fip, 0n);
  cpu.set64(STATE.fdp, 0n);
  for (let i = 0; i < 16; i++) cpu.set64(STATE.x87 + i * 8, 0n);
}

function loadXmm(cpu: Cpu, image: DataView): void {
  const bytes = xmmCount(cpu) * 16;
  cpu.u8.set(new Uint8Array(image.buffer, FXSAVE_IMAGE.xmm, bytes), STATE.xmm);
}

/** XINUSE: components that differ from their initial configuration. SDM vol. 1, 13.6. */
function componentsInUse(cpu: Cpu): number {
  const word = (at: number) => cpu.u16[at >> 1] as number;
  const zero = (from: number, count: number) => {
    for (let at = from >> 2; at < (from >> 2) + 2 * count; at++) if (cpu.u32[at] !== 0) return false;
    return true;
  };
  const x87 =
    word(STATE.fcw) !== FCW_DEFAULT ||
    word(STATE.fsw) !== 0 ||
    word(STATE.ftw) !== 0 ||
    word(STATE.fop) !== 0 ||
    !zero(STATE.fip, 2) ||
    word(STATE.fcs) !== 0 ||
    word(STATE.fds) !== 0 ||
    !zero(STATE.x87, 16);
  const sse = !zero(STATE.xmm, 32) || cpu.get32(STATE.mxcsr) !== MXCSR_DEFAULT;
  return (x87 ? X87 : 0) | (sse ? SSE : 0) | (zero(STATE.ymmHigh, 32) ? 0 : AVX);
}
