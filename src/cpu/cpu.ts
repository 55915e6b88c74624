// One virtual CPU as TypeScript sees it: typed access to the registers in shared memory. Everything that generated code
// leaves to a helper (far transfers, exceptions, MSRs, …) works on this view.
import type { HostAddress } from '../abi/types.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import {
  ATTR,
  CODE_MODE,
  CR0,
  CR4,
  EFER,
  FLAG,
  MMU_INDEX,
  SEG,
  SEGMENT,
  STATE,
  STATE_COMPONENTS,
  SYSTEM_FLAGS,
  TLB,
} from './state.ts';

/** An exception of the guest, thrown by helpers and caught where generated code calls them. Not an Error: no stack is taken. */
export class GuestFault {
  readonly vector: number;
  /** Undefined for vectors without an error code. */
  readonly errorCode: number | undefined;
  constructor(vector: number, errorCode?: number) {
    this.vector = vector;
    this.errorCode = errorCode;
  }
}

export type Access = 'read' | 'write' | 'execute';

/** Access to the guest's linear address space; implemented by the MMU. Each throws GuestFault (#PF, #GP(0) or #SS(0)). */
export interface LinearMemory {
  /** `supervisor` forces CPL 0 rights (descriptor tables, TSS, exception frames); otherwise CPL decides. */
  read(linear: bigint, size: number, supervisor: boolean): bigint;
  write(linear: bigint, size: number, value: bigint, supervisor: boolean): void;
  /** Checks that all bytes could be written, without writing. */
  probeWrite(linear: bigint, size: number, supervisor: boolean): void;
  flush(includeGlobal: boolean): void;
  /** MOV CR3: the address space of a PCID (0..4095; 0 without PCIDs) begins; with `keep` what TLBs hold of it stays valid. */
  enterAddressSpace(pcid: number, keep: boolean): void;
  invalidatePage(linear: bigint): void;
}

/** XCR0 with SSE and AVX state: what AVX instructions need. SDM vol. 1, 13.3. */
const XCR0_AVX = STATE_COMPONENTS.sse | STATE_COMPONENTS.avx;

export class Cpu {
  readonly base: HostAddress;
  readonly memory: GuestMemory;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly i32: Int32Array;
  readonly u64: BigUint64Array;
  readonly i64: BigInt64Array;
  readonly view: DataView;

  constructor(memory: GuestMemory, base: HostAddress) {
    this.memory = memory;
    this.base = base;
    const { buffer } = memory;
    const length = 0x4000;
    this.u8 = new Uint8Array(buffer, base, length);
    this.u16 = new Uint16Array(buffer, base, length / 2);
    this.u32 = new Uint32Array(buffer, base, length / 4);
    this.i32 = new Int32Array(buffer, base, length / 4);
    this.u64 = new BigUint64Array(buffer, base, length / 8);
    this.i64 = new BigInt64Array(buffer, base, length / 8);
    this.view = new DataView(buffer, base, length);
  }

  // Slots by byte offset (STATE.x).
  get32(at: number): number {
    return this.u32[at >> 2] as number;
  }
  set32(at: number, value: number): void {
    this.u32[at >> 2] = value;
  }
  get64(at: number): bigint {
    return this.u64[at >> 3] as bigint;
  }
  set64(at: number, value: bigint): void {
    this.u64[at >> 3] = value;
  }

  gpr(index: number): bigint {
    return this.u64[index] as bigint;
  }
  setGpr(index: number, value: bigint): void {
    this.u64[index] = value;
  }
  /** Low 32 bits. */
  gpr32(index: number): number {
    return this.u32[index * 2] as number;
  }

  get rip(): bigint {
    return this.get64(STATE.rip);
  }
  set rip(value: bigint) {
    this.set64(STATE.rip, value);
  }

  /** RFLAGS with the arithmetic flags gathered and bit 1 set. */
  get rflags(): number {
    const z = this.get64(STATE.flagZ) === 0n;
    const s = this.i64[STATE.flagS >> 3] as bigint;
    const c = this.i32[STATE.flagC >> 2] as number;
    let parity = Number(s & 0xffn);
    parity ^= parity >> 4;
    parity ^= parity >> 2;
    parity ^= parity >> 1;
    return (
      this.get32(STATE.eflags) |
      2 |
      (z ? FLAG.zf : 0) |
      (s < 0n ? FLAG.sf : 0) |
      (parity & 1 ? 0 : FLAG.pf) |
      (c < 0 ? FLAG.cf : 0) |
      ((c ^ (c << 1)) < 0 ? FLAG.of : 0) |
      (c & 8 ? FLAG.af : 0)
    );
  }

  /** Sets every flag at once; call `updateMode` when AC, VM or IF may have changed. */
  set rflags(value: number) {
    this.set64(STATE.flagZ, value & FLAG.zf ? 0n : 1n);
    this.i64[STATE.flagS >> 3] = (value & FLAG.sf ? -(1n << 63n) : 0n) | (value & FLAG.pf ? 0n : 1n);
    const cf = value & FLAG.cf ? 1 : 0;
    const of = value & FLAG.of ? 1 : 0;
    this.i32[STATE.flagC >> 2] = (cf << 31) | ((cf ^ of) << 30) | (value & FLAG.af ? 8 : 0);
    this.set32(STATE.eflags, value & SYSTEM_FLAGS);
  }

  /** `which` is one of SEGMENT. */
  selector(which: number): number {
    return this.u16[(STATE.seg + which * SEG.sizeof + SEG.selector) >> 1] as number;
  }
  attributes(which: number): number {
    return this.u16[(STATE.seg + which * SEG.sizeof + SEG.attributes) >> 1] as number;
  }
  limit(which: number): number {
    return this.u32[(STATE.seg + which * SEG.sizeof + SEG.limit) >> 2] as number;
  }
  segBase(which: number): bigint {
    return this.u64[(STATE.seg + which * SEG.sizeof + SEG.base) >> 3] as bigint;
  }
  setSegBase(which: number, value: bigint): void {
    this.u64[(STATE.seg + which * SEG.sizeof + SEG.base) >> 3] = value;
  }
  /** Loads all parts of a segment register; call `updateMode` after CS or SS. */
  setSegment(which: number, selector: number, attributes: number, limit: number, base: bigint): void {
    const at = STATE.seg + which * SEG.sizeof;
    this.u16[(at + SEG.selector) >> 1] = selector;
    this.u16[(at + SEG.attributes) >> 1] = attributes;
    this.u32[(at + SEG.limit) >> 2] = limit;
    this.u64[(at + SEG.base) >> 3] = base;
  }

  get cr0(): number {
    return this.get32(STATE.cr0);
  }
  get cr4(): number {
    return this.get32(STATE.cr4);
  }
  get efer(): number {
    return this.get32(STATE.efer);
  }
  get cpl(): number {
    return this.get32(STATE.cpl);
  }
  /** Protected mode with paging and EFER.LMA: 64-bit or compatibility mode. */
  get longMode(): boolean {
    return (this.efer & EFER.lma) !== 0;
  }
  /** CR0.PE, whatever VM says. */
  get protectedMode(): boolean {
    return (this.cr0 & CR0.pe) !== 0;
  }
  get virtual8086(): boolean {
    return (this.get32(STATE.eflags) & FLAG.vm) !== 0;
  }

  /** Recomputes what depends on CPL, CS, SS, CR0, CR4, XCR0, EFER, EFLAGS.AC and EFLAGS.VM. Call after changing any of them. */
  updateMode(): void {
    const cs = this.attributes(SEGMENT.cs);
    const long64 = this.longMode && (cs & ATTR.long) !== 0;
    const mode = long64 ? CODE_MODE.code64 : cs & ATTR.db ? CODE_MODE.code32 : CODE_MODE.code16;
    this.set32(STATE.codeMode, mode);
    this.set32(STATE.codeTag, mode);
    this.set64(STATE.codeBase, long64 ? 0n : this.segBase(SEGMENT.cs));
    this.set64(STATE.linearMask, long64 ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn);
    const big = (this.attributes(SEGMENT.ss) & ATTR.db) !== 0;
    this.set64(STATE.stackMask, long64 ? 0xffff_ffff_ffff_ffffn : big ? 0xffff_ffffn : 0xffffn);
    const noFpu = (this.cr0 & (CR0.em | CR0.ts)) !== 0;
    this.set32(STATE.sseBlocked, noFpu || (this.cr4 & CR4.osfxsr) === 0 ? 1 : 0);
    this.set32(STATE.mmxBlocked, noFpu ? 1 : 0);
    const noVex = !this.protectedMode || this.virtual8086;
    this.set32(STATE.vexBlocked, noVex ? 1 : 0);
    const enabled = (this.cr4 & CR4.osxsave) !== 0 && (this.get32(STATE.xcr0) & XCR0_AVX) === XCR0_AVX;
    this.set32(STATE.avxBlocked, noVex || !enabled || (this.cr0 & CR0.ts) !== 0 ? 1 : 0);
    const user = this.cpl === 3;
    const strict = (this.cr4 & CR4.smap) !== 0 && (this.get32(STATE.eflags) & FLAG.ac) === 0;
    const index = user ? MMU_INDEX.user : strict ? MMU_INDEX.supervisor : MMU_INDEX.supervisorAc;
    this.set32(STATE.mmuIndex, index);
    // With alignment checks in force data accesses find a TLB that stays empty: the slow path makes the check.
    const aligned = this.checksAlignment;
    this.set32(STATE.tlbRead, aligned ? this.emptyTlb : this.tlbArray(index, 0));
    this.set32(STATE.tlbWrite, aligned ? this.emptyTlb : this.tlbArray(index, 1));
    this.set32(STATE.tlbExec, this.tlbArray(user ? MMU_INDEX.user : MMU_INDEX.supervisor, 2));
  }

  /** Misaligned data accesses raise #AC: SDM vol. 3, 6.15, interrupt 17. */
  get checksAlignment(): boolean {
    return this.cpl === 3 && (this.get32(STATE.eflags) & FLAG.ac) !== 0 && (this.cr0 & CR0.am) !== 0;
  }
  /** Address of a TLB array without entries; the MMU sees to that. */
  get emptyTlb(): number {
    return this.base + TLB.at + TLB.arrays * TLB.bytes;
  }

  /** Address of a TLB array. `access`: 0 read, 1 write, 2 execute. */
  tlbArray(index: number, access: number): number {
    return this.base + TLB.at + (index * 3 + access) * TLB.bytes;
  }
}
