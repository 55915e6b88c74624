// Instructions one at a time, for everything that has to be looked at between two of them: TF, breakpoints, shadows, instructions that
// are done again, the end of the code segment. And the debug trap that follows one.
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Breakpoints } from './breakpoints.ts';
import type { Cpu } from './cpu.ts';
import type { CodeCache } from './interpreter/code-cache.ts';
import type { InterpreterExports } from './interpreter/generate.ts';
import { REC, RECORD_SIZE, SPECIAL } from './interpreter/record.ts';
import { RUN } from './interpreter/run-function.ts';
import type { Variants } from './interpreter/variants.ts';
import type { Mmu } from './mmu.ts';
import type { PageCrossings } from './page-crossings.ts';
import type { PendingIo } from './pending-io.ts';
import { CODE_MODE, FLAG, SEGMENT, SHADOW, STATE, VECTOR } from './state.ts';
import type { Event } from './system/event.ts';
import { fetchRoom, leaveBeyondLimit } from './system/segment-check.ts';
import { SYSTEM_STATE } from './system/system-state.ts';

/** Single step. */
const DR6_BS = 1 << 14;
const DEBUG_CONTROL_BTF = 2;

export interface StepperOptions {
  readonly cpu: Cpu;
  readonly memory: GuestMemory;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly crossings: PageCrossings;
  readonly io: PendingIo;
  readonly breakpoints: Breakpoints;
  readonly variants: Variants;
  /** Where two records lie that are the stepper's own: that of the instruction, and a stop. */
  readonly scratch: number;
  readonly run: InterpreterExports['run'];
  readonly deliver: (event: Event) => void;
}

export class Stepper {
  readonly #options: StepperOptions;
  /** DR6 bits of a debug trap to be taken before the next instruction. */
  trap = 0;
  /** Data breakpoints met by a MOV SS or POP SS: the trap waits for the instruction after it. SDM vol. 3, 6.8.3. */
  #heldHits = 0;
  // What the current step's helper said: it went through a gate, is to be done again, waits for the machine's answer.
  gated = false;
  repeated = false;
  awaits = false;
  /** The trap due when the machine has answered. */
  #awaitedTrap = 0;
  #watching = false;

  constructor(options: StepperOptions) {
    this.#options = options;
  }

  reset(): void {
    this.trap = 0;
    this.#heldHits = 0;
  }

  /** The machine has answered the instruction that waited, and its trap is due if it is `done`; else it faults, and there is none. */
  awaited(done: boolean): void {
    if (done) this.trap = this.#awaitedTrap;
    this.#awaitedTrap = 0;
  }

  /** The shadow in force: it covers just the instruction at shadowRip. */
  currentShadow(): number {
    const { cpu } = this.#options;
    const shadow = cpu.get32(STATE.shadow);
    if (shadow === 0 || cpu.get64(STATE.shadowRip) === cpu.rip) return shadow;
    cpu.set32(STATE.shadow, 0);
    return 0;
  }

  /** One instruction at a time: TF, breakpoints, a shadow, a replay, the end of the code segment. */
  mustStep(shadow: number): boolean {
    const { breakpoints, cpu, io } = this.#options;
    const tf = (cpu.get32(STATE.eflags) & FLAG.tf) !== 0;
    return tf || shadow !== 0 || io.active || breakpoints.armed || this.nearLimit();
  }

  /** Decides between stepping and running, and makes the state follow. True: step. */
  prepareRun(shadow: number): boolean {
    const { breakpoints, cpu, mmu } = this.#options;
    const stepping = this.mustStep(shadow);
    cpu.set32(STATE.stepping, stepping ? 1 : 0);
    // Without breakpoints nothing heeds RF.
    if (!stepping) cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) & ~FLAG.rf);
    if ((breakpoints.armed || this.#watching) && breakpoints.changed()) {
      const pages = breakpoints.watchedPages();
      this.#watching = pages.length > 0;
      mmu.watch(pages);
    }
    return stepping;
  }

  /** Runs one instruction, or one iteration, and leaves what trap follows it in `trap`. Answers as `run` of the module. */
  step(shadow: number, replaying: boolean): number {
    const { breakpoints, cpu, deliver, io, run } = this.#options;
    const flags = cpu.get32(STATE.eflags);
    const { rip } = cpu;
    cpu.i32[STATE.left >> 2] = 1;
    if (!replaying && shadow !== SHADOW.movSs && (flags & FLAG.rf) === 0) {
      const debugStatus = breakpoints.armed ? breakpoints.atInstruction(this.#linearRip()) : 0;
      if (debugStatus !== 0) {
        deliver({ vector: VECTOR.db, kind: 'exception', debugStatus });
        return RUN.step;
      }
    }
    io.rewind();
    breakpoints.take();
    this.gated = false;
    this.repeated = false;
    this.awaits = false;
    const record = this.#prepareStep();
    if (record === 0) return RUN.fault;
    // Both end with the instruction, unless it sets them anew.
    cpu.set32(STATE.shadow, 0);
    cpu.set32(STATE.eflags, flags & ~FLAG.rf);
    const code = run(1, record);
    if (code === RUN.fault && cpu.i32[STATE.left >> 2] === 1) {
      cpu.set32(STATE.shadow, shadow);
      cpu.set32(STATE.eflags, cpu.get32(STATE.eflags) | (flags & FLAG.rf));
      return code;
    }
    this.#afterStep(flags, shadow, rip);
    return code;
  }

  #linearRip(): bigint {
    const { cpu } = this.#options;
    return (cpu.rip + cpu.get64(STATE.codeBase)) & cpu.get64(STATE.linearMask);
  }
  /** The code segment ends inside the page RIP is in: each instruction must be checked on its own. */
  nearLimit(): boolean {
    const { cpu } = this.#options;
    if (cpu.get32(STATE.codeMode) === 2) return false;
    const limit = cpu.limit(SEGMENT.cs);
    if (limit === 0xffff_ffff) return false;
    return fetchRoom(cpu, cpu.get32(STATE.rip)) < 8192;
  }

  /** A record for exactly the instruction at RIP, followed by a stop. 0 after leaving a fault. */
  #prepareStep(): number {
    const { code, cpu, crossings, mmu, scratch, variants } = this.#options;
    const { u8, view } = this.#options.memory;
    const linear = this.#linearRip();
    cpu.set64(STATE.slowAddress, linear);
    const offset = Number(linear & 0xfffn);
    const limited = cpu.get32(STATE.codeMode) !== CODE_MODE.code64;
    if (limited && cpu.rip > BigInt(cpu.limit(SEGMENT.cs))) return leaveBeyondLimit(cpu);
    const table = mmu.codeTable();
    if (table === 0) return 0;
    cpu.set64(STATE.ripBase, cpu.rip - BigInt(offset));
    let record = view.getUint32(table + offset * 4, true);
    if (record === 0) record = code.decode(table, offset);
    for (;;) {
      const op = view.getUint16(record + REC.op, true);
      if (op === SPECIAL.goto) record = view.getUint32(record + REC.immediate, true);
      else if (op === SPECIAL.region) record = view.getUint32(record + REC.displacement, true);
      else if (op === SPECIAL.cross) {
        record = crossings.reach(record);
        if (record === 0) return 0;
      } else break;
    }
    if (limited && cpu.rip + BigInt(view.getUint8(record + REC.length) - 1) > BigInt(cpu.limit(SEGMENT.cs)))
      return leaveBeyondLimit(cpu);
    u8.copyWithin(scratch, record, record + RECORD_SIZE);
    view.setUint16(scratch + REC.op, variants.single(view.getUint16(record + REC.op, true)), true);
    const stop = scratch + RECORD_SIZE;
    view.setUint16(stop + REC.op, SPECIAL.stop, true);
    view.setUint16(stop + REC.offset, offset + view.getUint8(record + REC.length), true);
    return scratch;
  }

  /**
   * The debug trap due after an instruction. `flags`, `shadow` and `rip` are those before it.
   * SDM vol. 3, 17.3.1.2, 17.3.1.4, 17.4.3 and 6.8.3.
   */
  #afterStep(flags: number, shadow: number, rip: bigint): void {
    const { breakpoints, cpu } = this.#options;
    if (shadow === SHADOW.movSs && cpu.get32(STATE.shadow) === SHADOW.movSs) cpu.set32(STATE.shadow, 0);
    let status = this.#heldHits | breakpoints.take();
    this.#heldHits = 0;
    if (cpu.get32(STATE.shadow) === SHADOW.movSs) {
      this.#heldHits = status;
      return;
    }
    if (flags & FLAG.tf && !this.gated && (!this.#stepsBranches || this.#branched(rip))) status |= DR6_BS;
    if (this.awaits) this.#awaitedTrap = status;
    else this.trap = status;
  }
  get #stepsBranches(): boolean {
    return (this.#options.cpu.get32(SYSTEM_STATE.debugControl) & DEBUG_CONTROL_BTF) !== 0;
  }
  /** The step did not go on to the next instruction in memory. */
  #branched(rip: bigint): boolean {
    const { cpu, memory, scratch } = this.#options;
    const length = BigInt(memory.u8[scratch + REC.length] as number);
    return !this.repeated && cpu.rip !== ((rip + length) & cpu.get64(STATE.linearMask));
  }
}
