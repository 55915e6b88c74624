// The WebAssembly engine: a VcpuEngine over generated code.
import type { Gfn } from '../abi/types.ts';
import type { Region } from '../memory/arena.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import { EXIT, type Exit, type ExitReason, newExit, type Segment, type SegmentName, type VcpuEngine } from '../vcpu/contract.ts';
import { Breakpoints } from './breakpoints.ts';
import { type Compute, makeComputes } from './computes.ts';
import { Cpu, GuestFault } from './cpu.ts';
import { type EngineCounts, engineCounts, PublishedCounters } from './engine-counters.ts';
import { type EngineProbe, measured } from './engine-probe.ts';
import { type Helper, HelperContext } from './helper-context.ts';
import { type EngineServices, makeHelpers } from './helpers/all-helpers.ts';
import { instructionSet } from './instruction-set.ts';
import { CodeCache } from './interpreter/code-cache.ts';
import type { InterpreterExports, InterpreterImports, InterpreterModule } from './interpreter/generate.ts';
import { STATUS } from './interpreter/interpreter-emitter.ts';
import { makeLateHandler } from './interpreter/late-handlers.ts';
import { interpreterModule } from './interpreter/prepared.ts';
import { REC, RECORD_SIZE, SPECIAL_COUNT } from './interpreter/record.ts';
import { RUN } from './interpreter/run-function.ts';
import type { Handler } from './interpreter/variants.ts';
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
  TRACE,
  VCPU_BYTES,
  VECTOR,
} from './state.ts';
import { Stepper } from './stepper.ts';
import { writeControl } from './system/control-registers.ts';
import { type Event, isFault } from './system/event.ts';
import { deliver } from './system/exceptions.ts';
import { resetRegisters } from './system/reset.ts';
import { checkSegment, leaveBeyondLimit } from './system/segment-check.ts';
import { nmiBlocked } from './system/system-state.ts';
import { Regions, SLICE } from './translator/regions.ts';
import { copyVirtual } from './virtual-memory.ts';

export { VCPU_BYTES };

/** Default size of the cache of decoded code. */
export const CODE_CACHE_BYTES: number = 64 << 20;

/** About as many instructions as a trace has. */
const MOST_TRACED = 1024;

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
  readonly #trace: InterpreterExports['trace'];
  readonly #stepper: Stepper;
  readonly #deliverPlain: InterpreterExports['deliver'];
  readonly #helpers: readonly Helper[];
  readonly #computes: readonly Compute[];
  readonly #handlers: readonly Handler[];
  readonly #names: InterpreterModule;
  readonly #probe: EngineProbe | undefined;
  readonly #counters: PublishedCounters;
  /** Instructions until the next look at where the guest is; exits in between do not matter. */
  #untilSample = SLICE;
  /** Whether a trace is due. */
  #traceNext = false;
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
    const scratch = codeRegion.at + codeRegion.size - 2 * RECORD_SIZE;
    this.code = new CodeCache(memory, { at: codeRegion.at, size: codeRegion.size - 2 * RECORD_SIZE }, decoder, variants);
    this.mmu = new Mmu(this.cpu, memory, this.code, this.#io);
    this.#crossings = new PageCrossings(this.cpu, memory, this.mmu, this.code);
    memory.onChange((gfn: Gfn) => this.mmu.frameChanged(gfn));
    this.#breakpoints = new Breakpoints(this.cpu);
    this.mmu.onWatched = (low, high, size, write) => this.#breakpoints.data(low, high, size, write);
    this.#io.onPort = (port, size) => this.#breakpoints.port(port, size);
    this.#context = new HelperContext(this.cpu, this.mmu, this.#io, this.exit, variants.handlers);

    const pages = wasmMemory.buffer.byteLength / 65536;
    this.#names = interpreterModule(vcpuRegion, codeRegion);
    const { probe } = options;
    this.#probe = probe;
    this.#counters = new PublishedCounters(memory, vcpuRegion.at);
    const helpers = makeHelpers(options);
    this.#helpers = this.#names.helpers.map((name) => {
      const helper = helpers[name];
      if (helper === undefined) throw new Error(`the instruction table needs a helper '${name}' that does not exist`);
      return probe?.timed('helper', name, helper) ?? helper;
    });
    const computes = makeComputes(this.cpu, this.mmu, options.cpuid, options.random);
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
      ticks: options.lockstep === undefined ? options.ticks : () => this.#repeatedTicks(options.ticks),
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
    this.#trace = interpreter.trace;
    this.#deliverPlain = interpreter.deliver;
    const { cpu, mmu, code, exit } = this;
    this.#stepper = new Stepper({
      cpu,
      memory,
      mmu,
      code,
      variants,
      scratch,
      crossings: this.#crossings,
      io: this.#io,
      breakpoints: this.#breakpoints,
      run: interpreter.run,
      deliver: (event) => this.#deliver(event),
    });
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
        ticks: imports.ticks,
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
    this.#stepper.reset();
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
    return engineCounts(this);
  }
  /** Puts them where other threads can read them. */
  publishCounters(): void {
    this.#counters.publish(this.counts);
  }

  // ---- running ----------------------------------------------------------------------------------------------------------

  run(budget: number): ExitReason {
    const { cpu } = this;
    const stepper = this.#stepper;
    this.#io.complete();
    let left = budget;
    for (;;) {
      if (this.#shutdown) return EXIT.shutdown;
      const shadow = stepper.currentShadow();
      // An instruction waiting for the machine's answer must be finished before anything else.
      const replaying = this.#io.active;
      if (!replaying) {
        if (stepper.trap !== 0) {
          const debugStatus = stepper.trap;
          stepper.trap = 0;
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
      const stepping = stepper.prepareRun(shadow);
      const tracing = this.#traceNext && !stepping;
      const slice = stepping ? 1 : tracing ? 0 : Math.min(left, SLICE);
      const code = stepping ? stepper.step(shadow, replaying) : tracing ? this.#trace(TRACE.most) : this.#run(slice, 0);
      const used = slice - (cpu.i32[STATE.left >> 2] as number);
      if (tracing) {
        this.#traceNext = false;
        this.regions?.traced();
      }
      this.#untilSample -= used;
      if (code === RUN.poll && this.#untilSample <= 0) {
        this.#untilSample = SLICE;
        const inRegion = cpu.get32(STATE.left) === cpu.get32(STATE.regionLeft);
        this.#probe?.sample(inRegion);
        // What a region was left at is in one already. A trace must not go far beyond the budget.
        this.#traceNext = !inRegion && this.regions?.sample() === true && left - used >= MOST_TRACED;
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
        if (this.exit.reason === EXIT.hlt && stepper.trap !== 0) continue;
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
    if ((this.cpu.get32(STATE.eflags) & FLAG.if) === 0 || this.#stepper.currentShadow() !== 0) return false;
    return this.#stepper.trap === 0 && !this.#io.active && !this.#io.waiting;
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
      this.#stepper.awaited(false);
      this.#deliver({ vector: VECTOR.gp, errorCode: 0, kind: 'exception' });
      return;
    }
    if (!this.exit.write) {
      this.cpu.setGpr(0, BigInt(this.exit.dataLow >>> 0));
      this.cpu.setGpr(2, BigInt(this.exit.dataHigh >>> 0));
    }
    this.#finishAwaited();
  }
  /** Where hypercall and MSR exits go on. */
  #nextRip = 0n;
  #finishAwaited(): void {
    this.cpu.rip = this.#nextRip;
    this.#stepper.awaited(true);
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
    return copyVirtual(this, this.#memory, address, into, false);
  }
  writeVirtual(address: bigint, from: Uint8Array): boolean {
    return copyVirtual(this, this.#memory, address, from, true);
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
          this.#stepper.gated = true;
          this.#pollIfInterruptible();
          return STATUS.jump;
        case 'again':
          this.#stepper.repeated = true;
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
          this.#stepper.awaits = true;
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
    this.#stepper.gated = true;
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
    if (nmi || cpu.i32[STATE.interruptPending >> 2] !== 0 || this.#stepper.mustStep(this.#stepper.currentShadow())) {
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
    if (cpu.get32(STATE.codeMode) !== CODE_MODE.code64 && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) return leaveBeyondLimit(cpu);
    const table = this.mmu.fetchMiss();
    // Near the limit the loop steps; the page must not be found in the TLB on the way there.
    if (table !== 0 && this.#stepper.nearLimit()) {
      this.mmu.forgetCode();
      Atomics.or(cpu.i32, STATE.request >> 2, REQUEST.interrupt);
    }
    return table;
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

  /** Both runs of a region see the same time. */
  #repeatedTicks(clock: () => number): number {
    return this.lockstep?.answers.ticks(clock) ?? clock();
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
