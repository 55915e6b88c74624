// Debian's kernels as PV guests, with disk, network and console: each through Xen's shim 4.17 and 4.20, and each way into the shim.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cpioDirectory } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import type { Domain } from '../../src/machine/domain.ts';
import { BOOT_MODULES, demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { SHIMS } from './shims.ts';
import { xenGuestParts } from './xen-guest.ts';

/** All that the shim does is done by interpreted code at first; a PV kernel's page tables go through it. */
const PV_BOOT_TIME = 4 * BOOT_TIME;

const KERNELS = ['linux-image-cloud-amd64', 'linux-image-6.12.*+deb12-cloud-amd64'] as const;
/** Every shim with every way into it, and with every kernel. */
const WAYS = SHIMS.flatMap(
  (shim, i) =>
    [
      { ...shim, entry: 'pvh', pattern: KERNELS[i % 2] as string },
      { ...shim, entry: 'multiboot', pattern: KERNELS[(i + 1) % 2] as string },
    ] as const,
);

for (const { version, file, entry, pattern } of WAYS) {
  const parts = file === undefined ? undefined : await xenGuestParts(pattern);
  describe.skipIf(parts === undefined)(
    `${parts?.packageName ?? pattern} within the shim ${version}, entered by ${entry}`,
    { timeout: PV_BOOT_TIME },
    () => {
      const store = new RamStore(16 * 2 ** 20);
      let web: Server;
      let domain: Domain;
      let log = '';
      const sh = async (command: string): Promise<string> => {
        const { output, status } = await domain.console.sh(command, { timeout: 120_000 });
        expect({ command, output, status }).toMatchObject({ status: 0 });
        return output.trimEnd();
      };

      beforeAll(async () => {
        web = createServer((_, response) => void response.end('from the host')).listen(0, '127.0.0.1');
        if (parts === undefined) return;
        const modules = [
          ...['lib', 'lib/modules'].map((path) => cpioDirectory(path)),
          ...(await kernelModuleFiles(parts, ['xen-blkfront', 'xen-netfront'], BOOT_MODULES)),
        ];
        domain = await dom1.createDomain({
          type: 'pv',
          memory: '384MiB', // Linux 6.12 needs 128 MiB in one piece, and its packed and unpacked image beside them
          shim: { file: file as string, commandLine: 'pv-shim console=xen loglvl=all' },
          bootProtocol: entry,
          kernel: parts.kernel,
          initrd: demoInitramfs(parts.busybox, modules),
          commandLine: 'console=hvc0 loglevel=7 cryptomgr.notests',
          disks: [{ vdev: 'xvda', store }],
          vifs: [{ allowHostLoopback: true }],
        });
        domain.on('log', (bytes) => {
          log += Buffer.from(bytes).toString('latin1');
        });
        domain.run();
        await domain.console.prompt({ timeout: PV_BOOT_TIME });
      }, PV_BOOT_TIME);
      afterAll(async () => {
        await domain?.destroy();
        web?.close();
      });

      it('knows that it is a PV guest of this Xen', async () => {
        expect(log).toContain(`Xen version ${version}`);
        expect(log).toContain(`Bootloader: ${entry === 'pvh' ? 'PVH Directboot' : 'dom1'}`);
        expect(await sh('cat /sys/hypervisor/guest_type')).toBe('PV');
        expect(await sh('cat /sys/devices/system/clocksource/clocksource0/current_clocksource')).toBe('xen');
        const kernelLog = await sh('dmesg');
        expect(kernelLog).toContain('Hypervisor detected: Xen PV');
        expect(kernelLog).toContain(`Xen version: ${version}`);
        expect(complaints(kernelLog)).toEqual([]);
      });

      it('has a PV disk', async () => {
        await sh('until [ -b /dev/xvda ]; do sleep 0.1; done');
        await sh('echo written by the guest | dd of=/dev/xvda bs=512 seek=5 conv=sync,fsync 2>/dev/null');
        const sector = new Uint8Array(512);
        await store.read(5 * 512, sector);
        expect(Buffer.from(sector).toString('latin1')).toMatch(/^written by the guest\n/);
      });

      it('has a PV network card', async () => {
        await sh('ip link set eth0 up && ip addr add 10.0.2.15/24 dev eth0');
        expect(await sh(`wget -q -O - http://10.0.2.2:${(web.address() as AddressInfo).port}/`)).toBe('from the host');
      });

      it('powers off', async () => {
        domain.console.write('poweroff -f\n');
        expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
      });
    },
  );
}
