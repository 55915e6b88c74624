// `npm run fuzz:9p`: random and mutated 9P messages, and nonsense on the rings, against a share of a real folder and one in
// memory; it ends at the first problem. Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a round's
// seed alone repeats it with FUZZ_ROUNDS=1), FUZZ_ROUNDS (default: no limit), FUZZ_STEPS (default 150, a round).
import { Random } from '../native/random.ts';
import { P9Round } from './9p.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const steps = Number(env.FUZZ_STEPS ?? 150);

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
const totals = { requests: 0, refusals: 0 };
console.log(`seed ${first}, ${seconds} s, ${steps} steps a round`);

let problem: string | undefined;
let seed = first;
process.on('unhandledRejection', (error) => {
  console.log(`seed ${seed}: a rejection that nobody waits for: ${String(error)}`);
  process.exit(1);
});

let nextReport = 60;
let round = 0;
for (; round < rounds && elapsed() < seconds && problem === undefined; round++) {
  seed = (first + round) >>> 0;
  const fuzz = new P9Round(new Random(seed));
  try {
    problem = await fuzz.run(steps, seed % 2 === 0 ? 'folder' : 'memory');
  } catch (error) {
    problem = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  totals.requests += fuzz.requests;
  totals.refusals += fuzz.refusals;
  if (elapsed() < nextReport) continue;
  nextReport += 60;
  report();
}
if (problem !== undefined) console.log(`\nseed ${seed}: ${problem}\nrepeat it with FUZZ_SEED=${seed} FUZZ_ROUNDS=1`);
report();
process.exitCode = problem === undefined ? 0 : 1;

function report(): void {
  const perMinute = Math.round((totals.requests / elapsed()) * 60);
  console.log(
    `${elapsed().toFixed(0)} s: ${round} rounds, ${totals.requests} requests (${perMinute} a minute), ${totals.refusals} refusals`,
  );
}
