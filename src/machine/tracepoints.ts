// All of a machine's tracepoints, by subsystem, and turning them on.
import { ioapicTrace } from '../devices/apic/ioapic.ts';
import { lapicTrace } from '../devices/apic/lapic.ts';
import { ioTrace } from '../devices/io-bus.ts';
import { enable, type Point, type Sink } from '../trace/points.ts';
import { xenTrace } from '../xen/trace.ts';

type AnyPoints = Readonly<Record<string, Point<never>>>;

const SUBSYSTEMS: Readonly<Record<string, (sink: Sink) => AnyPoints>> = {
  io: ioTrace,
  ioapic: ioapicTrace,
  lapic: lapicTrace,
  xen: xenTrace,
};

/** A glob that names no tracepoint. `message` is one line with what there is instead; `hint` is that alone. */
export class TracepointError extends Error {
  override readonly name = 'TracepointError';
  readonly code = 'unknown-tracepoint';
  readonly hint: string;

  constructor(glob: string) {
    const hint = `the subsystems are ${Object.keys(SUBSYSTEMS).join(', ')}: give a glob such as 'xen.*' or 'xen.evtchn_*'`;
    super(`no tracepoint matches '${glob}'; ${hint}`);
    this.hint = hint;
  }
}

/** All names: "xen.hypercall" and so on. */
export function tracepointNames(): string[] {
  return Object.entries(SUBSYSTEMS).flatMap(([subsystem, points]) =>
    Object.keys(points(() => {})).map((name) => `${subsystem}.${name}`),
  );
}

/** @throws TracepointError for the first glob that matches nothing. */
export function checkTraceGlobs(globs: readonly string[]): void {
  for (const glob of globs) {
    const count = Object.entries(SUBSYSTEMS).reduce(
      (sum, [subsystem, points]) =>
        sum +
        enable(
          points(() => {}),
          subsystem,
          glob,
        ),
      0,
    );
    if (count === 0) throw new TracepointError(glob);
  }
}

/** Turns on those of a subsystem's points that any of the globs matches. */
export function enableTracepoints(points: AnyPoints, subsystem: string, globs: readonly string[]): void {
  for (const glob of globs) enable(points, subsystem, glob);
}
