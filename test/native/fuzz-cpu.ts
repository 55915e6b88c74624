// Runs random cases on the native CPU and on an emulator and reports where the two differ.

import type { Undefined } from './compare.ts';
import { agree, describeDifference, differences } from './compare.ts';
import type { CpuMode, CpuResult, Emulator } from './cpu-image.ts';
import { CpuImage, FLAG } from './cpu-image.ts';
import type { NativeCase, NativeCpu } from './oracle.ts';
import { Random } from './random.ts';
import type { StateOptions } from './state.ts';
import { StateGenerator } from './state.ts';
import { type CaseSubject, excusesFor, type VendorDifference } from './vendor-differences.ts';

/** What one random case is; the state is filled in afterwards. */
export interface CaseRecipe {
  /** What the case exercises, such as a row of the instruction table; differences are counted by it. */
  readonly name: string;
  readonly mode: CpuMode;
  readonly code: Uint8Array;
  readonly end?: 'jump' | 'trap';
  readonly undefinedState?: Undefined;
  /** Changes the random state to suit the code, e.g. points a base register into the data window. */
  readonly adjust?: (state: CpuImage, random: Random) => void;
  /** What is undefined only because of the state or the result, e.g. OF of a shift by more than one. Instead of `undefinedState`. */
  readonly undefinedFor?: (before: CpuImage, native: CpuResult) => Undefined;
  /** What the rules for a host of another vendor are asked about. Without it none applies. */
  readonly subject?: CaseSubject;
}

export interface CpuFuzzOptions {
  readonly native: NativeCpu;
  readonly emulator: Emulator;
  readonly seed: number;
  readonly count: number;
  readonly next: (random: Random) => CaseRecipe;
  readonly states?: StateOptions;
  /** How many differences of each name are described. Default: 1. */
  readonly describePerName?: number;
}

export interface CpuFuzzReport {
  readonly seed: number;
  readonly tested: number;
  /** Cases that ended in each way on the native CPU: `done`, `#0`…`#19`, `timeout`, `syscall`. */
  readonly outcomes: ReadonlyMap<string, number>;
  /** Cases that differed, by name. */
  readonly differing: ReadonlyMap<string, number>;
  readonly descriptions: readonly string[];
  /** Cases that agree but for what a rule for the host's vendor leaves out, by rule. */
  readonly excused: ReadonlyMap<VendorDifference, number>;
}

const CASES_AT_ONCE = 256;

/** Takes about 10 µs a case beside the emulator's own time. Cases that make a system call, or that the host's kernel never ends, are not compared. */
export function compareCpus(options: CpuFuzzOptions): CpuFuzzReport {
  const { native, emulator, seed, count, next } = options;
  const random = new Random(seed);
  const states = new StateGenerator(random, options.states);
  const images = Array.from({ length: CASES_AT_ONCE }, () => new CpuImage());
  const outcomes = new Map<string, number>();
  const differing = new Map<string, number>();
  const descriptions: string[] = [];
  const excused = new Map<VendorDifference, number>();
  const tally = <Key>(map: Map<Key, number>, key: Key) => {
    const times = map.get(key) ?? 0;
    map.set(key, times + 1);
    return times;
  };

  for (let first = 0; first < count; first += CASES_AT_ONCE) {
    const recipes = Array.from({ length: Math.min(CASES_AT_ONCE, count - first) }, () => next(random));
    const cases: NativeCase[] = recipes.map(({ code, mode, end, adjust }, i) => {
      const state = images[i]!;
      states.fill(state, mode);
      adjust?.(state, random);
      return { code, state, end: end ?? 'jump' };
    });
    native.runBatch(cases, (i, result) => {
      const { code, state } = cases[i]!;
      const { name, undefinedState, undefinedFor, subject } = recipes[i]!;
      tally(outcomes, result.fault === undefined ? result.outcome : `#${result.fault.vector}`);
      if (result.outcome === 'syscall' || result.outcome === 'timeout') return;
      let unknown: Undefined = { compareYmm: native.avx, ...(undefinedFor?.(state, result) ?? undefinedState) };
      let emulated = emulator.run(code, state);
      if (agree(result, emulated, unknown)) return;
      if (subject !== undefined) {
        emulated = { ...emulated, image: emulated.image.clone() };
        const withoutAlignmentCheck = () => {
          const unchecked = state.clone();
          unchecked.rflags &= ~FLAG.ac;
          return emulator.run(code, unchecked);
        };
        const differing = { ...subject, before: state, native: result, emulated, withoutAlignmentCheck };
        const excuses = excusesFor(native.vendor, name, differing, unknown);
        unknown = excuses.undefinedState;
        if (agree(result, emulated, unknown)) {
          for (const rule of excuses.rules) tally(excused, rule);
          return;
        }
      }
      if (tally(differing, name) >= (options.describePerName ?? 1)) return;
      const title = `${name}, case ${first + i} of seed ${seed}`;
      descriptions.push(describeDifference(cases[i]!, differences(state, result, emulated, unknown), title));
    });
  }
  return { seed, tested: count, outcomes, differing, descriptions, excused };
}
