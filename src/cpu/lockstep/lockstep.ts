// Runs every region in both tiers: the region first, then, from the same state, as many instructions of the interpreter;
// registers, flags and every page that either wrote to must agree. What the interpreter did is what stays.

import type { Exit } from '../../vcpu/contract.ts';
import type { Local } from '../../wasm/expr.ts';
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import type { Cpu } from '../cpu.ts';
import type { CodeCache } from '../interpreter/code-cache.ts';
import { REGION, REGION_SITE_SHIFT } from '../interpreter/record.ts';
import type { Mmu } from '../mmu.ts';
import { STATE, TLB } from '../state.ts';
import type { Region } from '../translator/region.ts';
import { AccessJournal, NotRepeatable, type SharedPages } from './access-journal.ts';
import { memoryDifferences } from './memory-differences.ts';
import { RepeatedAnswers } from './repeated-answers.ts';
import { STEPS, type StepImports, singleSteps } from './single-steps.ts';
import { FOREIGN, STATE_BYTES, type StateCopy, stateDifferences } from './state-differences.ts';
import { TierMismatch } from './tier-mismatch.ts';

export interface LockstepOptions {
  readonly cpu: Cpu;
  readonly mmu: Mmu;
  readonly code: CodeCache;
  readonly exit: Exit;
  readonly shared: SharedPages;
  readonly steps: StepImports;
}

/** A region that runs under watch. */
export interface WatchedRegion {
  readonly region: Region;
  readonly run: (argument: number) => number;
  /** Bytes of a page of the region, counted from the head's. */
  readonly code: (page: number) => Uint8Array | undefined;
}

/** Attempts when a request comes in the middle: it ends a repeated string instruction early in one tier only. */
const ATTEMPTS = 4;

/** Pauses of a repeated instruction, each after a thousand pages at most, before it is left alone. */
const MOST_PAUSES = 64;

/** What a region answers whose last instruction was finished for it. */
const OUTCOMES = { [STEPS.done]: REGION.jump, [STEPS.fault]: REGION.fault, [STEPS.exit]: REGION.exit } as const;

interface Differing {
  readonly mismatch: TierMismatch;
  /** What the region answered. */
  readonly how: number;
  /** Requests that came meanwhile. */
  readonly held: number;
}

export class Lockstep {
  readonly journal: AccessJournal;
  /** For computations that do not answer the same twice. */
  readonly answers: RepeatedAnswers;
  /** `given up`: a page that others use, which the interpreter was left to alone. */
  readonly counters = { checked: 0, instructions: 0, givenUp: 0 };
  readonly #options: LockstepOptions;
  readonly #steps: (count: number) => number;
  readonly #gate: WebAssembly.Module;
  readonly #before = new Uint8Array(STATE_BYTES);
  readonly #after = new Uint8Array(STATE_BYTES);
  readonly #afterWords = new Uint32Array(this.#after.buffer);
  #running = false;
  /** Instructions that `#finish` ran to their end, or to a pause. */
  #finished = 0;

  constructor(options: LockstepOptions) {
    const { cpu, mmu, shared } = options;
    this.#options = options;
    this.journal = new AccessJournal(cpu.memory, shared, cpu.base + TLB.at);
    mmu.journal = this.journal;
    this.answers = new RepeatedAnswers(cpu);
    this.#steps = singleSteps(cpu.base, options.steps);
    const m = new ModuleBuilder();
    const enter = m.importFunction('enter', ['i32'], ['i32']);
    m.export(
      'gate',
      m.add(['i32'], ['i32'], (f) => f.return(f.callValue(enter, f.params[0] as Local))),
    );
    this.#gate = new WebAssembly.Module(m.finish());
  }

  /** What is called in the place of a region, as a function of WebAssembly: as `run`. */
  gate(watched: WatchedRegion): (argument: number) => number {
    const env = { enter: (argument: number) => this.#enter(watched, argument) };
    return new WebAssembly.Instance(this.#gate, { env }).exports.gate as (argument: number) => number;
  }

  #enter(watched: WatchedRegion, argument: number): number {
    // A region that another one went to belongs to that one's run.
    if (this.#running) return watched.run(argument);
    const { cpu, mmu, shared } = this.#options;
    this.#running = true;
    const news = shared.begin();
    let held = 0;
    let finish = false;
    try {
      if (news) mmu.flush(true);
      for (let attempt = 1; ; attempt++) {
        const outcome = this.#attempt(watched, argument, finish);
        if (typeof outcome === 'number') return outcome;
        // It may have been left in the middle of a repeated instruction, which the interpreter finishes.
        if (outcome.how === REGION.interpret && !finish) {
          finish = true;
          this.#forget();
          this.#restore();
          continue;
        }
        const late = Atomics.exchange(cpu.i32, STATE.request >> 2, 0);
        held |= late | outcome.held;
        if ((late | outcome.held) === 0 || attempt === ATTEMPTS) throw outcome.mismatch;
        this.#forget();
        this.#restore();
      }
    } finally {
      this.journal.end();
      this.answers.stop();
      shared.end();
      this.#running = false;
      if (held !== 0) Atomics.or(cpu.i32, STATE.request >> 2, held);
    }
  }

  /** `finish`: goes on to the end of the instruction that the region was left at. REGION, or what differs. */
  #attempt(watched: WatchedRegion, argument: number, finish: boolean): number | Differing {
    const { cpu, exit } = this.#options;
    const { journal } = this;
    this.#before.set(cpu.u8.subarray(0, STATE_BYTES));
    const { rip } = cpu;
    const budget = cpu.i32[STATE.left >> 2] as number;
    journal.begin();
    this.answers.record();
    let answer: number;
    let done: number;
    /** How the instruction after the region ended, if it was finished. */
    let after: number | undefined;
    try {
      answer = watched.run(argument);
      done = budget - (cpu.i32[STATE.left >> 2] as number);
      if (finish && answer === REGION.interpret) {
        after = this.#finish();
        if (after === undefined) return this.#giveUp(rip);
      }
    } catch (reason) {
      if (!(reason instanceof NotRepeatable)) throw reason;
      return this.#giveUp(rip);
    }
    // A jump may say which block it was.
    const how = answer & ((1 << REGION_SITE_SHIFT) - 1);
    this.#after.set(cpu.u8.subarray(0, STATE_BYTES));
    const translated: StateCopy = { bytes: this.#after, words: this.#afterWords, rflags: cpu.rflags };
    const exitAfter = how === REGION.exit ? { ...exit } : undefined;
    const own = journal.takeBack(() => this.#options.mmu.flush(true));
    const written = new Map(journal.pages);
    const ignored = new Set(journal.marks);
    this.#restore();
    cpu.rip = rip;
    // A request that came meanwhile would end a repeated instruction early now.
    const held = Atomics.exchange(cpu.i32, STATE.request >> 2, 0);
    try {
      journal.begin();
      this.answers.repeat();
      let ended: number;
      try {
        ended = this.#steps(how === REGION.fault ? done + 1 : done);
        if (after !== undefined && ended === STEPS.done) ended = this.#finish() ?? ended;
      } catch (reason) {
        if (!(reason instanceof NotRepeatable)) throw reason;
        return this.#giveUp(rip);
      }
      const notDone = cpu.i32[STATE.left >> 2] as number;
      cpu.set32(STATE.left, budget - done - (after === undefined ? 0 : this.#finished));
      const fault = how === REGION.fault || after === STEPS.fault;
      const differences = stateDifferences(translated, { bytes: cpu.u8, words: cpu.u32, rflags: cpu.rflags }, fault);
      const expected = after ?? (fault ? STEPS.fault : how === REGION.exit ? STEPS.exit : STEPS.done);
      if (ended !== expected || notDone !== (fault ? 1 : 0)) {
        const name = (steps: number) => Object.entries(STEPS).find(([, code]) => code === steps)?.[0] ?? '?';
        differences.push({ what: 'ends with', translated: name(expected), interpreted: `${name(ended)}, ${notDone} left` });
      }
      if (exitAfter !== undefined)
        for (const [field, value] of Object.entries(exitAfter))
          if (exit[field as keyof Exit] !== value)
            differences.push({
              what: `exit.${field}`,
              translated: String(value),
              interpreted: String(exit[field as keyof Exit]),
            });
      for (const word of journal.marks) ignored.add(word);
      differences.push(...memoryDifferences(cpu.memory, written, own, journal.pages, ignored));
      this.counters.checked++;
      this.counters.instructions += done;
      if (differences.length === 0) {
        journal.recycle(own.values());
        journal.recycle([...written.values()].map(({ before }) => before));
        return after === undefined ? answer : OUTCOMES[after as keyof typeof OUTCOMES];
      }
      const { region, code } = watched;
      const entry = (cpu.get64(STATE.codeBase) + rip) & cpu.get64(STATE.linearMask);
      const home = entry - (entry & 0xfffn) - BigInt(argument >> 8) * 4096n;
      return { mismatch: new TierMismatch({ entry, home, region, code, instructions: done, differences }), how, held };
    } finally {
      if (held !== 0) Atomics.or(cpu.i32, STATE.request >> 2, held);
    }
  }

  /** Runs the instruction at RIP, with its repetitions, to its end. STEPS, or undefined when it does not come to one soon. */
  #finish(): number | undefined {
    const { cpu } = this.#options;
    const { rip } = cpu;
    this.#finished = 0;
    for (let i = 0; i < MOST_PAUSES; i++) {
      const ended = this.#steps(1);
      if (ended !== STEPS.fault) this.#finished++;
      if (ended !== STEPS.done || cpu.rip !== rip) return ended;
    }
    return undefined;
  }

  /** As if the region had not begun; the interpreter goes on there. */
  #giveUp(rip: bigint): number {
    this.#forget();
    this.#restore();
    this.#options.cpu.rip = rip;
    this.counters.givenUp++;
    return REGION.interpret;
  }

  #forget(): void {
    const { code, mmu } = this.#options;
    this.journal.takeBack(() => {});
    for (const gfn of this.journal.gfns()) code.stored(gfn, 0, 4096);
    mmu.flush(true);
  }

  #restore(): void {
    const { cpu } = this.#options;
    let from = 0;
    for (const { at, end } of [...FOREIGN, { at: STATE_BYTES, end: STATE_BYTES }]) {
      cpu.u8.set(this.#before.subarray(from, at), from);
      from = end;
    }
  }
}
