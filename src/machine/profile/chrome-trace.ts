// Profiles in the Trace Event Format, as chrome://tracing and Perfetto open it: a row for the guest's code, one for waiting, one
// for translating, and counters over time.
import { placeName, type SymbolTable } from './symbol-table.ts';
import type { TimelineMark, TimelineSpan } from './timeline.ts';
import type { VcpuProfileData } from './vcpu-profile.ts';

export interface TraceEvent {
  readonly name: string;
  /** X: a span; C: counters; M: names of processes and threads. */
  readonly ph: 'X' | 'C' | 'M';
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly ts?: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args?: Readonly<Record<string, string | number>>;
}

export interface ChromeTrace {
  readonly displayTimeUnit: 'ms';
  readonly otherData: Readonly<Record<string, string | number>>;
  readonly traceEvents: readonly TraceEvent[];
}

const TRACKS = ['guest', 'idle', 'compile'] as const;
const TITLES: Readonly<Record<(typeof TRACKS)[number], string>> = {
  guest: 'guest code',
  idle: 'waiting',
  compile: 'translating',
};
/** Between two spans that are shown as one, in milliseconds. */
const GAP_MS = 0.05;

/** One process of the trace for the guest, with rows for each of its vCPUs. */
export function chromeTrace(profiles: readonly VcpuProfileData[], name: string, symbols: SymbolTable): ChromeTrace {
  const pid = 1;
  const events: TraceEvent[] = [{ name: 'process_name', ph: 'M', pid, tid: 0, args: { name } }];
  let lost = 0;
  for (const { timeline, vcpuId } of profiles) {
    lost += timeline.lost;
    TRACKS.forEach((track, i) => {
      const tid = vcpuId * TRACKS.length + i + 1;
      events.push({ name: 'thread_name', ph: 'M', pid, tid, args: { name: `vCPU ${vcpuId}: ${TITLES[track]}` } });
      const spans = timeline.spans.filter((span) => span.track === track);
      for (const { atMs, category, label, ms } of joined(spans, symbols))
        events.push({ name: label, cat: category, ph: 'X', pid, tid, ts: atMs * 1000, dur: ms * 1000 });
    });
    events.push(...rates(timeline.marks, pid, vcpuId));
  }
  return { displayTimeUnit: 'ms', otherData: { creator: 'dom1', lost_spans: lost }, traceEvents: events };
}

interface Shown {
  readonly label: string;
  readonly category: string;
  readonly atMs: number;
  ms: number;
}

/** Spans that follow each other in the same function and tier are one. */
function joined(spans: readonly TimelineSpan[], symbols: SymbolTable): Shown[] {
  const shown: Shown[] = [];
  for (const { atMs, ms, name, place, track } of spans) {
    const label = place === undefined ? name : placeName(symbols, place.space, place.address);
    const category = place === undefined ? track : place.translated ? 'translated' : 'interpreted';
    const last = shown.at(-1);
    if (last?.label === label && last.category === category && atMs - (last.atMs + last.ms) < GAP_MS)
      last.ms = atMs + ms - last.atMs;
    else shown.push({ label, category, atMs, ms });
  }
  return shown;
}

function rates(marks: readonly TimelineMark[], pid: number, vcpuId: number): TraceEvent[] {
  return marks.slice(1).flatMap((mark, i): TraceEvent[] => {
    const before = marks[i] as TimelineMark;
    const ms = mark.atMs - before.atMs;
    const common = { ph: 'C', pid, tid: 0, ts: mark.atMs * 1000 } as const;
    const translated = mark.regionInstructions - before.regionInstructions;
    const interpreted = Math.max(0, mark.retired - before.retired - translated);
    return [
      {
        ...common,
        name: `vCPU ${vcpuId}: million instructions a second`,
        args: { translated: translated / 1000 / ms, interpreted: interpreted / 1000 / ms },
      },
      { ...common, name: `vCPU ${vcpuId}: page walks a ms`, args: { walks: (mark.pageWalks - before.pageWalks) / ms } },
      { ...common, name: `vCPU ${vcpuId}: regions`, args: { live: mark.regionsLive } },
    ];
  });
}
