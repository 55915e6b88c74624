// Time from the start of the process to the guest's shell, dom1 and QEMU's TCG in turns: npm run bench:boot -- [--runs n] [--idle s]
// QEMU's TCG cannot run the PV shim: its Xen is KVM's.
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { shellImage } from './guest-image.ts';
import { type Engine, Machine, type MachineOptions, MEMORY_MIB, qemuVersion } from './machine.ts';
import { describeHost, save, table } from './report.ts';
import { median } from './statistics.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    idle: { type: 'string', default: '10' },
    timeout: { type: 'string', default: '180' },
  },
});
const [runs, idle, timeout] = [Number(values.runs), Number(values.idle), Number(values.timeout)];
/** Peak memory beyond the guest's RAM that dom1 may take, in MiB. */
const MEMORY_ALLOWANCE = 250;

interface Way extends Pick<MachineOptions, 'type'> {
  readonly engine: Engine;
}
const WAYS = {
  dom1: { engine: 'dom1' },
  'dom1, PV through the shim': { engine: 'dom1', type: 'pv' },
  'qemu-tcg': { engine: 'qemu-tcg' },
} as const satisfies Readonly<Record<string, Way>>;
type WayName = keyof typeof WAYS;

interface Sample {
  /** To the kernel's start of userspace, and to the shell's prompt. */
  readonly seconds: number;
  readonly retired: number | undefined;
  readonly peakMiB: number;
  /** Share of one core while the shell waits for input, in percent. */
  readonly idlePercent: number;
}

async function measure(name: WayName): Promise<Sample | undefined> {
  const { engine, ...way }: Way = WAYS[name];
  using machine = new Machine(engine, { image, ...way, timeoutMs: (timeout + idle) * 1000 });
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
const ways = (Object.keys(WAYS) as WayName[]).filter((name) => WAYS[name].engine === 'dom1' || qemu !== undefined);
using image = await shellImage();
const taken: Record<WayName, Sample[]> = { dom1: [], 'dom1, PV through the shim': [], 'qemu-tcg': [] };
for (let run = 1; run <= runs; run++) {
  for (const name of ways) {
    process.stderr.write(`run ${run} of ${runs}: ${name}\n`);
    const sample = await measure(name);
    if (sample !== undefined) taken[name].push(sample);
  }
}

const number = (value: number, digits: number): string => (Number.isFinite(value) ? value.toFixed(digits) : '–');
const of = (name: WayName, value: (sample: Sample) => number): number => median(taken[name].map(value));
const line = (name: WayName): string[] => [
  name,
  number(
    of(name, ({ seconds }) => seconds),
    2,
  ),
  number(
    of(name, ({ retired }) => (retired ?? Number.NaN) / 1e6),
    0,
  ),
  number(
    of(name, ({ seconds, retired }) => (retired ?? Number.NaN) / seconds / 1e6),
    0,
  ),
  number(
    of(name, ({ peakMiB }) => peakMiB),
    0,
  ),
  number(
    of(name, ({ idlePercent }) => idlePercent),
    1,
  ),
];
const peak = Math.max(...taken.dom1.map(({ peakMiB }) => peakMiB));
const text = [
  table(['', 'to the prompt s', 'million instructions', 'MIPS', 'peak MiB', 'idle % of a core'], ways.map(line)),
  '',
  `Medians of ${runs} interleaved runs, from the start of the process; guest kernel ${image.release}, ${MEMORY_MIB} MiB of RAM; QEMU ${qemu ?? 'not installed'}.`,
  `dom1's highest peak is ${number(peak, 0)} MiB; ${MEMORY_MIB + MEMORY_ALLOWANCE} MiB is the limit. Idle: over ${idle} s at the prompt.`,
].join('\n');
console.log(text);
console.log(`\nkept in ${save('boot', host, 'Time to the shell', text, { runs, qemu, kernel: image.release, samples: taken })}`);
if (ways.some((name) => WAYS[name].engine === 'dom1' && taken[name].length < runs) || peak > MEMORY_MIB + MEMORY_ALLOWANCE)
  process.exitCode = 1;
