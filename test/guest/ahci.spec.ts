// An AHCI disk, which xl's hdtype="ahci" asks for: SeaBIOS and GRUB boot from it, and Linux drives it by interrupts that are messages, which Xen
// makes events.
import { createHash, randomBytes } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { cpioDirectory, cpioFile, writeCpio } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { BOOT_TIME, dom1, guest } from './kernels.ts';

const MIB = 1 << 20;
const kernel = await guest('linux-image-amd64');
const modules = kernel === undefined ? [] : await kernelModuleFiles(kernel, ['ahci', 'sd_mod'], 'lib/modules/boot');

describe.skipIf(kernel === undefined)('an AHCI disk', { timeout: 3 * BOOT_TIME }, () => {
  let domain: Domain | undefined;
  afterEach(() => domain?.destroy());
  it('x', async () => {
    const contents = randomBytes(2 * MIB);
    const store = new RamStore(2 * MIB, { contents });
    const made = await dom1.createDomain({
      type: 'hvm',
      diskController: 'ahci',
      vga: 'none',
      emulation: { pirq: true },
      memory: '256MiB',
      kernel: kernel?.kernel as string,
      initrd: new Uint8Array(Buffer.concat([kernel?.initrd as Uint8Array, writeCpio(modules)])),
      commandLine: `console=ttyS0 cryptomgr.notests panic=-1 no_timer_check xen_emul_unplug=never`,
      consoleType: 'serial',
      disks: [{ vdev: 'hda', store }],
    });
    domain = made;
    made.on('serial', (bytes) => void process.stdout.write(bytes));
    made.on('log', (bytes) => void process.stdout.write(bytes));
    made.run();
    const sh = async (command: string): Promise<string> => {
      const { output, status } = await made.sh(command, { timeout: BOOT_TIME });
      expect(status, output).toBe(0);
      return output.trim();
    };
    await sh('until [ -b /dev/sda ]; do sleep 0.1; done');
    await sh('cat /proc/interrupts');
    await sh('md5sum /dev/sda; cat /proc/interrupts|grep ahci; dmesg | grep -i "ata\\|ahci"');
  });
});
