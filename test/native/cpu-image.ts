// The register state and memory a piece of code starts with or ends with: one flat block of bytes, so that handing it to
// the native CPU is one copy. The order of the general registers is the encoding's (RAX RCX RDX RBX RSP RBP RSI RDI R8…).
import { CODE_BASE, CODE_ENTRY, DATA_SIZE, SELECTOR, STACK16_ESP_HIGH } from './address-map.ts';

/** Width of the code segment. 16: a 16-bit protected-mode segment based at CODE_BASE, so RIP is an offset in the code page. */
export type CpuMode = 16 | 32 | 64;

/** Byte offsets in the block. From `fxsave` to `data` it is an XSAVE area in standard format (SDM vol. 1, 13.4). */
export const IMAGE = {
  gpr: 0x000,
  rip: 0x080,
  rflags: 0x088,
  fsBase: 0x090,
  gsBase: 0x098,
  /** ES, CS, SS, DS, FS, GS: 16 bits each. */
  selectors: 0x0a0,
  fxsave: 0x0c0,
  xsaveHeader: 0x2c0,
  ymmHigh: 0x300,
  data: 0x400,
  size: 0x400 + DATA_SIZE,
} as const;

/** Offsets in the 512-byte FXSAVE image (SDM vol. 1, table 10-2), 64-bit format. */
export const FXSAVE = { fcw: 0, fsw: 2, ftw: 4, fop: 6, fip: 8, fdp: 16, mxcsr: 24, st: 32, xmm: 160, end: 416 } as const;

export const FLAG = {
  cf: 0x1,
  pf: 0x4,
  af: 0x10,
  zf: 0x40,
  sf: 0x80,
  tf: 0x100,
  if: 0x200,
  df: 0x400,
  of: 0x800,
  nt: 0x4000,
  rf: 0x1_0000,
  ac: 0x4_0000,
  id: 0x20_0000,
} as const;

/** The six arithmetic flags. */
export const ARITHMETIC_FLAGS = FLAG.cf | FLAG.pf | FLAG.af | FLAG.zf | FLAG.sf | FLAG.of;

/** A CPU state with its data window; a view of `bytes`, all of it writable. */
export class CpuImage {
  readonly bytes: Uint8Array;
  readonly gpr: BigUint64Array;
  /** The general registers as 32-bit halves, low half first. */
  readonly gpr32: Uint32Array;
  /** ES, CS, SS, DS, FS, GS. */
  readonly selectors: Uint16Array;
  readonly fxsave: Uint8Array;
  /** XMM0…XMM15, two 64-bit halves each, low half first. */
  readonly xmm: BigUint64Array;
  /** The data window, which begins at DATA_BASE. */
  readonly data: Uint8Array;
  readonly view: DataView;

  /** A view of `IMAGE.size` bytes at `offset` (a multiple of 64) of `buffer`; without them, a new image in its reset state. */
  constructor(buffer?: ArrayBuffer, offset = 0) {
    const store = buffer ?? new ArrayBuffer(IMAGE.size);
    this.bytes = new Uint8Array(store, offset, IMAGE.size);
    this.gpr = new BigUint64Array(store, offset + IMAGE.gpr, 16);
    this.gpr32 = new Uint32Array(store, offset + IMAGE.gpr, 32);
    this.selectors = new Uint16Array(store, offset + IMAGE.selectors, 6);
    this.fxsave = new Uint8Array(store, offset + IMAGE.fxsave, 512);
    this.xmm = new BigUint64Array(store, offset + IMAGE.fxsave + FXSAVE.xmm, 32);
    this.data = new Uint8Array(store, offset + IMAGE.data, DATA_SIZE);
    this.view = new DataView(store, offset, IMAGE.size);
    if (buffer === undefined) this.reset(64);
  }

  /** Everything zero, the entry point in RIP, FCW and MXCSR as after FNINIT and at power-up, selectors as Linux has them. */
  reset(mode: CpuMode): void {
    this.bytes.fill(0);
    this.rflags = FLAG.if | 2;
    this.fcw = 0x37f;
    this.mxcsr = 0x1f80;
    this.setMode(mode);
  }

  /**
   * Sets the selectors that `mode` runs with, and RIP to the entry point. 64 and 32: flat segments; DS and ES are null in
   * 64-bit mode, as in a Linux process. 16: data and stack are based at DATA_BASE; then bits 31:16 of RSP are set too.
   */
  setMode(mode: CpuMode): void {
    this.rip = BigInt(mode === 16 ? CODE_ENTRY - CODE_BASE : CODE_ENTRY);
    if (mode === 16) {
      const { code16, data16 } = SELECTOR;
      this.selectors.set([data16, code16, data16, data16, 0, 0]);
      this.gpr32[8] = (this.gpr32[8]! & 0xffff) | STACK16_ESP_HIGH;
      return;
    }
    const data = mode === 32 ? SELECTOR.data : 0;
    this.selectors.set([data, mode === 32 ? SELECTOR.code32 : SELECTOR.code64, SELECTOR.data, data, 0, 0]);
  }

  copyFrom(other: CpuImage): void {
    this.bytes.set(other.bytes);
  }

  clone(): CpuImage {
    const copy = new CpuImage();
    copy.copyFrom(this);
    return copy;
  }

  /** By the selector in CS. */
  get mode(): CpuMode {
    const cs = this.selectors[1];
    return cs === SELECTOR.code64 ? 64 : cs === SELECTOR.code16 ? 16 : 32;
  }
  /** The linear address RIP stands for. */
  get linearRip(): number {
    return Number(this.rip) + (this.mode === 16 ? CODE_BASE : 0);
  }

  get rip(): bigint {
    return this.view.getBigUint64(IMAGE.rip, true);
  }
  set rip(value: bigint) {
    this.view.setBigUint64(IMAGE.rip, value, true);
  }
  get rflags(): number {
    return this.view.getUint32(IMAGE.rflags, true);
  }
  set rflags(value: number) {
    this.view.setUint32(IMAGE.rflags, value, true);
  }
  get fsBase(): bigint {
    return this.view.getBigUint64(IMAGE.fsBase, true);
  }
  set fsBase(value: bigint) {
    this.view.setBigUint64(IMAGE.fsBase, value, true);
  }
  get gsBase(): bigint {
    return this.view.getBigUint64(IMAGE.gsBase, true);
  }
  set gsBase(value: bigint) {
    this.view.setBigUint64(IMAGE.gsBase, value, true);
  }
  get fcw(): number {
    return this.view.getUint16(IMAGE.fxsave + FXSAVE.fcw, true);
  }
  set fcw(value: number) {
    this.view.setUint16(IMAGE.fxsave + FXSAVE.fcw, value, true);
  }
  get fsw(): number {
    return this.view.getUint16(IMAGE.fxsave + FXSAVE.fsw, true);
  }
  set fsw(value: number) {
    this.view.setUint16(IMAGE.fxsave + FXSAVE.fsw, value, true);
  }
  /** The abridged tag byte: bit n set when physical register n is not empty. */
  get ftw(): number {
    return this.view.getUint8(IMAGE.fxsave + FXSAVE.ftw);
  }
  set ftw(value: number) {
    this.view.setUint8(IMAGE.fxsave + FXSAVE.ftw, value);
  }
  get mxcsr(): number {
    return this.view.getUint32(IMAGE.fxsave + FXSAVE.mxcsr, true);
  }
  set mxcsr(value: number) {
    this.view.setUint32(IMAGE.fxsave + FXSAVE.mxcsr, value, true);
  }
}

/** An exception. `errorCode` is 0 for vectors that push none; `cr2` only means something for vector 14. */
export interface CpuFault {
  readonly vector: number;
  readonly errorCode: number;
  readonly cr2: bigint;
}

/**
 * How a run ended, with the state it ended in. `done`: execution reached the end of the code, or an address outside it
 * (then `image.rip` says which, and what is there has not been executed). `fault`: an exception; RIP as pushed by it.
 * `timeout`: still running after 20 to 40 ms of CPU time. `syscall`: the code asked the host's kernel for something, which was refused.
 */
export interface CpuResult {
  readonly outcome: 'done' | 'fault' | 'timeout' | 'syscall';
  readonly fault?: CpuFault;
  readonly image: CpuImage;
}

/** What is compared with the native CPU: user mode (CPL 3, IF set, CR0.AM set) with the pages and descriptors of `address-map.ts`. */
export interface Emulator {
  /** Runs `code`, placed at `state.rip` in a code page otherwise full of INT3, until it ends. `state` is left as it is. */
  run(code: Uint8Array, state: CpuImage): CpuResult;
}
