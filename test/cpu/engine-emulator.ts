// The engine as something the native CPU can be compared with: user code at CPL 3 in the address space of address-map.ts, every
// exception ending in a HLT of the kernel's.
import type { Gfn, Gpa } from '../../src/abi/types.ts';
import { WasmEngine, VCPU_BYTES } from '../../src/cpu/engine.ts';
import { CR0, CR4, EFER, SEGMENT, STATE } from '../../src/cpu/state.ts';
import { ArenaPlanner, allocateArena } from '../../src/memory/arena.ts';
import { GuestMemory, P2M_BYTES } from '../../src/memory/guest-memory.ts';
import { EXIT } from '../../src/vcpu/contract.ts';
import { CODE_BASE, DATA_BASE, DATA_SIZE, GDT, LDT, type NativeDescriptor, PAGE } from '../native/address-map.ts';
import { CpuImage, type CpuResult, type Emulator, FXSAVE } from '../native/cpu-image.ts';

/** Physical pages. */
const AT = { pml4: 0x1000, tables: 0x2000, code: 0x10000, data: 0x11000, system: 0x14000, idt: 0x15000, handlers: 0x16000, stack: 0x17000 } as const;
const RAM_PAGES = 0x20;
/** Where the kernel's pages lie: `KERNEL + physical address`. */
const KERNEL = 0xffff_8000_0000_0000n;
/** In the system page. */
const SYSTEM = { gdt: 0, ldt: 0x200, tss: 0x400 } as const;
const KERNEL_CODE = 0x08;
const TSS_SELECTOR = 0x40;
const LDT_SELECTOR = 0x50;
const STACK_TOP = AT.stack + PAGE;
const INT3 = 0xcc;
const WITH_ERROR = new Set([8, 10, 11, 12, 13, 14, 17]);
/** Instructions after which a case counts as endless. */
const PATIENCE = 200_000;

const P = 1n;
const W = 2n;
const U = 4n;
const NX = 1n << 63n;

interface Hidden {
  readonly attributes: number;
  readonly limit: number;
  readonly base: bigint;
}

export class EngineEmulator implements Emulator {
  readonly engine: WasmEngine;
  readonly #memory: GuestMemory;
  readonly #ram: Uint8Array;
  readonly #view: DataView;
  readonly #segments = new Map<number, Hidden>();
  #nextTable: number = AT.tables;
  #codeLength = 0;
  #codeOffset = 0;

  constructor() {
    const planner = new ArenaPlanner();
    const p2m = planner.reserve(P2M_BYTES);
    const vcpuRegion = planner.reserve(VCPU_BYTES);
    const codeRegion = planner.reserve(4 << 20);
    const ram = planner.reserve(RAM_PAGES * PAGE);
    const wasmMemory = allocateArena(planner.size);
    const buffer = wasmMemory.buffer as unknown as SharedArrayBuffer;
    this.#memory = new GuestMemory(buffer, p2m.at);
    this.#ram = new Uint8Array(buffer, ram.at, RAM_PAGES * PAGE);
    this.#view = new DataView(buffer, ram.at, RAM_PAGES * PAGE);
    for (let i = 0; i < RAM_PAGES; i++) this.#memory.map(i as Gfn, (ram.at + i * PAGE) as never);
    this.engine = new WasmEngine({
      vcpuId: 0, memory: this.#memory, wasmMemory, vcpuRegion, codeRegion, ticks: () => 0n,
      cpuid: { apicId: 0, vcpuCount: 1, apicEnabled: true, tscKHz: 1_000_000, hypervisor: () => undefined },
      cr8: { read: () => 0, write: () => {} },
    });
    this.#buildTables();
    this.#ram.fill(INT3, AT.code, AT.code + PAGE);
    this.#ram.fill(0xf4, AT.handlers, AT.handlers + 256);
  }

  run(code: Uint8Array, state: CpuImage): CpuResult {
    this.#placeCode(code, state);
    this.#ram.set(state.data, AT.data);
    this.#load(state);
    const { engine } = this;
    let exit = engine.run(PATIENCE);
    const image = state.clone();
    if (exit !== EXIT.hlt) {
      this.#store(image, engine.rip, Number(engine.rflags), engine.gpr(4), engine.segment('cs').selector, engine.segment('ss').selector);
      if (exit === EXIT.budget) return { outcome: 'timeout', image };
      throw new Error(`the engine left with exit ${exit} at ${engine.rip.toString(16)}`);
    }
    const vector = Number(engine.rip - KERNEL) - AT.handlers - 1;
    let frame = Number(engine.gpr(4) - KERNEL);
    let errorCode = 0;
    if (WITH_ERROR.has(vector)) {
      errorCode = this.#view.getUint32(frame, true);
      frame += 8;
    }
    const word = (n: number) => this.#view.getBigUint64(frame + n * 8, true);
    const rip = word(0);
    this.#store(image, rip, Number(word(2)), word(3), Number(word(1)), Number(word(4)));
    exit = EXIT.hlt;
    if (vector === 3) {
      const at = rip - 1n;
      const offset = Number(at + (image.mode === 16 ? BigInt(CODE_BASE) : 0n)) - CODE_BASE;
      const inCode = offset >= this.#codeOffset && offset < this.#codeOffset + this.#codeLength;
      if (!inCode && offset >= 0 && offset < PAGE) {
        image.rip = at;
        return { outcome: 'done', image };
      }
    }
    const cr2 = vector === 14 ? engine.control('cr2') : 0n;
    return { outcome: 'fault', fault: { vector, errorCode, cr2 }, image };
  }

  #placeCode(code: Uint8Array, state: CpuImage): void {
    const offset = state.linearRip - CODE_BASE;
    const page = new Uint8Array(PAGE).fill(INT3);
    page.set(code, offset);
    this.#memory.write(AT.code as Gpa, page);
    this.#codeOffset = offset;
    this.#codeLength = code.length;
  }

  #load(state: CpuImage): void {
    const { engine } = this;
    const { cpu } = engine;
    cpu.set64(STATE.cr0, BigInt((CR0.pe | CR0.pg | CR0.et | CR0.ne | CR0.wp | CR0.am | CR0.mp) >>> 0));
    cpu.set64(STATE.cr3, BigInt(AT.pml4));
    cpu.set64(STATE.cr4, BigInt(CR4.pae | CR4.osfxsr | CR4.osxmmexcpt | CR4.fsgsbase | CR4.osxsave));
    cpu.set64(STATE.efer, BigInt(EFER.sce | EFER.lme | EFER.lma | EFER.nxe));
    cpu.set64(STATE.xcr0, 3n);
    cpu.set64(STATE.gdtr, KERNEL + BigInt(AT.system + SYSTEM.gdt));
    cpu.view.setUint16(STATE.gdtr + 8, 0x1ff, true);
    cpu.set64(STATE.idtr, KERNEL + BigInt(AT.idt));
    cpu.view.setUint16(STATE.idtr + 8, 0xfff, true);
    cpu.setSegment(SEGMENT.ldtr, LDT_SELECTOR, 0x82, 0x1ff, KERNEL + BigInt(AT.system + SYSTEM.ldt));
    cpu.setSegment(SEGMENT.tr, TSS_SELECTOR, 0x8b, 0x67, KERNEL + BigInt(AT.system + SYSTEM.tss));
    for (let i = 0; i < 16; i++) cpu.setGpr(i, state.gpr[i] as bigint);
    for (let which = 0; which < 6; which++) {
      const selector = state.selectors[which] as number;
      const hidden = this.#segments.get(selector) ?? { attributes: 0, limit: 0, base: 0n };
      cpu.setSegment(which, selector, hidden.attributes, hidden.limit, hidden.base);
    }
    if (state.mode === 64) {
      cpu.setSegBase(SEGMENT.fs, state.fsBase);
      cpu.setSegBase(SEGMENT.gs, state.gsBase);
    }
    cpu.set32(STATE.cpl, 3);
    cpu.set32(STATE.shadow, 0);
    cpu.rflags = state.rflags;
    cpu.rip = state.rip;
    const { u8, u16 } = cpu;
    u16[STATE.fcw >> 1] = state.fcw;
    u16[STATE.fsw >> 1] = state.fsw;
    u16[STATE.ftw >> 1] = state.ftw;
    u8.set(state.fxsave.subarray(FXSAVE.fop, FXSAVE.fop + 2), STATE.fop);
    u8.set(state.fxsave.subarray(FXSAVE.fip, FXSAVE.fip + 16), STATE.fip);
    cpu.set32(STATE.mxcsr, state.mxcsr);
    const top = (state.fsw >> 11) & 7;
    for (let i = 0; i < 8; i++) {
      const from = FXSAVE.st + 16 * i;
      u8.set(state.fxsave.subarray(from, from + 16), STATE.x87 + ((i + top) & 7) * 16);
    }
    u8.set(state.fxsave.subarray(FXSAVE.xmm, FXSAVE.end), STATE.xmm);
    cpu.updateMode();
  }

  #store(image: CpuImage, rip: bigint, rflags: number, rsp: bigint, cs: number, ss: number): void {
    const { cpu } = this.engine;
    for (let i = 0; i < 16; i++) image.gpr[i] = cpu.gpr(i);
    image.gpr[4] = rsp;
    image.rip = rip;
    image.rflags = rflags;
    for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) image.selectors[which] = cpu.selector(which);
    image.selectors[SEGMENT.cs] = cs;
    image.selectors[SEGMENT.ss] = ss;
    image.fsBase = cpu.segBase(SEGMENT.fs);
    image.gsBase = cpu.segBase(SEGMENT.gs);
    const { u8, u16 } = cpu;
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
    image.data.set(this.#ram.subarray(AT.data, AT.data + DATA_SIZE));
  }

  #buildTables(): void {
    this.#map(BigInt(CODE_BASE), AT.code, U);
    for (let at = 0; at < DATA_SIZE; at += PAGE) this.#map(BigInt(DATA_BASE + at), AT.data + at, U | W | NX);
    for (const page of [AT.system, AT.idt, AT.handlers, AT.stack]) this.#map(KERNEL + BigInt(page), page, W);
    const put = (at: number, selector: number, value: bigint) => this.#view.setBigUint64(at + (selector & ~7), value, true);
    const gdt = AT.system + SYSTEM.gdt;
    const ldt = AT.system + SYSTEM.ldt;
    put(gdt, KERNEL_CODE, descriptor(0, 0xfffff, 0x9b, 0xa));
    const tss = KERNEL + BigInt(AT.system + SYSTEM.tss);
    put(gdt, TSS_SELECTOR, descriptor(Number(tss & 0xffff_ffffn), 0x67, 0x8b, 0));
    this.#view.setUint32(gdt + TSS_SELECTOR + 8, Number(tss >> 32n), true);
    this.#view.setBigUint64(AT.system + SYSTEM.tss + 4, KERNEL + BigInt(STACK_TOP), true);
    // No I/O permission bitmap.
    this.#view.setUint16(AT.system + SYSTEM.tss + 0x66, 0xffff, true);
    for (const native of GDT) put(gdt, native.selector, this.#describe(native));
    for (const native of LDT) put(ldt, native.selector, this.#describe(native));
    for (let vector = 0; vector < 256; vector++) {
      const target = KERNEL + BigInt(AT.handlers + vector);
      const at = AT.idt + vector * 16;
      const dpl = vector === 3 || vector === 4 ? 3 : 0;
      this.#view.setUint32(at, Number(target & 0xffffn) | (KERNEL_CODE << 16), true);
      this.#view.setUint32(at + 4, Number(target & 0xffff_0000n) | ((0x8e | (dpl << 5)) << 8), true);
      this.#view.setUint32(at + 8, Number(target >> 32n), true);
    }
  }

  /** The descriptor, and what it leaves in the hidden part of a segment register. */
  #describe({ selector, base, limit, type, bits }: NativeDescriptor): bigint {
    const access = { code: 0xfb, data: 0xf3, readOnlyData: 0xf1, expandDown: 0xf7 }[type];
    const g = limit > 0xfffff;
    const flags = (g ? 8 : 0) | (bits === 64 ? 2 : bits === 32 ? 4 : 0);
    this.#segments.set(selector, { attributes: access | (flags << 12), limit, base: BigInt(base) });
    return descriptor(base, g ? limit >>> 12 : limit, access, flags);
  }

  #map(linear: bigint, physical: number, rights: bigint): void {
    let table: number = AT.pml4;
    for (let level = 4; level > 1; level--) {
      const at = table + Number((linear >> BigInt(12 + 9 * (level - 1))) & 511n) * 8;
      let entry = this.#view.getBigUint64(at, true);
      if (entry === 0n) {
        entry = BigInt(this.#nextTable) | P | W | U;
        this.#nextTable += PAGE;
        if (this.#nextTable > AT.code) throw new Error('too many page tables');
        this.#view.setBigUint64(at, entry, true);
      }
      table = Number(entry & ~0xfffn);
    }
    this.#view.setBigUint64(table + Number((linear >> 12n) & 511n) * 8, BigInt(physical) | P | rights, true);
  }
}

const descriptor = (base: number, limit: number, access: number, flags: number): bigint =>
  BigInt(limit & 0xffff) | (BigInt(base & 0xff_ffff) << 16n) | (BigInt(access) << 40n) | (BigInt((limit >> 16) & 15) << 48n) |
  (BigInt(flags) << 52n) | (BigInt((base >>> 24) & 0xff) << 56n);
