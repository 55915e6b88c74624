// `npm run fuzz:xl-config`: nonsense and mutated configurations for the reader of xl's configuration files: it must read them,
// or say of every mistake where it is, and soon.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a round's seed alone repeats it with
// FUZZ_ROUNDS=1), FUZZ_ROUNDS (default: no limit), FUZZ_SHOW (problems described, default 5).
import { findConfigProblem, mutatedConfig, someOverrides, tokenSoup } from '../../src/control/xl-config/fixtures/config-noise.ts';
import { Random } from '../native/random.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const shown = Number(env.FUZZ_SHOW ?? 5);

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
console.log(`seed ${first}, ${seconds} s`);

let [round, problems, nextReport] = [0, 0, 10];
for (; round < rounds && elapsed() < seconds; round++) {
  const seed = (first + round) >>> 0;
  const random = new Random(seed);
  const below = (limit: number) => random.below(limit);
  const text = below(2) === 0 ? tokenSoup(below) : mutatedConfig(below);
  const overrides = someOverrides(below);
  const problem = findConfigProblem(text, overrides);
  if (problem !== undefined && ++problems <= shown)
    console.log(`seed ${seed}: ${problem}\n${JSON.stringify(shrink(text, overrides))} ${JSON.stringify(overrides)}`);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(`${elapsed().toFixed(0)} s: ${round + 1} configurations, ${problems} problems`);
}
console.log(`${round} configurations; ${Math.round((round / elapsed()) * 60)} a minute; ${problems} problems`);
process.exitCode = problems > 0 ? 1 : 0;

/** The text without whatever can be left out of it and still be a problem. */
function shrink(text: string, overrides: readonly string[]): string {
  let small = text;
  for (let size = Math.ceil(small.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let at = 0; at < small.length; ) {
      const without = small.slice(0, at) + small.slice(at + size);
      if (findConfigProblem(without, overrides) === undefined) at += size;
      else small = without;
    }
  }
  return small;
}
