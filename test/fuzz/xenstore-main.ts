// `npm run fuzz:xenstore`: random requests of three domains against a simple model, and nonsense over a guest's ring.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a round's seed alone repeats it with
// FUZZ_ROUNDS=1), FUZZ_ROUNDS (default: no limit), FUZZ_STEPS (default 150, a round), FUZZ_SHOW (problems described).
import {
  ARGUMENTS,
  DOMIDS,
  findProblem,
  OPERATIONS,
  PATHS,
  type Step,
  StepRunner,
  show,
} from '../../src/xen/store/fixtures/store-steps.ts';
import { WireNoise } from '../../src/xen/store/fixtures/wire-noise.ts';
import { Random } from '../native/random.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const length = Number(env.FUZZ_STEPS ?? 150);
const shown = Number(env.FUZZ_SHOW ?? 5);

const totals = { model: 0, committed: 0, conflicts: 0, wire: 0, problems: 0 };
const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
console.log(`seed ${first}, ${seconds} s, ${length} steps a round`);

let nextReport = 10;
let round = 0;
for (; round < rounds && elapsed() < seconds; round++) {
  const seed = (first + round) >>> 0;
  fuzzModel(seed);
  fuzzWire(seed);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(
    `${elapsed().toFixed(0)} s: ${round + 1} rounds, ${totals.model + totals.wire} requests, ${totals.problems} problems`,
  );
}
const perMinute = Math.round(((totals.model + totals.wire) / elapsed()) * 60);
console.log(
  `${round} rounds: ${totals.model} requests compared with the model (${totals.committed} commits, ${totals.conflicts} conflicts), ` +
    `${totals.wire} over the ring; ${perMinute} a minute; ${totals.problems} problems`,
);
process.exitCode = totals.problems > 0 ? 1 : 0;

function fuzzModel(seed: number): void {
  const random = new Random(seed);
  const steps = Array.from({ length }, (): Step => {
    const transaction = random.pick([0, 0, 1, 2] as const);
    const path = random.pick(PATHS);
    return {
      domid: random.pick(DOMIDS),
      operation: random.pick(OPERATIONS),
      path,
      argument: random.pick(ARGUMENTS),
      transaction,
    };
  });
  const problem = attempt(() => {
    const runner = new StepRunner();
    for (const step of steps) {
      const found = runner.run(step);
      if (found !== undefined) return found;
    }
    totals.model += runner.requests;
    totals.committed += runner.committed;
    totals.conflicts += runner.conflicts;
    return runner.check();
  });
  if (problem === undefined) return;
  report(`model, seed ${seed}: ${problem}`, () => shrink(steps).map(show));
}

function fuzzWire(seed: number): void {
  const random = new Random(seed);
  const noise = new WireNoise((below) => random.below(below));
  const problem = attempt(() => {
    for (let i = 0; i < length; i++) {
      const found = noise.step();
      if (found !== undefined) return `step ${i}: ${found}`;
    }
    return noise.finish();
  });
  totals.wire += noise.requests;
  if (problem !== undefined) report(`ring, seed ${seed}: ${problem}`, () => []);
}

function attempt(body: () => string | undefined): string | undefined {
  try {
    return body();
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

/** Fewer steps that still show a problem. */
function shrink(steps: readonly Step[]): readonly Step[] {
  let left = steps;
  for (let size = Math.ceil(steps.length / 2); size >= 1; size = Math.floor(size / 2))
    for (let at = 0; at < left.length; ) {
      const fewer = [...left.slice(0, at), ...left.slice(at + size)];
      if (attempt(() => findProblem(fewer)) === undefined) at += size;
      else left = fewer;
    }
  return left;
}

function report(text: string, details: () => readonly string[]): void {
  if (totals.problems++ >= shown) return;
  console.log(`\n${text}`);
  for (const line of details()) console.log(`  ${line}`);
}
