// PV disks under Linux's own driver: data, sizes, hot plug; debian-root/reconnect.spec.ts has the reconnects.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskDevice } from '../../src/backends/block/disk-device.ts';
import { cpioDirectory, cpioFile } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import { readKernelModules } from '../../src/node/guest-parts.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;

describe.skipIf(parts === undefined)('a guest with PV disks', { timeout: BOOT_TIME }, () => {
  const contents = randomBytes(8 * MIB);
  const [first, second] = [new RamStore(64 * MIB), new RamStore(8 * MIB, { contents, readOnly: true })];
  let guest: XenGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 60_000 });
  const md5 = (device: string): Promise<string> => sh(`md5sum < ${device} | cut -d ' ' -f 1`);

  beforeAll(async () => {
    if (parts === undefined) return;
    const modules = await readKernelModules(parts, ['xen-blkfront']);
    const files = [cpioDirectory('disk'), ...modules.map(({ data, name }) => cpioFile(`disk/${name}.ko`, data))];
    guest = await XenGuest.boot(parts, {
      files,
      disks: [
        { vdev: 'xvda', store: first },
        { vdev: 'xvdb', store: second },
      ],
    });
    await sh(modules.map(({ name }) => `insmod /disk/${name}.ko`).join('; '));
    await sh('while ! [ -b /dev/xvda ] || ! [ -b /dev/xvdb ]; do sleep 0.1; done');
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
  });

  it('finds them with the size and the mode they have', async () => {
    expect(await sh('cat /sys/block/xvda/size /sys/block/xvda/ro /sys/block/xvdb/size /sys/block/xvdb/ro')).toBe(
      `${first.sizeBytes / 512}\n0\n${second.sizeBytes / 512}\n1`,
    );
  });

  it('reads what is there, and may not change what is read-only', async () => {
    const expected = createHash('md5').update(contents).digest('hex');
    expect(await md5('/dev/xvdb')).toBe(expected);
    await guest.sh('dd if=/dev/zero of=/dev/xvdb bs=4096 count=1 2>/dev/null', { status: 1 });
    await sh('echo 3 > /proc/sys/vm/drop_caches');
    expect(await md5('/dev/xvdb')).toBe(expected);
  });

  it('reads back what it wrote, after a flush and from the store', async () => {
    await sh(
      'dd if=/dev/urandom of=/tmp/data bs=1M count=32 2>/dev/null; dd if=/tmp/data of=/dev/xvda bs=64k conv=fsync 2>/dev/null',
    );
    await sh('echo 3 > /proc/sys/vm/drop_caches');
    const inGuest = await md5('/tmp/data');
    expect(await sh("dd if=/dev/xvda bs=1M count=32 2>/dev/null | md5sum | cut -d ' ' -f 1")).toBe(inGuest);
    const stored = new Uint8Array(32 * MIB);
    await first.read(0, stored);
    expect(createHash('md5').update(stored).digest('hex')).toBe(inGuest);
    await sh('rm /tmp/data');
  });

  it('sees a disk that grows', async () => {
    await first.resize(96 * MIB);
    await sh(`while [ $(cat /sys/block/xvda/size) != ${(96 * MIB) / 512} ]; do sleep 0.1; done`);
    await sh('dd if=/dev/zero of=/dev/xvda bs=1M seek=95 count=1 conv=fsync 2>/dev/null');
  });

  it('gets and loses one while it runs', async () => {
    const { domain } = guest;
    for (let time = 0; time < 3; time++) {
      await domain.devices.attach(new DiskDevice({ vdev: 'xvdc', store: new RamStore(MIB) }), { timeout: 20_000 });
      await sh('while ! [ -b /dev/xvdc ]; do sleep 0.1; done; echo hot | dd of=/dev/xvdc conv=sync,fsync 2>/dev/null');
      expect(await sh('head -c 4 /dev/xvdc')).toBe('hot');
      expect(await domain.devices.detach('vbd', 'xvdc')).toBe(true);
      await sh('while [ -b /dev/xvdc ]; do sleep 0.1; done');
    }
    expect(domain.devices.list().map(({ name }) => name)).toEqual(['xvda', 'xvdb']);
  });

  it('keeps them over a suspend as if restored', async () => {
    const { domain } = guest;
    const before = await md5('/dev/xvdb');
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    await sh('echo 3 > /proc/sys/vm/drop_caches');
    expect(await md5('/dev/xvdb')).toBe(before);
  });

  it('has nothing to complain of', async () => {
    await guest.log();
  });
});
