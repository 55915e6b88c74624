// `npm run fuzz:decoder`: the engine's decoder and iced-x86 on random byte strings.
// Environment: FUZZ_STRINGS (for each mode; default ten million), FUZZ_SEED (default: from the clock), FUZZ_MODES (64,32,16).
import { ROWS } from '../../src/cpu/x86/table/rows.ts';
import { compareDecoders, type DecodeMode, describeMismatch } from './fuzz-decoder.ts';
import { describedDifferently, IMPLEMENTED_FEATURES, rowDecode } from './row-decoder.ts';

const { env } = process;
const count = Number(env.FUZZ_STRINGS ?? 10_000_000);
const seed = Number(env.FUZZ_SEED ?? Date.now() % 0x1_0000_0000);
const modes = (env.FUZZ_MODES ?? '64,32,16').split(',').map(Number) as DecodeMode[];
/** Strings between two lines of progress; each piece has a seed of its own. */
const PIECE = 1_000_000;

const decode = rowDecode(ROWS);
const unimplemented = new Map<string, number>();
let mismatches = 0;
console.log(`seed ${seed}, ${count} strings in each of the modes ${modes.join(' ')}`);
const started = performance.now();
let total = 0;
for (const mode of modes) {
  const shown = new Set<string>();
  let agreed = 0;
  let invalid = 0;
  for (let done = 0; done < count; done += PIECE) {
    const report = compareDecoders({
      seed: (seed + done / PIECE) >>> 0,
      mode,
      count: Math.min(PIECE, count - done),
      decode,
      exempt: describedDifferently,
      implemented: (_, features) => features.every((feature) => IMPLEMENTED_FEATURES.has(feature)),
    });
    agreed += report.agreed;
    invalid += report.bothInvalid;
    mismatches += report.mismatchCount;
    total += report.tested;
    for (const [form, times] of report.unimplemented) unimplemented.set(form, (unimplemented.get(form) ?? 0) + times);
    for (const mismatch of report.mismatches) {
      const kind = `${mismatch.kind} ${mismatch.form}`;
      if (!shown.has(kind)) console.log(`  ${describeMismatch(mismatch)}`);
      shown.add(kind);
    }
    console.log(
      `${mode}-bit: ${Math.min(done + PIECE, count)} strings, ${Math.round(total / ((performance.now() - started) / 1000))} a second`,
    );
  }
  console.log(`${mode}-bit: both took ${agreed} for the same instruction and ${invalid} for none`);
}
console.log(`not implemented, #UD: ${[...unimplemented.keys()].sort().join(' ')}`);
if (mismatches === 0) console.log(`no mismatch in ${total} strings`);
else {
  console.log(`${mismatches} mismatches`);
  process.exitCode = 1;
}
