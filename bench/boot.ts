// Time from the start of the process to the guest's shell, dom1 and QEMU's TCG in turns: npm run bench:boot -- [--runs n] [--idle s]
// [--timeout s] [--rows a,b]: boot-ways.ts has the rows.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import './plain-errors.ts';
import { BOOT_ROWS, type BootRow, type BootWay, bootWays } from './boot-ways.ts';
import { Machine, MEMORY_MIB, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    idle: { type: 'string', default: '10' },
    timeout: { type: 'string', default: '180' },
    rows: { type: 'string' },
  },
});
const [runs, idle, timeout] = [Number(values.runs), Number(values.idle), Number(values.timeout)];
/** Peak memory beyond the guest's RAM that dom1 may take, in MiB. */
const MEMORY_ALLOWANCE = 250;

interface Sample {
  /** To the kernel's start of userspace, and to the shell's prompt. */
  readonly seconds: number;
  readonly retired: number | undefined;
  readonly peakMiB: number;
  /** Share of one core while the shell waits for input, in percent. */
  readonly idlePercent: number;
}

async function measure({ engine, machine: own, name }: BootWay): Promise<Sample | undefined> {
  using machine = new Machine(engine, { ...own, timeoutMs: (timeout + idle) * 1000 });
  const prompt = await machine.until(/^guest:~# /);
  if (prompt === undefined) {
    process.stderr.write(`${name}: no prompt within ${timeout} s. ${machine.errors}\n`);
    return undefined;
  }
  await sleep(2000); // the guest settles
  const [cpuMs, ageMs] = [machine.cpuMs, machine.ageMs];
  await sleep(idle * 1000);
  const idlePercent = (100 * (machine.cpuMs - cpuMs)) / (machine.ageMs - ageMs);
  return { seconds: prompt.ms / 1000, retired: prompt.retired, peakMiB: machine.peakMiB, idlePercent };
}

const host = describeHost();
const qemu = qemuVersion();
if (qemu === undefined) process.stderr.write('qemu-system-x86_64 is not installed: dom1 alone is measured\n');
const rows = (values.rows?.split(',') ?? BOOT_ROWS) as readonly BootRow[];
if (!rows.every((row) => BOOT_ROWS.includes(row))) throw new RangeError(`the rows are ${BOOT_ROWS.join(' ')}`);
using images = await bootWays(rows);
const ways = images.ways.filter(({ engine }) => engine === 'dom1' || qemu !== undefined);
const taken = new Map<BootWay, Sample[]>(ways.map((way) => [way, []]));
for (let run = 1; run <= runs; run++) {
  for (const way of ways) {
    process.stderr.write(`run ${run} of ${runs}: ${way.name}\n`);
    const sample = await measure(way);
    if (sample !== undefined) taken.get(way)?.push(sample);
  }
}

const samples = (way: BootWay): readonly Sample[] => taken.get(way) ?? [];
const number = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');
const of = (way: BootWay, value: (sample: Sample) => number): number => median(samples(way).map(value));
const line = (way: BootWay): string[] => [
  way.name,
  number(
    of(way, ({ seconds }) => seconds),
    2,
  ),
  number(
    of(way, ({ retired }) => (retired ?? Number.NaN) / 1e6),
    0,
  ),
  number(
    of(way, ({ seconds, retired }) => (retired ?? Number.NaN) / seconds / 1e6),
    0,
  ),
  number(
    of(way, ({ peakMiB }) => peakMiB),
    0,
  ),
  number(
    of(way, ({ idlePercent }) => idlePercent),
    1,
  ),
];
const own = ways.filter(({ engine }) => engine === 'dom1');
const peak = Math.max(...own.flatMap(samples).map(({ peakMiB }) => peakMiB));
const text = [
  table(['', 'to the prompt s', 'million instructions', 'MIPS', 'peak MiB', 'idle % of a core'], ways.map(line)),
  '',
  `Medians of ${runs} interleaved runs, from the start of the process; guest kernel ${images.image.release}, ${MEMORY_MIB} MiB of RAM; QEMU ${qemu ?? 'not installed'}.`,
  `dom1's highest peak is ${number(peak, 0)} MiB; ${MEMORY_MIB + MEMORY_ALLOWANCE} MiB is the limit. Idle: over ${idle} s at the prompt.`,
].join('\n');
console.log(text);
const byName = Object.fromEntries([...taken].map(([{ name }, list]) => [name, list]));
console.log(
  `\nkept in ${save('boot', host, 'Time to the shell', text, { runs, qemu, kernel: images.image.release, samples: byName })}`,
);
if (own.some((way) => samples(way).length < runs) || peak > MEMORY_MIB + MEMORY_ALLOWANCE) process.exitCode = 1;
