// `npm run fuzz:cpu`: every row of the instruction table on the engine and on the host's own CPU, Intel's or AMD's. What is
// not compared on AMD's is printed.
// Environment: FUZZ_CASES (default a million), FUZZ_SEED (default: from the clock), FUZZ_MODES (64,32,16), FUZZ_ROWS (a
// regular expression for row names), FUZZ_SHOW (how many differences are described), FUZZ_EACH (how many of each row),
// FUZZ_STRICT (1: compare flags too that the manual leaves undefined), FUZZ_SEQUENCES (1: two to eight instructions a case;
// always strict, so only for a host that treats undefined flags as the engine does).
// `--tier interpreted` (the default), `translated` (cases run as a translated region) or `both` (one after the other).
import { parseArgs } from 'node:util';
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import type { CpuMode } from './cpu-image.ts';
import { EngineEmulator, type Tier } from './engine-emulator.ts';
import { compareCpus } from './fuzz-cpu.ts';
import { NativeCpu } from './oracle.ts';
import { existsIn, NOT_COMPARABLE, rowName } from './row-cases.ts';
import { RowFuzz } from './row-fuzz.ts';
import { VENDOR_DIFFERENCES, type VendorDifference } from './vendor-differences.ts';

const env = process.env;
const count = Number(env.FUZZ_CASES ?? 1_000_000);
const seed = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const shown = Number(env.FUZZ_SHOW ?? 10);
/** Cases between two lines of progress; each piece has a seed of its own, so that it can be run alone. */
const PIECE = 50_000;

const { values } = parseArgs({ options: { tier: { type: 'string', default: 'interpreted' } } });
const tiers: readonly Tier[] | undefined = {
  interpreted: ['interpreted'],
  translated: ['translated'],
  both: ['interpreted', 'translated'],
}[values.tier] as Tier[] | undefined;
if (tiers === undefined) throw new RangeError(`--tier ${values.tier}: interpreted, translated or both`);

const native = NativeCpu.open();
if (!(native instanceof NativeCpu)) {
  console.log(`fuzz:cpu: skipped: ${native.unavailable}`);
  process.exit(0);
}
const wanted = (env.FUZZ_MODES ?? '64,32,16').split(',').map(Number) as CpuMode[];
const modes = wanted.filter((mode) => native.modes.has(mode));
for (const mode of wanted)
  if (!native.modes.has(mode)) console.log(`${mode}-bit mode: skipped: this kernel does not run ${mode}-bit code`);
const pattern = new RegExp(env.FUZZ_ROWS ?? '');
const fuzz = new RowFuzz(
  ROWS.filter((row) => pattern.test(rowName(row))),
  modes,
  env.FUZZ_STRICT === '1',
);
for (const row of fuzz.skipped) console.log(`${rowName(row)}: skipped: ${NOT_COMPARABLE.get(row.mnemonic) ?? ''}`);
const rules = VENDOR_DIFFERENCES[native.vendor];
for (const { what, source } of rules) console.log(`not compared on this vendor's CPUs: ${what} (${source})`);
console.log(`seed ${seed}, ${count} cases, ${fuzz.rows.length} rows, modes ${modes.join(' ')}`);

const sequences = env.FUZZ_SEQUENCES === '1';
const differing = new Map<string, number>();
const outcomes = new Map<string, number>();
const excused = new Map<VendorDifference, number>();
const add = <Key>(to: Map<Key, number>, from: ReadonlyMap<Key, number>) => {
  for (const [key, times] of from) to.set(key, (to.get(key) ?? 0) + times);
};
let described = 0;
for (const tier of tiers) fuzzTier(tier);

function fuzzTier(tier: Tier): void {
  const emulator = new EngineEmulator(tier);
  const started = performance.now();
  for (let done = 0; done < count; done += PIECE) {
    const report = compareCpus({
      native: native as NativeCpu,
      emulator,
      describePerName: Number(env.FUZZ_EACH ?? 1),
      seed: (seed + done / PIECE) >>> 0,
      count: Math.min(PIECE, count - done),
      next: sequences ? fuzz.nextSequence : fuzz.next,
      states: { unmaskOneIn: 8, alignmentCheckOneIn: 16, singleStepOneIn: 64 },
    });
    add(differing, report.differing);
    add(outcomes, report.outcomes);
    add(excused, report.excused);
    for (const text of report.descriptions) if (described++ < shown) console.log(`\n${text}`);
    const total = Math.min(done + PIECE, count);
    const seconds = (performance.now() - started) / 1000;
    const differ = [...differing.values()].reduce((a, b) => a + b, 0);
    console.log(`${tier}: ${total} cases, ${differ} differ, ${Math.round(total / seconds)} a second`);
  }
  if (tier === 'translated') console.log(`${emulator.translated} of them were translated, ${emulator.entered} ran so`);
}
native.close();

console.log('\ncases by mnemonic and mode:');
for (const line of fuzz.coverageTable()) console.log(`  ${line}`);
const missed = fuzz.rows.flatMap((row) =>
  modes.filter((mode) => existsIn(row, mode) && fuzz.times(row, mode) === 0).map((mode) => `${rowName(row)} in ${mode}-bit mode`),
);
console.log(`rows covered: ${fuzz.rows.length - new Set(missed).size} of ${fuzz.rows.length}; skipped: ${fuzz.skipped.length}`);
for (const name of missed) console.log(`  never reached: ${name}`);
console.log(`outcomes on the native CPU: ${[...outcomes].map(([name, times]) => `${name} ${times}`).join(', ')}`);
for (const rule of rules) console.log(`cases compared but for this: ${excused.get(rule) ?? 0}: ${rule.what}`);
if (differing.size === 0) console.log(`no difference in ${count} cases`);
else {
  console.log(`\n${differing.size} rows differ:`);
  for (const [name, times] of [...differing].sort((a, b) => b[1] - a[1])) console.log(`  ${times} ${name}`);
  process.exitCode = 1;
}
