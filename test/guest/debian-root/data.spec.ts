// What a guest has written is there for the next one, for the host, and for qemu-img.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dom1 } from '../../cli/dom1.ts';
import { DebianGuest, LOGIN_TIME } from './debian-guest.ts';
import { debianRoot } from './debian-root.ts';
import { runTool } from './run-tool.ts';
import { expectSoundImage, md5OfFile, ScratchImages } from './scratch-images.ts';

const root = await debianRoot();
const MIB = 1 << 20;
const DISK_MIB = 272;
const WRITTEN_MIB = 256;

describe('a quarter of a gigabyte of random data', { timeout: 2 * LOGIN_TIME }, () => {
  let images: ScratchImages;
  let [raw, base, top] = ['', '', ''];
  let [written, whole, baseHash] = ['', '', ''];
  const sh = (guest: DebianGuest, command: string): Promise<string> => guest.sh(command, { timeout: LOGIN_TIME });
  const boot = (): Promise<DebianGuest> =>
    DebianGuest.boot({
      root: { path: root.raw, format: 'raw', snapshot: true },
      disks: [
        { vdev: 'xvdb', path: raw, format: 'raw' },
        { vdev: 'xvdc', path: top, format: 'qcow2' },
      ],
    });
  const md5 = (guest: DebianGuest, source: string): Promise<string> => sh(guest, `${source} | md5sum | cut -d ' ' -f 1`);

  beforeAll(async () => {
    images = await ScratchImages.create();
    // The backing file and the raw disk begin the same: whatever the guest does to both must leave them so.
    base = await images.blank('base.raw', 'raw', DISK_MIB);
    await runTool('dd', [
      'if=/dev/urandom',
      `of=${base}`,
      'bs=1M',
      `seek=${WRITTEN_MIB - 8}`,
      'count=20',
      'conv=notrunc',
      'status=none',
    ]);
    baseHash = await md5OfFile(base);
    raw = await images.copy(base, 'disk.raw');
    top = await images.onTopOf(base, 'raw', 'top.qcow2');
  }, LOGIN_TIME);
  afterAll(async () => {
    await images?.[Symbol.asyncDispose]();
  });

  it('is written by a guest to a raw disk, where the host reads it, and to a qcow2 disk with a backing file', async () => {
    await using guest = await boot();
    // The hash is of what was written, not of what a disk says that it was.
    written = await md5(guest, `head -c ${WRITTEN_MIB * MIB} /dev/urandom | tee /dev/xvdb /dev/xvdc`);
    // And sectors in the middle of a cluster that is the backing file's.
    const few = 'dd bs=512 seek=$((260 * 2048 + 7)) count=9 conv=notrunc,fsync 2> /dev/null';
    await sh(guest, `head -c 4608 /dev/urandom > /tmp/few; for d in b c; do ${few} if=/tmp/few of=/dev/xvd$d; done; sync`);
    expect((await guest.powerOff()).reason).toBe('poweroff');
    expect(await md5OfFile(raw, WRITTEN_MIB * MIB)).toBe(written);
    whole = await md5OfFile(raw);
  });

  it('is read by the next guest', async () => {
    await using guest = await boot();
    for (const disk of ['/dev/xvdb', '/dev/xvdc']) expect([disk, await md5(guest, `cat ${disk}`)]).toEqual([disk, whole]);
  });

  it('is in the raw file as it was, as the backing file is', async () => {
    expect(await md5OfFile(raw)).toBe(whole);
    expect(await md5OfFile(base)).toBe(baseHash);
  });

  it('is the same in both for qemu-img, which finds nothing wrong', async () => {
    await expectSoundImage(top);
    const { stdout } = await runTool('qemu-img', ['compare', '-f', 'raw', '-F', 'qcow2', raw, top]);
    expect(stdout.trim()).toBe('Images are identical.');
  });

  it('is in an image of which dom1 and qemu-img say the same', async () => {
    const { code, stdout } = await dom1(['image', 'check', '--json', top]);
    expect(code).toBe(0);
    const ours = JSON.parse(stdout) as Record<string, unknown>;
    const theirs = JSON.parse((await runTool('qemu-img', ['check', '--output=json', top])).stdout) as Record<string, unknown>;
    expect(ours).toMatchObject({ errors: 0, leaks: 0 });
    expect([ours.totalClusters, ours.allocatedClusters, ours.endOffset]).toEqual([
      theirs['total-clusters'],
      theirs['allocated-clusters'],
      theirs['image-end-offset'],
    ]);
  });
});
