// The WebAssembly engine: a VcpuEngine over generated code.
import type { Gfn } from '../abi/types.ts';
import type { Region } from '../memory/arena.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { EXIT, type Exit, type ExitReason, newExit, type Segment, type SegmentName, type VcpuEngine } from '../vcpu/contract.ts';
import { Breakpoints } from './breakpoints.ts';
import { type Compute, makeComputes } from './computes.ts';
import { Cpu, GuestFault } from './cpu.ts';
import { type EngineCounts, PublishedCounters } from './engine-counters.ts';
import { type EngineProbe, measured } from './engine-probe.ts';
import { type Helper, HelperContext } from './helper-context.ts';
import { type EngineServices, makeHelpers } from './helpers/all-helpers.ts';
import { CodeCache } from './interpreter/code-cache.ts';
import {
  generateInterpreter,
  type InterpreterExports,
  type InterpreterImports,
  type InterpreterModule,
} from './interpreter/generate.ts';
import { STATUS } from './interpreter/interpreter-emitter.ts';
import { makeLateHandler } from './interpreter/late-handlers.ts';
import { REC, RECORD_SIZE, SPECIAL, SPECIAL_COUNT } from './interpreter/record.ts';
import { RUN } from './interpreter/run-function.ts';
import { type Handler, Variants } from './interpreter/variants.ts';
import type { SharedPages } from './lockstep/access-journal.ts';
import { Lockstep } from './lockstep/lockstep.ts';
import { Mmu } from './mmu.ts';
import { notCanonicalVector } from './not-canonical.ts';
import { PageCrossings } from './page-crossings.ts';
import { READ, WRITE } from './page-walk.ts';
import { PendingIo } from './pending-io.ts';
import {
  ATTR,
  CODE_MODE,
  FLAG,
  PRIVATE_VECTOR,
  REQUEST,
  SEG,
  SEGMENT,
  SHADOW,
  STATE,
  TIME_GATE,
  VCPU_BYTES,
  VECTOR,
} from './state.ts';
import { writeControl } from './system/control-registers.ts';
import { type Event, isFault } from './system/event.ts';
import { deliver } from './system/exceptions.ts';
import { resetRegisters } from './system/reset.ts';
import { checkSegment, fetchRoom } from './system/segment-check.ts';
import { nmiBlocked, SYSTEM_STATE } from './system/system-state.ts';
import { Regions, SLICE } from './translator/regions.ts';
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
  /** Whether hot code is translated. Default true; false: everything is interpreted. */
  readonly translate?: boolean;
  /** Every region is run in both tiers, and a difference is thrown out of `run` as TierMismatch. Default: no. */
  readonly lockstep?: SharedPages;
  /** Measures the engine. */
  readonly probe?: EngineProbe;
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
  readonly exit: Exit = newExit();
  readonly cpu: Cpu;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  /** Translated code; undefined where everything is interpreted. */
  readonly regions: Regions | undefined;
  /** Undefined unless both tiers run all regions. */
  readonly lockstep: Lockstep | undefined;
  readonly #memory: GuestMemory;
  readonly #io: PendingIo;
  readonly #breakpoints: Breakpoints;
  readonly #context: HelperContext;
  readonly #crossings: PageCrossings;
  readonly #run: InterpreterExports['run'];
  readonly #deliverPlain: InterpreterExports['deliver'];
  readonly #helpers: readonly Helper[];
  readonly #computes: readonly Compute[];
  readonly #scratch: number;
  readonly #handlers: readonly Handler[];
  readonly #names: InterpreterModule;
  readonly #probe: EngineProbe | undefined;
  readonly #counters: PublishedCounters;
  /** Instructions until the next look at where the guest is; exits in between do not matter. */
  #untilSample = SLICE;
  /** One of TIME_GATE: what it is between reads. */
  readonly #timeGate: number;
  #windowRequested = false;
  #nmiPending = false;
  #retired = 0;

  constructor(options: EngineOptions) {
    const { memory, vcpuRegion, codeRegion, wasmMemory } = options;
    this.vcpuId = options.vcpuId;
    this.#timeGate = options.ticksAreInstructions === true ? TIME_GATE.shut : TIME_GATE.open;
    this.#memory = memory;
    const { decoder, variants } = instructionSet();
    this.#handlers = variants.handlers;
    this.cpu = new Cpu(memory, vcpuRegion.at);
    this.#io = new PendingIo(this.exit);
    // The last two records of the code region serve single steps.
    this.#scratch = codeRegion.at + codeRegion.size - 2 * RECORD_SIZE;
    this.code = new CodeCache(memory, { at: codeRegion.at, size: codeRegion.size - 2 * RECORD_SIZE }, decoder, variants);
    this.mmu = new Mmu(this.cpu, memory, this.code, this.#io);
    this.#crossings = new PageCrossings(this.cpu, memory, this.mmu, this.code);
    memory.onChange((gfn: Gfn) => this.mmu.frameChanged(gfn));
    this.#breakpoints = new Breakpoints(this.cpu);
    this.mmu.onWatched = (low, high, size, write) => this.#breakpoints.data(low, high, size, write);
    this.#io.onPort = (port, size) => this.#breakpoints.port(port, size);
    this.#context = new HelperContext(this.cpu, this.mmu, this.#io, this.exit, variants.handlers);

    const pages = wasmMemory.buffer.byteLength / 65536;
    this.#names = generateInterpreter(variants, vcpuRegion.at, pages);
    const { probe } = options;
    this.#probe = probe;
    this.#counters = new PublishedCounters(memory, vcpuRegion.at);
    const helpers = makeHelpers(options);
    this.#helpers = this.#names.helpers.map((name) => {
      const helper = helpers[name];
      if (helper === undefined) throw new Error(`the instruction table needs a helper '${name}' that does not exist`);
      return probe?.timed('helper', name, helper) ?? helper;
    });
    const computes = makeComputes(this.cpu, this.mmu, options, options.cpuid, options.random);
    this.#computes = this.#names.computes.map((name) => {
      const compute = computes[name];
      if (compute === undefined) throw new Error(`the instruction table needs a computation '${name}' that does not exist`);
      return probe?.timed('compute', name, compute) ?? compute;
    });
    const imports: InterpreterImports = measured(probe, {
      memory: wasmMemory,
      readMiss: (size) => this.mmu.readMiss(size),
      writeMiss: (size) => this.mmu.writeMiss(size),
      commit: () => this.mmu.commit(),
      segmentCheck: (segment, offset, sizeAndWrite) => this.#segmentCheck(segment, offset, sizeAndWrite),
      // Addresses come as i32: negative from 2 GiB on.
      helper: (record, number) => this.#helper(record >>> 0, number),
      compute: (number, argument) => this.#compute(number, argument),
      fetchMiss: () => this.#fetchMiss(),
      decodeMiss: (table, offset) => this.code.decode(table >>> 0, offset),
      crossPage: (record) => this.#crossings.reach(record >>> 0),
      plainRead: (size) => this.mmu.plain(size, READ),
      plainWrite: (size) => this.mmu.plain(size & 0xff, WRITE),
      transfer: (record, site, home) => this.regions?.transfer(record >>> 0, site, home),
    });
    const module = new WebAssembly.Module(this.#names.bytes);
    const instance = new WebAssembly.Instance(module, { env: imports as unknown as WebAssembly.ModuleImports });
    const interpreter = instance.exports as unknown as InterpreterExports;
    this.#run = interpreter.run;
    this.#deliverPlain = interpreter.deliver;
    const { cpu, mmu, code, exit } = this;
    if (options.lockstep !== undefined && options.translate !== false) {
      const steps = { ...imports, handler: interpreter.handler };
      this.lockstep = new Lockstep({ cpu, mmu, code, exit, shared: options.lockstep, steps });
      this.#computes = this.lockstep.answers.amend(this.#names.computes, this.#computes);
    }
    const { lockstep } = this;
    code.onLate = (number) => {
      const handler = variants.handlers[number - SPECIAL_COUNT] as Handler;
      makeLateHandler(handler, vcpuRegion.at, pages, this.#names, imports, interpreter);
    };
    if (options.translate !== false)
      this.regions = new Regions({
        cpu,
        mmu,
        code,
        memory: wasmMemory,
        bytes: memory.u8,
        decoder,
        variants,
        interpreter,
        compute: imports.compute,
        computeNumber: (name) => this.#names.computes.indexOf(name),
        lockstep,
        probe,
      });
    code.onFlush = () => {
      mmu.forgetAllCode();
      this.regions?.clear();
    };
    this.reset();
  }

  /** Power-up state: SDM vol. 3, table 9-1. */
  reset(): void {
    this.cpu.u8.fill(0, 0, STATE.request);
    resetRegisters(this.cpu);
    this.cpu.updateMode();
    this.mmu.flush(true);
    this.#io.reset();
    this.#shutdown = false;
    this.#trap = 0;
    this.#heldHits = 0;
    this.#nmiPending = false;
    this.#windowRequested = false;
    this.#shutTimeGate();
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

  /** What the engine counts, as of now. */
  get counts(): EngineCounts {
    const { code, cpu, lockstep, mmu, regions } = this;
    const made = regions?.counters;
    return {
      region_instructions: cpu.get32(STATE.inRegions) + cpu.get32(STATE.inRegions + 4) * 0x1_0000_0000,
      regions_made: made?.translated ?? 0,
      regions_live: regions?.alive ?? 0,
      regions_dropped_code_written: made?.reasons.written ?? 0,
      regions_dropped_full: made?.reasons.full ?? 0,
      regions_dropped_replaced: made?.reasons.replaced ?? 0,
      regions_refused: made?.refused ?? 0,
      translated_instructions: made?.instructions ?? 0,
      module_bytes: made?.moduleBytes ?? 0,
      compile_ms: made?.milliseconds ?? 0,
      code_cache_bytes: code.used,
      code_cache_limit: code.size,
      code_cache_flushes: code.flushes,
      decoded_instructions: code.decoded,
      page_walks: mmu.walks,
      tlb_flushes: mmu.flushes.all,
      tlb_page_flushes: mmu.flushes.page,
      lockstep_checked: lockstep?.counters.checked ?? 0,
      lockstep_given_up: lockstep?.counters.givenUp ?? 0,
    };
  }
  /** Puts them where other threads can read them. */
  publishCounters(): void {
    this.#counters.publish(this.counts);
  }

  // ---- running ----------------------------------------------------------------------------------------------------------

  run(budget: number): ExitReason {
    const { cpu } = this;
    this.#io.complete();
    let left = budget;
    for (;;) {
      if (this.#shutdown) return EXIT.shutdown;
      const shadow = this.#currentShadow();
      // An instruction waiting for the machine's answer must be finished before anything else.
      const replaying = this.#io.active;
      if (!replaying) {
        if (this.#trap !== 0) {
          const debugStatus = this.#trap;
          this.#trap = 0;
          this.#deliver({ vector: VECTOR.db, kind: 'exception', debugStatus });
          continue;
        }
        if (this.#nmiPending && shadow !== SHADOW.movSs && !nmiBlocked(cpu)) {
          this.#nmiPending = false;
          this.#endResume();
          this.#deliver({ vector: VECTOR.nmi, kind: 'nmi' });
          continue;
        }
        if (this.#windowRequested && this.canInterrupt) {
          this.#windowRequested = false;
          cpu.i32[STATE.interruptPending >> 2] = 0;
          return EXIT.interruptWindow;
        }
      }
      if (left <= 0) return EXIT.budget;
      const stepping = this.#prepareRun(shadow);
      const slice = stepping ? 1 : Math.min(left, SLICE);
      const code = stepping ? this.#step(shadow, replaying) : this.#run(slice, 0);
      const used = slice - (cpu.i32[STATE.left >> 2] as number);
      this.#untilSample -= used;
      if (code === RUN.poll && this.#untilSample <= 0) {
        this.#untilSample = SLICE;
        this.#probe?.sample(cpu.get32(STATE.left) === cpu.get32(STATE.regionLeft));
        this.regions?.sample();
        this.publishCounters();
      }
      this.#retire(used);
      left -= used;
      if (code === RUN.fault) {
        // After a complete step it is the fetch of the next instruction that failed: it will fail again in its turn.
        if (stepping && used > 0) continue;
        let vector = cpu.get32(STATE.faultVector);
        if (vector === PRIVATE_VECTOR.exit) return this.exit.reason;
        if (vector === PRIVATE_VECTOR.count) {
          cpu.set32(STATE.timeGate, TIME_GATE.passing);
          continue;
        }
        if (vector === PRIVATE_VECTOR.notCanonical) vector = this.#notCanonicalVector();
        this.#io.clear();
        // A handler that faults at once must not keep the caller waiting for ever.
        left--;
        const error = cpu.i32[STATE.faultError >> 2] as number;
        this.#deliver({ vector, kind: 'exception', ...(error !== -1 && { errorCode: error }) });
        continue;
      }
      this.#io.clear();
      if (code === RUN.exit) {
        // A trap wakes from HLT before it has halted.
        if (this.exit.reason === EXIT.hlt && this.#trap !== 0) continue;
        if (this.exit.reason === EXIT.shutdown) this.#shutdown = true;
        return this.exit.reason;
      }
      if (code === RUN.poll || code === RUN.step) {
        const request = Atomics.exchange(cpu.i32, STATE.request >> 2, 0);
        if (request & REQUEST.kick) return EXIT.budget;
      }
    }
  }

  get canInterrupt(): boolean {
    if ((this.cpu.get32(STATE.eflags) & FLAG.if) === 0 || this.#currentShadow() !== 0) return false;
    return this.#trap === 0 && !this.#io.active && !this.#io.waiting;
  }
  interrupt(vector: number): void {
    this.#endResume();
    this.#deliver({ vector, kind: 'interrupt' });
  }
  nmi(): void {
    this.#nmiPending = true;
  }
  /** Without breakpoints RF is not followed from instruction to instruction: it is over unless a repeated one pauses here. */
  #endResume(): void {
    const { cpu } = this;
    if (this.#breakpoints.armed || cpu.rip === this.#repeatRip) return;
    cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~FLAG.rf);
  }
  #repeatRip = -1n;
  requestInterruptWindow(): void {
    this.#windowRequested = true;
    this.cpu.i32[STATE.interruptPending >> 2] = 1;
  }
  completeHypercall(low: number, high: number): void {
    this.cpu.set32(STATE.gpr, low);
    this.cpu.set32(STATE.gpr + 4, high);
    this.#finishAwaited();
  }
  completeMsr(ok: boolean): void {
    if (!ok) {
      this.#awaitedTrap = 0;
      this.#deliver({ vector: VECTOR.gp, errorCode: 0, kind: 'exception' });
      return;
    }
    if (!this.exit.write) {
      this.cpu.setGpr(0, BigInt(this.exit.dataLow >>> 0));
      this.cpu.setGpr(2, BigInt(this.exit.dataHigh >>> 0));
    }
    this.#finishAwaited();
  }
  /** Where hypercall and MSR exits go on, and the trap due then. */
  #nextRip = 0n;
  #awaitedTrap = 0;
  #finishAwaited(): void {
    this.cpu.rip = this.#nextRip;
    this.#trap = this.#awaitedTrap;
    this.#awaitedTrap = 0;
  }

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
    return {
      selector: cpu.selector(which),
      base: cpu.segBase(which),
      limit: cpu.limit(which),
      attributes: cpu.attributes(which),
    };
  }
  setSegment(name: SegmentName, segment: Segment): void {
    this.cpu.setSegment(SEGMENT[name], segment.selector, segment.attributes, segment.limit, segment.base);
    if (name === 'ss') this.cpu.set32(STATE.cpl, (segment.attributes >> ATTR.dplShift) & 3);
    this.cpu.updateMode();
  }
  setControl(register: 'cr0' | 'cr3' | 'cr4' | 'efer', value: bigint): void {
    if (register === 'efer') this.cpu.set64(STATE.efer, value);
    else {
      // The machine may do so whatever level the guest runs at.
      const { cpl } = this.cpu;
      this.cpu.set32(STATE.cpl, 0);
      try {
        writeControl(this.cpu, this.mmu, register === 'cr0' ? 0 : register === 'cr3' ? 3 : 4, value);
      } finally {
        this.cpu.set32(STATE.cpl, cpl);
      }
    }
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
    const { rip } = cpu;
    try {
      const answer = (this.#helpers[number] as Helper)(x);
      switch (answer) {
        case 'gate':
          this.#gated = true;
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'again':
          this.#repeated = true;
          // Whatever comes between two iterations finds RF set: SDM vol. 3, 17.3.1.1.
          cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) | FLAG.rf);
          this.#repeatRip = cpu.rip;
          return STATUS.jump;
        case 'jump':
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'exit':
          return STATUS.exit;
        case 'await':
          this.#nextRip = x.next;
          this.#awaits = true;
          return STATUS.exit;
        case 'poll':
          cpu.rip = x.next;
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'blocked':
          cpu.set32(STATE.faultVector, PRIVATE_VECTOR.exit);
          return STATUS.fault;
        case 'recount':
          cpu.set32(STATE.faultVector, PRIVATE_VECTOR.count);
          return STATUS.fault;
        default:
          return STATUS.next;
      }
    } catch (fault) {
      this.#leaveFault(fault);
      return cpu.rip === rip ? STATUS.fault : this.#faultInNewTask();
    }
  }

  /** The fault comes behind a task switch, before the new task's first instruction: SDM vol. 3, 7.3. */
  #faultInNewTask(): number {
    const { cpu } = this;
    const error = cpu.i32[STATE.faultError >> 2] as number;
    this.#deliver({ vector: cpu.get32(STATE.faultVector), kind: 'exception', ...(error !== -1 && { errorCode: error }) });
    this.#gated = true;
    this.#pollIfInterruptible();
    if (!this.#shutdown) return STATUS.jump;
    this.exit.reason = EXIT.shutdown;
    return STATUS.exit;
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

  /** The mode, the flags or the debug registers may have changed: let the loop look before the next instruction if it must. */
  #pollIfInterruptible(): void {
    const { cpu } = this;
    const nmi = this.#nmiPending && !nmiBlocked(cpu);
    if (nmi || cpu.i32[STATE.interruptPending >> 2] !== 0 || this.#mustStep(this.#currentShadow())) {
      Atomics.or(cpu.i32, STATE.request >> 2, REQUEST.interrupt);
    } else cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~FLAG.rf);
  }

  #segmentCheck(segment: number, offset: number, sizeAndWrite: number): number {
    const { cpu } = this;
    try {
      const linear = checkSegment(cpu, segment, offset >>> 0, sizeAndWrite & 0xff, (sizeAndWrite & 0x100) !== 0);
      cpu.set64(STATE.slowAddress, BigInt(linear >>> 0));
      return 0;
    } catch (fault) {
      this.#leaveFault(fault);
      // Misalignment of an operand that must be aligned, bit 9, comes first, and is #GP(0) in SS too.
      const linear = cpu.get32(STATE.seg + segment * SEG.sizeof + SEG.base) + offset;
      if (sizeAndWrite & 0x200 && linear & ((sizeAndWrite & 0xff) - 1)) cpu.set32(STATE.faultVector, VECTOR.gp);
      return 1;
    }
  }

  #fetchMiss(): number {
    const { cpu } = this;
    if (cpu.get32(STATE.codeMode) !== CODE_MODE.code64 && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) return this.#beyondLimit();
    const table = this.mmu.fetchMiss();
    // Near the limit the loop steps; the page must not be found in the TLB on the way there.
    if (table !== 0 && this.#nearLimit()) {
      this.mmu.forgetCode();
      Atomics.or(cpu.i32, STATE.request >> 2, REQUEST.interrupt);
    }
    return table;
  }
  #beyondLimit(): 0 {
    this.cpu.set32(STATE.faultVector, VECTOR.gp);
    this.cpu.set32(STATE.faultError, 0);
    return 0;
  }

  // ---- stepping ----------------------------------------------------------------------------------------------------------------

  /** DR6 bits of a debug trap to be taken before the next instruction. */
  #trap = 0;
  /** Data breakpoints met by a MOV SS or POP SS: the trap waits for the instruction after it. SDM vol. 3, 6.8.3. */
  #heldHits = 0;
  // What the current step's helper said.
  #gated = false;
  #repeated = false;
  #awaits = false;

  /** The shadow in force: it covers just the instruction at shadowRip. */
  #currentShadow(): number {
    const { cpu } = this;
    const shadow = cpu.get32(STATE.shadow);
    if (shadow === 0 || cpu.get64(STATE.shadowRip) === cpu.rip) return shadow;
    cpu.set32(STATE.shadow, 0);
    return 0;
  }

  /** One instruction at a time: TF, breakpoints, a shadow, a replay, the end of the code segment. */
  #mustStep(shadow: number): boolean {
    const tf = (this.cpu.get32(STATE.eflags) & FLAG.tf) !== 0;
    return tf || shadow !== 0 || this.#io.active || this.#breakpoints.armed || this.#nearLimit();
  }

  /** Decides between stepping and running, and makes the state follow. True: step. */
  #prepareRun(shadow: number): boolean {
    const { cpu } = this;
    const stepping = this.#mustStep(shadow);
    cpu.set32(STATE.stepping, stepping ? 1 : 0);
    // Without breakpoints nothing heeds RF.
    if (!stepping) cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~FLAG.rf);
    if ((this.#breakpoints.armed || this.#watching) && this.#breakpoints.changed()) {
      const pages = this.#breakpoints.watchedPages();
      this.#watching = pages.length > 0;
      this.mmu.watch(pages);
    }
    return stepping;
  }
  #watching = false;

  /** Runs one instruction, or one iteration, and leaves what trap follows it in `#trap`. Answers as `run` of the module. */
  #step(shadow: number, replaying: boolean): number {
    const { cpu } = this;
    const flags = cpu.get32(STATE.eflags);
    const { rip } = cpu;
    cpu.i32[STATE.left >> 2] = 1;
    if (!replaying && shadow !== SHADOW.movSs && (flags & FLAG.rf) === 0) {
      const debugStatus = this.#breakpoints.armed ? this.#breakpoints.atInstruction(this.#linearRip()) : 0;
      if (debugStatus !== 0) {
        this.#deliver({ vector: VECTOR.db, kind: 'exception', debugStatus });
        return RUN.step;
      }
    }
    this.#io.rewind();
    this.#breakpoints.take();
    this.#gated = false;
    this.#repeated = false;
    this.#awaits = false;
    const record = this.#prepareStep();
    if (record === 0) return RUN.fault;
    // Both end with the instruction, unless it sets them anew.
    cpu.set32(STATE.shadow, 0);
    cpu.set32(STATE.eflags, flags & ~FLAG.rf);
    const code = this.#run(1, record);
    if (code === RUN.fault && cpu.i32[STATE.left >> 2] === 1) {
      cpu.set32(STATE.shadow, shadow);
      cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) | (flags & FLAG.rf));
      return code;
    }
    this.#afterStep(flags, shadow, rip);
    return code;
  }

  #linearRip(): bigint {
    const { cpu } = this;
    return (cpu.rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
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
    const linear = this.#linearRip();
    cpu.set64(STATE.slowAddress, linear);
    const offset = Number(linear & 0xfffn);
    const limited = cpu.get32(STATE.codeMode) !== CODE_MODE.code64;
    if (limited && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) return this.#beyondLimit();
    const table = this.mmu.codeTable();
    if (table === 0) return 0;
    cpu.set64(STATE.ripBase, cpu.rip - BigInt(offset));
    let record = view.getUint32(table + offset * 4, true);
    if (record === 0) record = this.code.decode(table, offset);
    for (;;) {
      const op = view.getUint16(record + REC.op, true);
      if (op === SPECIAL.goto) record = view.getUint32(record + REC.immediate, true);
      else if (op === SPECIAL.region) record = view.getUint32(record + REC.displacement, true);
      else if (op === SPECIAL.cross) {
        record = this.#crossings.reach(record);
        if (record === 0) return 0;
      } else break;
    }
    if (limited && cpu.rip + BigInt(view.getUint8(record + REC.length) - 1) > BigInt(cpu.limit(SEGMENT.cs)))
      return this.#beyondLimit();
    u8.copyWithin(this.#scratch, record, record + RECORD_SIZE);
    view.setUint16(this.#scratch + REC.op, instructionSet().variants.single(view.getUint16(record + REC.op, true)), true);
    const stop = this.#scratch + RECORD_SIZE;
    view.setUint16(stop + REC.op, SPECIAL.stop, true);
    view.setUint16(stop + REC.offset, offset + view.getUint8(record + REC.length), true);
    return this.#scratch;
  }

  /**
   * The debug trap due after an instruction. `flags`, `shadow` and `rip` are those before it.
   * SDM vol. 3, 17.3.1.2, 17.3.1.4, 17.4.3 and 6.8.3.
   */
  #afterStep(flags: number, shadow: number, rip: bigint): void {
    const { cpu } = this;
    if (shadow === SHADOW.movSs && cpu.get32(STATE.shadow) === SHADOW.movSs) cpu.set32(STATE.shadow, 0);
    let status = this.#heldHits | this.#breakpoints.take();
    this.#heldHits = 0;
    if (cpu.get32(STATE.shadow) === SHADOW.movSs) {
      this.#heldHits = status;
      return;
    }
    if (flags & FLAG.tf && !this.#gated && (!this.#stepsBranches || this.#branched(rip))) status |= DR6_BS;
    if (this.#awaits) this.#awaitedTrap = status;
    else this.#trap = status;
  }
  get #stepsBranches(): boolean {
    return (this.cpu.get32(SYSTEM_STATE.debugControl) & DEBUG_CONTROL_BTF) !== 0;
  }
  /** The step did not go on to the next instruction in memory. */
  #branched(rip: bigint): boolean {
    const length = BigInt(this.#memory.u8[this.#scratch + REC.length] as number);
    return !this.#repeated && this.cpu.rip !== ((rip + length) & this.cpu.get64(STATE.linearMask));
  }

  #notCanonicalVector(): number {
    const { cpu } = this;
    const record = cpu.get32(STATE.record);
    const handler = this.#handlers[this.#memory.view.getUint16(record + REC.op, true) - SPECIAL_COUNT];
    if (handler === undefined) throw new Error('a memory access failed outside of any instruction');
    return notCanonicalVector(cpu, record, handler);
  }

  /** Another instruction than the one that was let through is next. */
  #shutTimeGate(): void {
    this.cpu.set32(STATE.timeGate, this.#timeGate);
  }

  /** After a triple fault the CPU stays shut down until `reset`. */
  #shutdown = false;
  #deliver(event: Event): void {
    if (this.#probe === undefined) this.#deliverNow(event);
    else this.#probe.delivering(event.kind, event.vector, () => this.#deliverNow(event));
  }
  #deliverNow(event: Event): void {
    const { vector, kind, errorCode = -1 } = event;
    this.#shutTimeGate();
    // Faults push RF = 1: SDM vol. 3, 17.3.1.1.
    if (kind === 'interrupt' && this.#deliverPlain(vector, -1, 0) !== 0) return;
    if (kind === 'exception' && isFault(vector) && this.#deliverPlain(vector, errorCode, FLAG.rf) !== 0) return;
    if (deliver(this.cpu, this.mmu, event) !== 'delivered') this.#shutdown = true;
  }
}

/** Single step. */
const DR6_BS = 1 << 14;
const DEBUG_CONTROL_BTF = 2;
