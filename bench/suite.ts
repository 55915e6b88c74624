// The suite in a guest, dom1 and QEMU's TCG in turns: npm run bench -- [--runs n] [--scale x] [--limit s] [--rows a,b] [--only engine]
import { parseArgs } from 'node:util';
import { suiteImage } from './guest-image.ts';
import { ENGINES, type Engine, Machine, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { ROWS } from './rows.ts';
import { geometricMean, median } from './statistics.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '0.3' },
    limit: { type: 'string', default: '60' },
    rows: { type: 'string' },
    only: { type: 'string' },
  },
});
const [runs, scale, limit] = [Number(values.runs), Number(values.scale), Number(values.limit)];
if (!(runs >= 1 && scale > 0 && scale <= 1 && limit > 0))
  throw new RangeError('--runs is at least 1, --scale within 0 to 1, --limit more than 0 seconds');
const wanted = values.rows?.split(',');
const rows = ROWS.filter(({ name }) => wanted?.includes(name) ?? true);
if (rows.length < (wanted?.length ?? 0)) throw new RangeError(`the rows are ${ROWS.map(({ name }) => name).join(' ')}`);

/** What one row took in one run. */
interface Sample {
  readonly seconds: number;
  readonly retired: number | undefined;
}

async function measure(engine: Engine): Promise<Map<string, Sample>> {
  using machine = new Machine(engine, {
    image,
    commandLine: 'rdinit=/bench/init',
    timeoutMs: (120 + rows.length * (limit + 5)) * 1000,
  });
  const samples = new Map<string, Sample>();
  let begin = { ms: Number.NaN, retired: undefined as number | undefined };
  for (let line = await machine.line(); line !== undefined; line = await machine.line()) {
    const [, mark, name = '', status] = /^@@([BED])(?: (\S+))?(?: (\d+))?$/.exec(line.text) ?? [];
    if (mark === 'B') begin = line;
    else if (mark === 'D') return samples;
    else if (mark === 'E' && status !== undefined) {
      const seconds = (line.ms - begin.ms) / 1000;
      if (status !== '0') {
        process.stderr.write(`${engine}: ${name} ended with status ${status} after ${seconds.toFixed(1)} s\n`);
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

const host = describeHost();
const qemu = qemuVersion();
if (qemu === undefined) process.stderr.write('qemu-system-x86_64 is not installed: dom1 alone is measured\n');
const engines = ENGINES.filter(
  (engine) => (values.only === undefined || values.only === engine) && (engine === 'dom1' || qemu !== undefined),
);
using image = await suiteImage(rows, scale, limit);
const taken: Record<Engine, Map<string, Sample>[]> = { dom1: [], 'qemu-tcg': [] };
for (let run = 1; run <= runs; run++) {
  for (const engine of engines) {
    process.stderr.write(`run ${run} of ${runs}: ${engine}\n`);
    taken[engine].push(await measure(engine));
  }
}

const results = rows.map(({ name }) => {
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
  `Medians of ${runs} interleaved runs at a scale of ${scale}; guest kernel ${image.release}; QEMU ${qemu ?? 'not installed'}. A dash: the row took more than ${limit} s or was not run.`,
].join('\n');
console.log(text);
console.log(
  `\nkept in ${save('suite', host, 'The guest suite', text, { runs, scale, limit, qemu, kernel: image.release, results })}`,
);
