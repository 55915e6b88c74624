// The suite in a guest, dom1 and QEMU's TCG in turns: npm run bench -- [--runs n] [--scale x] [--limit s] [--rows a,b] [--only engine]
import { parseArgs } from 'node:util';
import { suiteImage } from './guest-image.ts';
import { ROWS } from './rows.ts';
import { timedRows } from './timed-rows.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '0.3' },
    limit: { type: 'string', default: '60' },
    rows: { type: 'string' },
    only: { type: 'string' },
  },
});
const [runs, scale, limit] = [Number(values.runs), Number(values.scale), Number(values.limit)];
if (!(runs >= 1 && scale > 0 && scale <= 1 && limit > 0))
  throw new RangeError('--runs is at least 1, --scale within 0 to 1, --limit more than 0 seconds');
const wanted = values.rows?.split(',');
const rows = ROWS.filter(({ name }) => wanted?.includes(name) ?? true);
if (rows.length < (wanted?.length ?? 0)) throw new RangeError(`the rows are ${ROWS.map(({ name }) => name).join(' ')}`);

using image = await suiteImage(rows, scale, limit);
await timedRows({
  kind: 'suite',
  title: 'The guest suite',
  rows: rows.map(({ name }) => name),
  runs,
  limit,
  image,
  machine: { commandLine: 'rdinit=/bench/init' },
  only: values.only,
  note: ` at a scale of ${scale}`,
});
