// `npm run fuzz:hypercalls`: random hypercalls against the Xen platform, with what must hold checked after each.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; each guest's own seed is printed when it fails,
// and FUZZ_SEED with FUZZ_GUESTS=1 runs that guest alone), FUZZ_GUESTS (default: as many as there is time for).
import { Random } from '../native/random.ts';
import { type FuzzStatistics, HypercallFuzz } from './hypercall-fuzz.ts';

const env = process.env;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const seed = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000) >>> 0;
const guests = Number(env.FUZZ_GUESTS ?? Number.POSITIVE_INFINITY);
/** Calls each guest makes. */
const CALLS = 2000;
const PROGRESS_MS = 10_000;

console.log(`seed ${seed}, ${seconds} s`);
const total: FuzzStatistics = { calls: 0, successes: 0, continuations: 0, softResets: 0, slowestMs: 0, slowest: '' };
const started = performance.now();
let shown = started;
let failed = 0;
const minute = (): number => Math.round(total.calls / ((performance.now() - started) / 60_000));
for (let guest = 0; guest < guests && performance.now() - started < seconds * 1000; guest++) {
  const guestSeed = (seed + guest) >>> 0;
  const fuzz = new HypercallFuzz(new Random(guestSeed));
  try {
    fuzz.run(CALLS);
  } catch (error) {
    failed++;
    console.log(`\nFUZZ_SEED=${guestSeed} FUZZ_GUESTS=1: ${error instanceof Error ? error.message : String(error)}`);
    if (failed >= 5) break;
  }
  const { statistics } = fuzz;
  total.calls += statistics.calls;
  total.successes += statistics.successes;
  total.continuations += statistics.continuations;
  total.softResets += statistics.softResets;
  if (statistics.slowestMs > total.slowestMs) {
    total.slowestMs = statistics.slowestMs;
    total.slowest = statistics.slowest;
  }
  if (performance.now() - shown > PROGRESS_MS) {
    shown = performance.now();
    console.log(`${total.calls} calls, ${minute()} a minute, ${failed} guests failed`);
  }
}
console.log(
  `${failed === 0 ? 'ok' : 'FAILED'}: ${total.calls} calls (${minute()} a minute), ${total.successes} succeeded, ` +
    `${total.continuations} continued, ${total.softResets} soft resets, slowest ${total.slowestMs.toFixed(1)} ms: ${total.slowest}`,
);
process.exitCode = failed === 0 ? 0 : 1;
