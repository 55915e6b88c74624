// Disks under Linux's own drivers, PV ones and emulated IDE drives: the same stores hold the same data. Hot plug and suspend of PV disks,
// transfer modes of IDE drives. debian-root/reconnect.spec.ts has the reconnects.
import { createHash, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskDevice } from '../../src/backends/block/disk-device.ts';
import { RamStore } from '../../src/io/ram-store.ts';
import { sendRange } from '../../src/node/fixtures/send-range.ts';
import { kernelModuleFiles } from '../../src/node/kernel-modules.ts';
import { expectSoundImage, md5OfFile, ScratchImages } from './debian-root/scratch-images.ts';
import { complaints } from './kernel-log.ts';
import { BOOT_TIME } from './kernels.ts';
import { type ShellOptions, XenGuest, xenGuestParts } from './xen-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const SIZE_MIB = 8;
const VDEVS = ['xvda', 'xvdb', 'xvdc', 'xvdd'];
/** Where the guest writes 3 MiB, in sectors. */
const [AT, COUNT] = [77, 6144];

const md5 = (bytes: Uint8Array): string => createHash('md5').update(bytes).digest('hex');

interface Kind {
  readonly name: string;
  readonly emulated: boolean;
  readonly modules: readonly string[];
  /** For the guest's shell: makes /dev/d0 to /dev/d3 of what the drivers found, or fails while they have not found all. */
  readonly links: string;
}

const KINDS: readonly Kind[] = [
  {
    name: 'PV disks',
    emulated: false,
    modules: ['xen-blkfront'],
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the guest's shell fills it in
    links: 'for i in a:0 b:1 c:2 d:3; do [ -b /dev/xvd${i%:*} ] && ln -sf xvd${i%:*} /dev/d${i#*:} || exit 1; done',
  },
  {
    name: 'emulated IDE drives',
    emulated: true,
    modules: ['ata_piix', 'sd_mod'],
    // Which of them is sda is a matter of luck.
    links: `for i in a b c d; do case $(readlink -f /sys/block/sd$i) in
*/ata[13579]/*:0:0/*) n=0;; */ata[13579]/*:1:0/*) n=1;; */ata*/*:0:0/*) n=2;; */ata*/*:1:0/*) n=3;; *) exit 1;; esac
[ -b /dev/sd$i ] && ln -sf sd$i /dev/d$n || exit 1; done`,
  },
];

describe.skipIf(parts === undefined).each(KINDS)('a guest with $name', { timeout: BOOT_TIME }, ({ emulated, links, modules }) => {
  const contents = new Uint8Array(randomBytes(SIZE_MIB * MIB));
  const ram = new RamStore(SIZE_MIB * MIB);
  const written = contents.slice();
  written.set(contents.subarray(0, COUNT * 512), AT * 512);
  let images: ScratchImages;
  let [base, qcow2] = ['', ''];
  let web: Server;
  let guest: XenGuest;
  const sh = (command: string, options: ShellOptions = {}): Promise<string> => guest.sh(command, { timeout: 60_000, ...options });
  const sum = (disk: string): Promise<string> => sh(`md5sum < /dev/${disk} | cut -d ' ' -f 1`);
  const find = (): Promise<string> => sh(`until ( ${links} ); do sleep 0.1; done`);
  const forget = (): Promise<string> => sh('echo 3 > /proc/sys/vm/drop_caches');

  beforeAll(async () => {
    if (parts === undefined) return;
    images = await ScratchImages.create();
    base = images.path('base.img');
    await writeFile(base, contents);
    qcow2 = await images.onTopOf(base, 'raw', 'disk.qcow2');
    web = createServer((request, response) => sendRange(request, response, contents)).listen(0, '127.0.0.1');
    await new Promise((resolve) => web.once('listening', resolve));
    const stores = [
      { store: ram },
      { path: `http://127.0.0.1:${(web.address() as AddressInfo).port}/disk`, format: 'raw', readOnly: true },
      { path: qcow2, format: 'qcow2' },
      { path: base, format: 'raw', snapshot: true },
    ] as const;
    guest = await XenGuest.boot(parts, {
      ...(emulated && { type: 'hvm', commandLine: 'xen_emul_unplug=never' }),
      files: await kernelModuleFiles(parts, modules, 'disk'),
      disks: stores.map((store, i) => ({ vdev: VDEVS[i] as string, ...store })),
    });
    await sh('for m in $(ls /disk | sort -n); do insmod /disk/$m || exit 1; done');
    await find();
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    web?.closeAllConnections();
    web?.close();
    await images?.[Symbol.asyncDispose]();
  });

  it('finds them with the size they have', async () => {
    expect(await sh('for d in d0 d1 d2 d3; do cat /sys/block/$(readlink /dev/$d)/size; done')).toBe(
      Array(4)
        .fill(`${(SIZE_MIB * MIB) / 512}`)
        .join('\n'),
    );
    // ATA has no bit for it: what is written fails.
    expect(await sh('cat /sys/block/$(readlink /dev/d1)/ro')).toBe(emulated ? '0' : '1');
  });

  it('reads what is there, from a web server, an overlay and a snapshot', async () => {
    for (const disk of ['d1', 'd2', 'd3']) expect(await sum(disk)).toBe(md5(contents));
  });

  it('may not change what is read-only', async () => {
    expect(complaints(await sh('dmesg -c')).filter((line) => !line.includes('MMCONFIG'))).toEqual([]);
    await sh('dd if=/dev/zero of=/dev/d1 bs=4096 count=1 conv=fsync 2>/dev/null', { status: 1 });
    await forget();
    expect(await sum('d1')).toBe(md5(contents));
    // That it complains of that is right.
    await sh('dmesg -c');
  });

  it('reads back what it wrote, at an odd place of each', async () => {
    await sh('cat /dev/d1 > /dev/d0; sync');
    for (const disk of ['d0', 'd2', 'd3'])
      await sh(`dd if=/dev/d1 of=/dev/${disk} bs=512 seek=${AT} count=${COUNT} conv=fsync 2>/dev/null`);
    await forget();
    for (const disk of ['d0', 'd2', 'd3']) expect(await sum(disk)).toBe(md5(written));
    const stored = new Uint8Array(SIZE_MIB * MIB);
    await ram.read(0, stored);
    expect(md5(stored)).toBe(md5(written));
    expect(await md5OfFile(base)).toBe(md5(contents));
  });

  it.runIf(emulated)('moves data by DMA, and by PIO', async () => {
    const log = await sh('cat /sys/class/ata_device/dev*.0/xfer_mode /sys/class/ata_device/dev*.1/xfer_mode');
    expect(log.split('\n').filter((mode) => mode !== '')).toEqual(Array(4).fill('XFER_MW_DMA_2'));
    await sh('rmmod ata_piix && rmmod libata && insmod /disk/*-libata.ko dma=0 && insmod /disk/*-ata_piix.ko');
    await find();
    expect(await sh('cat /sys/class/ata_device/dev*.0/xfer_mode | sort -u')).toContain('XFER_PIO_4');
    for (const [disk, wanted] of [
      ['d1', contents],
      ['d2', written],
    ] as const)
      expect(await sum(disk)).toBe(md5(wanted));
    await sh(`dd if=/dev/d1 of=/dev/d2 bs=64k conv=fsync 2>/dev/null`);
    await forget();
    expect(await sum('d2')).toBe(md5(contents));
  });

  it.runIf(!emulated)('sees a disk that grows', async () => {
    await ram.resize(2 * SIZE_MIB * MIB);
    await sh(`while [ $(cat /sys/block/xvda/size) != ${(2 * SIZE_MIB * MIB) / 512} ]; do sleep 0.1; done`);
    await sh(`dd if=/dev/zero of=/dev/xvda bs=1M seek=${2 * SIZE_MIB - 1} count=1 conv=fsync 2>/dev/null`);
  });

  it.runIf(!emulated)('gets and loses one while it runs', async () => {
    const { domain } = guest;
    for (let time = 0; time < 3; time++) {
      await domain.devices.attach(new DiskDevice({ vdev: 'xvde', store: new RamStore(MIB) }), { timeout: 20_000 });
      await sh('while ! [ -b /dev/xvde ]; do sleep 0.1; done; echo hot | dd of=/dev/xvde conv=sync,fsync 2>/dev/null');
      expect(await sh('head -c 4 /dev/xvde')).toBe('hot');
      expect(await domain.devices.detach('vbd', 'xvde')).toBe(true);
      await sh('while [ -b /dev/xvde ]; do sleep 0.1; done');
    }
    expect(domain.devices.list().map(({ name }) => name)).toEqual(VDEVS);
  });

  it.runIf(!emulated)('keeps them over a suspend as if restored', async () => {
    const { domain } = guest;
    const suspended = expect.poll(() => domain.state, { timeout: 20_000 }).toBe('suspended');
    domain.shutdown('suspend');
    await suspended;
    await domain.resume();
    await forget();
    expect(await sum('d1')).toBe(md5(contents));
  });

  it('has nothing to complain of', async () => {
    expect(complaints(await sh('dmesg'))).toEqual([]);
  });

  it('leaves an image that is sound, with what was written', async () => {
    await guest.domain.destroy();
    await expectSoundImage(qcow2);
    const raw = await images.rawCopy(qcow2, 'qcow2', 'raw.img');
    expect(md5(await readFile(raw))).toBe(md5(emulated ? contents : written));
    expect(await md5OfFile(base)).toBe(md5(contents));
  });
});
