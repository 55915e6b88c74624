import type { WasmEngine } from '../../src/cpu/engine.ts';
import { ATTR, CODE_MODE, CR0, CR4, EFER, FLAG, REQUEST, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { DECODE, Decoder, Instruction } from '../../src/cpu/x86/decoder.ts';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import type { GuestMemory } from '../../src/memory/guest-memory.ts';
import { EXIT } from '../../src/vcpu/contract.ts';
import { bareEngine } from '../native/bare-engine.ts';
import { Random } from '../native/random.ts';
import { CODE, type DataSegment, FIRST_SEGMENT_16, FUEL, SEGMENTS_16, STACK, WINDOWS } from './tier-map.ts';
import type { TierProgram } from './tier-program.ts';
import {
  GFN,
  HANDLER_BYTES,
  handlerAt,
  INTERRUPT,
  KERNEL,
  PAGE,
  SELECTOR,
  SYSCALL_SLOT,
  SYSENTER_SLOT,
  WITH_ERROR,
  writeDescriptorTables,
} from './tier-tables.ts';

const RAM_PAGES = 0x80;
const PTE = { present: 1n, write: 2n, user: 4n, accessed: 0x20n, dirty: 0x40n, noExecute: 1n << 63n } as const;
const FAULTS_MOST = 60;
/** Instructions after which a program counts as endless: it has destroyed itself. */
const PATIENCE = 60_000;
const CODE_CACHE_BYTES = 4 << 20;
/** What DS and ES of 16-bit code are at first. */
const SEGMENT_16 = SEGMENTS_16[0] as DataSegment;

/** How a program is driven on the tier under test: what must make no difference. */
export interface Drive {
  readonly random: Random;
  /** Largest budget of one call of `run`. */
  readonly budget: number;
  readonly requests: boolean;
  readonly interrupts: boolean;
  /** How often what is about to run is translated: once in so many pauses. */
  readonly translateOneIn: number;
  /** The same of what is translated already. */
  readonly againOneIn: number;
  /** For how many one look at a transfer between regions counts: what indirect jumps do is worth a translation sooner. */
  readonly looks: number;
}

/** What a program did: each stop in order, then the state at the end. Two tiers agree when these are equal. */
export interface Outcome {
  readonly ended: 'end' | 'fault' | 'endless' | 'shutdown';
  readonly log: readonly string[];
  readonly state: Readonly<Record<string, string>>;
}

export class TierMachine {
  readonly engine: WasmEngine;
  readonly #memory: GuestMemory;
  readonly #ram: Uint8Array;
  readonly #view: DataView;
  #nextTable: number = GFN.tables;
  /** By linear page of code: which set its frame is from. */
  readonly #other: boolean[] = [];
  #interrupts = 0;
  /** Of the program: one of CODE_MODE. */
  #mode: number = CODE_MODE.code64;
  #looks = 1;
  readonly #decoder = new Decoder(ROWS);

  /** `lockstep`: see bareEngine. */
  constructor(translate: boolean, lockstep = false) {
    const { engine, memory, ram, view } = bareEngine(RAM_PAGES, CODE_CACHE_BYTES, translate, lockstep);
    this.engine = engine;
    this.#memory = memory;
    this.#ram = ram;
    this.#view = view;
    const { regions } = engine;
    if (regions === undefined) return;
    const look = regions.transfer.bind(regions);
    regions.transfer = (record, site, home) => {
      const { translated } = regions.counters;
      // What it was called for is gone when there is another translation.
      for (let i = 0; i < this.#looks && regions.counters.translated === translated; i++) look(record, site, home);
    };
  }

  /** Runs a program from the start. `seed` fills registers and memory. Without `drive` nothing disturbs it. */
  run(program: TierProgram, seed: number, drive?: Drive): Outcome {
    this.#load(program, new Random(seed));
    const { engine } = this;
    const log: string[] = [];
    const before = engine.retired;
    this.#interrupts = 0;
    let ended: Outcome['ended'] = 'end';
    let faults = 0;
    let checkpoints = 0;
    for (;;) {
      const used = engine.retired - before - this.#interrupts;
      if (used >= PATIENCE) {
        ended = 'endless';
        break;
      }
      const exit = this.#step(PATIENCE, drive);
      if (exit === EXIT.budget) continue;
      if (exit === EXIT.mmio) {
        const { gpa, size, write, dataLow, dataHigh } = engine.exit;
        log.push(`${write ? `write ${dataHigh.toString(16)}:${dataLow.toString(16)} to` : 'read'} ${gpa.toString(16)} ${size}`);
        engine.exit.dataLow = Math.imul(gpa, 0x9e37_79b1) ^ log.length;
        engine.exit.dataHigh = Math.imul(gpa, 0x85eb_ca6b);
        continue;
      }
      if (exit === EXIT.shutdown) {
        ended = 'shutdown';
        break;
      }
      if (exit !== EXIT.hlt) {
        // A port or the like: it runs what was not meant to be code.
        log.push(`exit ${exit} at ${engine.rip.toString(16)}`);
        ended = 'fault';
        break;
      }
      const stop = this.#stop();
      if (stop === undefined) {
        // A HLT of its own, in code that has destroyed itself.
        log.push(`halt at ${engine.rip.toString(16)}`);
        ended = 'fault';
        break;
      }
      const { vector, errorCode, frame } = stop;
      const cr2 = vector === VECTOR.pf ? engine.control('cr2') : 0n;
      const rip = this.#view.getBigUint64(frame, true);
      log.push(
        `#${vector}(${errorCode}) at ${rip.toString(16)} cr2 ${cr2.toString(16)} after ${engine.retired - before - this.#interrupts}`,
      );
      const action = vector === VECTOR.ud ? this.#actionAt(rip) : undefined;
      if (action === 0xff) break;
      if (action !== undefined) {
        this.#act(action, checkpoints++);
        this.#view.setBigUint64(frame, rip + 3n, true);
        log.push(this.#registers());
      } else {
        log.push(this.#registers());
        if (vector === VECTOR.pf && this.#repair(cr2)) continue;
        // What cannot be done is passed over.
        const length = this.#lengthAt(rip);
        if (length === 0 || faults++ > FAULTS_MOST) {
          ended = 'fault';
          break;
        }
        this.#view.setBigUint64(frame, rip + BigInt(length), true);
      }
    }
    return { ended, log, state: this.#state(engine.retired - before - this.#interrupts) };
  }

  #step(budget: number, drive: Drive | undefined): number {
    const { engine } = this;
    if (drive === undefined) return engine.run(budget);
    const { random } = drive;
    this.#looks = drive.looks;
    if (drive.looks > 1) engine.cpu.set32(STATE.untilTransfer, 1);
    if (drive.requests && random.oneIn(4)) engine.cpu.set32(STATE.request, REQUEST.kick);
    if (drive.interrupts && random.oneIn(3) && engine.canInterrupt && !this.#narrowStack()) {
      engine.interrupt(INTERRUPT);
      this.#interrupts++; // its IRETQ
    }
    if (random.oneIn(drive.translateOneIn)) this.translate(() => drive.againOneIn === 1 || random.oneIn(drive.againOneIn));
    return engine.run(1 + random.below(random.oneIn(3) ? drive.budget : Math.min(drive.budget, 8)));
  }

  /**
   * IRETQ to a 16-bit stack leaves the upper half of ESP as the handler had it (SDM vol. 2, IRET; "espfix" in Linux), so there an
   * interrupt is seen by the program.
   */
  #narrowStack(): boolean {
    return this.#mode !== CODE_MODE.code64 && (this.engine.cpu.attributes(SEGMENT.ss) & ATTR.db) === 0;
  }

  /** Translates what is run next, if it was run before; where a region is entered already, if `again` says so. */
  translate(again: () => boolean): void {
    const { cpu, mmu, code, regions } = this.engine;
    if (regions === undefined) return;
    const linear = (cpu.rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    cpu.set64(STATE.slowAddress, linear);
    if (mmu.cachedCode(linear & ~0xfffn) === 0) return;
    const table = mmu.codeTable();
    const offset = Number(linear & 0xfffn);
    if (table === 0 || code.known(table, offset) === 0) return;
    if (!code.isRegion(table, offset) || again()) regions.translate(linear, table, offset);
  }

  // ---- stops -----------------------------------------------------------------------------------------------------------

  /** The exception whose handler has halted. */
  #stop(): { vector: number; errorCode: number; frame: number } | undefined {
    const { engine } = this;
    const at = Number(engine.rip - KERNEL) - 1 - GFN.handlers * PAGE;
    if (at < 0 || at >= PAGE || at % HANDLER_BYTES !== 0) return undefined;
    const vector = at / HANDLER_BYTES;
    const top = Number(engine.gpr(4) - KERNEL);
    return WITH_ERROR.has(vector)
      ? { vector, errorCode: this.#view.getUint32(top, true), frame: top + 8 }
      : { vector, errorCode: 0, frame: top };
  }

  /** The byte behind a UD2 in the code. */
  #actionAt(rip: bigint): number | undefined {
    const offset = this.#codeOffset(rip);
    if (offset === undefined || offset > CODE.bytes - 3) return undefined;
    const byte = (at: number) => this.#ram[(this.#codeFrame(at >> 12) << 12) + (at & 4095)] as number;
    return byte(offset) === 0x0f && byte(offset + 1) === 0x0b ? byte(offset + 2) : undefined;
  }

  /** Where in the code an instruction pointer of the program is, in either mapping. */
  #codeOffset(rip: bigint): number | undefined {
    const bases = this.#mode === CODE_MODE.code16 ? [0] : [CODE.at, WINDOWS.alias.at];
    return bases.map((at) => Number(rip) - at).find((offset) => offset >= 0 && offset < CODE.bytes);
  }

  /** Length of the instruction of the program at `rip`; 0 where there is none. */
  #lengthAt(rip: bigint): number {
    const offset = this.#codeOffset(rip);
    if (offset === undefined) return 0;
    const bytes = Uint8Array.from({ length: 15 }, (_, i) => {
      const at = Math.min(offset + i, CODE.bytes - 1);
      return this.#ram[this.#codeFrame(at >> 12) * PAGE + (at & 4095)] as number;
    });
    const insn = new Instruction();
    return this.#decoder.decode(bytes, 0, bytes.length, this.#mode, insn) === DECODE.ok ? insn.length : 0;
  }

  #repair(address: bigint): boolean {
    const offset = Number(address) - WINDOWS.lazy.at;
    if (offset < 0 || offset >= WINDOWS.lazy.pages * PAGE) return false;
    this.#setPage(WINDOWS.lazy.at, GFN.lazy, offset >> 12, PTE.present | PTE.write | PTE.user | PTE.noExecute);
    return true;
  }

  /** What happens at the nth checkpoint. */
  #act(action: number, nth: number): void {
    const page = nth % CODE.pages;
    switch (action) {
      case 0:
      case 1: // The page is taken away again, or only its being writable.
        this.#setPage(
          WINDOWS.lazy.at,
          GFN.lazy,
          nth % WINDOWS.lazy.pages,
          action === 0 ? 0n : PTE.present | PTE.user | PTE.noExecute,
        );
        break;
      case 2:
      case 3:
      case 4: {
        // Code moves to another frame: the same code, or all but the same.
        const from = this.#codeFrame(page) * PAGE;
        this.#other[page] = this.#other[page] !== true;
        const to = this.#codeFrame(page);
        const copy = this.#ram.slice(from, from + PAGE);
        this.#memory.write((to * PAGE) as never, copy);
        this.#mapCode(page);
        break;
      }
      case 5: // Somebody else writes to a page with code: what is there already.
        this.#memory.write(
          (this.#codeFrame(page) * PAGE + 0x100) as never,
          this.#ram.slice(this.#codeFrame(page) * PAGE + 0x100, this.#codeFrame(page) * PAGE + 0x180),
        );
        break;
      case 6:
        this.engine.flushTlb();
        break;
      case 7:
        this.engine.setControl('cr3', this.engine.control('cr3'));
        break;
      default:
    }
  }

  // ---- state -----------------------------------------------------------------------------------------------------------

  #registers(): string {
    const { engine } = this;
    const general = Array.from({ length: 16 }, (_, i) => engine.gpr(i).toString(16)).join(' ');
    const { u8 } = engine.cpu;
    const high = u8.subarray(STATE.ymmHigh, STATE.ymmHigh + 256);
    return `${general} ${hash(u8.subarray(STATE.mxcsr, STATE.vectorScratch))} ${hash(high)}`;
  }

  #state(retired: number): Record<string, string> {
    const { engine } = this;
    const { cpu } = engine;
    const state: Record<string, string> = {
      rip: engine.rip.toString(16),
      rflags: engine.rflags.toString(16),
      retired: String(retired),
    };
    for (let i = 0; i < 16; i++) state[`r${i}`] = engine.gpr(i).toString(16);
    for (const name of ['cr0', 'cr2', 'cr3', 'cr4', 'efer'] as const) state[name] = engine.control(name).toString(16);
    for (let i = 0; i < 16; i++) state[`xmm${i}`] = hex(cpu.u8.subarray(STATE.xmm + i * 16, STATE.xmm + i * 16 + 16));
    for (let i = 0; i < 16; i++) {
      const at = STATE.ymmHigh + i * 16;
      state[`ymm${i}[255:128]`] = hex(cpu.u8.subarray(at, at + 16));
    }
    for (let i = 0; i < 8; i++) state[`x87 ${i}`] = hex(cpu.u8.subarray(STATE.x87 + i * 16, STATE.x87 + i * 16 + 10));
    state['x87'] = hex(cpu.u8.subarray(STATE.fcw, STATE.x87));
    state['mxcsr'] = cpu.get32(STATE.mxcsr).toString(16);
    state['segments'] = hex(cpu.u8.subarray(STATE.seg, STATE.gdtr));
    state['bases'] = hex(cpu.u8.subarray(STATE.kernelGsBase, STATE.kernelGsBase + 8));
    for (let page = 1; page < RAM_PAGES; page++) {
      if (page === GFN.interruptStack) continue;
      const bytes = this.#ram.subarray(page * PAGE, (page + 1) * PAGE);
      state[`page ${page.toString(16)}`] = hash(bytes);
    }
    return state;
  }

  /** Bytes of RAM, for finding where two machines differ. */
  get ram(): Uint8Array {
    return this.#ram;
  }

  // ---- loading ---------------------------------------------------------------------------------------------------------

  #load({ bits, user, code, entry, fuel }: TierProgram, random: Random): void {
    this.#mode = { 64: CODE_MODE.code64, 32: CODE_MODE.code32, 16: CODE_MODE.code16 }[bits];
    const { engine } = this;
    const { cpu } = engine;
    const ram = this.#ram;
    engine.reset();
    for (let i = 0; i < CODE.pages; i++) this.#other[i] = false;
    const put = (gfn: number, bytes: Uint8Array) => this.#memory.write((gfn * PAGE) as never, bytes);
    for (let gfn = 1; gfn < RAM_PAGES; gfn++) {
      const isCode = GFN.code.includes(gfn as never) || GFN.otherCode.includes(gfn as never) || gfn === GFN.handlers;
      if (!isCode) ram.fill(0, gfn * PAGE, (gfn + 1) * PAGE);
    }
    for (const [i, gfn] of GFN.code.entries()) this.#putCode(gfn, code.subarray(i * PAGE, (i + 1) * PAGE));
    for (const gfn of GFN.otherCode) this.#putCode(gfn, new Uint8Array(PAGE));
    for (const gfn of [...GFN.data, ...GFN.lazy, ...GFN.supervisor]) {
      const bytes = new Uint8Array(PAGE);
      for (let i = 0; i < PAGE; i += 4)
        new DataView(bytes.buffer).setUint32(i, random.oneIn(3) ? random.below(256) : random.u32(), true);
      put(gfn, bytes);
    }
    this.#view.setUint32(GFN.fuel * PAGE + (FUEL & 4095), fuel, true);
    this.#buildPageTables(user);
    const handlers = writeDescriptorTables(this.#view, user);
    this.#putCode(GFN.handlers, handlers);
    const { u8 } = cpu;
    cpu.set64(STATE.cr3, BigInt(GFN.pml4 * PAGE));
    cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.pge | CR4.osfxsr | CR4.osxmmexcpt | CR4.fsgsbase | CR4.smap | CR4.osxsave));
    cpu.set64(STATE.efer, BigInt(EFER.sce | EFER.lme | EFER.lma | EFER.nxe));
    cpu.set64(STATE.cr0, BigInt((CR0.pe | CR0.mp | CR0.et | CR0.ne | CR0.wp | CR0.am | CR0.pg) >>> 0));
    cpu.set64(STATE.xcr0, 7n);
    cpu.set64(STATE.gdtr, KERNEL + BigInt(GFN.gdt * PAGE));
    cpu.view.setUint16(STATE.gdtr + 8, 0xff, true);
    cpu.set64(STATE.idtr, KERNEL + BigInt(GFN.idt * PAGE));
    cpu.view.setUint16(STATE.idtr + 8, 0xfff, true);
    cpu.setSegment(SEGMENT.tr, SELECTOR.tss, 0x8b, 0x67, KERNEL + BigInt(GFN.tss * PAGE));
    cpu.set64(STATE.star, (BigInt(SELECTOR.kernelData | 3) << 48n) | (BigInt(SELECTOR.kernelCode) << 32n));
    cpu.set64(STATE.lstar, handlerAt(SYSCALL_SLOT));
    cpu.set64(STATE.fmask, BigInt(FLAG.if | FLAG.tf));
    cpu.set64(STATE.sysenterCs, BigInt(SELECTOR.sysenter));
    cpu.set64(STATE.sysenterEsp, KERNEL + BigInt((GFN.interruptStack + 1) * PAGE));
    cpu.set64(STATE.sysenterEip, handlerAt(SYSENTER_SLOT[bits]));
    const dpl = user ? 0x60 : 0;
    if (bits === 64) cpu.setSegment(SEGMENT.cs, user ? SELECTOR.userCode : SELECTOR.kernelCode, 0xa09b | dpl, 0xffff_ffff, 0n);
    else if (bits === 32)
      cpu.setSegment(SEGMENT.cs, user ? SELECTOR.userCode32 : SELECTOR.kernelCode32, 0xc09b | dpl, 0xffff_ffff, 0n);
    else cpu.setSegment(SEGMENT.cs, user ? SELECTOR.userCode16 : SELECTOR.kernelCode16, 0x9b | dpl, 0xffff, BigInt(CODE.at));
    for (const which of [SEGMENT.es, SEGMENT.ss, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs])
      cpu.setSegment(which, user ? SELECTOR.userData : SELECTOR.kernelData, 0xc093 | dpl, 0xffff_ffff, 0n);
    if (bits === 16) {
      const selector = FIRST_SEGMENT_16 * 8 + (user ? 3 : 0);
      for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs])
        cpu.setSegment(which, selector, 0xc093 | dpl, SEGMENT_16.limitPages * PAGE + 4095, BigInt(SEGMENT_16.base));
    } else cpu.setSegBase(SEGMENT.fs, 0x40n);
    if (bits === 64) cpu.setSegBase(SEGMENT.gs, 0x80n);
    cpu.set32(STATE.cpl, user ? 3 : 0);
    const pointers = BigInt((bits === 16 ? 0 : WINDOWS.data.at) + 0x400);
    for (let i = 0; i < 16; i++) {
      const low = BigInt(random.u32());
      cpu.setGpr(i, random.oneIn(2) ? pointers + (low & 0xfffn) : (low << 32n) | BigInt(random.u32()));
    }
    cpu.setGpr(4, BigInt(STACK.at + 0x2000));
    cpu.setGpr(15, 9n);
    cpu.rflags = FLAG.if | 2 | (random.u32() & 0x8d5) | (random.oneIn(8) ? FLAG.ac : 0);
    for (let i = 0; i < 256; i++) {
      u8[STATE.xmm + i] = random.u32();
      u8[STATE.ymmHigh + i] = random.u32();
    }
    cpu.view.setUint16(STATE.fcw, 0x37f, true);
    cpu.set32(STATE.mxcsr, random.oneIn(4) ? 0x1f80 & ~(1 << (7 + random.below(6))) : 0x1f80);
    cpu.rip = BigInt(entry) - cpu.segBase(SEGMENT.cs);
    cpu.updateMode();
    engine.flushTlb();
  }

  /** Programs share frames: what is decoded of another one stays until it is written to. */
  #putCode(gfn: number, page: Uint8Array): void {
    for (let at = 0; at < PAGE; at += 64) {
      const there = this.#ram.subarray(gfn * PAGE + at, gfn * PAGE + at + 64);
      const wanted = page.subarray(at, at + 64);
      if (!there.every((byte, k) => byte === wanted[k])) this.#memory.write((gfn * PAGE + at) as never, wanted);
    }
  }

  #codeFrame(page: number): number {
    return ((this.#other[page] === true ? GFN.otherCode : GFN.code)[page] ?? 0) as number;
  }

  #buildPageTables(user: boolean): void {
    this.#nextTable = GFN.tables;
    const own = user ? PTE.user : 0n;
    for (let i = 0; i < CODE.pages; i++) this.#mapCode(i, own);
    const all = (at: number, frames: readonly number[], rights: bigint) => {
      for (const [i, gfn] of frames.entries()) this.#map(BigInt(at + i * PAGE), gfn, rights);
    };
    // The page before the window belongs to it.
    all(WINDOWS.data.at - PAGE, GFN.data, PTE.present | PTE.write | PTE.noExecute | own);
    for (const [i, gfn] of GFN.lazy.entries())
      this.#map(BigInt(WINDOWS.lazy.at + i * PAGE), gfn, i % 2 === 0 ? 0n : PTE.present | PTE.noExecute | own);
    this.#lazyRights = own;
    all(WINDOWS.supervisor.at, GFN.supervisor, PTE.present | PTE.write | PTE.noExecute | (user ? 0n : PTE.user));
    for (let i = 0; i < WINDOWS.mmio.pages; i++)
      this.#map(BigInt(WINDOWS.mmio.at + i * PAGE), GFN.mmio + i, PTE.present | PTE.write | PTE.noExecute | own);
    all(STACK.at, GFN.stack, PTE.present | PTE.write | PTE.noExecute | own);
    this.#map(BigInt(FUEL & ~4095), GFN.fuel, PTE.present | PTE.write | PTE.noExecute | own);
    this.#map(BigInt(WINDOWS.tables.at), this.#tableOf(BigInt(WINDOWS.lazy.at)) >> 12, PTE.present | PTE.write | PTE.noExecute);
    for (const gfn of [GFN.gdt, GFN.idt, GFN.tss, GFN.handlers, GFN.faultStack, GFN.interruptStack])
      this.#map(KERNEL + BigInt(gfn * PAGE), gfn, PTE.present | PTE.write | PTE.accessed | PTE.dirty);
  }
  #lazyRights = 0n;
  #codeRights = 0n;

  #mapCode(page: number, own = this.#codeRights): void {
    this.#codeRights = own;
    const gfn = this.#codeFrame(page);
    for (const [base, rights] of [
      [CODE.at, PTE.present | PTE.write | own],
      [WINDOWS.alias.at, PTE.present | PTE.write | own],
    ] as const) {
      const linear = BigInt(base + page * PAGE);
      this.#map(linear, gfn, rights);
      this.engine.mmu.invalidatePage(linear);
    }
  }

  #setPage(base: number, frames: readonly number[], page: number, rights: bigint): void {
    const linear = BigInt(base + page * PAGE);
    this.#map(linear, frames[page] as number, (rights & ~PTE.user) | (rights === 0n ? 0n : this.#lazyRights));
    this.engine.mmu.invalidatePage(linear);
  }

  #map(linear: bigint, gfn: number, rights: bigint): void {
    this.#view.setBigUint64(this.#tableOf(linear) + Number((linear >> 12n) & 511n) * 8, BigInt(gfn * PAGE) | rights, true);
  }

  /** Physical address of the page table that has the entry of a page; made if it is not there. */
  #tableOf(linear: bigint): number {
    let table: number = GFN.pml4 * PAGE;
    for (let level = 4; level > 1; level--) {
      const at = table + Number((linear >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
      let entry = this.#view.getBigUint64(at, true);
      if (entry === 0n) {
        if (this.#nextTable === GFN.code.at(-1)) throw new Error('no room for another page table');
        entry = BigInt(this.#nextTable++ * PAGE) | PTE.present | PTE.write | PTE.user;
        this.#view.setBigUint64(at, entry, true);
      }
      table = Number(entry & ~0xfffn);
    }
    return table;
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** FNV-1a over 32-bit words. */
function hash(bytes: Uint8Array): string {
  let h = 0x811c_9dc5;
  for (let i = 0; i + 3 < bytes.length; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24);
    h = Math.imul(h ^ word, 0x0100_0193);
    h ^= h >>> 15;
  }
  return (h >>> 0).toString(16);
}
