// `npm run fuzz:packets`: frames, segments and datagrams that make no sense, from the guest and from the host, into the network in
// user mode and everything it reads packets with.
// Environment: FUZZ_SECONDS (default 60), FUZZ_SEED (default: from the clock; a round's seed alone repeats it with
// FUZZ_ROUNDS=1), FUZZ_ROUNDS (default: no limit), FUZZ_STEPS (default 2000, a round), FUZZ_SHOW (problems described).
import { Random } from '../native/random.ts';
import { PacketFuzz } from './packets.ts';

const { env } = process;
const seconds = Number(env.FUZZ_SECONDS ?? 60);
const first = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const rounds = Number(env.FUZZ_ROUNDS ?? Number.POSITIVE_INFINITY);
const steps = Number(env.FUZZ_STEPS ?? 2000);
const shown = Number(env.FUZZ_SHOW ?? 5);

const started = performance.now();
const elapsed = () => (performance.now() - started) / 1000;
const totals = { steps: 0, framesIn: 0, framesOut: 0, problems: 0, slowestMs: 0 };
console.log(`seed ${first}, ${seconds} s, ${steps} steps a round`);

let [round, nextReport] = [0, 10];
for (; round < rounds && elapsed() < seconds; round++) {
  const seed = (first + round) >>> 0;
  const fuzz = await PacketFuzz.create(new Random(seed));
  try {
    await fuzz.run(steps);
  } catch (error) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (totals.problems++ < shown) console.log(`\nFUZZ_SEED=${seed} FUZZ_ROUNDS=1, step ${fuzz.steps}: ${text}`);
  }
  totals.steps += fuzz.steps;
  totals.framesIn += fuzz.framesIn;
  totals.framesOut += fuzz.framesOut;
  totals.slowestMs = Math.max(totals.slowestMs, fuzz.slowestMs);
  if (elapsed() < nextReport) continue;
  nextReport += 10;
  console.log(`${elapsed().toFixed(0)} s: ${round + 1} rounds, ${totals.steps} steps, ${totals.problems} problems`);
}
console.log(
  `${round} rounds: ${totals.framesIn} frames from the guest, ${totals.framesOut} to it, ` +
    `${Math.round((totals.steps / elapsed()) * 60)} steps a minute, slowest ${totals.slowestMs.toFixed(1)} ms; ${totals.problems} problems`,
);
process.exitCode = totals.problems > 0 ? 1 : 0;
