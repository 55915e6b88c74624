import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { InspectTree } from '../util/inspect/inspect-node.ts';
import { listDisks, listVifs } from './device-listing.ts';
import { deviceStatistics } from './device-statistics.ts';
import { diskOfWords, vifOfWords } from './device-words.ts';
import { FakeDevices } from './fixtures/fake-devices.ts';
import { FakeTarget } from './fixtures/fake-target.ts';

class CountingTarget extends FakeTarget {
  override inspect(): InspectTree {
    return {
      devices: {
        'vbd-51712': {
          device: () => ({ counters: { readRequests: 1, writeRequests: 2, readSectors: 8, writeSectors: 16, errors: 3 } }),
        },
        'vif-0': {
          device: () => ({ counters: { rxBytes: 100, rxFrames: 2, rxErrors: 0, rxDropped: 1, txBytes: 60, txFrames: 1 } }),
        },
      },
    };
  }
}

async function withDevices<T extends FakeTarget>(target: T): Promise<T> {
  const devices = new FakeDevices(target);
  await devices.attachDisk(diskOfWords(['b.img,,xvdb,r']), {});
  await devices.attachDisk(diskOfWords(['a.img,,xvda']), {});
  await devices.attachVif(vifOfWords(['mac=00:16:3e:00:00:01'], 0), {});
  return target;
}

describe('lists of devices', () => {
  it('are in the order of the numbers', async () => {
    const target = await withDevices(new FakeTarget());
    expect(listDisks(target).map(({ vdev, mode, target: file }) => [vdev, mode, file])).toEqual([
      ['xvda', 'w', 'a.img'],
      ['xvdb', 'r', 'b.img'],
    ]);
    expect(listVifs(target)).toMatchObject([{ devid: 0, mac: '00:16:3e:00:00:01', 'event-channel': 9 }]);
  });

  it('show the first queue of a frontend that has several, and the first page of its ring', async () => {
    const target = await withDevices(new FakeTarget());
    const frontend = '/local/domain/1/device/vbd/51712';
    for (const node of ['event-channel', 'ring-ref']) target.xenstore.remove(`${frontend}/${node}`);
    target.xenstore.write(`${frontend}/queue-0/event-channel`, 21);
    target.xenstore.write(`${frontend}/queue-0/ring-ref0`, 22);
    expect(listDisks(target)[0]).toMatchObject({ 'event-channel': 21, 'ring-ref': 22 });
  });

  it('are there whatever the guest writes into its directory', async () => {
    const target = await withDevices(new FakeTarget());
    const frontend = '/local/domain/1/device/vbd/51712';
    const node = fc.constantFrom('state', 'event-channel', 'ring-ref', 'queue-0', 'queue-0/event-channel', 'backend');
    fc.assert(
      fc.property(fc.array(fc.tuple(node, fc.string())), fc.boolean(), (writes, gone) => {
        for (const [name, value] of writes) target.xenstore.write(`${frontend}/${name}`, value);
        if (gone) target.xenstore.remove(frontend);
        const [disk] = listDisks(target);
        expect(disk).toMatchObject({ vdev: 'xvda', devid: 51712, backend: '/local/domain/0/backend/vbd/1/51712' });
        for (const field of ['state', 'event-channel', 'ring-ref'] as const)
          expect(disk?.[field] === null || Number.isSafeInteger(disk?.[field])).toBe(true);
      }),
    );
  });
});

describe('statistics', () => {
  it('are what the drivers count', async () => {
    const { disks, vifs } = deviceStatistics(await withDevices(new CountingTarget()));
    expect(disks).toEqual([
      {
        vdev: 'xvda',
        devid: 51712,
        'oo-requests': 0,
        'read-requests': 1,
        'write-requests': 2,
        'read-sectors': 8,
        'write-sectors': 16,
        errors: 3,
      },
      expect.objectContaining({ vdev: 'xvdb', 'read-requests': 0 }),
    ]);
    expect(vifs).toMatchObject([
      { devid: 0, 'rx-bytes': 100, 'rx-packets': 2, 'rx-dropped': 1, 'tx-bytes': 60, 'tx-packets': 1 },
    ]);
  });
});
