// fio's opinion: what is written at random places from many sides, with flushes in between, is what is read back.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskDevice } from '../../../src/backends/block/disk-device.ts';
import { openDisk } from '../../../src/node/open-disk.ts';
import { DebianGuest, LOGIN_TIME } from './debian-guest.ts';
import { debianRoot } from './debian-root.ts';
import { awaitDisks } from './pv-guest.ts';
import { expectSoundImage, ScratchImages } from './scratch-images.ts';

const root = await debianRoot();

const JOBS = 4;
const MIB_PER_JOB = 16;
/** Each job has a part of the disk of its own, since the checksums of two would overwrite each other. */
const FIO = [
  'fio --name=verify --ioengine=libaio --direct=1 --iodepth=8 --rw=randwrite --bsrange=4k-64k --fdatasync=32',
  `--numjobs=${JOBS} --size=${MIB_PER_JOB}M --offset_increment=${MIB_PER_JOB}M --randseed=7 --group_reporting`,
  '--verify=crc32c --verify_fatal=1 --output-format=terse --terse-version=3',
].join(' ');

/** Fields of fio's terse output, version 3: fio(1). */
const TERSE = { error: 4, readKiB: 5, writtenKiB: 46 } as const;

function results(output: string): { readonly error: number; readonly readMiB: number; readonly writtenMiB: number } {
  const fields = (output.split('\n').find((line) => line.startsWith('3;')) ?? '').split(';');
  const number = (field: number): number => Number(fields[field]);
  return { error: number(TERSE.error), readMiB: number(TERSE.readKiB) / 1024, writtenMiB: number(TERSE.writtenKiB) / 1024 };
}

const DISKS = [
  { vdev: 'xvdb', device: 'vbd-51728', format: 'raw' },
  { vdev: 'xvdc', device: 'vbd-51744', format: 'qcow2' },
] as const;

describe('fio in a Debian guest', { timeout: 2 * LOGIN_TIME }, () => {
  let images: ScratchImages;
  let guest: DebianGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: LOGIN_TIME });
  const total = JOBS * MIB_PER_JOB;

  beforeAll(async () => {
    images = await ScratchImages.create();
    const disks = [];
    for (const { vdev, format } of DISKS)
      disks.push({ vdev, format, path: await images.blank(`${vdev}.${format}`, format, total) });
    guest = await DebianGuest.boot({ root: { path: root.raw, format: 'raw', snapshot: true }, disks });
  }, 2 * LOGIN_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
    await images?.[Symbol.asyncDispose]();
  });

  for (const { vdev, device, format } of DISKS) {
    it(`reads back from a ${format} disk what it wrote there, and again after a reconnect`, async () => {
      const written = results(await sh(`${FIO} --filename=/dev/${vdev}`));
      expect(written).toEqual({ error: 0, readMiB: total, writtenMiB: total });
      // The driver lets go, and the image is closed and opened again (see reconnect.spec.ts for why not just bound again).
      await sh(`echo ${device} > /sys/bus/xen/drivers/vbd/unbind`);
      expect(await guest.domain.devices.detach('vbd', vdev)).toBe(true);
      await sh(`while [ -e /sys/bus/xen/devices/${device} ]; do sleep 0.05; done`);
      const disk = await openDisk({ path: images.path(`${vdev}.${format}`), format });
      await guest.domain.devices.attach(new DiskDevice({ vdev, store: disk.store, close: () => disk.close() }), {
        timeout: LOGIN_TIME,
      });
      await sh(awaitDisks(vdev));
      const verified = results(await sh(`${FIO} --filename=/dev/${vdev} --verify_only`));
      expect(verified).toMatchObject({ error: 0, readMiB: total });
    });
  }

  it('would tell if a sector were another', async () => {
    await sh('dd if=/dev/zero of=/dev/xvdb bs=512 seek=40000 count=1 oflag=direct conv=fsync 2> /dev/null');
    await guest.sh(`${FIO} --filename=/dev/xvdb --verify_only`, { status: 1, timeout: LOGIN_TIME });
  });

  it('does so on a file system, too', async () => {
    await sh(`${FIO.replace(/--offset_increment=\S+/, '')} --directory=/var/tmp --filename_format=fio.$jobnum --direct=0`);
  });

  it('leaves a sound image', async () => {
    await guest.domain.destroy();
    await expectSoundImage(images.path('xvdc.qcow2'));
  });
});
