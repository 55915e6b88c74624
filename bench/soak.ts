// Endurance: npm run soak -- stress|build [--minutes n] [--memory MiB] [--turn s] [--console file]. Fails when a result is wrong, the guest's kernel
// complains of itself, or the monitor's memory is not bounded and flat.
import { appendFileSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { debianRoot } from '../test/guest/debian-root/debian-root.ts';
import { ioImage } from './guest-image.ts';
import { Machine } from './machine.ts';
import { growth, MemoryWatch } from './memory-watch.ts';
import { bootBuilt, buildCommands } from './soak-build.ts';
import { BUILD_ROOT, STRESS_ROOT } from './soak-roots.ts';
import { STRESS_SKIPPED, stressCommands } from './soak-stress.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    minutes: { type: 'string' },
    memory: { type: 'string', default: '512' },
    turn: { type: 'string', default: '10' },
    console: { type: 'string' },
  },
});
const [kind = ''] = positionals;
if (positionals.length !== 1 || !(kind === 'stress' || kind === 'build'))
  throw new RangeError('say what to run: stress or build');
const minutes = Number(values.minutes ?? (kind === 'stress' ? 60 : 10));
const [memoryMiB, turnSeconds] = [Number(values.memory), Number(values.turn)];
if (!(minutes > 0 && memoryMiB >= 256 && turnSeconds >= 1))
  throw new RangeError('--minutes is more than 0, --memory at least 256 MiB, --turn at least 1 second');

/** MiB beyond the guest's RAM that the monitor may take. */
const ALLOWANCE = 400;
/** MiB an hour that it may grow by, looked at in runs whose second half is long enough to tell. */
const [GROWTH, GROWTH_MINUTES] = [40, 30] as const;
const SAMPLE_MS = 10_000;
/** What the guest's kernel says when something is wrong with it, and when it has waited: the latter may be the host's doing. */
const COMPLAINT =
  /BUG:|Oops|WARNING: CPU|general protection|Kernel panic|invalid opcode|double fault|corrupt|bad page|EXT4-fs error|I\/O error/i;
const STALL = /soft lockup|hung_task|blocked for more than|rcu.*stall/i;

const log = (text: string): void => console.log(`${new Date().toISOString().slice(11, 19)} ${text}`);

const { raw } = await debianRoot({ recipe: kind === 'stress' ? STRESS_ROOT : BUILD_ROOT });
const directory = mkdtempSync(join(tmpdir(), 'dom1-soak-'));
const cleanUp = (): void => rmSync(directory, { recursive: true, force: true });
let running: Machine | undefined;
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    running?.[Symbol.dispose]();
    cleanUp();
    process.exit(130);
  });
}

const failures: string[] = [];
const skipped = new Set<string>();
let [turns, stalls] = [0, 0];

/** Reads the guest's console to its end. Lines of a turn are shown when it fails. */
async function follow(machine: Machine): Promise<void> {
  let printed: string[] = [];
  let begin: number | undefined;
  for (let line = await machine.line(); line !== undefined; line = await machine.line()) {
    const { text, ms } = line;
    if (values.console !== undefined) appendFileSync(values.console, `${text}\n`);
    // A line may come in pieces, each with what was there before: these end with a full stop, and count once.
    const [, mark, name = '', status = ''] = /^@@([BE]) (\S+)(?: (\d+))?\.$/.exec(text) ?? [];
    if (text === '@@D') return;
    if (mark === 'B') [printed, begin] = [[], ms];
    else if (mark === 'E' && begin !== undefined) {
      const seconds = ((ms - begin) / 1000).toFixed(0);
      begin = undefined;
      turns++;
      if (status === '0') log(`${name}: passed, ${seconds} s`);
      else if (kind === 'stress' && STRESS_SKIPPED.has(Number(status))) {
        skipped.add(name);
        log(`${name}: not available in this guest`);
      } else {
        failures.push(`${name} ended with status ${status}`);
        log(`${name}: FAILED, status ${status} after ${seconds} s\n  ${printed.slice(-40).join('\n  ')}`);
      }
    } else if (text !== printed.at(-1)) {
      printed.push(text);
      if (printed.length > 400) printed = printed.slice(-100);
      if (STALL.test(text)) {
        stalls++;
        log(`the guest has waited (load average of the host ${loadavg()[0]?.toFixed(1)}): ${text}`);
      } else if (COMPLAINT.test(text)) {
        failures.push(`the guest's kernel: ${text}`);
        log(`COMPLAINT: ${text}`);
      }
    }
  }
  failures.push(`the guest did not reach the end. ${machine.errors}`);
}

try {
  const disk = join(directory, 'root.img');
  copyFileSync(raw, disk);
  using image = await ioImage([
    // Warnings and worse come to the console.
    'echo 5 > /proc/sys/kernel/printk',
    'echo 1 > /proc/sys/kernel/watchdog',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the guest's shell fills it in
    'mount -t ext4 -o noatime ${disk}a /mnt',
    'for what in proc sys dev; do mount --bind /$what /mnt/$what; done',
    'mkdir -p /mnt/dev/pts /mnt/dev/shm',
    'mount -t devpts devpts /mnt/dev/pts',
    'mount -t tmpfs tmpfs /mnt/dev/shm',
    ...(kind === 'stress' ? stressCommands(minutes, turnSeconds) : buildCommands(minutes)),
    'umount /mnt/dev/shm /mnt/dev/pts /mnt/proc /mnt/sys /mnt/dev /mnt',
  ]);
  using machine = new Machine('dom1', {
    image,
    commandLine: 'rdinit=/bench/init io_disks=a',
    memoryMiB,
    disks: [{ path: disk, format: 'raw' }],
    timeoutMs: (minutes * 60 + 4 * 3600) * 1000,
  });
  running = machine;
  log(`${kind} for ${minutes} minutes, ${memoryMiB} MiB, guest kernel ${image.release}, process ${machine.pid}`);
  using watch = new MemoryWatch(machine, SAMPLE_MS, ({ rssMiB, heapMiB }) =>
    log(`  resident ${rssMiB.toFixed(0)} MiB, heap ${heapMiB.toFixed(1)} MiB, processor ${(machine.cpuMs / 1000).toFixed(0)} s`),
  );
  await follow(machine);
  const { samples } = watch;
  const last = samples.at(-1);
  if (last === undefined) throw new Error('the guest ended before its memory was looked at');
  const peak = Math.max(...samples.map(({ rssMiB }) => rssMiB));
  const limit = memoryMiB + ALLOWANCE;
  const slope = growth(samples);
  if (peak > limit) failures.push(`${peak.toFixed(0)} MiB resident, more than ${limit}`);
  if (minutes >= GROWTH_MINUTES && slope > GROWTH) failures.push(`the memory grows by ${slope.toFixed(0)} MiB an hour`);
  if (kind === 'build' && failures.length === 0) log(`the kernel boots: ${await bootBuilt(disk)}`);
  console.log(
    [
      '',
      `${kind}: ${(machine.ageMs / 60_000).toFixed(1)} minutes, ${turns} turns, ${failures.length} failures, ${stalls} stalls reported by the guest`,
      `not available in this guest: ${[...skipped].join(' ') || 'nothing'}`,
      `resident memory: peak ${peak.toFixed(0)} MiB, last ${last.rssMiB.toFixed(0)} MiB; the limit is ${limit} MiB`,
      `second half: ${slope.toFixed(1)} MiB an hour; heap at the end ${last.heapMiB.toFixed(1)} MiB`,
      ...failures.map((failure) => `FAILED: ${failure}`),
    ].join('\n'),
  );
} finally {
  cleanUp();
}
if (failures.length > 0) process.exitCode = 1;
