// Endurance: npm run soak -- stress|build [--minutes n] [--memory MiB] [--turn s] [--limit minutes] [--console file] [--interpret|--check-jit]
// Fails when a result is wrong, the guest's kernel complains of itself, or the monitor's memory is not bounded and flat.
import { appendFileSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { debianRoot } from '../test/guest/debian-root/debian-root.ts';
import './plain-errors.ts';
import { ioImage } from './guest-image.ts';
import { Machine } from './machine.ts';
import { growth, MemoryWatch } from './memory-watch.ts';
import { withRoot } from './root-commands.ts';
import { bootBuilt, buildCommands } from './soak-build.ts';
import { BUILD_ROOT, STRESS_ROOT } from './soak-roots.ts';
import { stressCommands } from './soak-stress.ts';
import { SoakVerdict } from './soak-verdict.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string' },
    memory: { type: 'string', default: '512' },
    turn: { type: 'string', default: '10' },
    limit: { type: 'string', default: '240' },
    console: { type: 'string' },
    interpret: { type: 'boolean', default: false },
    'check-jit': { type: 'boolean', default: false },
  },
});
const [kind = ''] = positionals;
if (positionals.length !== 1 || !(kind === 'stress' || kind === 'build'))
  throw new RangeError('say what to run: stress or build');
const minutes = Number(values.minutes ?? (kind === 'stress' ? 60 : 10));
const [memoryMiB, turnSeconds, limit] = [values.memory, values.turn, values.limit].map(Number) as [number, number, number];
if (!(minutes > 0 && memoryMiB >= 256 && turnSeconds >= 1 && limit > 0))
  throw new RangeError('--minutes and --limit are more than 0, --memory is at least 256 MiB, --turn at least 1 second');

/** MiB beyond the guest's RAM that the monitor may take. */
const ALLOWANCE = 400;
/** MiB an hour that it may grow by, looked at in runs whose second half is long enough to tell. */
const [GROWTH, GROWTH_MINUTES] = [40, 30] as const;
const SAMPLE_MS = 10_000;

const log = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

const { raw } = await debianRoot({ recipe: kind === 'stress' ? STRESS_ROOT : BUILD_ROOT });
const directory = mkdtempSync(join(tmpdir(), 'dom1-soak-'));
let running: Machine | undefined;
let interrupted = false;
// The console ends with the machine, and everything is cleared away as at any end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    interrupted = true;
    running?.[Symbol.dispose]();
  });
}

try {
  const disk = join(directory, 'root.img');
  copyFileSync(raw, disk);
  using image = await ioImage([
    // Warnings and worse come to the console.
    'echo 5 > /proc/sys/kernel/printk',
    'echo 1 > /proc/sys/kernel/watchdog',
    ...withRoot([
      'mkdir -p /mnt/dev/pts /mnt/dev/shm',
      'mount -t devpts devpts /mnt/dev/pts',
      'mount -t tmpfs tmpfs /mnt/dev/shm',
      ...(kind === 'stress' ? stressCommands(minutes, turnSeconds) : buildCommands(minutes, limit)),
      'umount /mnt/dev/shm /mnt/dev/pts',
    ]),
  ]);
  using machine = new Machine('dom1', {
    image,
    commandLine: 'rdinit=/bench/init io_disks=a',
    memoryMiB,
    disks: [{ path: disk, format: 'raw' }],
    engineChecks: { translate: !values.interpret, checkJit: values['check-jit'] },
    timeoutMs: (minutes * 60 + 4 * 3600) * 1000,
  });
  running = machine;
  if (interrupted) machine[Symbol.dispose]();
  log(`${kind} for ${minutes} minutes, ${memoryMiB} MiB, guest kernel ${image.release}, process ${machine.pid}`);
  using watch = new MemoryWatch(machine, SAMPLE_MS, ({ rssMiB, ownMiB, heapMiB, cpuSeconds }) =>
    log(
      `  resident ${rssMiB.toFixed(0)} MiB, ${ownMiB.toFixed(0)} without the machine's memory, heap ${heapMiB.toFixed(1)} MiB, processor ${cpuSeconds.toFixed(0)} s, load ${loadavg()[0]?.toFixed(1)}`,
    ),
  );
  const verdict = new SoakVerdict(log);
  for (let line = await machine.line(); line !== undefined && !verdict.ended; line = await machine.line()) {
    if (values.console !== undefined) appendFileSync(values.console, `${line.text}\n`);
    verdict.line(line.text, line.ms);
  }
  const failures = [...verdict.failures];
  if (interrupted) failures.push('it was interrupted');
  else if (!verdict.ended) failures.push(`the guest did not reach the end. ${machine.errors}`);
  if (verdict.passed === 0) failures.push('nothing has run to its end');
  const { samples } = watch;
  const last = samples.at(-1);
  if (last === undefined) throw new Error(failures[0] ?? 'the guest ended before its memory was looked at');
  const peak = Math.max(...samples.map(({ rssMiB }) => rssMiB));
  const ownPeak = Math.max(...samples.map(({ ownMiB }) => ownMiB));
  const most = memoryMiB + ALLOWANCE;
  const slope = growth(samples);
  if (peak > most) failures.push(`${peak.toFixed(0)} MiB resident, more than ${most}`);
  if (minutes >= GROWTH_MINUTES && slope > GROWTH) failures.push(`the memory grows by ${slope.toFixed(0)} MiB an hour`);
  if (kind === 'build' && failures.length === 0)
    log(`the kernel boots: ${(await bootBuilt(disk)) ?? 'not tried, its build was stopped'}`);
  console.log(
    [
      '',
      `${kind}: ${(machine.ageMs / 60_000).toFixed(1)} minutes, ${last.cpuSeconds.toFixed(0)} s of processor time, ${verdict.passed} turns passed, ${failures.length} failures, ${verdict.stalls} reports of stalls in the guest`,
      `not available in this guest: ${[...verdict.skipped].join(' ') || 'nothing'}`,
      `resident memory: peak ${peak.toFixed(0)} MiB, last ${last.rssMiB.toFixed(0)} MiB; the limit is ${most} MiB`,
      `without the machine's memory: peak ${ownPeak.toFixed(0)} MiB, last ${last.ownMiB.toFixed(0)} MiB`,
      `second half: ${slope.toFixed(1)} MiB an hour; heap at the end ${last.heapMiB.toFixed(1)} MiB`,
      ...failures.map((failure) => `FAILED: ${failure}`),
    ].join('\n'),
  );
  if (failures.length > 0) process.exitCode = interrupted ? 130 : 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}
