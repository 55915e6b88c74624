// The engine as an emulator to be compared with the native CPU: user code at CPL 3 in the address space of address-map.ts.
// Every exception is delivered, through a 64-bit IDT, to a HLT of its own; what happened is read from the pushed frame.

import type { Gfn } from '../../src/abi/types.ts';
import type { WasmEngine } from '../../src/cpu/engine.ts';
import { CR0, CR4, EFER, SEG, SEGMENT, STATE, VECTOR } from '../../src/cpu/state.ts';
import { EXIT } from '../../src/vcpu/contract.ts';
import { CODE_BASE, DATA_BASE, DATA_SIZE, GDT, LDT, type NativeDescriptor, PAGE } from './address-map.ts';
import { bareEngine } from './bare-engine.ts';
import { CpuImage, type CpuResult, type Emulator, FLAG, FXSAVE, IMAGE } from './cpu-image.ts';

/** Guest-physical pages. */
const AT = {
  pml4: 0x1000,
  tables: 0x2000,
  code: 0x10000,
  data: 0x11000,
  system: 0x14000,
  idt: 0x15000,
  handlers: 0x16000,
  stack: 0x17000,
} as const;
const RAM_PAGES = 0x20;
/** The kernel's pages are mapped at `KERNEL + guest-physical address`. */
const KERNEL = 0xffff_8000_0000_0000n;
/** Offsets in the system page. */
const SYSTEM = { gdt: 0, ldt: 0x200, tss: 0x400 } as const;
/** Selectors and limits as Linux has them: which selectors exist decides between #GP and success. */
const SELECTORS = { kernelCode32: 0x08, kernelCode: 0x10, kernelData: 0x18, tss: 0x40, ldt: 0x50, cpuNumber: 0x78 } as const;
const GDT_LIMIT = 0x7f;
const LDT_LIMIT = LDT.length * 8 - 1;
const CODE_CACHE_BYTES = 8 << 20;
const INT3 = 0xcc;
const HLT = 0xf4;
const NOP = 0x90;
const NOT_ENTERED = 2;
/** Vectors that push an error code. SDM vol. 3, table 6-1. */
const WITH_ERROR: ReadonlySet<number> = new Set([VECTOR.df, VECTOR.ts, VECTOR.np, VECTOR.ss, VECTOR.gp, VECTOR.pf, VECTOR.ac]);
/** Instructions after which a case counts as endless. */
const PATIENCE = 200_000;
const PTE = { present: 1n, write: 2n, user: 4n, noExecute: 1n << 63n } as const;
const CR0_VALUE = (CR0.pe | CR0.mp | CR0.et | CR0.ne | CR0.wp | CR0.am | CR0.pg) >>> 0;
const CR4_VALUE = CR4.pse | CR4.pae | CR4.pge | CR4.osfxsr | CR4.osxmmexcpt | CR4.fsgsbase | CR4.osxsave | CR4.umip;

/** What runs the code under test: the interpreter alone, or a translated region that begins with it. */
export type Tier = 'interpreted' | 'translated';

/** Stands in for the native CPU; one object, one case at a time. A result is valid until the next `run`. */
export class EngineEmulator implements Emulator {
  readonly engine: WasmEngine;
  /** The guest's RAM, by guest-physical address. */
  readonly #ram: Uint8Array;
  readonly #view: DataView;
  /** Segment registers as SEG lays them out, by selector: hidden parts included. */
  readonly #segments = new Map<number, Uint8Array>();
  readonly #image = new CpuImage();
  #nextTable: number = AT.tables;
  readonly #tier: Tier;
  #codeStart = 0;
  #codeLength = 0;
  /** Cases that a region was made for, and those that it ran for: that what it was made for held. */
  translated = 0;
  entered = 0;

  /** No single step is translated: such cases are interpreted in both tiers. */
  constructor(tier: Tier = 'interpreted') {
    this.#tier = tier;
    const { engine, ram, view } = bareEngine(RAM_PAGES, CODE_CACHE_BYTES, tier === 'translated');
    this.engine = engine;
    this.#ram = ram;
    this.#view = view;
    this.#ram.fill(INT3, AT.code, AT.code + PAGE);
    this.#ram.fill(HLT, AT.handlers, AT.handlers + PAGE);
    this.#buildPageTables();
    this.#buildDescriptorTables();
    this.#loadSystemRegisters();
  }

  run(code: Uint8Array, state: CpuImage): CpuResult {
    this.#placeCode(code, state);
    this.#ram.set(state.data, AT.data);
    this.#load(state);
    if (this.#tier === 'translated' && (state.rflags & FLAG.tf) === 0) this.#translate(state.linearRip);
    const { engine } = this;
    const image = this.#image;
    image.copyFrom(state);
    // A region that is entered clears it.
    engine.cpu.set32(STATE.codeDropped, NOT_ENTERED);
    const exit = engine.run(PATIENCE);
    if (engine.cpu.get32(STATE.codeDropped) !== NOT_ENTERED) this.entered++;
    if (exit !== EXIT.hlt) {
      this.#store(
        image,
        engine.rip,
        Number(engine.rflags),
        engine.gpr(4),
        engine.cpu.selector(SEGMENT.cs),
        engine.cpu.selector(SEGMENT.ss),
      );
      if (exit === EXIT.budget) return { outcome: 'timeout', image };
      throw new Error(
        `the engine left with exit ${exit} at ${engine.rip.toString(16)}; code ${Buffer.from(code).toString('hex')}`,
      );
    }
    const view = this.#view;
    const vector = Number(engine.rip - KERNEL) - AT.handlers - 1;
    let frame = Number(engine.gpr(4) - KERNEL);
    let errorCode = 0;
    if (WITH_ERROR.has(vector)) {
      errorCode = view.getUint32(frame, true);
      frame += 8;
    }
    const rip = view.getBigUint64(frame, true);
    this.#store(
      image,
      rip,
      view.getUint32(frame + 16, true),
      view.getBigUint64(frame + 24, true),
      view.getUint16(frame + 8, true),
      view.getUint16(frame + 32, true),
    );
    if (vector === VECTOR.bp) {
      // An INT3 outside the code: the filling of the page, so this is where the code ended or branched to.
      const offset = Number(rip) - 1 - (state.mode === 16 ? 0 : CODE_BASE);
      if (offset >= 0 && offset < PAGE && (offset < this.#codeStart || offset >= this.#codeStart + this.#codeLength)) {
        image.rip = rip - 1n;
        return { outcome: 'done', image };
      }
    }
    const cr2 = vector === VECTOR.pf ? engine.control('cr2') : 0n;
    return { outcome: 'fault', fault: { vector, errorCode, cr2 }, image };
  }

  /** Replaces the code in the code page; the engine drops what it had decoded of it. */
  #placeCode(code: Uint8Array, state: CpuImage): void {
    const start = state.linearRip - CODE_BASE;
    const first = Math.min(start, this.#codeStart);
    const end = Math.min(PAGE, Math.max(start + code.length, this.#codeStart + this.#codeLength));
    this.engine.code.stored((AT.code / PAGE) as Gfn, first, end - first);
    this.#ram.fill(INT3, AT.code + first, AT.code + end);
    this.#ram.set(code.subarray(0, PAGE - start), AT.code + start);
    this.#codeStart = start;
    this.#codeLength = code.length;
  }

  /** Makes a region that begins at the code; at a NOP before it, if the code begins with what no region may begin with. */
  #translate(rip: number): void {
    if (this.#enterRegion(rip)) return;
    const before = rip - 1 - CODE_BASE;
    if (before < 0 || before >= PAGE) return;
    this.engine.code.stored((AT.code / PAGE) as Gfn, before, 1);
    this.#ram[AT.code + before] = NOP;
    this.#codeStart--;
    this.#codeLength++;
    if (this.#enterRegion(rip - 1)) this.engine.rip--;
  }

  #enterRegion(rip: number): boolean {
    const { cpu, mmu, code, regions } = this.engine;
    if (regions === undefined || rip < CODE_BASE || rip >= CODE_BASE + PAGE) return false;
    const offset = rip - CODE_BASE;
    // Once more when the code cache was full, and is empty now.
    for (let attempt = 0; attempt < 2; attempt++) {
      cpu.set64(STATE.slowAddress, BigInt(rip));
      const table = mmu.codeTable();
      if (code.known(table, offset) === 0) code.decode(table, offset);
      const { flushes } = code;
      if (regions.translate(BigInt(rip), table, offset)) {
        this.translated++;
        return true;
      }
      if (code.flushes === flushes) return false;
    }
    return false;
  }

  #load(state: CpuImage): void {
    const { cpu } = this.engine;
    const { u8, u16, u64 } = cpu;
    u64.set(state.gpr, STATE.gpr >> 3);
    for (let which = 0; which < 6; which++) {
      const selector = state.selectors[which] as number;
      u8.set(this.#segments.get(selector) ?? nullSegment(selector), STATE.seg + which * SEG.sizeof);
    }
    if (state.mode === 64) {
      cpu.setSegBase(SEGMENT.fs, state.fsBase);
      cpu.setSegBase(SEGMENT.gs, state.gsBase);
    }
    cpu.set32(STATE.cpl, 3);
    cpu.set32(STATE.shadow, 0);
    cpu.rflags = state.rflags;
    cpu.rip = state.rip;
    u16[STATE.fcw >> 1] = state.fcw;
    // ES and B only say that an unmasked exception is pending; XRSTOR sets them as the other bits have it.
    const pending = (state.fsw & ~state.fcw & 0x3f) !== 0;
    u16[STATE.fsw >> 1] = (state.fsw & 0x7f7f) | (pending ? 0x8080 : 0);
    u16[STATE.ftw >> 1] = state.ftw;
    u8.set(state.fxsave.subarray(FXSAVE.fop, FXSAVE.fop + 2), STATE.fop);
    u8.set(state.fxsave.subarray(FXSAVE.fip, FXSAVE.fip + 16), STATE.fip);
    cpu.set32(STATE.fcs, 0); // and FDS
    cpu.set32(STATE.mxcsr, state.mxcsr);
    const top = (state.fsw >> 11) & 7;
    for (let i = 0; i < 8; i++) {
      const from = FXSAVE.st + 16 * i;
      u8.set(state.fxsave.subarray(from, from + 16), STATE.x87 + ((i + top) & 7) * 16);
    }
    u8.set(state.fxsave.subarray(FXSAVE.xmm, FXSAVE.end), STATE.xmm);
    u8.set(state.bytes.subarray(IMAGE.ymmHigh, IMAGE.data), STATE.ymmHigh);
    cpu.updateMode();
  }

  #store(image: CpuImage, rip: bigint, rflags: number, rsp: bigint, cs: number, ss: number): void {
    const { cpu } = this.engine;
    const { u8, u16, u64 } = cpu;
    image.gpr.set(u64.subarray(STATE.gpr >> 3, (STATE.gpr >> 3) + 16));
    image.gpr[4] = rsp;
    image.rip = rip;
    image.rflags = rflags;
    for (let which = 0; which < 6; which++) image.selectors[which] = cpu.selector(which);
    image.selectors[SEGMENT.cs] = cs;
    image.selectors[SEGMENT.ss] = ss;
    image.fsBase = cpu.segBase(SEGMENT.fs);
    image.gsBase = cpu.segBase(SEGMENT.gs);
    image.fcw = u16[STATE.fcw >> 1] as number;
    image.fsw = u16[STATE.fsw >> 1] as number;
    image.ftw = u16[STATE.ftw >> 1] as number;
    image.fxsave.set(u8.subarray(STATE.fop, STATE.fop + 2), FXSAVE.fop);
    image.fxsave.set(u8.subarray(STATE.fip, STATE.fip + 16), FXSAVE.fip);
    image.mxcsr = cpu.get32(STATE.mxcsr);
    const top = (image.fsw >> 11) & 7;
    for (let i = 0; i < 8; i++) {
      const at = STATE.x87 + ((i + top) & 7) * 16;
      image.fxsave.set(u8.subarray(at, at + 10), FXSAVE.st + 16 * i);
    }
    image.fxsave.set(u8.subarray(STATE.xmm, STATE.xmm + 256), FXSAVE.xmm);
    image.bytes.set(u8.subarray(STATE.ymmHigh, STATE.ymmHigh + 256), IMAGE.ymmHigh);
    image.data.set(this.#ram.subarray(AT.data, AT.data + DATA_SIZE));
  }

  #loadSystemRegisters(): void {
    const { cpu } = this.engine;
    cpu.set64(STATE.cr0, BigInt(CR0_VALUE));
    cpu.set64(STATE.cr3, BigInt(AT.pml4));
    cpu.set64(STATE.cr4, BigInt(CR4_VALUE));
    cpu.set64(STATE.efer, BigInt(EFER.sce | EFER.lme | EFER.lma | EFER.nxe));
    cpu.set64(STATE.xcr0, 7n);
    cpu.set64(STATE.gdtr, KERNEL + BigInt(AT.system + SYSTEM.gdt));
    cpu.view.setUint16(STATE.gdtr + 8, GDT_LIMIT, true);
    cpu.set64(STATE.idtr, KERNEL + BigInt(AT.idt));
    cpu.view.setUint16(STATE.idtr + 8, 0xfff, true);
    cpu.setSegment(SEGMENT.ldtr, SELECTORS.ldt, 0x82, LDT_LIMIT, KERNEL + BigInt(AT.system + SYSTEM.ldt));
    cpu.setSegment(SEGMENT.tr, SELECTORS.tss, 0x8b, 0x67, KERNEL + BigInt(AT.system + SYSTEM.tss));
  }

  #buildPageTables(): void {
    this.#map(BigInt(CODE_BASE), AT.code, PTE.user);
    for (let at = 0; at < DATA_SIZE; at += PAGE)
      this.#map(BigInt(DATA_BASE + at), AT.data + at, PTE.user | PTE.write | PTE.noExecute);
    for (const page of [AT.system, AT.idt, AT.handlers, AT.stack]) this.#map(KERNEL + BigInt(page), page, PTE.write);
  }

  #map(linear: bigint, physical: number, rights: bigint): void {
    let table: number = AT.pml4;
    for (let level = 4; level > 1; level--) {
      const at = table + Number((linear >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
      let entry = this.#view.getBigUint64(at, true);
      if (entry === 0n) {
        if (this.#nextTable === AT.code) throw new Error('no room for another page table');
        entry = BigInt(this.#nextTable) | PTE.present | PTE.write | PTE.user;
        this.#nextTable += PAGE;
        this.#view.setBigUint64(at, entry, true);
      }
      table = Number(entry & ~0xfffn);
    }
    this.#view.setBigUint64(table + Number((linear >> 12n) & 511n) * 8, BigInt(physical) | PTE.present | rights, true);
  }

  #buildDescriptorTables(): void {
    const view = this.#view;
    const gdt = AT.system + SYSTEM.gdt;
    const put = (table: number, selector: number, value: bigint) => view.setBigUint64(table + (selector & ~7), value, true);
    put(gdt, SELECTORS.kernelCode32, descriptor(0, 0xfffff, 0x9b, 0xc));
    put(gdt, SELECTORS.kernelCode, descriptor(0, 0xfffff, 0x9b, 0xa));
    put(gdt, SELECTORS.kernelData, descriptor(0, 0xfffff, 0x93, 0xc));
    put(gdt, SELECTORS.cpuNumber, descriptor(0, 0, 0xf5, 4));
    const system = (selector: number, address: bigint, limit: number, access: number) => {
      put(gdt, selector, descriptor(Number(address & 0xffff_ffffn), limit, access, 0));
      view.setUint32(gdt + selector + 8, Number(address >> 32n), true);
    };
    system(SELECTORS.tss, KERNEL + BigInt(AT.system + SYSTEM.tss), 0x67, 0x8b);
    system(SELECTORS.ldt, KERNEL + BigInt(AT.system + SYSTEM.ldt), LDT_LIMIT, 0x82);
    view.setBigUint64(AT.system + SYSTEM.tss + 4, KERNEL + BigInt(AT.stack + PAGE), true);
    // No I/O permission map: it would begin behind the end of the TSS.
    view.setUint16(AT.system + SYSTEM.tss + 0x66, 0x68, true);
    for (const native of GDT) put(gdt, native.selector, this.#describe(native));
    for (const native of LDT) put(AT.system + SYSTEM.ldt, native.selector, this.#describe(native));
    for (let vector = 0; vector < 256; vector++) {
      const target = KERNEL + BigInt(AT.handlers + vector);
      const at = AT.idt + vector * 16;
      const dpl = vector === VECTOR.bp || vector === VECTOR.of || vector === 0x80 ? 3 : 0;
      view.setUint32(at, Number(target & 0xffffn) | (SELECTORS.kernelCode << 16), true);
      view.setUint32(at + 4, Number(target & 0xffff_0000n) | ((0x8e | (dpl << 5)) << 8), true);
      view.setUint32(at + 8, Number(target >> 32n), true);
    }
  }

  /** The descriptor; what it leaves in a segment register is kept. */
  #describe({ selector, base, limit, type, bits }: NativeDescriptor): bigint {
    const access = { code: 0xfb, data: 0xf3, readOnlyData: 0xf1, expandDown: 0xf7 }[type];
    const inPages = limit > 0xfffff;
    const flags = (inPages ? 8 : 0) | (bits === 64 ? 2 : bits === 32 ? 4 : 0);
    this.#segments.set(selector, segmentRegister(selector, access | (flags << 12), limit, base));
    return descriptor(base, inPages ? limit >>> 12 : limit, access, flags);
  }
}

/** A segment register with its hidden part: see SEG. */
function segmentRegister(selector: number, attributes: number, limit: number, base: number): Uint8Array {
  const bytes = new Uint8Array(SEG.sizeof);
  const view = new DataView(bytes.buffer);
  view.setUint16(SEG.selector, selector, true);
  view.setUint16(SEG.attributes, attributes, true);
  view.setUint32(SEG.limit, limit, true);
  view.setBigUint64(SEG.base, BigInt(base), true);
  return bytes;
}

const NULL_SEGMENTS = [0, 1, 2, 3].map((selector) => segmentRegister(selector, 0, 0, 0));
function nullSegment(selector: number): Uint8Array {
  const segment = NULL_SEGMENTS[selector];
  if (segment === undefined) throw new RangeError(`there is no segment ${selector.toString(16)}`);
  return segment;
}

/** SDM vol. 3, figure 3-8. `flags`: G, D/B, L, AVL. */
function descriptor(base: number, limit: number, access: number, flags: number): bigint {
  return (
    BigInt(limit & 0xffff) |
    (BigInt(base & 0xff_ffff) << 16n) |
    (BigInt(access) << 40n) |
    (BigInt((limit >> 16) & 15) << 48n) |
    (BigInt(flags) << 52n) |
    (BigInt((base >>> 24) & 0xff) << 56n)
  );
}
