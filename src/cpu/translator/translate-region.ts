// A region as a WebAssembly module.
import { ModuleBuilder } from '../../wasm/module-builder.ts';
import { routinesOf } from '../emit/routine.ts';
import { FLAT_FORMS, type SegmentForm } from './assumed-segments.ts';
import type { Region, RegionInstruction } from './region.ts';
import { emitRegion, type Means, type RegionContext } from './region-function.ts';

/** The pages that a region lies on. */
export interface RegionPages {
  /** Address of the entry table of a page, counted from the head's. */
  entryTable(page: number): number;
  /** Address of a record that the interpreter can run the instruction from. */
  record(instruction: RegionInstruction): number;
}

/** What a translation holds for; it is left at once where it does not. */
export interface Assumptions {
  /** Address of the vCPU's state. */
  readonly base: number;
  /** One of MMU_INDEX: decides which TLBs memory operands use. */
  readonly mmuIndex: number;
  /** Address of the execute TLB. */
  readonly fetchTlb: number;
  /** Size of the shared memory in 64 KiB. */
  readonly memoryPages: number;
  readonly pages: RegionPages;
  /** By SEGMENT, for code that is not 64-bit. Default: flat. */
  readonly segments?: readonly SegmentForm[];
  means(instruction: RegionInstruction): Means;
  /** The number that the interpreter calls a computation by. */
  computeNumber(name: string): number;
  /** Address of a u64 that counts how often `what` happens, where somebody wants to know. */
  readonly counter?: (what: string) => number;
}

/**
 * The module exports `region`: (entryArgument) → REGION. It imports `memory`, `plainRead`, `plainWrite`, `handler`, `compute`
 * and `ticks` from `env`: what the interpreter's module has.
 */
export function translateRegion(
  region: Region,
  { base, mmuIndex, fetchTlb, memoryPages, pages, segments = FLAT_FORMS, means, computeNumber, counter }: Assumptions,
): Uint8Array<ArrayBuffer> {
  const m = new ModuleBuilder();
  m.importMemory(memoryPages, memoryPages);
  const readSlow = m.importFunction('plainRead', ['i64', 'i32'], ['i32']);
  const writeSlow = m.importFunction('plainWrite', ['i64', 'i32'], ['i32']);
  const handler = m.importFunction('handler', ['i32', 'i32'], ['i32']);
  const compute = m.importFunction('compute', ['i32', 'i32'], ['i32']);
  const ticks = m.importFunction('ticks', [], ['f64']);
  const context: RegionContext = {
    base,
    mmuIndex,
    fetchTlb,
    segments,
    runtime: {
      readSlow,
      writeSlow,
      commit: readSlow,
      plainOnly: true,
      routines: routinesOf(m, base),
      compute,
      ticks,
      computeNumber,
    },
    handler,
    means,
    ...(counter !== undefined && { counter }),
    record: (instruction) => pages.record(instruction),
    entryTable: (page) => pages.entryTable(page),
  };
  m.export(
    'region',
    m.add(['i32'], ['i32'], (f) => emitRegion(f, region, context)),
  );
  return m.finish();
}
