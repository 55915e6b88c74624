// `npm run fuzz:rings`: frontends that mean harm, against every kind of backend.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a case's seed alone repeats it with FUZZ_ROUNDS=1),
// FUZZ_ROUNDS (cases; default: no limit), FUZZ_STEPS (default 250, a case), FUZZ_ONLY (numbers of steps, all others are left out),
// FUZZ_KIND (vbd, vif, console, 9pfs, vfb, vkbd; default: all), FUZZ_SHOW (default 1: problems until it ends).
import { HangWatch } from './hang-watch.ts';
import { type RingCase, type RingResult, ringCase, runRingCase } from './rings.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const length = Number(env.FUZZ_STEPS ?? 250);
const only = env.FUZZ_ONLY?.split(',').map(Number);
const shown = Number(env.FUZZ_SHOW ?? 1);

const watch = new HangWatch(30_000);
const started = performance.now();
const elapsed = (): number => (performance.now() - started) / 1000;
const totals = { cases: 0, steps: 0, connections: 0, problems: 0, slowestMs: 0 };
const work: Record<string, number> = {};
console.log(`seed ${first}, ${seconds} s, ${length} steps a case`);

let [round, nextReport] = [0, 10];
for (; round < rounds && elapsed() < seconds && totals.problems < shown; round++) {
  const seed = (first + round) >>> 0;
  const whole = ringCase(seed, length);
  if (env.FUZZ_KIND !== undefined && whole.kind !== env.FUZZ_KIND) continue;
  const used = only === undefined ? whole : { ...whole, steps: only.map((i) => whole.steps[i] as number) };
  const before = performance.now();
  const result = await run(used);
  totals.slowestMs = Math.max(totals.slowestMs, performance.now() - before);
  totals.cases++;
  totals.steps += result.steps;
  totals.connections += result.connections;
  work[whole.kind] = (work[whole.kind] ?? 0) + result.work;
  if (result.problem !== undefined) await report(whole, used, result.problem);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(`${elapsed().toFixed(0)} s: ${summary()}`);
}
console.log(
  `${summary()}; ${Math.round((totals.cases / elapsed()) * 60)} cases a minute, slowest ${totals.slowestMs.toFixed(0)} ms`,
);
process.exitCode = totals.problems > 0 ? 1 : 0;

function summary(): string {
  const asked = Object.entries(work).map(([kind, count]) => `${kind} ${count}`);
  return (
    `${totals.cases} cases, ${totals.steps} steps, ${totals.connections} connections, asked of the host: ${asked.join(', ')}; ` +
    `${Math.round(process.memoryUsage().rss / 2 ** 20)} MiB; ${totals.problems} problems`
  );
}

async function run(used: RingCase): Promise<RingResult> {
  watch.begin(used.seed);
  const result = await runRingCase(used, () => watch.step());
  watch.end();
  return result;
}

async function report(whole: RingCase, failing: RingCase, problem: string): Promise<void> {
  totals.problems++;
  console.log(`\n${whole.kind}: ${problem}`);
  console.log(`repeat it: FUZZ_SEED=${whole.seed} FUZZ_ROUNDS=1 FUZZ_STEPS=${length}`);
  if (only !== undefined) return;
  const left = await shrink(failing);
  const numbers = left.steps.map((seed) => whole.steps.indexOf(seed));
  console.log(`fewer steps: FUZZ_SEED=${whole.seed} FUZZ_ROUNDS=1 FUZZ_STEPS=${length} FUZZ_ONLY=${numbers.join(',')}`);
  console.log(`  ${(await run(left)).problem}`);
}

/** Fewer steps that still show a problem. */
async function shrink(failing: RingCase): Promise<RingCase> {
  let left = failing;
  for (let size = Math.ceil(left.steps.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let at = 0; at < left.steps.length; ) {
      const fewer = { ...left, steps: left.steps.filter((_, i) => i < at || i >= at + size) };
      if ((await run(fewer)).problem === undefined) at += size;
      else left = fewer;
    }
  return left;
}
