// PV guests through Debian's Xen shim: a small one of each width, and Debian's kernel with disk, network and console, by both ways
// into the shim.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readDomainSpec } from '../../src/control/xl-config/read-domain-spec.ts';
import { cpioDirectory } from '../../src/image/cpio.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import { fetchShim } from '../../src/node/boot-images.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { BOOT_MODULES, demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { specConfig } from '../../src/node/spec-config.ts';
import { buildPvKernel, PV_MAGIC } from '../guests/pv-image.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { type XenGuestParts, xenGuestParts } from './xen-guest.ts';

/** All that the shim does is done by interpreted code at first; a PV kernel's page tables go through it. */
const PV_BOOT_TIME = 4 * BOOT_TIME;

const shim = await fetchShim().catch((error: unknown) => {
  process.stderr.write(`skipping PV guests: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});
const parts = shim === undefined ? undefined : await xenGuestParts();

/** As `dom1 create` reads it. */
const configured = (text: string): CreateDomainConfig => specConfig(readDomainSpec(text, 'pv.cfg').spec);

/** A domain with what its hypervisor prints. */
async function create(config: CreateDomainConfig) {
  const domain = await dom1.createDomain({ type: 'pv', memory: '256MiB', ...config });
  const printed = { console: '', log: '' };
  domain.on('log', (bytes) => {
    printed.log += Buffer.from(bytes).toString('latin1');
  });
  domain.console.onOutput((bytes) => {
    printed.console += Buffer.from(bytes).toString('latin1');
  });
  return { domain, printed };
}

describe.skipIf(shim === undefined)("a PV kernel of the tests' own", { timeout: PV_BOOT_TIME }, () => {
  it.each([
    [64, 'pvh'],
    [32, 'pvh'],
    [64, 'multiboot'],
  ] as const)('of %d bits runs within the shim, which is entered by %s', async (width, bootProtocol) => {
    const { domain, printed } = await create({
      kernel: buildPvKernel(width),
      commandLine: 'of the guest',
      bootProtocol,
      memory: '64MiB',
      shim: { commandLine: 'pv-shim console=xen loglvl=all' },
    });
    domain.run();
    expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
    expect(printed.log).toContain('Command line: pv-shim console=xen loglvl=all');
    expect(printed.log).toContain(`Bootloader: ${bootProtocol === 'pvh' ? 'PVH Directboot' : 'dom1'}`);
    expect(printed.log).toContain(`Dom0 kernel: ${width}-bit`);
    expect(printed.console).toMatch(new RegExp(`${PV_MAGIC[width]}\\s+says the guest`));
  });
});

describe.skipIf(shim === undefined)('a configuration of xl', { timeout: PV_BOOT_TIME }, () => {
  it.each([['type = "pv"'], ['type = "pvh"\npvshim = 1\npvshim_extra = "loglvl=all"']])(
    'with %j runs a PV guest',
    async (text) => {
      const directory = await mkdtemp(join(tmpdir(), 'dom1-pv-'));
      try {
        const kernel = join(directory, 'kernel');
        await writeFile(kernel, buildPvKernel(64));
        const config = configured(`name = "pv"\nmemory = 64\nkernel = "${kernel}"\npvshim_path = "${shim}"\n${text}\n`);
        const { domain, printed } = await create(config);
        domain.run();
        expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
        expect(printed.log).toContain(`Command line: pv-shim console=xen${text.includes('extra') ? ' loglvl=all' : '\n'}`);
        expect(printed.console).toContain('says the guest');
      } finally {
        await rm(directory, { recursive: true });
      }
    },
  );
});

describe.skipIf(parts === undefined)("Debian's kernel within the shim", { timeout: PV_BOOT_TIME }, () => {
  const store = new RamStore(16 * 2 ** 20);
  let web: Server;
  let guest: Awaited<ReturnType<typeof create>>;
  const sh = async (command: string): Promise<string> => {
    const { output, status } = await guest.domain.console.sh(command, { timeout: 120_000 });
    expect({ command, output, status }).toMatchObject({ status: 0 });
    return output.trimEnd();
  };

  beforeAll(async () => {
    web = createServer((_, response) => void response.end('from the host')).listen(0, '127.0.0.1');
    const { busybox, kernel } = parts as XenGuestParts;
    const modules = [
      ...['lib', 'lib/modules'].map((path) => cpioDirectory(path)),
      ...(await kernelModuleFiles(parts as XenGuestParts, ['xen-blkfront', 'xen-netfront'], BOOT_MODULES)),
    ];
    guest = await create({
      kernel,
      initrd: demoInitramfs(busybox, modules),
      commandLine: 'console=hvc0 loglevel=7 cryptomgr.notests',
      disks: [{ vdev: 'xvda', store }],
      vifs: [{ allowHostLoopback: true }],
    });
    guest.domain.run();
    await guest.domain.console.prompt({ timeout: PV_BOOT_TIME });
  }, PV_BOOT_TIME);
  afterAll(async () => {
    await guest?.domain.destroy();
    web?.close();
  });

  it('knows that it is a PV guest of Xen', async () => {
    expect(await sh('cat /sys/hypervisor/guest_type')).toBe('PV');
    const log = await sh('dmesg');
    expect(log).toContain('Hypervisor detected: Xen PV');
    expect(log).toContain('Booting kernel on Xen');
    expect(complaints(log)).toEqual([]);
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
    guest.domain.console.write('poweroff -f\n');
    expect(await guest.domain.ended).toMatchObject({ reason: 'poweroff' });
  });
});
