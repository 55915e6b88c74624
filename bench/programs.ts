// Programs of a Debian system, dom1 and QEMU's TCG in turns: npm run bench:programs -- [--runs n] [--limit s] [--rows a,b] [--only engine]
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { debianRoot } from '../test/guest/debian-root/debian-root.ts';
import './plain-errors.ts';
import { ioImage } from './guest-image.ts';
import { PROGRAM_ROOT, PROGRAMS } from './program-root.ts';
import { withRoot } from './root-commands.ts';
import { timedRows } from './timed-rows.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    limit: { type: 'string', default: '300' },
    rows: { type: 'string' },
    only: { type: 'string' },
  },
});
const [runs, limit] = [Number(values.runs), Number(values.limit)];
if (!(runs >= 1 && limit > 0)) throw new RangeError('--runs is at least 1, --limit more than 0 seconds');
const wanted = values.rows?.split(',');
const names = PROGRAMS.map(({ name }) => name);
const rows = names.filter((name) => wanted?.includes(name) ?? true);
if (rows.length < (wanted?.length ?? 0)) throw new RangeError(`the rows are ${names.join(' ')}`);

const { raw } = await debianRoot({ recipe: PROGRAM_ROOT });
const directory = mkdtempSync(join(tmpdir(), 'dom1-bench-'));
try {
  const disk = join(directory, 'root.img');
  copyFileSync(raw, disk);
  const commands = [
    // What it reads is in memory, so that no row pays for another's first look.
    'chroot /mnt sh -c "cat /bench/data > /dev/null"',
    ...rows.flatMap((name) => [
      `echo "@@B ${name}"`,
      `timeout -s KILL ${limit} chroot /mnt bash -eo pipefail /bench/rows/${name}`,
      `echo "@@E ${name} $?"`,
    ]),
  ];
  using image = await ioImage(withRoot(commands));
  await timedRows({
    kind: 'programs',
    title: 'Programs of a Debian system',
    rows,
    runs,
    limit,
    image,
    machine: { commandLine: 'rdinit=/bench/init io_disks=a', memoryMiB: 512, disks: [{ path: disk, format: 'raw' }] },
    only: values.only,
    note: '',
  });
} finally {
  rmSync(directory, { recursive: true });
}
