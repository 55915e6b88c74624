// A disk whose two ends connect again, a hundred times each way: the data stay, and nothing of the platform's is used up.
//
// Linux's blkfront does not reconnect when it is unbound and bound, on any backend: the state that the frontend's device is in,
// Closed, outlives the driver, and is made Initialising only for a new device and by a resume (drivers/xen/xenbus:
// xenbus_probe_node, xenbus_dev_resume). So an administrator's unbind, or an unloaded module, is followed by the disk being
// taken and given again.
import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DiskDevice } from '../../../src/backends/block/disk-device.ts';
import { RamStore } from '../../../src/io/ram-store.ts';
import { BOOT_TIME } from '../kernels.ts';
import { type XenGuest, xenGuestParts } from '../xen-guest.ts';
import { awaitDisks, bootWithDisks, LOAD_DRIVER } from './pv-guest.ts';

const parts = await xenGuestParts();
const MIB = 1 << 20;
const RECONNECTS = 100;
/** In sectors, from one round's place on the disk to the next one's. */
const STRIDE = 37;
/** xvda and xvdb among the devices of /sys/bus/xen. */
const DEVICE = { xvda: 'vbd-51712', xvdb: 'vbd-51728' } as const;
type Vdev = keyof typeof DEVICE;
const VDEVS = ['xvda', 'xvdb'] as const;

const unbind = (vdev: Vdev): string => `echo ${DEVICE[vdev]} > /sys/bus/xen/drivers/vbd/unbind`;
const awaitGone = (vdev: Vdev): string => `while [ -e /sys/bus/xen/devices/${DEVICE[vdev]} ]; do sleep 0.01; done`;
/** Reads what the round before wrote, and writes the number of this one to a place of its own. */
const work = (round: number): string => {
  const read = `dd if=/dev/xvda bs=512 skip=${(round - 1) * STRIDE} count=1 2> /tmp/dd | head -n 1`;
  const check = `found=$(${read}); [ "$found" = "round ${round - 1}" ] || { echo "read '$found'"; cat /tmp/dd; dmesg | tail -n 5; exit 1; }`;
  const write = `echo "round ${round}" | dd of=/dev/xvda bs=512 seek=${round * STRIDE} conv=sync,notrunc,fsync 2> /tmp/dd || { cat /tmp/dd; dmesg | tail -n 5; exit 2; }`;
  return round === 0 ? write : `${check}; ${write}`;
};

/** Begins to write behind all rounds, and goes on when the disk has got some of it. */
const BUSY = `before=$(cat /sys/block/xvda/stat)
dd if=/dev/zero of=/dev/xvda bs=64k seek=32 count=96 oflag=direct > /dev/null 2>&1 &
while [ "$before" = "$(cat /sys/block/xvda/stat)" ]; do :; done`;

describe.skipIf(parts === undefined)('a disk that reconnects', { timeout: 3 * BOOT_TIME }, () => {
  const contents = randomBytes(2 * MIB);
  const stores = { xvda: new RamStore(8 * MIB), xvdb: new RamStore(2 * MIB, { contents }) };
  let guest: XenGuest;
  const sh = (command: string): Promise<string> => guest.sh(command, { timeout: BOOT_TIME });

  /** What the guest has of the platform. With the disks gone, or it would be as many grants as the driver keeps for later. */
  const inUse = (): { readonly grants: number; readonly channels: number } => ({
    grants: guest.domain.grants().length,
    channels: guest.domain.eventChannels().length,
  });
  let bare: ReturnType<typeof inUse>;

  async function take(vdev: Vdev): Promise<void> {
    expect(await guest.domain.devices.detach('vbd', vdev)).toBe(true);
    // Linux would take a device that goes and comes before it has looked for the same one.
    await sh(awaitGone(vdev));
  }
  const give = (vdev: Vdev): Promise<void> =>
    guest.domain.devices.attach(new DiskDevice({ vdev, store: stores[vdev], close: async () => {} }), { timeout: BOOT_TIME });

  /** Without its disks the guest has what it had without them before. */
  async function expectNothingLeft(): Promise<void> {
    for (const vdev of VDEVS) await take(vdev);
    // A grant that its backend still maps when the driver goes is freed by a timer of the guest's.
    await expect.poll(inUse, { timeout: 30_000 }).toEqual(bare);
    for (const vdev of VDEVS) await give(vdev);
    await sh(awaitDisks(...VDEVS));
  }

  async function expectRounds(): Promise<void> {
    const found: string[] = [];
    const sector = new Uint8Array(512);
    for (let i = 0; i < RECONNECTS; i++) {
      await stores.xvda.read(i * STRIDE * 512, sector);
      found.push(new TextDecoder().decode(sector).replace(/\0+$/, ''));
    }
    expect(found).toEqual(Array.from({ length: RECONNECTS }, (_, i) => `round ${i}\n`));
    await stores.xvda.writeZeroes(0, stores.xvda.sizeBytes);
    const hash = createHash('md5').update(contents).digest('hex');
    expect(await sh("dd if=/dev/xvdb bs=64k 2> /dev/null | md5sum | cut -d ' ' -f 1")).toBe(hash);
  }

  beforeAll(async () => {
    if (parts === undefined) return;
    const disk = (vdev: Vdev) => ({ vdev, store: stores[vdev], close: async () => {} });
    guest = await bootWithDisks(parts, [disk('xvda'), disk('xvdb')]);
    for (const vdev of VDEVS) await take(vdev);
    bare = inUse();
    for (const vdev of VDEVS) await give(vdev);
    await sh(awaitDisks(...VDEVS));
  }, BOOT_TIME);
  afterAll(async () => {
    await guest?.[Symbol.asyncDispose]();
  });

  it(`does so over ${RECONNECTS} suspends as if restored`, async () => {
    const { domain } = guest;
    const suspend = async (): Promise<void> => {
      const suspended = domain.once('state', { where: ({ state }) => state === 'suspended', timeout: BOOT_TIME });
      domain.shutdown('suspend');
      await suspended;
      await domain.resume();
    };
    for (let round = 0; round < RECONNECTS; round++) {
      await suspend();
      await sh(work(round));
    }
    await expectRounds();
    await expectNothingLeft();
  });

  it(`does so when it is taken and given ${RECONNECTS} times, in turn after an unbind`, async () => {
    for (let round = 0; round < RECONNECTS; round++) {
      if (round % 2 === 1) {
        await sh(unbind('xvda'));
        expect(guest.domain.devices.list().find(({ name }) => name === 'xvda')).toMatchObject({
          state: 'Closed',
          frontendState: 'Closed',
        });
      }
      await take('xvda');
      await give('xvda');
      await sh(`${awaitDisks('xvda')}; ${work(round)}`);
    }
    await expectRounds();
    await expectNothingLeft();
  });

  it('does so for a module that was unloaded', async () => {
    for (let round = 0; round < 5; round++) {
      await sh(`${unbind('xvda')} && ${unbind('xvdb')} && rmmod xen_blkfront`);
      for (const vdev of VDEVS) await take(vdev);
      const given = [give('xvda'), give('xvdb')];
      await sh(LOAD_DRIVER);
      await Promise.all(given);
      await sh(`${awaitDisks(...VDEVS)}; ${work(round)}`);
    }
    await expectNothingLeft();
  });

  it('gives the guest nothing to complain of', async () => {
    expect(await guest.log({ clear: true })).not.toContain('leaking g.e.');
  });

  it('is whole after unbinds in the middle of work', async () => {
    for (let round = 0; round < 10; round++) {
      await sh(`${BUSY}; ${unbind('xvda')}; wait`);
      await take('xvda');
      await give('xvda');
      await sh(`${awaitDisks('xvda')}; ${work(round)}`);
    }
    await sh('dd if=/dev/xvda of=/dev/null bs=64k 2> /dev/null');
    await expectNothingLeft();
  });
});
