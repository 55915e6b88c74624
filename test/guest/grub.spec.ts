// GRUB as a Xen guest, out of Debian's grub-xen-host: it finds the grub.cfg of xvda, and does what that says. Under PVH, and as a PV guest
// of either width within the shim.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBzImage, unpackPayload } from '../../src/image/bzimage.ts';
import { fetchGrub, fetchShim } from '../../src/node/boot-images.ts';
import type { CreateDomainConfig } from '../../src/node/create-domain.ts';
import { demoInitramfs } from '../../src/node/demo-initramfs.ts';
import { requireTools } from './debian-root/require-tools.ts';
import { runTool } from './debian-root/run-tool.ts';
import { BOOT_TIME, dom1 } from './kernels.ts';
import { SHIMS } from './shims.ts';
import { type XenGuestParts, xenGuestParts } from './xen-guest.ts';

const PV_BOOT_TIME = 4 * BOOT_TIME;

const grub = await Promise.all([fetchGrub('i386-xen'), fetchShim()]).then(
  ([path]) => path,
  (error: unknown) => {
    process.stderr.write(`skipping GRUB: ${error instanceof Error ? error.message : String(error)}\n`);
    return undefined;
  },
);
const parts = grub === undefined ? undefined : await xenGuestParts();

/** The same in the shim 4.20, where it can be had. */
const newerShim = (width: string, config: CreateDomainConfig): [string, CreateDomainConfig][] =>
  SHIMS.flatMap(({ version, file }) =>
    version === '4.20' && file !== undefined
      ? [[`PV of ${width} in the shim 4.20`, { type: 'pv', memory: '128MiB', shim: { file }, ...config }]]
      : [],
  );

describe.skipIf(parts === undefined)('a disk with a grub.cfg', { timeout: PV_BOOT_TIME }, () => {
  let directory: string;
  /** An ext4 file system without partitions. */
  const image = async (name: string, size: string, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> => {
    const [tree, path] = [join(directory, name), join(directory, `${name}.img`)];
    await mkdir(join(tree, 'boot/grub'), { recursive: true });
    for (const [file, data] of Object.entries(files)) await writeFile(join(tree, file), data);
    await runTool('mke2fs', ['-q', '-t', 'ext4', '-d', tree, path, size]);
    return path;
  };
  const menu = (...commands: readonly string[]): string =>
    `set timeout=0\nmenuentry guest {\n${commands.map((line) => `  ${line}\n`).join('')}}\n`;

  beforeAll(async () => {
    requireTools('mke2fs');
    directory = await mkdtemp(join(tmpdir(), 'dom1-grub-'));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  const create = async (path: string, config: CreateDomainConfig) => {
    const domain = await dom1.createDomain({ ...config, disks: [{ vdev: 'xvda', path }] });
    let printed = '';
    domain.console.onOutput((bytes) => {
      printed += Buffer.from(bytes).toString('latin1');
    });
    domain.run();
    return { domain, printed: () => printed };
  };

  it.each<[string, CreateDomainConfig]>([
    ['PVH', { memory: '128MiB' }],
    ['PV of 64 bits', { type: 'pv', memory: '128MiB' }],
    ['PV of 32 bits', { type: 'pv', memory: '128MiB', ...(grub !== undefined && { kernel: grub }) }],
    ...newerShim('64 bits', {}),
    ...newerShim('32 bits', grub === undefined ? {} : { kernel: grub }),
  ])('is read under %s', async (name, config) => {
    const path = await image(name.replaceAll(' ', '-'), '8M', {
      'boot/grub/grub.cfg': menu('cat /boot/message', 'halt'),
      'boot/message': 'read from the disk\n',
    });
    const { domain, printed } = await create(path, config);
    expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
    expect(printed()).toContain('Reading (xen/xvda)/boot/grub/grub.cfg');
    expect(printed()).toContain('read from the disk');
  });

  // As a PVH guest: test/cli/pv.spec.ts. A whole Debian by both: debian-root/five-ways.spec.ts.
  it('starts its own packed Linux under PV', async () => {
    const { kernel, busybox } = parts as XenGuestParts;
    const { payload } = readBzImage(await readFile(kernel));
    // GRUB 2.06 cannot unpack an LZ4 or zstd payload, which a PV kernel's loader must do. Packed as a whole is another matter.
    const vmlinux = gzipSync((await unpackPayload(payload)).vmlinux, { level: 1 });
    const path = await image('linux', '64M', {
      'boot/grub/grub.cfg': menu('linux /boot/vmlinuz console=hvc0 cryptomgr.notests by=grub', 'initrd /boot/initrd'),
      'boot/vmlinuz': vmlinux,
      'boot/initrd': demoInitramfs(busybox),
    });
    const { domain } = await create(path, { type: 'pv', memory: '384MiB' });
    await domain.console.prompt({ timeout: PV_BOOT_TIME });
    const sh = async (command: string): Promise<string> => (await domain.sh(command, { timeout: 60_000 })).output.trimEnd();
    expect(await sh('cat /proc/cmdline')).toContain('by=grub');
    expect(await sh('cat /sys/hypervisor/guest_type')).toBe('PV');
    domain.console.write('poweroff -f\n');
    expect(await domain.ended).toMatchObject({ reason: 'poweroff' });
  });
});
