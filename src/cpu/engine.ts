// The WebAssembly engine: a VcpuEngine over generated code.
import type { Gfn } from '../abi/types.ts';
import type { Region } from '../memory/arena.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { EXIT, type Exit, type ExitReason, type Segment, type SegmentName, type VcpuEngine } from '../vcpu/contract.ts';
import { type Compute, makeComputes } from './computes.ts';
import { Cpu, GuestFault } from './cpu.ts';
import { type Helper, HelperContext } from './helper-context.ts';
import { type EngineServices, makeHelpers } from './helpers.ts';
import { CodeCache } from './interpreter/code-cache.ts';
import { generateInterpreter, type InterpreterExports, type InterpreterImports, type InterpreterModule, RUN } from './interpreter/generate.ts';
import { STATUS } from './interpreter/interpreter-emitter.ts';
import { REC, RECORD_SIZE, SPECIAL } from './interpreter/record.ts';
import { Variants } from './interpreter/variants.ts';
import { FAULT_EXIT, Mmu } from './mmu.ts';
import { PendingIo } from './pending-io.ts';
import { ATTR, FLAG, REQUEST, SEGMENT, STATE, VCPU_BYTES, VECTOR } from './state.ts';
import { deliver } from './system/exceptions.ts';
import type { Event } from './system/event.ts';
import { resetRegisters } from './system/reset.ts';
import { checkSegment, fetchRoom } from './system/segment-check.ts';
import { writeControl } from './system/control-registers.ts';
import { Decoder } from './x86/decoder.ts';
import { ROWS } from './x86/table/rows.ts';

export { VCPU_BYTES };

/** Default size of the cache of decoded code. */
export const CODE_CACHE_BYTES: number = 64 << 20;

export interface EngineOptions extends EngineServices {
  readonly vcpuId: number;
  readonly memory: GuestMemory;
  readonly wasmMemory: WebAssembly.Memory;
  /** VCPU_BYTES, page-aligned. */
  readonly vcpuRegion: Region;
  readonly codeRegion: Region;
}

/** What of the engine does not depend on the vCPU; made once a process. */
interface Isa {
  readonly decoder: Decoder;
  readonly variants: Variants;
}
let isa: Isa | undefined;
/** The instruction set with its handlers: immutable, so it is shared by every engine of the process. */
export function instructionSet(): Isa {
  isa ??= { decoder: new Decoder(ROWS), variants: new Variants(ROWS) };
  return isa;
}

export class WasmEngine implements VcpuEngine {
  readonly vcpuId: number;
  readonly exit: Exit = { reason: EXIT.budget, port: 0, size: 0, write: false, gpa: 0, msr: 0, dataLow: 0, dataHigh: 0 };
  readonly cpu: Cpu;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly #memory: GuestMemory;
  readonly #io: PendingIo;
  readonly #context: HelperContext;
  readonly #run: InterpreterExports['run'];
  readonly #helpers: readonly Helper[];
  readonly #computes: readonly Compute[];
  readonly #scratch: number;
  readonly #names: InterpreterModule;
  #windowRequested = false;
  #nmiPending = false;
  #retired = 0;

  constructor(options: EngineOptions) {
    const { memory, vcpuRegion, codeRegion, wasmMemory } = options;
    this.vcpuId = options.vcpuId;
    this.#memory = memory;
    const { decoder, variants } = instructionSet();
    this.cpu = new Cpu(memory, vcpuRegion.at);
    this.#io = new PendingIo(this.exit);
    // The last two records of the code region serve single steps.
    this.#scratch = codeRegion.at + codeRegion.size - 2 * RECORD_SIZE;
    this.code = new CodeCache(memory, { at: codeRegion.at, size: codeRegion.size - 2 * RECORD_SIZE }, decoder, variants);
    this.mmu = new Mmu(this.cpu, memory, this.code, this.#io);
    memory.onChange((gfn: Gfn) => this.mmu.frameChanged(gfn));
    this.#context = new HelperContext(this.cpu, this.mmu, this.#io, this.exit, variants.handlers);

    const pages = wasmMemory.buffer.byteLength / 65536;
    this.#names = generateInterpreter(variants, vcpuRegion.at, pages);
    const helpers = makeHelpers(options);
    this.#helpers = this.#names.helpers.map((name) => {
      const helper = helpers[name];
      if (helper === undefined) throw new Error(`the instruction table needs a helper '${name}' that does not exist`);
      return helper;
    });
    const computes = makeComputes(this.cpu, this.mmu, options, options.cpuid);
    this.#computes = this.#names.computes.map((name) => {
      const compute = computes[name];
      if (compute === undefined) throw new Error(`the instruction table needs a computation '${name}' that does not exist`);
      return compute;
    });
    const imports: InterpreterImports = {
      memory: wasmMemory,
      readMiss: (size) => this.mmu.readMiss(size),
      writeMiss: (size) => this.mmu.writeMiss(size),
      commit: () => this.mmu.commit(),
      segmentCheck: (segment, offset, sizeAndWrite) => this.#segmentCheck(segment, offset, sizeAndWrite),
      helper: (record, number) => this.#helper(record, number),
      compute: (number, argument) => this.#compute(number, argument),
      fetchMiss: () => this.#fetchMiss(),
      decodeMiss: (table, offset) => this.code.decode(table, offset),
      crossPage: (record) => this.#crossPage(record),
    };
    const module = new WebAssembly.Module(this.#names.bytes);
    const instance = new WebAssembly.Instance(module, { env: imports as unknown as WebAssembly.ModuleImports });
    this.#run = (instance.exports as unknown as InterpreterExports).run;
    this.reset();
  }

  /** Power-up state: SDM vol. 3, table 9-1. */
  reset(): void {
    this.cpu.u8.fill(0, 0, STATE.request);
    resetRegisters(this.cpu);
    this.cpu.updateMode();
    this.mmu.flush(true);
    this.#io.clear();
  }

  get retired(): number {
    return this.#retired;
  }
  /** Counts, also where other threads can read it. */
  #retire(count: number): void {
    this.#retired += count;
    this.cpu.set32(STATE.retired, this.#retired % 0x1_0000_0000);
    this.cpu.set32(STATE.retired + 4, Math.floor(this.#retired / 0x1_0000_0000));
  }

  // ---- running ----------------------------------------------------------------------------------------------------------

  run(budget: number): ExitReason {
    const { cpu } = this;
    this.#io.complete();
    let left = budget;
    for (;;) {
      if (this.#nmiPending && (cpu.get32(STATE.shadow) & 2) === 0) {
        this.#nmiPending = false;
        if (!this.#deliver({ vector: VECTOR.nmi, kind: 'nmi' })) return EXIT.shutdown;
      }
      if (this.#windowRequested && this.canInterrupt) {
        this.#windowRequested = false;
        cpu.i32[STATE.interruptPending >> 2] = 0;
        return EXIT.interruptWindow;
      }
      if (left <= 0) return EXIT.budget;
      const flags = cpu.get32(STATE.eflags);
      const shadow = cpu.get32(STATE.shadow);
      const stepping = this.#io.active || shadow !== 0 || (flags & FLAG.tf) !== 0 || this.#breakpointsArmed() || this.#nearLimit();
      let code: number;
      const slice = stepping ? 1 : left;
      cpu.set32(STATE.stepping, stepping ? 1 : 0);
      if (stepping) {
        this.#io.rewind();
        const record = this.#prepareStep();
        if (record === 0) code = RUN.fault;
        else code = this.#run(1, record);
        if (record === 0) cpu.i32[STATE.left >> 2] = 1;
      } else code = this.#run(left, 0);
      const used = slice - (cpu.i32[STATE.left >> 2] as number);
      this.#retire(used);
      left -= used;
      if (code === RUN.fault) {
        const vector = cpu.get32(STATE.faultVector);
        if (vector === FAULT_EXIT) return this.exit.reason;
        this.#io.clear();
        const error = cpu.i32[STATE.faultError >> 2] as number;
        const event: Event = { vector, kind: 'exception', ...(error !== -1 && { errorCode: error }) };
        if (!this.#deliver(event)) return EXIT.shutdown;
        continue;
      }
      this.#io.clear();
      if (stepping) {
        if (shadow !== 0 && cpu.get32(STATE.shadow) === shadow) cpu.set32(STATE.shadow, 0);
        if (!this.#afterStep(flags)) return EXIT.shutdown;
      }
      if (code === RUN.exit) return this.exit.reason;
      if (code === RUN.poll) {
        const request = Atomics.exchange(cpu.i32, STATE.request >> 2, 0);
        if (request & REQUEST.kick) return EXIT.budget;
      }
    }
  }

  get canInterrupt(): boolean {
    return (this.cpu.get32(STATE.eflags) & FLAG.if) !== 0 && this.cpu.get32(STATE.shadow) === 0;
  }
  interrupt(vector: number): void {
    if (!this.#deliver({ vector, kind: 'interrupt' })) this.#tripleFault = true;
  }
  #tripleFault = false;
  nmi(): void {
    this.#nmiPending = true;
  }
  requestInterruptWindow(): void {
    this.#windowRequested = true;
    this.cpu.i32[STATE.interruptPending >> 2] = 1;
  }
  completeHypercall(result: bigint): void {
    this.cpu.setGpr(0, BigInt.asUintN(64, result));
    this.cpu.rip = this.#nextRip;
  }
  completeMsr(ok: boolean): void {
    if (!ok) {
      this.#deliver({ vector: VECTOR.gp, errorCode: 0, kind: 'exception' });
      return;
    }
    if (!this.exit.write) {
      this.cpu.setGpr(0, BigInt(this.exit.dataLow >>> 0));
      this.cpu.setGpr(2, BigInt(this.exit.dataHigh >>> 0));
    }
    this.cpu.rip = this.#nextRip;
  }
  /** Where hypercall and MSR exits go on. */
  #nextRip = 0n;

  flushTlb(): void {
    this.mmu.flush(true);
  }

  // ---- registers ----------------------------------------------------------------------------------------------------------

  gpr(index: number): bigint {
    return this.cpu.gpr(index);
  }
  setGpr(index: number, value: bigint): void {
    this.cpu.setGpr(index, value);
  }
  get rip(): bigint {
    return this.cpu.rip;
  }
  set rip(value: bigint) {
    this.cpu.rip = value;
  }
  get rflags(): bigint {
    return BigInt(this.cpu.rflags >>> 0);
  }
  set rflags(value: bigint) {
    this.cpu.rflags = Number(value);
    this.cpu.updateMode();
  }
  segment(name: SegmentName): Segment {
    const which = SEGMENT[name];
    const { cpu } = this;
    return { selector: cpu.selector(which), base: cpu.segBase(which), limit: cpu.limit(which), attributes: cpu.attributes(which) };
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.cpu.setSegment(SEGMENT[name], segment.selector, segment.attributes, segment.limit, segment.base);
    if (name === 'ss') this.cpu.set32(STATE.cpl, (segment.attributes >> ATTR.dplShift) & 3);
    this.cpu.updateMode();
  }
  setControl(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: bigint): void {
    if (register === 'efer') this.cpu.set64(STATE.efer, value);
    else writeControl(this.cpu, this.mmu, register === 'cr0' ? 0 : register === 'cr3' ? 3 : 4, value);
    this.cpu.updateMode();
  }
  control(register: 'cr0' | 'cr2' | 'cr3' | 'cr4' | 'efer'): bigint {
    return this.cpu.get64(STATE[register]);
  }

  // ---- GuestCaller ----------------------------------------------------------------------------------------------------------

  get longMode(): boolean {
    return this.cpu.get32(STATE.codeMode) === 2;
  }
  get cpl(): number {
    return this.cpu.virtual8086 ? 3 : this.cpu.cpl;
  }
  translate(address: bigint): number {
    return this.mmu.translate(this.longMode ? address : address & 0xffff_ffffn);
  }
  readVirtual(address: bigint, into: Uint8Array): boolean {
    return this.#copy(address, into, false);
  }
  writeVirtual(address: bigint, from: Uint8Array): boolean {
    return this.#copy(address, from, true);
  }

  /** A guest's own rights do not matter here, but a read-only page stays read-only. */
  #copy(address: bigint, bytes: Uint8Array, write: boolean): boolean {
    for (let done = 0; done < bytes.length; ) {
      const at = (this.longMode ? address : address & 0xffff_ffffn) + BigInt(done);
      const count = Math.min(bytes.length - done, 4096 - Number(at & 0xfffn));
      const gpa = write ? this.mmu.translateForWrite(at) : this.mmu.translate(at);
      if (gpa < 0) return false;
      const piece = bytes.subarray(done, done + count);
      const ok = write ? this.#memory.write(gpa as never, piece) : this.#memory.read(gpa as never, piece);
      if (!ok) return false;
      done += count;
    }
    return true;
  }

  // ---- called by generated code ------------------------------------------------------------------------------------------------

  #helper(record: number, number: number): number {
    const x = this.#context;
    const { cpu } = this;
    x.enter(record);
    try {
      const answer = (this.#helpers[number] as Helper)(x);
      switch (answer) {
        case 'jump':
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'exit':
          return STATUS.exit;
        case 'await':
          this.#nextRip = x.next;
          return STATUS.exit;
        case 'poll':
          cpu.rip = x.next;
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'blocked':
          cpu.set32(STATE.faultVector, FAULT_EXIT);
          return STATUS.fault;
        default:
          return STATUS.next;
      }
    } catch (fault) {
      this.#leaveFault(fault);
      return STATUS.fault;
    }
  }

  #compute(number: number, argument: number): number {
    try {
      return (this.#computes[number] as Compute)(argument);
    } catch (fault) {
      this.#leaveFault(fault);
      return 1;
    }
  }

  /** Puts a thrown guest exception into the fault slots; anything else is a bug and goes on. */
  #leaveFault(fault: unknown): void {
    if (!(fault instanceof GuestFault)) throw fault;
    this.cpu.set32(STATE.faultVector, fault.vector);
    this.cpu.set32(STATE.faultError, fault.errorCode ?? -1);
  }

  /** Something may have set IF: let the loop look before the next instruction. */
  #pollIfInterruptible(): void {
    const { cpu } = this;
    if (cpu.i32[STATE.interruptPending >> 2] !== 0) Atomics.or(cpu.i32, STATE.request >> 2, REQUEST.interrupt);
    // TF, breakpoints and shadows need the loop's attention too.
    if (cpu.get32(STATE.shadow) !== 0 || cpu.get32(STATE.eflags) & FLAG.tf || this.#breakpointsArmed()) Atomics.or(cpu.i32, STATE.request >> 2, REQUEST.interrupt);
  }

  #segmentCheck(segment: number, offset: number, sizeAndWrite: number): number {
    const { cpu } = this;
    try {
      const linear = checkSegment(cpu, segment, offset >>> 0, sizeAndWrite & 0xff, (sizeAndWrite & 0x100) !== 0);
      cpu.set64(STATE.slowAddress, BigInt(linear >>> 0));
      return 0;
    } catch (fault) {
      this.#leaveFault(fault);
      return 1;
    }
  }

  #fetchMiss(): number {
    const { cpu } = this;
    if (cpu.get32(STATE.codeMode) !== 2 && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) {
      cpu.set32(STATE.faultVector, VECTOR.gp);
      cpu.set32(STATE.faultError, 0);
      return 0;
    }
    return this.mmu.fetchMiss();
  }

  /** The page's last instruction continues on the next one: gather its bytes and decode them on their own. */
  #crossPage(record: number): number {
    const { cpu } = this;
    const { view, u8 } = this.#memory;
    const offset = view.getUint16(record + REC.offset, true);
    const rip = cpu.get64(STATE.ripBase) + BigInt(offset);
    const linear = (rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    const next = (linear - BigInt(offset) + 4096n) & cpu.get64(STATE.linearMask);
    const here = this.#hostOfCode(linear - BigInt(offset));
    const there = here === 0 ? 0 : this.#hostOfCode(next);
    if (there === 0) {
      cpu.rip = rip;
      return 0;
    }
    const count = 4096 - offset;
    const bytes = this.#crossBytes;
    bytes.set(u8.subarray(here + offset, here + 4096));
    bytes.set(u8.subarray(there, there + 15 - count), count);
    const mode = cpu.get32(STATE.codeMode);
    const target = this.code.crossing(record);
    const cached = this.#crossed.get(target);
    if (cached !== undefined && cached.record === record && cached.mode === mode && cached.offset === offset) {
      let same = true;
      for (let i = 0; i < cached.length; i++) if (cached.bytes[i] !== bytes[i]) same = false;
      if (same) return target;
    }
    this.code.mode = mode;
    const status = this.code.decodeOne(bytes, mode, offset, target);
    if (status !== 0) {
      this.#crossed.delete(target);
      view.setUint16(target + REC.op, status === 3 ? SPECIAL.tooLong : SPECIAL.invalid, true);
      view.setUint16(target + REC.offset, offset, true);
      return target;
    }
    const length = this.code.lastLength;
    this.#crossed.set(target, { record, mode, offset, length, bytes: bytes.slice(0, length) });
    return target;
  }
  readonly #crossBytes = new Uint8Array(15);
  readonly #crossed = new Map<number, { record: number; mode: number; offset: number; length: number; bytes: Uint8Array }>();

  #hostOfCode(page: bigint): number {
    const { cpu } = this;
    cpu.set64(STATE.slowAddress, page);
    const probe = this.mmu.codeTable();
    return probe === 0 ? 0 : this.code.hostOf(probe);
  }

  // ---- stepping ----------------------------------------------------------------------------------------------------------------

  #breakpointsArmed(): boolean {
    return (this.cpu.get32(STATE.dr + 7 * 8) & 0xff) !== 0;
  }
  /** The code segment ends inside the page RIP is in: each instruction must be checked on its own. */
  #nearLimit(): boolean {
    const { cpu } = this;
    if (cpu.get32(STATE.codeMode) === 2) return false;
    const limit = cpu.limit(SEGMENT.cs);
    if (limit === 0xffff_ffff) return false;
    return fetchRoom(cpu, cpu.get32(STATE.rip)) < 8192;
  }

  /** A record for exactly the instruction at RIP, followed by a stop. 0 after leaving a fault. */
  #prepareStep(): number {
    const { cpu } = this;
    const { view, u8 } = this.#memory;
    const linear = (cpu.rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
    cpu.set64(STATE.slowAddress, linear);
    const offset = Number(linear & 0xfffn);
    if (cpu.get32(STATE.codeMode) !== 2 && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) return this.#fetchMiss();
    const table = this.mmu.codeTable();
    if (table === 0) return 0;
    cpu.set64(STATE.ripBase, cpu.rip - BigInt(offset));
    let record = view.getUint32(table + offset * 4, true);
    if (record === 0) record = this.code.decode(table, offset);
    for (;;) {
      const op = view.getUint16(record + REC.op, true);
      if (op === SPECIAL.goto) record = view.getUint32(record + REC.immediate, true);
      else if (op === SPECIAL.cross) {
        record = this.#crossPage(record);
        if (record === 0) return 0;
      } else break;
    }
    u8.copyWithin(this.#scratch, record, record + RECORD_SIZE);
    const stop = this.#scratch + RECORD_SIZE;
    view.setUint16(stop + REC.op, SPECIAL.stop, true);
    view.setUint16(stop + REC.offset, offset + view.getUint8(record + REC.length), true);
    return this.#scratch;
  }

  /** Debug traps due after an instruction: SDM vol. 3, 17.3.1.4. `flags` are those before it. */
  #afterStep(flags: number): boolean {
    if ((flags & FLAG.tf) === 0) return true;
    const { cpu } = this;
    cpu.set32(STATE.dr + 6 * 8, cpu.get32(STATE.dr + 6 * 8) | (1 << 14));
    return this.#deliver({ vector: VECTOR.db, kind: 'exception' });
  }

  #deliver(event: Event): boolean {
    return deliver(this.cpu, this.mmu, event) === 'delivered' && !this.#tripleFault;
  }
}
