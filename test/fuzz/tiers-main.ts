// `npm run fuzz:tiers`: random programs on the interpreter and translated.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; one program has the seed that is printed),
// FUZZ_PROGRAMS (default: no limit), FUZZ_SHOW (problems described, default 5), FUZZ_LOCKSTEP=1 (as under --check-jit),
// FUZZ_SCENES=0 (programs without what tier-scenes.ts has).
import { TierFuzz } from './compare-tiers.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const most = Number(env.FUZZ_PROGRAMS ?? Number.POSITIVE_INFINITY);
const shown = Number(env.FUZZ_SHOW ?? 5);

const fuzz = new TierFuzz(env.FUZZ_LOCKSTEP === '1');
const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
console.log(`seed ${first}, ${seconds} s`);

let problems = 0;
let nextReport = 10;
let count = 0;
for (; count < most && elapsed() < seconds; count++) {
  const seed = (first + count) >>> 0;
  const problem = attempt(seed);
  if (problem !== undefined && problems++ < shown) console.log(`\nseed ${seed}: ${problem}`);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(`${elapsed().toFixed(0)} s: ${count + 1} programs, ${problems} differ`);
}
const { tally, translator } = fuzz;
const watched = translator.engine.lockstep?.counters;
const lockstep = watched === undefined ? '' : `, lockstep ${JSON.stringify(watched)}`;
console.log(
  `${count} programs of ${Math.round(tally.instructions / Math.max(1, tally.programs))} instructions on average, ended by ` +
    `${[...tally.ended].map(([name, times]) => `${name} ${times}`).join(', ')}; ` +
    `${JSON.stringify(translator.engine.regions?.counters)}${lockstep}; ${problems} problems`,
);
process.exitCode = problems > 0 ? 1 : 0;

function attempt(seed: number): string | undefined {
  try {
    return fuzz.findProblem(seed, env.FUZZ_SCENES !== '0');
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
