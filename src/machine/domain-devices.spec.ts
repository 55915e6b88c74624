import { describe, expect, it } from 'vitest';
import { DiskDevice } from '../backends/block/disk-device.ts';
import { BackendGuest, settle } from '../backends/fixtures/backend-guest.ts';
import { BlockFrontend } from '../backends/fixtures/block-frontend.ts';
import { TestStore } from '../backends/fixtures/test-store.ts';
import { BackendBus } from '../backends/xenbus/backend-bus.ts';
import { DeviceError, DomainDevices } from './domain-devices.ts';

const XVDA = 51712;
const XVDB = 51728;

class Disk extends DiskDevice {
  closed = 0;

  constructor(vdev: string) {
    super({ vdev, store: new TestStore(4096), close: async () => void this.closed++ });
  }
}

function setup() {
  const guest = new BackendGuest();
  const start = new Disk('xvda');
  const devices = new DomainDevices([start], guest.zero, () => {});
  devices.offer(guest.bus);
  const connect = async (id: number): Promise<BlockFrontend> => {
    const front = new BlockFrontend(guest, id, {});
    await front.connect();
    return front;
  };
  const nodes = () => guest.own.list('device/vbd') ?? [];
  return { guest, start, devices, connect, nodes };
}

it('lists devices as they are', async () => {
  const { devices, connect } = setup();
  await connect(XVDA);
  expect(devices.list()).toEqual([
    {
      type: 'vbd',
      name: 'xvda',
      id: XVDA,
      state: 'Connected',
      frontendState: 'Connected',
      frontend: '/local/domain/7/device/vbd/51712',
      backend: '/local/domain/0/backend/vbd/7/51712',
    },
  ]);
  expect([devices.freeId('vbd'), devices.freeId('vif')]).toEqual([0, 0]);
});

describe('a device that is attached', () => {
  it('is there when the guest uses it', async () => {
    const { devices, connect } = setup();
    const disk = new Disk('xvdb');
    const attached = devices.attach(disk);
    await settle();
    expect(devices.get('vbd', 'xvdb')).toBe(disk);
    await connect(XVDB);
    await attached;
    expect([devices.get('vbd', XVDB), devices.list().length, disk.closed]).toEqual([disk, 2, 0]);
  });

  it('is the caller’s again when the guest does not take it in time', async () => {
    const { devices, nodes } = setup();
    const disk = new Disk('xvdb');
    const attached = devices.attach(disk, { timeout: 1 });
    await expect(attached).rejects.toThrow('the guest did not take vbd xvdb within 0.001 s; has it a driver for it?');
    expect([devices.get('vbd', 'xvdb'), devices.list().length, disk.closed, nodes()]).toEqual([undefined, 1, 0, [String(XVDA)]]);
  });

  it('is the caller’s again when the backend refuses what the guest wants, and the reason is told', async () => {
    const { guest, devices, nodes } = setup();
    const attached = devices.attach(new Disk('xvdb'));
    await settle();
    guest.own.write(`device/vbd/${XVDB}/ring-ref`, 'nonsense');
    guest.own.write(`device/vbd/${XVDB}/event-channel`, 1);
    guest.own.write(`device/vbd/${XVDB}/state`, 3);
    await expect(attached).rejects.toThrow(/vbd xvdb was not connected: 22 .*ring-ref/);
    expect(nodes()).toEqual([String(XVDA)]);
  });

  it('is offered and no more where nobody is to wait', async () => {
    const { devices } = setup();
    await devices.attach(new Disk('xvdb'), { wait: false });
    expect(devices.list().map(({ name }) => name)).toEqual(['xvda', 'xvdb']);
  });

  it('cannot have the name of another', async () => {
    await expect(setup().devices.attach(new Disk('xvda'))).rejects.toThrow(DeviceError);
  });

  it('is given up with its signal', async () => {
    const { devices, nodes } = setup();
    const giveUp = new AbortController();
    const attached = devices.attach(new Disk('xvdb'), { signal: giveUp.signal });
    giveUp.abort(new Error('no more'));
    await expect(attached).rejects.toThrow('no more');
    expect(nodes()).toEqual([String(XVDA)]);
  });
});

describe('a device that is detached', () => {
  it('is closed once, however many wait for it', async () => {
    const { devices, connect, start, nodes } = setup();
    const front = await connect(XVDA);
    const all = Promise.all([devices.detach('vbd', 'xvda'), devices.detach('vbd', XVDA)]);
    await settle();
    expect(start.closed).toBe(0);
    front.setState(6);
    expect(await all).toEqual([true, true]);
    front.release();
    expect([start.closed, devices.list(), nodes()]).toEqual([1, [], []]);
  });

  it('stays while the guest holds it, unless it is forced', async () => {
    const { devices, connect, start } = setup();
    await connect(XVDA);
    expect(await devices.detach('vbd', 'xvda', { timeout: 1 })).toBe(false);
    expect([start.closed, devices.list().length]).toEqual([0, 1]);
    expect(await devices.detach('vbd', 'xvda', { timeout: 1, force: true })).toBe(true);
    expect([start.closed, devices.list().length]).toEqual([1, 0]);
  });

  it('was there', async () => {
    await expect(setup().devices.detach('vbd', 'xvdc')).rejects.toThrow('the domain has no vbd xvdc');
  });
});

it('gives all of them to the next platform, and none while there is none', async () => {
  const { guest, devices, nodes, start } = setup();
  await devices.attach(new Disk('xvdb'), { wait: false });
  devices.withdraw();
  await expect(devices.attach(new Disk('xvdc'))).rejects.toThrow('being reset');
  await expect(devices.detach('vbd', 'xvda')).rejects.toThrow('being reset');
  await guest.bus.close();
  expect(nodes()).toEqual([]);
  devices.offer(new BackendBus({ domain: guest.domain, store: guest.store, channels: guest.channels }));
  expect([nodes().sort(), start.closed]).toEqual([[String(XVDA), String(XVDB)], 0]);
});

it('closes all of them in the end, and tells what could not be', async () => {
  const guest = new BackendGuest();
  const broken = new DiskDevice({ vdev: 'xvda', store: new TestStore(4096), close: () => Promise.reject(new Error('no space')) });
  const other = new Disk('xvdb');
  const devices = new DomainDevices([broken, other], guest.zero, () => {});
  const problems: string[] = [];
  await devices.close((error) => problems.push(error.message));
  await devices.close((error) => problems.push(error.message));
  expect([problems, other.closed]).toEqual([['xvda: what was written last may be lost: Error: no space'], 1]);
});
