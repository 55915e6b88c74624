// Machines in turns that measure themselves: the values that guest/io.c prints, and their table.
import { spawnSync } from 'node:child_process';
import type { GuestImage } from './guest-image.ts';
import { Machine, type MachineOptions, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { geometricMean, median } from './statistics.ts';

export interface IoRow {
  readonly name: string;
  /** What the values are: 'MB/s', 'operations/s'. */
  readonly unit: string;
}

export interface IoRunsOptions {
  /** Of the files that the results are kept in. */
  readonly kind: string;
  readonly title: string;
  readonly rows: readonly IoRow[];
  readonly runs: number;
  readonly image: GuestImage;
  /** Asked for each machine: a port of the host that was in use by the one before may not be free yet. */
  readonly machine: () => Promise<Omit<MachineOptions, 'image' | 'timeoutMs'>>;
  /** Path of another build's dom1-machine.js, to be measured in turns too. */
  readonly against: string | undefined;
  readonly only: string | undefined;
  /** Seconds a row takes. */
  readonly seconds: number;
  /** A program of the guest's waits for a connection. Lines come also while they grow, so this one has an end to know it by. */
  readonly onListening?: () => void;
}

interface Value {
  readonly perSecond: number;
  /** Processor time of the whole process for a million bytes or an operation, in microseconds. */
  readonly cpuUs: number;
}
type Values = Map<string, Value>;

async function measure(subject: string, options: IoRunsOptions): Promise<Values> {
  const { rows, seconds, image, against, onListening } = options;
  // What an earlier machine wrote is not to be this one's burden.
  spawnSync('sync');
  const own = await options.machine();
  using machine = new Machine(subject === 'qemu-tcg' ? 'qemu-tcg' : 'dom1', {
    ...own,
    image,
    timeoutMs: (60 + rows.length * (10 + 3 * seconds)) * 1000,
    build: subject === 'against' ? against : undefined,
  });
  const values: Values = new Map();
  let cpuMs = 0;
  for (let line = await machine.line(); line !== undefined; line = await machine.line()) {
    const [, name, done, perSecond] = /^@@V (\S+) (\d+\.\d{3}) (\d+\.\d{3})$/.exec(line.text) ?? [];
    if (name !== undefined)
      values.set(name, { perSecond: Number(perSecond), cpuUs: ((machine.cpuMs - cpuMs) * 1000) / Number(done) });
    else if (line.text.startsWith('@@B')) ({ cpuMs } = machine);
    else if (line.text === '@@D') return values;
    else if (/^@@L \S+ listens$/.test(line.text)) onListening?.();
    else if (/^\S+: .*: /.test(line.text)) process.stderr.write(`${subject}: ${line.text}\n`);
  }
  process.stderr.write(`${subject}: the guest did not reach the end. ${machine.errors}\n`);
  return values;
}

export async function ioRuns(options: IoRunsOptions): Promise<void> {
  const { rows, runs, image, kind, title, against, only, seconds } = options;
  const host = describeHost();
  const qemu = qemuVersion();
  if (qemu === undefined) process.stderr.write('qemu-system-x86_64 is not installed: dom1 alone is measured\n');
  const all = ['dom1', ...(against === undefined ? [] : ['against']), ...(qemu === undefined ? [] : ['qemu-tcg'])];
  const subjects = all.filter((subject) => only === undefined || only.split(',').includes(subject));
  const taken = new Map<string, Values[]>(subjects.map((subject) => [subject, []]));
  for (let run = 1; run <= runs; run++) {
    for (const subject of subjects) {
      process.stderr.write(`run ${run} of ${runs}: ${subject}\n`);
      taken.get(subject)?.push(await measure(subject, options));
    }
  }
  const samples = (subject: string, row: string): Value[] =>
    (taken.get(subject) ?? []).flatMap((values) => values.get(row) ?? []);
  const speed = (subject: string, row: string): number => median(samples(subject, row).map(({ perSecond }) => perSecond));
  const cpu = (subject: string, row: string): number => median(samples(subject, row).map(({ cpuUs }) => cpuUs));
  const others = subjects.filter((subject) => subject !== 'dom1');
  const ratios = (row: string): number[] =>
    others.flatMap((other) => [speed('dom1', row) / speed(other, row), cpu('dom1', row) / cpu(other, row)]);
  const number = (value: number): string => (Number.isFinite(value) ? value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0) : '–');
  const mean = (i: number): number => geometricMean(rows.map(({ name }) => ratios(name)[i] as number).filter(Number.isFinite));
  const text = [
    table(
      [
        'row',
        '',
        ...subjects,
        ...subjects.map((subject) => `${subject} µs`),
        ...others.flatMap((other) => [`dom1 / ${other}`, 'processor']),
      ],
      [
        ...rows.map(({ name, unit }) => [
          name,
          unit,
          ...subjects.map((subject) => number(speed(subject, name))),
          ...subjects.map((subject) => number(cpu(subject, name))),
          ...ratios(name).map(number),
        ]),
        [
          'geometric mean',
          '',
          ...subjects.flatMap(() => ['', '']),
          ...others.flatMap((_, i) => [number(mean(2 * i)), number(mean(2 * i + 1))]),
        ],
      ],
    ),
    '',
    `Medians of ${runs} interleaved runs of ${seconds} s a row; guest kernel ${image.release}; QEMU ${qemu ?? 'not installed'}. A ratio above 1 is faster; µs: processor time of the process for a million bytes or an operation, and their ratio, of which less is better. A dash: no figure.`,
  ].join('\n');
  console.log(text);
  if (against !== undefined || only !== undefined) return;
  const results = Object.fromEntries(
    rows.map(({ name }) => [name, Object.fromEntries(subjects.map((subject) => [subject, samples(subject, name)]))]),
  );
  console.log(`\nkept in ${save(kind, host, title, text, { runs, seconds, qemu, kernel: image.release, results })}`);
}
