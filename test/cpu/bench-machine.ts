// The engine over a little memory, put into any mode with tables, stacks and handlers that stop: what the specs here run on.
import type { Gfn, HostAddress } from '../../src/abi/types.ts';
import type { Cpu } from '../../src/cpu/cpu.ts';
import { VCPU_BYTES, WasmEngine } from '../../src/cpu/engine.ts';
import { CR0, CR4, EFER, FLAG, SEGMENT, STATE } from '../../src/cpu/state.ts';
import { gate, SIZE, segment } from '../../src/cpu/system/fixtures/flat-machine.ts';
import { ArenaPlanner, allocateArena } from '../../src/memory/arena.ts';
import { GuestMemory, P2M_BYTES, pageOf } from '../../src/memory/guest-memory.ts';
import { EXIT, type ExitReason } from '../../src/vcpu/contract.ts';
import { PageTables, PTE } from './page-tables.ts';

const PAGE = 0x1000;
const RAM_PAGES = 0x80;
/** Physical addresses, and linear ones too: the tables of `BenchMachine` map these pages where they are. */
export const AT = {
  vectors: 0,
  gdt: 0x1000,
  idt: 0x2000,
  tss: 0x3000,
  tss2: 0x5000,
  ldt: 0x6000,
  handlers: 0x7000,
  kernelStack: 0x9000,
  userStack: 0xa000,
  otherStack: 0xb000,
  code: 0x10000,
  data: 0x20000,
  tables: 0x40000,
  end: RAM_PAGES * PAGE,
} as const;
/** Pages of the four stacks' last bytes and of code and data, which level 3 may use. */
const USER_PAGES: readonly number[] = [AT.userStack - PAGE, ...pagesFrom(AT.code, 4), ...pagesFrom(AT.data, 8)];

export const SELECTOR = {
  code: 0x08,
  data: 0x10,
  userCode: 0x1b,
  userData: 0x23,
  code64: 0x28,
  userCode64: 0x33,
  tss: 0x38,
  ldt: 0x48,
  gate: 0x58,
  tss2: 0x68,
  free: 0x78,
  code16: 0x88,
  data16: 0x90,
  userCode16: 0x9b,
  userData16: 0xa3,
  conforming: 0xa8,
  taskGate: 0xb0,
  free2: 0xb8,
} as const;
const GDT_LIMIT = 0xff;
const BUSY_TSS = 0x8b;
const TSS_LIMIT = 0x67;

/** real: 16-bit real-address mode. flat: 32-bit without paging. paged, pae: 32-bit with paging. long: 64-bit. compat: 32-bit code in it. */
export type BenchMode = 'real' | 'flat' | 'paged' | 'pae' | 'long' | 'compat';
export interface BenchOptions {
  readonly level?: 0 | 3;
  /** Bits to set beside those of the mode. */
  readonly cr0?: number;
  readonly cr4?: number;
  readonly efer?: number;
  readonly flags?: number;
  /** Bits of the leaf entry for pages that level 3 does not use. */
  readonly pageBits?: bigint;
}

/** Where the machine stopped. Of a handler: what it found on its stack. */
export interface Stop {
  readonly exit: ExitReason;
  /** -1 when it was no handler that stopped. */
  readonly vector: number;
  readonly error: number | undefined;
  readonly rip: bigint;
  readonly cs: number;
  readonly flags: number;
  /** Undefined when the frame has none. */
  readonly rsp: bigint | undefined;
  readonly ss: number | undefined;
}

const WITH_ERROR: readonly number[] = [8, 10, 11, 12, 13, 14, 17];
const HANDLER_BYTES = 16;
/** Software may call these from level 3. */
const USER_VECTORS: readonly number[] = [3, 4, 0x80];
/** INT 80: the code of a test has run to its end, at any level. */
export const DONE = 0x80;
const PATIENCE = 100_000;
/** Registers come first in the state of a vCPU. */
const REGISTER_BYTES = STATE.codeMode;

export class BenchMachine {
  readonly engine: WasmEngine;
  readonly cpu: Cpu;
  readonly memory: GuestMemory;
  readonly ram: Uint8Array;
  readonly view: DataView;
  readonly #ramAt: number;
  #registers = new Uint8Array();
  mode: BenchMode = 'real';
  /** The page tables of `paged`, `pae`, `long` and `compat`. */
  tables: PageTables;
  ticks = 1000;
  taskPriority = 0;

  /** @param codeBytes size of the cache of decoded code */
  constructor(codeBytes: number = 4 << 20) {
    const planner = new ArenaPlanner();
    const p2m = planner.reserve(P2M_BYTES);
    const vcpuRegion = planner.reserve(VCPU_BYTES);
    const codeRegion = planner.reserve(codeBytes);
    const ram = planner.reserve(AT.end);
    const wasmMemory = allocateArena(planner.size);
    const buffer = wasmMemory.buffer as unknown as SharedArrayBuffer;
    this.memory = new GuestMemory(buffer, p2m.at);
    this.ram = new Uint8Array(buffer, ram.at, AT.end);
    this.view = new DataView(buffer, ram.at, AT.end);
    this.#ramAt = ram.at;
    this.engine = new WasmEngine({
      vcpuId: 0,
      memory: this.memory,
      wasmMemory,
      vcpuRegion,
      codeRegion,
      ticks: () => this.ticks,
      cpuid: { apicId: 0, vcpuCount: 1, apicEnabled: true, tscKHz: 1_000_000, hypervisor: () => undefined },
      cr8: {
        read: () => this.taskPriority,
        write: (value) => {
          this.taskPriority = value;
        },
      },
    });
    this.cpu = this.engine.cpu;
    this.tables = new PageTables(this.view, 'long', AT.tables);
  }

  /** A fresh machine in `mode`, at AT.code, which holds HLT. Real-address mode has a CS of its own there, the others are flat. */
  start(mode: BenchMode, options: BenchOptions = {}): this {
    const { level = 0, flags = 0 } = options;
    this.mode = mode;
    this.ram.fill(0);
    // Mapping drops translations and decoded code, so only what a test has changed is mapped again.
    for (let page = 0; page < RAM_PAGES; page++) {
      const host = (this.#ramAt + page * PAGE) as HostAddress;
      if (pageOf(this.memory.entry(page as Gfn)) !== host) this.memory.map(page as Gfn, host);
    }
    this.engine.code.flush();
    this.engine.reset();
    this.code('f4');
    this.#kept(`handlers ${mode}`, AT.handlers, 256 * HANDLER_BYTES, () => this.#handlers());
    if (mode === 'real') this.#real(options);
    else this.#protected(mode, level, options);
    this.cpu.rip = mode === 'real' ? 0n : BigInt(AT.code);
    this.cpu.rflags = 2 | flags;
    this.cpu.updateMode();
    this.#registers = this.cpu.u8.slice(0, REGISTER_BYTES);
    return this;
  }

  /** Puts the registers back to where `start` left them; memory and cached translations stay. */
  rewind(): this {
    this.cpu.u8.set(this.#registers);
    this.cpu.updateMode();
    return this;
  }

  /** Places hexadecimal bytes: at AT.code, or at physical address `at`. */
  code(hex: string, at: number = AT.code): this {
    this.memory.write(at as never, bytesOf(hex));
    return this;
  }

  /** Runs until something stops the engine. */
  run(budget: number = PATIENCE): Stop {
    const exit = this.engine.run(budget);
    const { rip } = this.engine;
    const offset = Number(this.cpu.get64(STATE.codeBase) + rip) - 1 - AT.handlers;
    if (exit !== EXIT.hlt || offset < 0 || offset >= 256 * HANDLER_BYTES || offset % HANDLER_BYTES !== 0) {
      return {
        exit,
        vector: -1,
        error: undefined,
        rip,
        cs: this.cpu.selector(SEGMENT.cs),
        flags: this.cpu.rflags,
        rsp: this.cpu.gpr(4),
        ss: this.cpu.selector(SEGMENT.ss),
      };
    }
    return this.#frame(exit, offset / HANDLER_BYTES);
  }

  /** The vectors of up to `count` handlers, each returned from, until the code is done or halts. */
  vectors(count = 100): number[] {
    return this.stops(count).map((stop) => stop.vector);
  }
  stops(count = 100): Stop[] {
    const stops: Stop[] = [];
    while (stops.length < count) {
      const stop = this.run();
      if (stop.vector === DONE || stop.vector < 0) break;
      stops.push(stop);
    }
    return stops;
  }

  gpr(index: number): bigint {
    return this.engine.gpr(index);
  }
  set(...values: readonly (readonly [register: number, value: bigint])[]): this {
    for (const [register, value] of values) this.engine.setGpr(register, value);
    return this;
  }
  get cr2(): bigint {
    return this.cpu.get64(STATE.cr2);
  }
  get64(at: number): bigint {
    return this.view.getBigUint64(at, true);
  }
  put64(at: number, value: bigint): void {
    this.view.setBigUint64(at, value, true);
  }
  /** Puts a descriptor; `upper` is the second half of a 16-byte one. */
  describe(selector: number, descriptor: bigint, upper?: bigint): void {
    this.put64(AT.gdt + (selector & 0xfff8), descriptor);
    if (upper !== undefined) this.put64(AT.gdt + (selector & 0xfff8) + 8, upper);
  }
  /** Puts an IDT gate of the mode; the default is an interrupt gate to the handler that stops. */
  vector(
    vector: number,
    { access = 0x8e, selector = this.#kernelCode, target = AT.handlers + vector * HANDLER_BYTES, ist = 0 } = {},
  ): void {
    const wide = this.#wide;
    const at = AT.idt + vector * (wide ? 16 : 8);
    this.put64(at, gate(selector, BigInt(target), access, ist));
    if (wide) this.put64(at + 8, 0n);
  }
  /** Loads a segment register with a hidden part, and CPL with SS. */
  load(which: number, selector: number, attributes: number, limit: number, base: bigint): this {
    this.cpu.setSegment(which, selector, attributes, limit, base);
    this.cpu.updateMode();
    return this;
  }

  /** Virtual-8086 mode under the tables of `flat` or `paged`: CS:IP at AT.code, SS:SP at AT.userStack, DS=ES=AT.data. */
  v86(iopl: number, options: BenchOptions = {}, mode: 'flat' | 'paged' = 'flat'): this {
    this.start(mode, { ...options, level: 3 });
    const { cpu } = this;
    const load = (which: number, linear: number) => cpu.setSegment(which, linear >> 4, 0xf3, 0xffff, BigInt(linear));
    for (const which of [SEGMENT.es, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs]) load(which, AT.data);
    load(SEGMENT.cs, AT.code);
    load(SEGMENT.ss, 0);
    cpu.setGpr(4, BigInt(AT.userStack));
    cpu.rip = 0n;
    cpu.rflags = FLAG.vm | (iopl << 12) | 2 | (options.flags ?? 0);
    cpu.updateMode();
    return this;
  }

  get #wide(): boolean {
    return this.mode === 'long' || this.mode === 'compat';
  }
  get #kernelCode(): number {
    return this.#wide ? SELECTOR.code64 : SELECTOR.code;
  }

  #frame(exit: ExitReason, vector: number): Stop {
    const size = this.#wide ? 8 : this.mode === 'real' ? 2 : 4;
    let at = Number(this.cpu.gpr(4) & (size === 2 ? 0xffffn : 0xffff_ffffn));
    const next = () => {
      const value =
        size === 8
          ? this.view.getBigUint64(at, true)
          : BigInt(size === 4 ? this.view.getUint32(at, true) : this.view.getUint16(at, true));
      at += size;
      return value;
    };
    const error = this.mode !== 'real' && WITH_ERROR.includes(vector) ? Number(next()) : undefined;
    const rip = next();
    const cs = Number(next());
    const flags = Number(next());
    const outer = size === 8 || (size === 4 && ((cs & 3) !== (this.cpu.selector(SEGMENT.cs) & 3) || (flags & FLAG.vm) !== 0));
    return { exit, vector, error, rip, cs, flags, rsp: outer ? next() : undefined, ss: outer ? Number(next()) : undefined };
  }

  /** Builds a piece of memory once, and copies it from then on. */
  #kept(name: string, at: number, size: number, build: () => void): void {
    const known = this.#pieces.get(name);
    if (known !== undefined) {
      this.ram.set(known, at);
      return;
    }
    build();
    this.#pieces.set(name, this.ram.slice(at, at + size));
  }
  readonly #pieces = new Map<string, Uint8Array>();

  /** HLT; then, should the machine go on, a return over the error code. */
  #handlers(): void {
    const pop = this.#wide ? '4883c408' : '83c404';
    const back = this.#wide ? '48cf' : 'cf';
    for (let vector = 0; vector < 256; vector++) {
      const error = this.mode !== 'real' && WITH_ERROR.includes(vector);
      this.ram.set(bytesOf(`f4 ${error ? pop : ''} ${back}`), AT.handlers + vector * HANDLER_BYTES);
    }
  }

  #real({ cr0 = 0, cr4 = 0 }: BenchOptions): void {
    const { cpu } = this;
    for (let vector = 0; vector < 256; vector++)
      this.view.setUint32(AT.vectors + vector * 4, AT.handlers + vector * HANDLER_BYTES, true);
    cpu.set64(STATE.cr0, BigInt(CR0.et | cr0));
    cpu.set64(STATE.cr4, BigInt(cr4));
    cpu.setSegment(SEGMENT.cs, AT.code >> 4, 0x9b, 0xffff, BigInt(AT.code));
    cpu.u16[(STATE.idtr + 8) >> 1] = 0x3ff;
    cpu.setGpr(4, BigInt(AT.kernelStack));
  }

  #protected(mode: BenchMode, level: 0 | 3, options: BenchOptions): void {
    const { cpu } = this;
    const wide = this.#wide;
    this.#describeAll();
    cpu.set64(STATE.gdtr, BigInt(AT.gdt));
    cpu.u16[(STATE.gdtr + 8) >> 1] = GDT_LIMIT;
    cpu.set64(STATE.idtr, BigInt(AT.idt));
    cpu.u16[(STATE.idtr + 8) >> 1] = 256 * (wide ? 16 : 8) - 1;
    this.#kept(`IDT ${wide}`, AT.idt, 256 * 16, () => {
      for (let vector = 0; vector < 256; vector++) this.vector(vector, USER_VECTORS.includes(vector) ? { access: 0xee } : {});
    });
    if (wide) {
      this.put64(AT.tss + 4, BigInt(AT.kernelStack));
      this.put64(AT.tss + 0x24, BigInt(AT.otherStack));
    } else {
      this.view.setUint32(AT.tss + 4, AT.kernelStack, true);
      this.view.setUint32(AT.tss + 8, SELECTOR.data, true);
    }
    this.view.setUint16(AT.tss + 0x66, TSS_LIMIT + 1, true);
    cpu.setSegment(SEGMENT.tr, SELECTOR.tss, BUSY_TSS, TSS_LIMIT, BigInt(AT.tss));

    const { cr0 = 0, cr4 = 0, efer = 0, pageBits = PTE.p | PTE.w } = options;
    const paging = mode === 'flat' ? undefined : mode === 'paged' ? 'legacy' : mode === 'pae' ? 'pae' : 'long';
    if (paging !== undefined) this.#identity(paging, level, pageBits);
    cpu.set64(STATE.efer, BigInt(efer | (wide ? EFER.lme | EFER.lma | EFER.sce : 0)));
    cpu.set64(STATE.cr4, BigInt(cr4 | (wide || paging === 'pae' ? CR4.pae : 0)));
    cpu.set64(STATE.cr0, BigInt((CR0.pe | CR0.et | CR0.ne | cr0 | (paging === undefined ? 0 : CR0.pg)) >>> 0));
    if (paging !== undefined) this.engine.setControl('cr3', BigInt(this.tables.root));

    const dpl = level << 5;
    const code =
      level === 0
        ? mode === 'long'
          ? SELECTOR.code64
          : SELECTOR.code
        : mode === 'long'
          ? SELECTOR.userCode64
          : SELECTOR.userCode;
    cpu.setSegment(SEGMENT.cs, code, (mode === 'long' ? 0xa09b : 0xc09b) | dpl, 0xffff_ffff, 0n);
    const data = level === 0 ? SELECTOR.data : SELECTOR.userData;
    for (const which of [SEGMENT.es, SEGMENT.ss, SEGMENT.ds, SEGMENT.fs, SEGMENT.gs])
      cpu.setSegment(which, data, 0xc093 | dpl, 0xffff_ffff, 0n);
    cpu.set32(STATE.cpl, level);
    cpu.setGpr(4, BigInt(level === 0 ? AT.kernelStack : AT.userStack));
  }

  #identity(mode: 'legacy' | 'pae' | 'long', level: 0 | 3, bits: bigint): void {
    this.tables = new PageTables(this.view, mode, AT.tables);
    for (let page = 0; page < AT.end; page += PAGE) {
      const user = level === 3 && USER_PAGES.includes(page);
      this.tables.map(BigInt(page), page, user ? PTE.p | PTE.w | PTE.u : bits);
    }
  }

  #describeAll(): void {
    const all = 0xfffff;
    const { g, d, l } = SIZE;
    this.describe(SELECTOR.code, segment(0, all, 0x9a, g | d));
    this.describe(SELECTOR.data, segment(0, all, 0x92, g | d));
    this.describe(SELECTOR.userCode, segment(0, all, 0xfa, g | d));
    this.describe(SELECTOR.userData, segment(0, all, 0xf2, g | d));
    this.describe(SELECTOR.code64, segment(0, all, 0x9a, g | l));
    this.describe(SELECTOR.userCode64, segment(0, all, 0xfa, g | l));
    this.describe(SELECTOR.tss, segment(AT.tss, TSS_LIMIT, BUSY_TSS, 0));
    this.describe(SELECTOR.ldt, segment(AT.ldt, 0xff, 0x82, 0));
    this.describe(SELECTOR.code16, segment(0, 0xffff, 0x9a, 0));
    this.describe(SELECTOR.data16, segment(0, 0xffff, 0x92, 0));
    this.describe(SELECTOR.userCode16, segment(0, 0xffff, 0xfa, 0));
    this.describe(SELECTOR.userData16, segment(0, 0xffff, 0xf2, 0));
    this.describe(SELECTOR.conforming, segment(0, all, 0x9e, g | d));
  }
}

function pagesFrom(at: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => at + i * PAGE);
}

/** The bytes of hexadecimal text; blanks do not matter. */
export function bytesOf(hex: string): Uint8Array {
  const digits = hex.replace(/\s/g, '');
  return Uint8Array.from({ length: digits.length / 2 }, (_, i) => Number.parseInt(digits.slice(2 * i, 2 * i + 2), 16));
}
/** A number as little-endian hexadecimal bytes: an immediate or displacement for `code`. */
export const le = (value: number | bigint, bytes = 4): string =>
  Array.from({ length: bytes }, (_, i) => ((BigInt(value) >> BigInt(8 * i)) & 0xffn).toString(16).padStart(2, '0')).join('');
