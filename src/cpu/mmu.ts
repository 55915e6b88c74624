// Linear to physical: page walks, the software TLBs, and every access that cannot go straight to RAM.
// SDM vol. 3, chapter 4. Addresses travel as two 32-bit halves: BigInt would cost more than the walk.
import type { Gfn, Gpa } from '../abi/types.ts';
import { type GuestMemory, P2M, pageOf } from '../memory/guest-memory.ts';
import { type Cpu, GuestFault, type LinearMemory } from './cpu.ts';
import type { CodeCache } from './interpreter/code-cache.ts';
import { LargePages } from './large-pages.ts';
import type { AccessJournal } from './lockstep/access-journal.ts';
import { type AccessKind, EXECUTE, NOT_CANONICAL, PageWalk, READ, WRITE } from './page-walk.ts';
import type { PendingIo } from './pending-io.ts';
import { CODE_MODE, CR4, MMU_INDEX, PRIVATE_VECTOR, STATE, VECTOR } from './state.ts';
import { Tlb } from './tlb.ts';

const TWO32 = 0x1_0000_0000;

/** Most bytes that `readBytes` and `writeBytes` move at a time: the bounce buffer's size. */
const PIECE_BYTES = 64;

export class Mmu implements LinearMemory {
  readonly #cpu: Cpu;
  readonly #memory: GuestMemory;
  readonly #code: CodeCache;
  readonly #io: PendingIo;
  readonly #tlb: Tlb;
  /** Which large pages TLB entries stem from: INVLPG within one of them must drop all of its entries. */
  readonly #large = new LargePages();
  /** A page whose data must never enter the TLB (data breakpoints): see watch(). */
  #watched: readonly number[] = [];

  readonly #pages: PageWalk;
  /** Bytes of the last access that went to the bounce buffer, for `commit`. */
  #commitSize = 0;
  #commitLow = 0;
  #commitHigh = 0;

  /** Is told of what is written, and decides what the TLBs may lead to, where code is run twice. */
  #journal: AccessJournal | undefined;
  set journal(journal: AccessJournal) {
    this.#journal = journal;
    this.#pages.onMark = (word) => journal.marked(word);
    this.#tlb.onFill = (entry) => journal.filling(entry);
    this.flush(true);
  }

  constructor(cpu: Cpu, memory: GuestMemory, code: CodeCache, io: PendingIo) {
    this.#cpu = cpu;
    this.#memory = memory;
    this.#pages = new PageWalk(cpu, memory);
    this.#tlb = new Tlb(cpu, memory);
    this.#code = code;
    this.#io = io;
    // No write-TLB entry may lead to a frame with decoded code.
    code.onCodePage = (gfn) => this.#tlb.forgetWrites(pageOf(memory.entry(gfn)));
    this.flush(true);
  }

  // ---- from generated code -------------------------------------------------------------------------------------------

  /** TLB miss of a read: host address of `size` bytes at STATE.slowAddress (maybe in the bounce buffer), 0 on a fault. */
  readMiss(size: number): number {
    const cpu = this.#cpu;
    const low = cpu.get32(STATE.slowAddress);
    const high = cpu.get32(STATE.slowAddress + 4);
    if (isMisaligned(low, size) && cpu.checksAlignment && isCanonical(high)) return this.#fault(VECTOR.ac, 0);
    return this.#reach(low, high, size, READ, cpu.get32(STATE.mmuIndex), true, true);
  }

  /** TLB miss of a write; with `size` bit 8 set the old contents are wanted too (read-modify-write). */
  writeMiss(sizeAndModify: number): number {
    const size = sizeAndModify & 0xff;
    const cpu = this.#cpu;
    const low = cpu.get32(STATE.slowAddress);
    const high = cpu.get32(STATE.slowAddress + 4);
    if (isMisaligned(low, size) && cpu.checksAlignment && isCanonical(high)) return this.#fault(VECTOR.ac, 0);
    return this.#reach(low, high, size, WRITE, cpu.get32(STATE.mmuIndex), true, sizeAndModify !== size);
  }

  /**
   * TLB miss of translated code at STATE.slowAddress: host address of `size` bytes of RAM in one page, which the TLB has from
   * now on. 0 for whatever else: a fault, a device, a page border, code that is written to. The interpreter does that.
   */
  plain(size: number, access: typeof READ | typeof WRITE): number {
    const cpu = this.#cpu;
    const low = cpu.get32(STATE.slowAddress) | 0;
    const high = cpu.get32(STATE.slowAddress + 4) | 0;
    if ((low & 4095) + size > 4096 || this.#watched.length > 0) return 0;
    const index = cpu.get32(STATE.mmuIndex);
    const gpa = this.#gpa(low, high, access, index);
    if (gpa < 0) return 0;
    const entry = this.#memory.entry(Math.floor(gpa / 4096) as Gfn);
    if (entry === 0 || (access === WRITE && ((entry & P2M.writable) === 0 || (entry & P2M.code) !== 0))) return 0;
    const host = pageOf(entry) + (gpa % 4096);
    if (this.#journal?.isPrivate(host) === false) return 0;
    if (access === WRITE) this.#journal?.written(host, Math.floor(gpa / 4096));
    this.#fill(index, access, low, high, (host - low) | 0);
    return host;
  }

  /** Puts the bounce buffer where the last `writeMiss` wanted it. Not 0 on a fault (an MMIO write to complete). */
  commit(): number {
    const cpu = this.#cpu;
    const size = this.#commitSize;
    const low = this.#commitLow;
    const inPage = Math.min(size, 4096 - (low & 4095));
    const index = cpu.get32(STATE.mmuIndex);
    const first = this.#gpa(low | 0, this.#commitHigh, WRITE, index);
    if (first < 0) return 1;
    const next = low + inPage;
    const second = inPage === size ? -1 : this.#gpa(next | 0, (this.#commitHigh + (next >= TWO32 ? 1 : 0)) | 0, WRITE, index);
    if (inPage < size && second < 0) return 1;
    // Devices first: until they have answered the instruction runs again, and must find memory as it was.
    if (!this.#writeDevice(first, inPage, 0) || (second >= 0 && !this.#writeDevice(second, size - inPage, inPage)))
      return this.#exit();
    this.#writeMemory(first, inPage, 0);
    if (second >= 0) this.#writeMemory(second, size - inPage, inPage);
    return 0;
  }

  /** Bytes of the bounce buffer from `at` on, to a page piece if it is no memory. False when the machine must act first. */
  #writeDevice(gpa: number, count: number, at: number): boolean {
    return this.#memory.isRam(Math.floor(gpa / 4096) as Gfn) || this.#io.write(gpa, count, this.#cpu.view, STATE.bounce + at);
  }
  /** The same if it is memory; read-only pages stay as they are. */
  #writeMemory(gpa: number, count: number, at: number): void {
    const host = this.#writable(gpa, count);
    if (host !== 0) this.#memory.u8.set(this.#cpu.u8.subarray(STATE.bounce + at, STATE.bounce + at + count), host);
  }

  /** Execute-TLB miss for STATE.slowAddress: the entry table of the page, 0 on a fault. */
  fetchMiss(): number {
    const cpu = this.#cpu;
    const low = cpu.get32(STATE.slowAddress);
    const high = cpu.get32(STATE.slowAddress + 4);
    const index = cpu.cpl === 3 ? MMU_INDEX.user : MMU_INDEX.supervisor;
    const gpa = this.#gpa(low, high, EXECUTE, index);
    if (gpa < 0) return 0;
    const entry = this.#memory.entry(Math.floor(gpa / 4096) as Gfn);
    if (entry === 0) return this.#fault(VECTOR.gp, 0); // code in MMIO: real hardware would fetch there; we do not
    const mode = cpu.get32(STATE.codeMode);
    const table = this.#code.table(Math.floor(gpa / 4096) as Gfn, pageOf(entry), mode);
    this.#fill(index, EXECUTE, low, high, table, mode);
    return table;
  }

  /** Takes everything out of the execute TLBs: the entry tables are gone. */
  forgetAllCode(): void {
    this.#tlb.forgetAllCode();
  }

  /** Takes the page at STATE.slowAddress, of 16- or 32-bit code, out of the execute TLB again. */
  forgetCode(): void {
    this.#tlb.forget(this.#executeArray, this.#cpu.get32(STATE.slowAddress));
  }
  get #executeArray(): number {
    return tlbArray(this.#cpu.cpl === 3 ? MMU_INDEX.user : MMU_INDEX.supervisor, EXECUTE);
  }

  /** Entry table of the page at STATE.slowAddress, from the execute TLB or by a walk; 0 after leaving a fault. */
  codeTable(): number {
    const cpu = this.#cpu;
    const found = this.knownCode(cpu.get32(STATE.slowAddress) & ~4095, cpu.get32(STATE.slowAddress + 4));
    if (found !== 0) return found;
    return this.fetchMiss();
  }

  /** Entry table that the execute TLB has for a page, 0 if it has none. */
  knownCode(low: number, high: number): number {
    return this.#tlb.addend(this.#executeArray, low | this.#cpu.get32(STATE.codeTag), high);
  }

  /** The same of the execute TLB at an address. */
  codeIn(tlbExec: number, low: number, high: number): number {
    return this.#tlb.addendAt(tlbExec, low | this.#cpu.get32(STATE.codeTag), high);
  }

  /** Entry table of a page of code that runs with the rights of now, if it was run: nothing is walked for it that has effects. */
  cachedCode(linear: bigint): number {
    const page = linear & ~0xfffn;
    const known = this.knownCode(Number(BigInt.asIntN(32, page)), Number(BigInt.asIntN(32, page >> 32n)));
    if (known !== 0) return known;
    const gpa = this.translate(linear);
    if (gpa < 0) return 0;
    const gfn = Math.floor(gpa / 4096) as Gfn;
    return this.#code.existing(gfn, this.#cpu.get32(STATE.codeMode));
  }

  // ---- LinearMemory, for helpers -------------------------------------------------------------------------------------

  read(linear: bigint, size: number, supervisor: boolean): bigint {
    if (!supervisor) this.checkAlignment(linear, size);
    const host = this.#reachOrThrow(linear, size, READ, supervisor);
    const { view } = this.#memory;
    switch (size) {
      case 1:
        return BigInt(view.getUint8(host));
      case 2:
        return BigInt(view.getUint16(host, true));
      case 4:
        return BigInt(view.getUint32(host, true));
      case 8:
        return view.getBigUint64(host, true);
      default:
        return view.getBigUint64(host, true) | (view.getBigUint64(host + 8, true) << 64n);
    }
  }

  write(linear: bigint, size: number, value: bigint, supervisor: boolean): void {
    if (!supervisor) this.checkAlignment(linear, size);
    const host = this.#reachOrThrow(linear, size, WRITE, supervisor);
    const { view } = this.#memory;
    switch (size) {
      case 1:
        view.setUint8(host, Number(value & 0xffn));
        break;
      case 2:
        view.setUint16(host, Number(value & 0xffffn), true);
        break;
      case 4:
        view.setUint32(host, Number(value & 0xffff_ffffn), true);
        break;
      case 8:
        view.setBigUint64(host, BigInt.asUintN(64, value), true);
        break;
      default:
        view.setBigUint64(host, BigInt.asUintN(64, value), true);
        view.setBigUint64(host + 8, BigInt.asUintN(64, value >> 64n), true);
    }
    if (this.#bounced(host) && this.#commitAs(this.#index(supervisor)) !== 0) throw this.#thrown();
  }

  /** @throws GuestFault #AC(0) where alignment is checked and `linear` is no multiple of `size` (1, 2, 4, 8). */
  checkAlignment(linear: bigint, size: number): void {
    if (!this.#cpu.checksAlignment || !isMisaligned(Number(linear & 15n), size)) return;
    // An address that is not canonical raises its own exception.
    if (isCanonical(Number((linear >> 32n) & 0xffff_ffffn))) throw new GuestFault(VECTOR.ac, 0);
  }

  /** Whether bytes are ordinary memory within a page, to be read or written with CPL's rights and without a word to anybody. */
  isPlain(linear: bigint, size: number, write: boolean): boolean {
    this.#cpu.set64(STATE.slowAddress, linear);
    return this.plain(size, write ? WRITE : READ) !== 0;
  }

  probeWrite(linear: bigint, size: number, supervisor: boolean): void {
    this.#reachOrThrow(linear, size, WRITE, supervisor);
  }

  /** Checks that all bytes, at most a page of them, could be read, without asking a device for any. Throws GuestFault. */
  probeRead(linear: bigint, size: number, supervisor: boolean): void {
    const index = this.#index(supervisor);
    const lastPage = (linear + BigInt(size - 1)) & ~0xfffn;
    for (const at of lastPage > linear ? [linear, lastPage] : [linear]) {
      if (this.#gpa(Number(at & 0xffff_ffffn) | 0, Number((at >> 32n) & 0xffff_ffffn) | 0, READ, index) < 0) throw this.#thrown();
    }
  }

  /** Reads or writes any number of bytes with CPL's own rights. Throws GuestFault. */
  readBytes(linear: bigint, into: Uint8Array, supervisor = false): void {
    for (let done = 0; done < into.length; ) {
      const at = linear + BigInt(done);
      const count = Math.min(into.length - done, 4096 - Number(at & 0xfffn), PIECE_BYTES);
      const host = this.#reachOrThrow(at, count, READ, supervisor);
      into.set(this.#memory.u8.subarray(host, host + count), done);
      done += count;
    }
  }
  writeBytes(linear: bigint, from: Uint8Array, supervisor = false): void {
    for (let done = 0; done < from.length; ) {
      const at = linear + BigInt(done);
      const count = Math.min(from.length - done, 4096 - Number(at & 0xfffn), PIECE_BYTES);
      const host = this.#reachOrThrow(at, count, WRITE, supervisor);
      this.#memory.u8.set(from.subarray(done, done + count), host);
      if (this.#bounced(host) && this.#commitAs(this.#index(supervisor)) !== 0) throw this.#thrown();
      done += count;
    }
  }

  /** Physical address of a linear one, without touching accessed bits, TLBs or fault slots; −1 when not mapped. */
  translate(linear: bigint): number {
    const low = Number(linear & 0xffff_ffffn) | 0;
    const high = Number((linear >> 32n) & 0xffff_ffffn) | 0;
    return this.#pages.walk(low, high, READ, MMU_INDEX.supervisorAc, false) === 0 ? this.#pages.physical + (low & 4095) : -1;
  }

  /** As `translate`, for a page the supervisor may write to: sets its dirty bit as the write would. */
  translateForWrite(linear: bigint): number {
    const low = Number(linear & 0xffff_ffffn) | 0;
    const high = Number((linear >> 32n) & 0xffff_ffffn) | 0;
    return this.#pages.walk(low, high, WRITE, MMU_INDEX.supervisorAc, true) === 0 ? this.#pages.physical + (low & 4095) : -1;
  }

  /** Flushes so far: of all, and of one page. Changes of the address space are not among them. */
  readonly flushes = { all: 0, page: 0 };
  get walks(): number {
    return this.#pages.walks;
  }

  flush(includeGlobal: boolean): void {
    this.flushes.all++;
    this.#journal?.flushed();
    this.#tlb.flush(includeGlobal);
    if (includeGlobal) this.#large.clear();
  }

  enterAddressSpace(pcid: number, keep: boolean): void {
    this.#tlb.enterSpace(pcid, keep);
  }

  invalidatePage(linear: bigint): void {
    this.flushes.page++;
    this.#journal?.flushed();
    const low = Number(linear & 0xffff_ffffn);
    const high = Number((linear >> 32n) & 0xffff_ffffn);
    if (this.#large.mayHold(low, high)) this.flush(true);
    else this.#tlb.invalidatePage(low, high);
  }

  /** Linear pages (low 32 bits) with data breakpoints: every access to them takes the slow path. */
  watch(pages: readonly number[]): void {
    this.#watched = pages;
    this.flush(true);
  }
  /** Called for each slow access to a watched page. */
  onWatched: (low: number, high: number, size: number, write: boolean) => void = () => {};

  /** A frame now holds something else. */
  frameChanged(gfn: Gfn): void {
    this.#code.invalidate(gfn);
    this.flush(true);
  }

  // ---- the common path ------------------------------------------------------------------------------------------------

  #index(supervisor: boolean): number {
    if (!supervisor) return this.#cpu.get32(STATE.mmuIndex);
    return this.#cpu.cr4 & CR4.smap ? MMU_INDEX.supervisor : MMU_INDEX.supervisorAc;
  }
  #bounced(host: number): boolean {
    const at = host - this.#cpu.base - STATE.bounce;
    return at >= 0 && at < 64;
  }
  #commitAs(index: number): number {
    const cpu = this.#cpu;
    const own = cpu.get32(STATE.mmuIndex);
    cpu.set32(STATE.mmuIndex, index);
    const status = this.commit();
    cpu.set32(STATE.mmuIndex, own);
    return status;
  }
  #thrown(): GuestFault {
    const error = this.#cpu.i32[STATE.faultError >> 2] as number;
    return new GuestFault(this.#cpu.get32(STATE.faultVector), error === -1 ? undefined : error);
  }
  #reachOrThrow(linear: bigint, size: number, access: AccessKind, supervisor: boolean): number {
    const low = Number(linear & 0xffff_ffffn) | 0;
    const high = Number((linear >> 32n) & 0xffff_ffffn) | 0;
    const index = this.#index(supervisor);
    const known = this.#known(low, high, size, access, index);
    if (known !== 0) return known;
    const host = this.#reach(low, high, size, access, index, true, access === READ);
    if (host === 0) throw this.#thrown();
    return host;
  }

  /** Host address that the software TLB has for an access within one page, or 0. */
  #known(low: number, high: number, size: number, access: AccessKind, index: number): number {
    if ((low & 4095) + size > 4096) return 0;
    const addend = this.#tlb.addend(tlbArray(index, access), low & ~4095, high);
    return addend === 0 ? 0 : (addend + low) >>> 0;
  }

  #reach(low: number, high: number, size: number, access: AccessKind, index: number, fill: boolean, gather: boolean): number {
    if ((low & 4095) + size > 4096) return this.#reachAcross(low, high, size, access, index, gather);
    const gpa = this.#gpa(low, high, access, index);
    if (gpa < 0) return 0;
    const gfn = Math.floor(gpa / 4096) as Gfn;
    const entry = this.#memory.entry(gfn);
    if (this.#watched.length > 0) this.#checkWatch(low, high, size, access === WRITE);
    if (entry === 0) {
      if (gather && !this.#gather(gpa, size, 0)) return this.#exit() & 0;
      return this.#bounce(low, high, size);
    }
    const host = pageOf(entry) + (gpa % 4096);
    const cacheable = fill && !this.#watched.includes(low >>> 12) && this.#journal?.mayTouch(host) !== false;
    if (access === READ) {
      if (cacheable) this.#fill(index, READ, low, high, (host - low) | 0);
      return host;
    }
    if ((entry & P2M.writable) === 0) return this.#bounce(low, high, size); // writes to ROM are dropped by commit
    this.#journal?.written(host, gfn);
    if (entry & P2M.code) {
      this.#code.stored(gfn, gpa % 4096, size);
      return host;
    }
    if (cacheable) this.#fill(index, WRITE, low, high, (host - low) | 0);
    return host;
  }

  /** Both pages must be reachable before anything happens; the bytes are gathered in the bounce buffer. */
  #reachAcross(low: number, high: number, size: number, access: AccessKind, index: number, gather: boolean): number {
    const cpu = this.#cpu;
    const first = 4096 - (low & 4095);
    const secondLow = (low + first) | 0;
    const secondHigh = secondLow === 0 ? (high + 1) | 0 : high;
    // That the end is not canonical is found before any page is looked up.
    if (cpu.longMode && !isCanonical(secondHigh)) return Math.max(0, this.#gpa(secondLow, secondHigh, access, index));
    const a = this.#gpa(low, high, access, index);
    if (a < 0) return 0;
    const b = this.#gpa(secondLow, cpu.longMode ? secondHigh : 0, access, index);
    if (b < 0) return 0;
    if (this.#watched.length > 0) this.#checkWatch(low, high, size, access === WRITE);
    if (gather && !(this.#gather(a, first, 0) && this.#gather(b, size - first, first))) return this.#exit() & 0;
    return this.#bounce(low, high, size);
  }

  #bounce(low: number, high: number, size: number): number {
    this.#commitLow = low >>> 0;
    this.#commitHigh = high;
    this.#commitSize = size;
    return this.#cpu.base + STATE.bounce;
  }

  /** Copies bytes of a physical page piece to the bounce buffer. False when MMIO must be read by the machine first. */
  #gather(gpa: number, count: number, at: number): boolean {
    const cpu = this.#cpu;
    const host = this.#memory.host(gpa as Gpa);
    if (host !== 0) {
      this.#journal?.mayTouch(host);
      cpu.u8.set(this.#memory.u8.subarray(host, host + count), STATE.bounce + at);
      return true;
    }
    return this.#io.read(gpa, count, cpu.view, STATE.bounce + at);
  }

  #writable(gpa: number, size: number): number {
    const gfn = Math.floor(gpa / 4096) as Gfn;
    const entry = this.#memory.entry(gfn);
    if ((entry & P2M.writable) === 0) return 0;
    const host = pageOf(entry) + (gpa % 4096);
    this.#journal?.mayTouch(host);
    this.#journal?.written(host, gfn);
    if (entry & P2M.code) this.#code.stored(gfn, gpa % 4096, size);
    return host;
  }

  #exit(): number {
    this.#cpu.set32(STATE.faultVector, PRIVATE_VECTOR.exit);
    return 1;
  }

  #checkWatch(low: number, high: number, size: number, write: boolean): void {
    if (this.#watched.includes(low >>> 12) || this.#watched.includes((low + size - 1) >>> 12))
      this.onWatched(low, high, size, write);
  }

  /** Notes in the TLB what the last walk found. Entry tables of 16- and 32-bit code may have to be forgotten at once: see forgetCode. */
  #fill(index: number, access: AccessKind, low: number, high: number, addend: number, mode = 0): void {
    const { global, pageBits } = this.#pages;
    if (pageBits !== 12) this.#large.add(low, high, pageBits);
    // What generated code finds in the second level by itself, a journal would not see.
    const keep = (access !== EXECUTE || mode === CODE_MODE.code64) && this.#journal === undefined;
    this.#tlb.fill(tlbArray(index, access), low, high, mode, addend, global, keep);
  }

  // ---- walks ------------------------------------------------------------------------------------------------------------

  /** Physical address for an access, or −1 with the fault slots set. Sets accessed and dirty bits. */
  #gpa(low: number, high: number, access: AccessKind, index: number): number {
    const error = this.#pages.walk(low, high, access, index, true);
    if (error === 0) return this.#pages.physical + (low & 4095);
    if (error === NOT_CANONICAL) {
      this.#fault(access === EXECUTE ? VECTOR.gp : PRIVATE_VECTOR.notCanonical, 0);
      return -1;
    }
    this.#cpu.set32(STATE.faultAddress, low);
    this.#cpu.set32(STATE.faultAddress + 4, high);
    this.#fault(VECTOR.pf, error & 0x1f);
    return -1;
  }

  #fault(vector: number, error: number): 0 {
    this.#cpu.set32(STATE.faultVector, vector);
    this.#cpu.set32(STATE.faultError, error);
    return 0;
  }
}

const tlbArray = (index: number, access: AccessKind): number => index * 3 + access;
const isMisaligned = (low: number, size: number): boolean => size <= 8 && (low & (size - 1)) !== 0;
const isCanonical = (high: number): boolean => (high | 0) >> 15 === 0 || (high | 0) >> 15 === -1;
