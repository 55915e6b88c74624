// Disks, dom1's PV backend and QEMU's virtio-blk in turns: npm run bench:block -- [--runs n] [--seconds s] [--rows a,b] [--quick]
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { convertDisk } from '../src/node/disk-images.ts';
import './plain-errors.ts';
import { ioImage } from './guest-image.ts';
import { ioRuns } from './io-runs.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '2' },
    rows: { type: 'string' },
    quick: { type: 'boolean', default: false },
    against: { type: 'string' },
    only: { type: 'string' },
  },
});
const runs = values.quick ? 1 : Number(values.runs);
const seconds = values.quick ? 1 : Number(values.seconds);
if (!(runs >= 1 && seconds > 0)) throw new RangeError('--runs is at least 1, --seconds more than 0');

/** Of the disk. The host keeps it in its page cache. */
const BYTES = 256 * 2 ** 20;
const FORMATS = { raw: 'a', qcow2: 'b' } as const;
const MB = ['read', 'write', 'buffered-read', 'buffered-write'];
const OPERATIONS = ['random-read', 'random-write', 'random-read-32', 'random-write-32'];

const all = Object.entries(FORMATS).flatMap(([format, letter]) =>
  [...MB, ...OPERATIONS].map((what) => ({
    name: `${format}:${what}`,
    unit: MB.includes(what) ? 'MB/s' : 'operations/s',
    command: `/bench/io ${format}:${what} ${seconds} \${disk}${letter}`,
  })),
);
const wanted = values.rows?.split(',');
const rows = all.filter(({ name }) => wanted?.some((part) => name === part || name.startsWith(`${part}:`)) ?? true);
if (rows.length === 0) throw new RangeError(`the rows are ${all.map(({ name }) => name).join(' ')}`);

const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-'));
try {
  const path = (format: string): string => join(directory, `disk.${format}`);
  const contents = new Uint8Array(BYTES);
  for (let i = 0, x = 1; i < BYTES; i++) {
    x = (x * 1103515245 + 12345) & 0x7fffffff;
    contents[i] = x >>> 16;
  }
  writeFileSync(path('source'), contents);
  copyFileSync(path('source'), path('raw'));
  await convertDisk(path('source'), path('qcow2'), { to: 'qcow2' });
  rmSync(path('source'));
  using image = await ioImage(rows.map(({ command }) => command));
  await ioRuns({
    kind: 'block',
    title: 'Disks',
    rows,
    runs,
    seconds,
    image,
    machine: async () => ({
      commandLine: 'rdinit=/bench/init io_disks=b',
      disks: Object.keys(FORMATS).map((format) => ({ path: path(format), format: format as keyof typeof FORMATS })),
    }),
    against: values.against,
    only: values.only,
  });
} finally {
  rmSync(directory, { recursive: true });
}
