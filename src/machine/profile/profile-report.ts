// A profile as text: tables of where the time goes.
import { textColumns } from '../../util/text-columns.ts';
import { placeName, type SymbolTable } from './symbol-table.ts';
import type { Count, Timed, VcpuProfileData } from './vcpu-profile.ts';

/** Rows of a table; the rest is one row. */
const ROWS = { functions: 30, calls: 20, reasons: 15 } as const;

const ms = (value: number): string => value.toFixed(1);
const percent = (part: number, whole: number): string => (whole > 0 ? ((part / whole) * 100).toFixed(1) : '0.0');
const sumOf = <T>(items: readonly T[], of: (item: T) => number): number => items.reduce((sum, item) => sum + of(item), 0);
const indented = (rows: readonly (readonly string[])[]): string[] => textColumns(rows).map((line) => `  ${line}`);

/** Lines of text. */
export function profileReport(profile: VcpuProfileData, symbols: SymbolTable): string[] {
  const { wallMs, idleMs, retired, samples, vcpuId } = profile;
  const busy = wallMs - idleMs;
  const mips = busy > 0 ? retired / 1000 / busy : 0;
  return [
    `profile of vCPU ${vcpuId}: ${(wallMs / 1000).toFixed(2)} s, of it ${(busy / 1000).toFixed(2)} s busy, ` +
      `${(retired / 1e6).toFixed(0)} million instructions, ${mips.toFixed(0)} million a second of those, ${samples} samples`,
    '',
    ...tiers(profile, busy),
    '',
    ...functions(profile, symbols),
    '',
    'calls of TypeScript, by name:',
    ...calls(profile.timed, ({ kind }) => kind === 'helper' || kind === 'compute' || kind === 'memory' || kind === 'code', busy),
    '',
    'exits of the guest, by reason, and the platform between them:',
    ...calls(profile.timed, ({ kind }) => kind === 'exit', busy),
    '',
    'exceptions and interrupts, by vector:',
    ...calls(profile.timed, ({ kind }) => kind === 'deliver', busy),
    '',
    'samples of interpreted code, by why it was interpreted:',
    ...countTable(profile.whyInterpreted, 'samples'),
    '',
    'ways out of translated code, and handlers it called:',
    ...countTable(profile.regionEvents, 'times'),
    '',
    'counters:',
    ...indented(Object.entries(profile.counts).map(([name, value]) => [name.replaceAll('_', ' '), String(Math.round(value))])),
  ];
}

function tiers(profile: VcpuProfileData, busy: number): string[] {
  const { compileMs, counts, idleMs, interpretedMs, retired, timed, translatedMs, wallMs } = profile;
  const timeOf = (kind: Timed['kind']): number =>
    sumOf(
      timed.filter((entry) => entry.kind === kind),
      (entry) => entry.ms,
    );
  const rows: [string, number][] = [
    ['translated code', translatedMs],
    ['interpreted code', interpretedMs],
    ['memory: TLB misses, page walks', timeOf('memory')],
    ['code: decoding, fetch misses', timeOf('code')],
    ['translating', compileMs],
    ['helpers: instructions in TypeScript', timeOf('helper')],
    ['computes: parts of instructions in TypeScript', timeOf('compute')],
    ['delivering exceptions, interrupts', timeOf('deliver')],
    ['exits, timers and events', timeOf('exit')],
  ];
  const known = sumOf(rows, ([, time]) => time);
  rows.push(['start, and since the last sample', Math.max(0, busy - known)]);
  const share = percent(counts.region_instructions, retired);
  return [
    'where the time goes (translated and interpreted by samples, the rest measured):',
    ...indented([
      ['', 'ms', '% of busy'],
      ...rows.map(([name, time]) => [name, ms(time), percent(time, busy)]),
      ['idle', ms(idleMs), '-'],
    ]),
    `  of ${(wallMs / 1000).toFixed(2)} s; ${share} % of the instructions were run in translated code`,
  ];
}

function functions({ places }: VcpuProfileData, symbols: SymbolTable): string[] {
  const byName = new Map<string, { translated: number; interpreted: number; samples: number }>();
  for (const { space, address, translatedMs, interpretedMs, samples } of places) {
    const name = placeName(symbols, space, address);
    const entry = byName.get(name) ?? { translated: 0, interpreted: 0, samples: 0 };
    entry.translated += translatedMs;
    entry.interpreted += interpretedMs;
    entry.samples += samples;
    byName.set(name, entry);
  }
  const time = ({ translated, interpreted }: { translated: number; interpreted: number }): number => translated + interpreted;
  const all = [...byName].toSorted(([, a], [, b]) => time(b) - time(a));
  const total = sumOf(all, ([, entry]) => time(entry));
  const shown = all.slice(0, ROWS.functions);
  const rest = sumOf(all.slice(ROWS.functions), ([, entry]) => time(entry));
  const hint = symbols.size === 0 ? '; --system-map gives the functions names' : '';
  return [
    `hottest code of the guest, with the TypeScript that runs for it${hint}:`,
    ...indented([
      ['ms', '%', '% interpreted', 'samples', 'function'],
      ...shown.map(([name, entry]) => [
        ms(time(entry)),
        percent(time(entry), total),
        percent(entry.interpreted, time(entry)),
        String(entry.samples),
        name,
      ]),
      ...(all.length > ROWS.functions
        ? [[ms(rest), percent(rest, total), '-', '-', `${all.length - ROWS.functions} others`]]
        : []),
    ]),
  ];
}

function calls(timed: readonly Timed[], wanted: (entry: Timed) => boolean, busy: number): string[] {
  const all = timed.filter(wanted).toSorted((a, b) => b.ms - a.ms || b.calls - a.calls);
  if (all.length === 0) return ['  none'];
  const rest = all.slice(ROWS.calls);
  return indented([
    ['calls', 'ms', '% of busy', 'us each', 'name'],
    ...all
      .slice(0, ROWS.calls)
      .map(({ calls, kind, ms: time, name }) => [
        String(calls),
        ms(time),
        percent(time, busy),
        ((time * 1000) / calls).toFixed(2),
        kind === 'exit' || kind === 'deliver' ? name : `${kind} ${name}`,
      ]),
    ...(rest.length === 0
      ? []
      : [
          [
            String(sumOf(rest, (entry) => entry.calls)),
            ms(sumOf(rest, (entry) => entry.ms)),
            percent(
              sumOf(rest, (entry) => entry.ms),
              busy,
            ),
            '-',
            `${rest.length} others`,
          ],
        ]),
  ]);
}

function countTable(counts: readonly Count[], what: string): string[] {
  if (counts.length === 0) return ['  none'];
  const total = sumOf(counts, ({ count }) => count);
  const all = counts.toSorted((a, b) => b.count - a.count);
  const rest = all.slice(ROWS.reasons);
  const row = (count: number, name: string): string[] => [String(count), percent(count, total), name];
  return indented([
    [what, '%', 'why'],
    ...all.slice(0, ROWS.reasons).map(({ count, name }) => row(count, name)),
    ...(rest.length === 0
      ? []
      : [
          row(
            sumOf(rest, ({ count }) => count),
            `${rest.length} others`,
          ),
        ]),
  ]);
}
