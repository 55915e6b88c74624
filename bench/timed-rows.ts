// Machines in turns whose guests run rows: how long each row takes, dom1 and QEMU's TCG, and their table.
import type { GuestImage } from './guest-image.ts';
import { ENGINES, type Engine, Machine, type MachineOptions, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { geometricMean, median } from './statistics.ts';

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
  /** One engine alone. */
  readonly only: string | undefined;
  /** What was run, for the line below the table. */
  readonly note: string;
}

/** What one row took in one run. */
interface Sample {
  readonly seconds: number;
  readonly retired: number | undefined;
}

async function measure(engine: Engine, { rows, limit, image, machine: own }: TimedRowsOptions): Promise<Map<string, Sample>> {
  using machine = new Machine(engine, { ...own, image, timeoutMs: (120 + rows.length * (limit + 5)) * 1000 });
  const samples = new Map<string, Sample>();
  let printed: string[] = [];
  let begin = { ms: Number.NaN, retired: undefined as number | undefined };
  for (let line = await machine.line(); line !== undefined; line = await machine.line()) {
    const [, mark, name = '', status] = /^@@([BED])(?: (\S+))?(?: (\d+))?$/.exec(line.text) ?? [];
    if (mark === 'B') {
      begin = line;
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
        retired: line.retired === undefined || begin.retired === undefined ? undefined : line.retired - begin.retired,
      });
    }
  }
  process.stderr.write(`${engine}: the guest did not reach the end. ${machine.errors}\n`);
  return samples;
}

/** Runs them, prints the table and keeps it. */
export async function timedRows(options: TimedRowsOptions): Promise<void> {
  const { kind, title, rows, runs, limit, image, only, note } = options;
  const host = describeHost();
  const qemu = qemuVersion();
  if (qemu === undefined) process.stderr.write('qemu-system-x86_64 is not installed: dom1 alone is measured\n');
  const engines = ENGINES.filter(
    (engine) => (only === undefined || only === engine) && (engine === 'dom1' || qemu !== undefined),
  );
  const taken: Record<Engine, Map<string, Sample>[]> = { dom1: [], 'qemu-tcg': [] };
  for (let run = 1; run <= runs; run++) {
    for (const engine of engines) {
      process.stderr.write(`run ${run} of ${runs}: ${engine}\n`);
      taken[engine].push(await measure(engine, options));
    }
  }

  const results = rows.map((name) => {
    const of = (engine: Engine): Sample[] => taken[engine].flatMap((samples) => samples.get(name) ?? []);
    const own = of('dom1');
    return {
      name,
      dom1: own.map(({ seconds }) => seconds),
      tcg: of('qemu-tcg').map(({ seconds }) => seconds),
      mips: own.flatMap(({ seconds, retired }) => (retired === undefined ? [] : [retired / seconds / 1e6])),
    };
  });
  const number = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');
  const ratios = results.map(({ dom1, tcg }) => median(dom1) / median(tcg));
  const known = ratios.filter(Number.isFinite);
  const mips = results.map((row) => median(row.mips)).filter(Number.isFinite);
  const text = [
    table(
      ['row', 'dom1 s', 'QEMU TCG s', 'dom1 / TCG', 'dom1 MIPS'],
      [
        ...results.map((row, i) => [
          row.name,
          number(median(row.dom1), 2),
          number(median(row.tcg), 2),
          number(ratios[i] as number, 1),
          number(median(row.mips), 0),
        ]),
        ['geometric mean', '', '', number(geometricMean(known), 1), number(geometricMean(mips), 0)],
      ],
    ),
    '',
    `Medians of ${runs} interleaved runs${note}; guest kernel ${image.release}; QEMU ${qemu ?? 'not installed'}. A dash: the row took more than ${limit} s, failed, or was not run.`,
  ].join('\n');
  console.log(text);
  if (only !== undefined) return;
  console.log(`\nkept in ${save(kind, host, title, text, { runs, limit, note, qemu, kernel: image.release, results })}`);
}
