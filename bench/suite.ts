// The suite in guests, dom1 beside another engine in turns: 64-bit beside QEMU's TCG, 32-bit beside v86.
// npm run bench -- [--bits 64|32|both] [--runs n] [--scale x] [--limit s] [--rows a,b] [--only engine] [--v86 path]
import { parseArgs } from 'node:util';
import './plain-errors.ts';
import { suiteImage } from './guest-image.ts';
import { type Bits, ROWS } from './rows.ts';
import { timedRows } from './timed-rows.ts';
import { findV86 } from './v86-parts.ts';

const { values } = parseArgs({
  options: {
    bits: { type: 'string', default: 'both' },
    runs: { type: 'string', default: '5' },
    scale: { type: 'string', default: '1' },
    limit: { type: 'string', default: '60' },
    rows: { type: 'string' },
    only: { type: 'string' },
    v86: { type: 'string' },
  },
});
const [runs, scale, limit] = [Number(values.runs), Number(values.scale), Number(values.limit)];
if (!(runs >= 1 && scale > 0 && scale <= 1 && limit > 0))
  throw new RangeError('--runs is at least 1, --scale within 0 to 1, --limit more than 0 seconds');
const suites: readonly Bits[] | undefined = { 64: [64] as const, 32: [32] as const, both: [64, 32] as const }[values.bits];
if (suites === undefined) throw new RangeError('--bits is 64, 32 or both');
const wanted = values.rows?.split(',');
const rows = ROWS.filter(({ name }) => wanted?.includes(name) ?? true);
if (rows.length < (wanted?.length ?? 0)) throw new RangeError(`the rows are ${ROWS.map(({ name }) => name).join(' ')}`);

const common = { rows: rows.map(({ name }) => name), runs, limit, only: values.only, note: ` at a scale of ${scale}` };
for (const bits of suites) {
  using image = await suiteImage(rows, scale, limit, bits);
  const commandLine = 'rdinit=/bench/init';
  if (bits === 64) {
    await timedRows({ ...common, kind: 'suite', title: 'The guest suite', image, machine: { commandLine } });
    continue;
  }
  const v86 = await findV86(values.v86);
  await timedRows({
    ...common,
    kind: 'suite-32',
    title: 'The guest suite in 32 bits',
    image,
    machine: { commandLine, v86 },
    other: { engine: 'v86', name: 'v86', short: 'v86', version: v86?.version },
  });
}
