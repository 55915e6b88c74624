// Emulated IDE drives under Linux's own driver (ata_piix): what is on the same stores as PV disks' is found, read and written, by DMA and by
// PIO, and unplugged.
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { cpioDirectory, writeCpio } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import type { DiskConfig } from '../../src/node/open-devices.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';
import { moduleFiles } from './xen-guest.ts';

const MIB = 1 << 20;
const MODULES = ['ata_piix', 'sd_mod', 'sr_mod'];
const kernel = await guest('linux-image-cloud-amd64');
const modules = kernel === undefined ? [] : await moduleFiles(kernel, MODULES, 'ide-modules', 'ide');

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

describe.skipIf(kernel === undefined)('emulated IDE drives', { timeout: 3 * BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());

  /** A guest with the modules loaded, and what runs in its shell. */
  async function boot(disks: DiskConfig[], more: string, libata = ''): Promise<(command: string) => Promise<string>> {
    const files = writeCpio([cpioDirectory('ide'), ...modules.filter(({ path }) => path !== 'ide')]);
    const made = await dom1.createDomain({
      type: 'hvm',
      memory: '256MiB',
      kernel: kernel?.kernel as string,
      initrd: new Uint8Array(Buffer.concat([kernel?.initrd as Uint8Array, files])),
      commandLine: `console=ttyS0 quiet cryptomgr.notests panic=-1 ${more}`,
      consoleType: 'serial',
      disks,
    });
    domain = made;
    made.run();
    const sh = async (command: string): Promise<string> => {
      const { output, status } = await made.sh(command, { timeout: BOOT_TIME });
      expect(status, output).toBe(0);
      return output.trim();
    };
    await sh(
      `for m in $(ls /ide | sort -n); do case $m in *-libata.ko) o=${libata};; *) o=;; esac; insmod /ide/$m $o || exit 1; done`,
    );
    return sh;
  }

  it.each([
    ['XFER_MW_DMA_2', 'dma=1'],
    ['XFER_PIO_4', 'dma=0'],
  ])('hold data by %s', async (mode, libata) => {
    const contents = randomBytes(4 * MIB);
    const disc = randomBytes(2 * MIB);
    const first = new RamStore(8 * MIB);
    const sh = await boot(
      [
        { vdev: 'xvda', store: first },
        { vdev: 'hdb', store: new RamStore(4 * MIB, { contents, readOnly: true }), readOnly: true },
        { vdev: 'hdc', store: new RamStore(2 * MIB, { contents: disc, readOnly: true }), cdrom: true },
      ],
      'xen_emul_unplug=never',
      libata,
    );
    await sh('while ! [ -b /dev/sda ] || ! [ -b /dev/sdb ] || ! [ -b /dev/sr0 ]; do sleep 0.1; done');
    // Which of the two is sda is a matter of luck.
    await sh(
      'for d in sda sdb; do case $(readlink /sys/block/$d) in */0:0:0:0/*) n=one;; *) n=two;; esac; ln -s $d /dev/$n; ln -s $d /root/$n; done',
    );
    const log = await sh('dmesg');
    expect(log).toMatch(/ata1\.00: ATA-6: DOM1 HARDDISK, 1\.0, max MWDMA2/);
    expect(log).toMatch(/16384 sectors, multi 16: LBA48/);
    expect(log).toMatch(/ata2\.00: ATAPI: DOM1 DVD-ROM/);
    expect(await sh('cat /sys/class/ata_device/dev1.0/xfer_mode')).toBe(mode);
    expect(complaints(log).filter((line) => /ata|sd |sr |scsi/.test(line))).toEqual([]);
    expect(await sh('for d in $(readlink /root/one) $(readlink /root/two) sr0; do cat /sys/block/$d/size; done')).toBe(
      '16384\n8192\n4096',
    );
    expect(await sh("md5sum < /dev/two | cut -d ' ' -f 1")).toBe(md5(contents));
    expect(await sh("md5sum < /dev/sr0 | cut -d ' ' -f 1")).toBe(md5(disc));
    // 3 MiB at an odd place, and what is around it stays.
    await sh('dd if=/dev/two of=/dev/one bs=512 seek=77 count=6144 conv=fsync 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches');
    const stored = new Uint8Array(8 * MIB);
    await first.read(0, stored);
    const wanted = new Uint8Array(8 * MIB);
    wanted.set(contents.subarray(0, 6144 * 512), 77 * 512);
    expect(md5(stored)).toBe(md5(wanted));
    expect(await sh("md5sum < /dev/one | cut -d ' ' -f 1")).toBe(md5(wanted));
  });

  it('are gone after unplugging, but for the CD-ROM drive', async () => {
    const sh = await boot(
      [
        { vdev: 'hda', store: new RamStore(4 * MIB) },
        { vdev: 'hdc', store: new RamStore(2 * MIB), cdrom: true },
      ],
      'xen_emul_unplug=ide-disks',
    );
    await sh('while ! [ -b /dev/sr0 ]; do sleep 0.1; done');
    expect(await sh('ls /sys/block')).not.toContain('sda');
  });
});
