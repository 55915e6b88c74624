// Machines in turns whose guests run rows: how long each row takes, dom1 and another engine, and their table.
import type { GuestImage } from './guest-image.ts';
import { Machine, type MachineEngine, type MachineOptions, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { geometricMean, median } from './statistics.ts';

/** An engine that dom1 is measured beside. */
export interface OtherEngine {
  readonly engine: Exclude<MachineEngine, 'dom1'>;
  /** As the tables have it, also in short. */
  readonly name: string;
  readonly short: string;
  /** Undefined where it is not installed. */
  readonly version: string | undefined;
}

export interface TimedRowsOptions {
  /** Of the files that the results are kept in. */
  readonly kind: string;
  readonly title: string;
  /** Names, in the order in which the guest runs them. */
  readonly rows: readonly string[];
  readonly runs: number;
  /** Seconds that a row may take. */
  readonly limit: number;
  readonly image: GuestImage;
  readonly machine: Omit<MachineOptions, 'image' | 'timeoutMs'>;
  /** Default: QEMU's TCG. */
  readonly other?: OtherEngine;
  /** One engine alone. */
  readonly only: string | undefined;
  /** What was run, for the line below the table. */
  readonly note: string;
}

/** What one row took in one run. */
interface Sample {
  readonly seconds: number;
  /** Processor time of the whole process, in steps of 10 ms: what other work on the machine changes least. */
  readonly cpuSeconds: number;
  readonly retired: number | undefined;
}

async function measure(
  engine: MachineEngine,
  { rows, limit, image, machine: own }: TimedRowsOptions,
): Promise<Map<string, Sample>> {
  using machine = new Machine(engine, { ...own, image, timeoutMs: (120 + rows.length * (limit + 5)) * 1000 });
  const samples = new Map<string, Sample>();
  let printed: string[] = [];
  let begin = { ms: Number.NaN, cpuMs: Number.NaN, retired: undefined as number | undefined };
  for (let line = await machine.line(); line !== undefined; line = await machine.line()) {
    const [, mark, name = '', status] = /^@@([BED])(?: (\S+))?(?: (\d+))?$/.exec(line.text) ?? [];
    if (mark === 'B') {
      begin = { ...line, cpuMs: machine.cpuMs };
      printed = [];
    }
    if (mark === 'D') return samples;
    if (mark === undefined) printed.push(line.text);
    if (mark === 'E' && status !== undefined) {
      const seconds = (line.ms - begin.ms) / 1000;
      if (status !== '0') {
        process.stderr.write(
          `${engine}: ${name} ended with status ${status} after ${seconds.toFixed(1)} s: ${printed.slice(-5).join('; ')}\n`,
        );
        continue;
      }
      samples.set(name, {
        seconds,
        cpuSeconds: (machine.cpuMs - begin.cpuMs) / 1000,
        retired: line.retired === undefined || begin.retired === undefined ? undefined : line.retired - begin.retired,
      });
    }
  }
  process.stderr.write(`${engine}: the guest did not reach the end. ${machine.errors}\n`);
  return samples;
}

const tcg = (): OtherEngine => ({ engine: 'qemu-tcg', name: 'QEMU TCG', short: 'TCG', version: qemuVersion() });

/** Runs them, prints the table and keeps it. */
export async function timedRows(options: TimedRowsOptions): Promise<void> {
  const { kind, title, rows, runs, limit, image, only, note } = options;
  const host = describeHost();
  const other = options.other ?? tcg();
  if (other.version === undefined) process.stderr.write(`${other.name} is not installed: dom1 alone is measured\n`);
  const engines = (['dom1', other.engine] as const).filter(
    (engine) => (only === undefined || only === engine) && (engine === 'dom1' || other.version !== undefined),
  );
  const taken = new Map<MachineEngine, Map<string, Sample>[]>(engines.map((engine) => [engine, []]));
  for (let run = 1; run <= runs; run++) {
    for (const engine of engines) {
      process.stderr.write(`run ${run} of ${runs}: ${engine}\n`);
      taken.get(engine)?.push(await measure(engine, options));
    }
  }

  const results = rows.map((name) => {
    const of = (engine: MachineEngine): Sample[] => (taken.get(engine) ?? []).flatMap((samples) => samples.get(name) ?? []);
    const own = of('dom1');
    const others = of(other.engine);
    return {
      name,
      dom1: own.map(({ seconds }) => seconds),
      other: others.map(({ seconds }) => seconds),
      dom1Cpu: own.map(({ cpuSeconds }) => cpuSeconds),
      otherCpu: others.map(({ cpuSeconds }) => cpuSeconds),
      mips: own.flatMap(({ seconds, retired }) => (retired === undefined ? [] : [retired / seconds / 1e6])),
    };
  });
  const number = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');
  const ratios = results.map((row) => median(row.dom1) / median(row.other));
  const processor = results.map((row) => median(row.dom1Cpu) / median(row.otherCpu));
  const mean = (values: readonly number[]): string =>
    number(geometricMean(values.filter((value) => Number.isFinite(value) && value > 0)), 2);
  const mips = results.map((row) => median(row.mips)).filter(Number.isFinite);
  const text = [
    table(
      ['row', 'dom1 s', `${other.name} s`, `dom1 / ${other.short}`, 'processor', 'dom1 MIPS'],
      [
        ...results.map((row, i) => [
          row.name,
          number(median(row.dom1), 2),
          number(median(row.other), 2),
          number(ratios[i] as number, 2),
          number(processor[i] as number, 2),
          number(median(row.mips), 0),
        ]),
        ['geometric mean', '', '', mean(ratios), mean(processor), number(geometricMean(mips), 0)],
      ],
    ),
    '',
    `Medians of ${runs} interleaved runs${note}; guest kernel ${image.release}; ${other.name} ${other.version ?? 'not installed'}. \`processor\` is the ratio of the processes’ processor times. A dash: the row took more than ${limit} s, failed, or was not run.`,
  ].join('\n');
  console.log(text);
  if (only !== undefined) return;
  const data = { runs, limit, note, [other.engine]: other.version, kernel: image.release, results };
  console.log(`\nkept in ${save(kind, host, title, text, data)}\n`);
}
