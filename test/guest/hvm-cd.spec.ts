// An emulated CD-ROM drive under Linux's own driver: it stays when disks are unplugged, and its disc is taken out and replaced while the guest
// runs.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DiskDevice } from '../../src/backends/block/disk-device.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { BOOT_TIME } from './kernels.ts';
import { XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;

describe.skipIf(parts === undefined)('a guest with an emulated CD-ROM drive', { timeout: 2 * BOOT_TIME }, () => {
  let guest: XenGuest;
  const discs = [2, 3].map((size) => new Uint8Array(randomBytes(size * MIB)));
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: 60_000 });
  const drive = (): DiskDevice => guest.domain.devices.get('vbd', 'hdc') as DiskDevice;

  beforeAll(async () => {
    if (parts === undefined) return;
    guest = await XenGuest.boot(parts, {
      type: 'hvm',
      files: await kernelModuleFiles(parts, ['ata_piix', 'sr_mod'], 'ide'),
      disks: [
        { vdev: 'hda', store: new RamStore(MIB) },
        { vdev: 'hdc', cdrom: true },
      ],
    });
    await sh('for m in $(ls /ide | sort -n); do insmod /ide/$m || exit 1; done; until [ -b /dev/sr0 ]; do sleep 0.1; done');
  }, 2 * BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
  });

  it('finds the drive alone, empty', async () => {
    expect(await sh('dmesg | grep "ATA-\\|ATAPI"')).toMatch(/^\S* *[\d.]+\] ata2\.00: ATAPI: DOM1 DVD-ROM/);
    expect(await guest.sh('head -c 1 /dev/sr0 2>&1', { status: 1 })).toContain('No medium found');
  });

  it('reads the disc that is put in, and the one after it, and nothing when it is taken out', async () => {
    for (const [i, contents] of discs.entries()) {
      await drive().changeMedium({ store: new RamStore(contents.length, { contents, readOnly: true }) });
      expect(await sh('md5sum < /dev/sr0')).toBe(`${createHash('md5').update(contents).digest('hex')}  -`);
      expect(await sh('cat /sys/block/sr0/size')).toBe(`${contents.length / 512}`);
      // The second comes without the tray having been empty for the guest to see.
      if (i > 0) {
        await drive().changeMedium();
        expect(await guest.sh('head -c 1 /dev/sr0 2>&1', { status: 1 })).toContain('No medium found');
      }
    }
  });

  it('may not write to it', async () => {
    const contents = discs[0] as Uint8Array;
    const store = new RamStore(contents.length, { contents });
    await drive().changeMedium({ store });
    await guest.sh('dd if=/dev/zero of=/dev/sr0 bs=2048 count=1 conv=fsync 2>/dev/null', { status: 1 });
    const now = new Uint8Array(contents.length);
    await store.read(0, now);
    expect(Buffer.compare(now, contents)).toBe(0);
  });
});
