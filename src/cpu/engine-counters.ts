// What an engine counts all the time, where other threads can read it: numbers in the vCPU's region, put there now and then.
import type { HostAddress } from '../abi/types.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { Cpu } from './cpu.ts';
import type { CodeCache } from './interpreter/code-cache.ts';
import type { Lockstep } from './lockstep/lockstep.ts';
import type { Mmu } from './mmu.ts';
import { STATE } from './state.ts';
import type { Regions } from './translator/regions.ts';

/** Where they are in a vCPU's region: f64 each, in the order of COUNTERS. See STATE and SYSTEM_STATE for what lies before. */
const COUNTERS_AT = 0xd00;

export const COUNTERS = [
  /** Instructions run in translated code, of all that were retired. */
  'region_instructions',
  /** Regions made, now alive, dropped because … */
  'regions_made',
  'regions_live',
  'regions_dropped_code_written',
  'regions_dropped_full',
  'regions_dropped_replaced',
  /** Hot places at which nothing could be translated. */
  'regions_refused',
  /** Guest instructions and bytes of WebAssembly in all regions made, and the time that took without V8's optimising compiler. */
  'translated_instructions',
  'module_bytes',
  'compile_ms',
  'code_cache_bytes',
  'code_cache_limit',
  'code_cache_flushes',
  'decoded_instructions',
  'page_walks',
  'tlb_flushes',
  'tlb_page_flushes',
  /** Regions run in both tiers (checkJit), and how often that was given up for a page that others use. */
  'lockstep_checked',
  'lockstep_given_up',
] as const;

export type EngineCounts = Readonly<Record<(typeof COUNTERS)[number], number>>;

/** What is counted in. */
export interface CountedParts {
  readonly cpu: Cpu;
  readonly code: CodeCache;
  readonly mmu: Mmu;
  readonly regions: Regions | undefined;
  readonly lockstep: Lockstep | undefined;
}

/** The counts of an engine, as of now. */
export function engineCounts({ code, cpu, lockstep, mmu, regions }: CountedParts): EngineCounts {
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

/** The engine's side. */
export class PublishedCounters {
  readonly #slots: Float64Array;
  constructor(memory: GuestMemory, base: HostAddress) {
    this.#slots = slotsOf(memory, base);
  }
  publish(counts: EngineCounts): void {
    COUNTERS.forEach((name, i) => {
      this.#slots[i] = counts[name];
    });
  }
}

/** The numbers of the vCPU at `base`, as it published them last. */
export function readCounters(memory: GuestMemory, base: HostAddress): EngineCounts {
  const slots = slotsOf(memory, base);
  return Object.fromEntries(COUNTERS.map((name, i) => [name, slots[i] as number])) as EngineCounts;
}

const slotsOf = (memory: GuestMemory, base: HostAddress): Float64Array =>
  new Float64Array(memory.buffer, base + COUNTERS_AT, COUNTERS.length);
