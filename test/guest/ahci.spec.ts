// Disks on the AHCI controller that xl's hdtype="ahci" asks for: SeaBIOS and GRUB boot from one, and Linux drives them by interrupts that are
// messages, which are events where the guest may make them so (hvm_pirq). hvm-unplug.spec.ts takes such disks away before Linux looks.
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDomainSpec } from '../../src/control/xl-config/read-domain-spec.ts';
import { writeCpio } from '../../src/image/cpio.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { specConfig } from '../../src/node/spec-config.ts';
import { GrubMedia } from './grub-media.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

const MIB = 1 << 20;
/** The kernel is loaded by the BIOS. */
const MEDIA_TIME = 3 * BOOT_TIME;
/** The cloud kernel of this version has no driver for AHCI. */
const kernel = await guest('linux-image-amd64');
const modules = kernel === undefined ? [] : await kernelModuleFiles(kernel, ['ahci', 'sd_mod'], 'lib/modules/boot');

// Linux gives its timer 160 ms to show that it works, which a busy host may take away: hvm.spec.ts has that check.
const MENU = `serial --unit=0 --speed=115200
terminal_output serial
set timeout=0
menuentry "a guest" {
  linux /boot/vmlinuz console=ttyS0 quiet cryptomgr.notests panic=-1 no_timer_check xen_emul_unplug=never
  initrd /boot/initrd
}
`;

describe.skipIf(kernel === undefined)('a guest with hdtype="ahci"', { timeout: MEDIA_TIME }, () => {
  const contents = randomBytes(8 * MIB);
  let directory: string;
  let data: string;
  let domain: Domain;
  let log = '';

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dom1-ahci-'));
    const media = await GrubMedia.prepare(directory);
    const initrd = Buffer.concat([kernel?.initrd as Uint8Array, writeCpio(modules)]);
    const files = new Map<string, string | Uint8Array>([
      ['boot/grub/grub.cfg', MENU],
      ['boot/vmlinuz', await readFile(kernel?.kernel as string)],
      ['boot/initrd', new Uint8Array(initrd)],
    ]);
    const boot = await media.disk(files, 64);
    data = join(directory, 'data.img');
    await writeFile(data, contents);
    // The second disk is the last that has a port.
    const config = `
      name = "ahci"
      type = "hvm"
      hdtype = "ahci"
      hvm_pirq = 1
      vga = "none"
      serial = "pty"
      disk = [ "${boot},raw,hda,rw", "${data},raw,xvdf,rw" ]`;
    domain = await dom1.createDomain(specConfig(readDomainSpec(config, 'ahci.cfg').spec));
    domain.on('log', (bytes) => {
      log += Buffer.from(bytes).toString('latin1');
    });
    domain.run();
    await sh('until [ -b /dev/sda ] && [ -b /dev/sdb ]; do sleep 0.1; done');
    // Which of them is sda is a matter of luck.
    await sh(`ln -s $(basename $(dirname $(grep -lx ${contents.length / 512} /sys/block/sd*/size))) /dev/data`);
  }, MEDIA_TIME);
  afterAll(async () => {
    await domain?.destroy();
    await rm(directory, { recursive: true, force: true });
  });

  async function sh(command: string): Promise<string> {
    const { output, status } = await domain.sh(command, { timeout: MEDIA_TIME });
    expect(status, output).toBe(0);
    return output.trim();
  }
  /** How many interrupts there were, by pirqs that stand for messages. */
  const interrupts = async (): Promise<number> => {
    const line = await sh('grep ahci /proc/interrupts');
    return Number(/^\d+: +(\d+) +xen-pirq +-msi +ahci\[0000:00:04\.0\]$/.exec(line)?.[1]);
  };

  it('is booted by SeaBIOS and GRUB', async () => {
    expect(log).toMatch(/AHCI controller at 00:04\.0/);
    expect(log).toMatch(/AHCI\/0: .*DOM1 HARDDISK ATA-7 Hard-Disk \(65 MiBytes\)/);
    expect(log).toContain('Booting from Hard Disk');
    expect(await sh('cat /proc/cmdline')).toContain('BOOT_IMAGE=/boot/vmlinuz');
  });

  it('has its disks at the ports of their numbers, and nothing to complain of', async () => {
    const dmesg = await sh('dmesg');
    expect(dmesg).toContain('AHCI 0001.0301 32 slots 6 ports 3 Gbps 0x3f impl SATA mode');
    for (const port of [1, 6]) {
      expect(dmesg).toContain(`ata${port}: SATA link up 3.0 Gbps`);
      expect(dmesg).toContain(`ata${port}.00: configured for UDMA/133`);
    }
    for (const port of [2, 3, 4, 5]) expect(dmesg).toContain(`ata${port}: SATA link down`);
    expect(complaints(dmesg).filter((line) => /ata\d|ahci|sd[ab]/.test(line))).toEqual([]);
  });

  it('reads and writes them, told of each end by an MSI that is a pirq', async () => {
    const before = await interrupts();
    expect(before).toBeGreaterThan(0);
    const digest = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');
    expect(await sh('md5sum < /dev/data')).toBe(`${digest(contents)}  -`);
    const read = await interrupts();
    expect(read).toBeGreaterThan(before);
    // Its first 3 MiB once more, at an odd place.
    await sh('dd if=/dev/data of=/dev/data bs=512 count=6144 seek=8191 conv=notrunc,fsync 2> /dev/null');
    expect(await interrupts()).toBeGreaterThan(read);
    const image = await open(data);
    try {
      const { buffer } = await image.read(Buffer.alloc(contents.length), 0, contents.length, 0);
      contents.copyWithin(8191 * 512, 0, 6144 * 512);
      expect(digest(buffer)).toBe(digest(contents));
    } finally {
      await image.close();
    }
  });

  it('loses them when they are unplugged while it runs', async () => {
    // As SUSE's old drivers unplug disks: by BAR 0 of the platform device.
    const bar0 = Number((await sh('head -n 1 /sys/bus/pci/devices/0000:00:02.0/resource')).split(' ')[0]);
    await sh(`printf '\\001' | dd of=/dev/port bs=1 seek=${bar0 + 8} 2> /dev/null`);
    await sh('for port in 1 6; do until dmesg | grep -q "ata$port: SATA link down"; do sleep 0.1; done; done');
  });
});
