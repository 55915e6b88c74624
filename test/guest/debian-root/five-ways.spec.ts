// One disk image with a Debian of its own on it, and all ways in which Xen boots such a thing: each to a login, with its network up, and down
// again. From a raw file with an MBR, and from a qcow2 file with a GUID partition table.
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fetchGrub, fetchSeabios, fetchShim } from '../../../src/node/boot-images.ts';
import type { CreateDomainConfig } from '../../../src/node/create-domain.ts';
import { complaints } from '../kernel-log.ts';
import { type BootableDisk, bootableDisk, PARTITION_BYTES } from './bootable-disk.ts';
import { GUEST_WORDS, ROOT_PARTITION } from './bootable-root.ts';
import { DebianGuest, LOGIN_TIME } from './debian-guest.ts';
import { FILE_SYSTEM_UUID } from './debian-root.ts';
import { runTool } from './run-tool.ts';
import { expectCleanFileSystem, expectSoundImage, ScratchImages } from './scratch-images.ts';

interface Way {
  readonly name: string;
  /** /sys/hypervisor/guest_type */
  readonly type: 'PVH' | 'PV' | 'HVM';
  /** Who found the kernel on the disk. */
  readonly grub: boolean;
  readonly config: (disk: BootableDisk) => CreateDomainConfig;
}

const given = ({ kernel, initrd }: BootableDisk): CreateDomainConfig => ({
  kernel,
  initrd,
  commandLine: `root=LABEL=root ro ${GUEST_WORDS}`,
});
/** The first makes the grub.cfg that others read. */
const WAYS: readonly Way[] = [
  { name: 'PVH, with a given kernel', type: 'PVH', grub: false, config: given },
  { name: 'GRUB under PVH', type: 'PVH', grub: true, config: () => ({}) },
  { name: 'SeaBIOS and GRUB, HVM', type: 'HVM', grub: true, config: () => ({ type: 'hvm' }) },
  {
    name: 'PV within the shim, with a given kernel',
    type: 'PV',
    grub: false,
    config: (disk) => ({ type: 'pv', ...given(disk) }),
  },
  { name: 'GRUB under PV, within the shim', type: 'PV', grub: true, config: () => ({ type: 'pv' }) },
];

const fetched = await Promise.all([fetchShim(), fetchGrub('x86_64-xen'), fetchSeabios()]).catch((error: unknown) => {
  process.stderr.write(`skipping disks with GRUB: ${error instanceof Error ? error.message : String(error)}\n`);
  return undefined;
});

describe.skipIf(fetched === undefined).each([
  ['raw', 'dos'],
  ['qcow2', 'gpt'],
] as const)('a Debian disk, a %s file with a %s label', { timeout: 2 * LOGIN_TIME }, (format, table) => {
  let images: ScratchImages;
  let disk: BootableDisk;
  let path: string;
  let web: Server;

  beforeAll(async () => {
    images = await ScratchImages.create();
    disk = await bootableDisk(images, 'disk', table);
    path = format === 'raw' ? disk.path : await images.copy(disk.path, `disk.${format}`, format);
    web = createServer((_, response) => void response.end('from the host')).listen(0, '127.0.0.1');
  }, 2 * LOGIN_TIME);
  afterAll(async () => {
    web?.close();
    await images?.[Symbol.asyncDispose]();
  });

  it.each(WAYS)('boots by $name', async ({ type, grub, config }) => {
    await using guest = await DebianGuest.bootAs({
      memory: '384MiB',
      ...config(disk),
      disks: [{ vdev: 'xvda', path, format }],
      vifs: [{ allowHostLoopback: true }],
    });
    expect(await guest.sh('systemctl is-system-running --wait', { timeout: LOGIN_TIME })).toBe('running');
    expect(await guest.sh('cat /sys/hypervisor/guest_type')).toBe(type);
    // A grub.cfg says UUID.
    expect(await guest.sh('cat /proc/cmdline')).toContain(grub ? `root=UUID=${FILE_SYSTEM_UUID}` : 'root=LABEL=root');
    expect(await guest.sh('findmnt -n -o SOURCE /')).toBe(ROOT_PARTITION);
    expect(complaints(await guest.sh('dmesg'))).toEqual([]);
    const { port } = web.address() as AddressInfo;
    const get = `exec 3<>/dev/tcp/10.0.2.2/${port}; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; tail -n 1 <&3`;
    expect(await guest.sh(`bash -c '${get}'`)).toBe('from the host');
    // As on any Debian after a kernel has come or gone. It reads the disk's own partition table.
    if (!grub && type === 'PVH') await guest.sh('update-grub', { timeout: LOGIN_TIME });
    expect(await guest.powerOff()).toMatchObject({ reason: 'poweroff' });
  });

  it('has a clean file system in the end', async () => {
    if (format === 'qcow2') await expectSoundImage(path);
    const raw = await images.rawCopy(path, format, 'after.img');
    const partition = images.path('after-root.img');
    await runTool('dd', [
      `if=${raw}`,
      `of=${partition}`,
      'bs=1M',
      `skip=${PARTITION_BYTES / 2 ** 20}`,
      'conv=sparse',
      'status=none',
    ]);
    await expectCleanFileSystem(partition);
  });
});
