// A Debian system on a PV disk: it comes up whole, shuts down clean, and after the power is cut in the middle of writing,
// what was synced is there.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DebianGuest, LOGIN_TIME } from './debian-guest.ts';
import { debianRoot } from './debian-root.ts';
import { runTool } from './run-tool.ts';
import {
  expectCleanFileSystem,
  expectRecoverableFileSystem,
  expectSoundImage,
  md5OfFile,
  ScratchImages,
} from './scratch-images.ts';

const root = await debianRoot();

/** An archive of what a few packages have: thousands of small files, and programs. Its bytes depend on names and contents alone. */
const PACK = 'tar -C /usr --sort=name --mtime=@0 -cf /var/packed.tar share/zoneinfo share/perl5 lib/systemd bin sbin';
/** As apt does: many files are made out of an archive, and are durable in the end. */
const UNPACK = 'mkdir /var/unpacked && tar -C /var/unpacked -xf /var/packed.tar && sync';

for (const format of ['raw', 'qcow2'] as const) {
  describe(`Debian on a ${format} disk`, { timeout: 2 * LOGIN_TIME }, () => {
    let images: ScratchImages;
    let disk: string;
    let hash: string;

    beforeAll(async () => {
      images = await ScratchImages.create();
      disk = await images.copy(root.raw, `root.${format}`, format);
    }, LOGIN_TIME);
    afterAll(async () => {
      await images?.[Symbol.asyncDispose]();
    });

    it('comes up with nothing failed, and writes until it is destroyed', async () => {
      await using guest = await DebianGuest.boot({ root: { path: disk, format } });
      expect(await guest.sh('systemctl is-system-running --wait')).toBe('running');
      expect(await guest.sh('systemctl --failed --no-legend --plain | cat')).toBe('');
      expect(await guest.sh('findmnt -n -o SOURCE,FSTYPE /')).toBe('/dev/xvda ext4');
      await guest.sh(PACK, { timeout: LOGIN_TIME });
      await guest.sh(UNPACK, { timeout: LOGIN_TIME });
      hash = (await guest.sh('md5sum /var/packed.tar', { timeout: LOGIN_TIME })).slice(0, 32);
      expect(hash).toMatch(/^[0-9a-f]{32}$/);
      // It is in the middle of it: some of it has been written, and the rest never will be.
      guest.domain.console.write('for i in 1 2 3 4; do cp -a /var/unpacked /var/more.$i; sync; echo copied $i; done\n');
      await guest.domain.console.expect(/^copied 1/m, { timeout: LOGIN_TIME });
      await guest.domain.destroy();
      expect((await guest.domain.ended).reason).toBe('destroyed');
    });

    it('has what was synced, once the journal is replayed', async () => {
      if (format === 'qcow2') await expectSoundImage(disk);
      const raw = await images.rawCopy(disk, format, 'after-destroy.img');
      await expectRecoverableFileSystem(raw);
      await runTool('debugfs', ['-R', `dump /var/packed.tar ${images.path('packed.tar')}`, raw]);
      expect(await md5OfFile(images.path('packed.tar'))).toBe(hash);
    });

    // Raw disks shut down clean in five-ways.spec.ts, and are less to come back from.
    if (format === 'raw') return;
    it('comes up again from it, and shuts down clean', async () => {
      await using guest = await DebianGuest.boot({ root: { path: disk, format } });
      expect(await guest.sh('systemctl is-system-running --wait')).toBe('running');
      expect(await guest.sh('tar -C /var/unpacked -df /var/packed.tar 2>&1')).toBe('');
      expect((await guest.powerOff()).reason).toBe('poweroff');
      await expectSoundImage(disk);
      await expectCleanFileSystem(await images.rawCopy(disk, format, 'after-poweroff.img'));
    });
  });
}
