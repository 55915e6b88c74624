// A disk that stays as it is, and a qcow2 image above it that takes what the guest writes.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitDisk, createDisk, diskInfo } from 'dom1';
import { bootLinux } from 'dom1/testing';

const directory = await mkdtemp(join(tmpdir(), 'dom1-example-'));
const base = join(directory, 'base.raw');
const overlay = join(directory, 'overlay.qcow2');
const start = async (): Promise<string> => (await readFile(base)).subarray(0, 6).toString();

await writeFile(base, Buffer.alloc(16 * 2 ** 20).fill('before', 0, 6));
await createDisk(overlay, { format: 'qcow2', backing: 'base.raw' });

{
  await using domain = await bootLinux({
    memory: '128MiB',
    modules: ['xen-blkfront'],
    disks: [{ vdev: 'xvda', path: overlay }],
  });
  console.log('the guest reads', (await domain.sh('head -c 6 /dev/xvda')).output);
  await domain.sh('printf after. | dd of=/dev/xvda conv=notrunc,fsync');
  console.log('and writes', (await domain.sh('head -c 6 /dev/xvda')).output);
} // the domain is destroyed here, and its disks are closed

console.log('the base still has', await start());
console.log('the overlay is on', (await diskInfo(overlay)).qcow2?.backingFile);
await commitDisk(overlay);
console.log('committed, the base has', await start());
await rm(directory, { recursive: true });

// Prints:
//   the guest reads before
//   and writes after.
//   the base still has before
//   the overlay is on base.raw
//   committed, the base has after.
