import { describe, expect, it } from 'vitest';
import { EVTCHNSTAT } from '../../abi/xen/event-channel.ts';
import { NETIF_EXTRA, NETTXF } from '../../abi/xen/netif.ts';
import { plainFrame } from '../../io/frame-sink.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { testFrame } from '../fixtures/net-frames.ts';
import { NetFrontend } from '../fixtures/net-frontend.ts';
import { MAC, reasonOf, setup } from '../fixtures/net-setup.ts';
import { TestSink } from '../fixtures/test-sink.ts';
import { attachVif } from './attach-vif.ts';

describe('nodes', () => {
  it('are those that libxl and netback write', async () => {
    const { front, guest } = await setup({}, { bridge: 'xenbr1', script: 'vif-bridge', mtu: 1400 });
    const keys = ['mac', 'handle', 'bridge', 'script', 'type', 'mtu', 'online', 'frontend-id', 'hotplug-status'];
    expect(keys.map((key) => front.read(key))).toEqual([MAC, '0', 'xenbr1', 'vif-bridge', 'vif', '1400', '1', '7', 'connected']);
    const features = [
      'feature-sg',
      'feature-gso-tcpv4',
      'feature-gso-tcpv6',
      'feature-rx-copy',
      'feature-rx-flip',
      'feature-ctrl-ring',
    ];
    expect(features.map((key) => front.read(key))).toEqual(['1', '1', '1', '1', '0', '0']);
    expect(guest.own.read('device/vif/0/mac')).toBe(MAC);
    expect(guest.own.read('device/vif/0/mtu')).toBe('1400');
  });

  it('have an address of Xen’s when none is given, and the lowest free number', () => {
    const { bus } = new BackendGuest();
    const first = attachVif(bus, { sink: new TestSink() });
    const second = attachVif(bus, { sink: new TestSink(), random: () => 0xffff_ffff });
    expect(first.mac).toMatch(/^00:16:3e:[0-7]/);
    expect([second.mac, second.device.id]).toEqual(['00:16:3e:7f:ff:ff', 1]);
    for (const mac of ['', 'x', '01:00:5e:00:00:01']) {
      expect(() => attachVif(bus, { sink: new TestSink(), mac })).toThrow(RangeError);
    }
  });
});

describe('several queues', () => {
  it.each([true, false])('keep a connection on one queue (split channels: %s)', async (split) => {
    const { front, sink, backend } = await setup({ queues: 4, split });
    expect(backend.connection?.queues).toBe(4);
    for (let queue = 0; queue < 4; queue++) front.post(8, queue);
    const ports = [1, 2, 3, 4, 5, 6, 7, 8];
    for (const port of ports) {
      const frame = plainFrame(testFrame({ version: 4, protocol: 'tcp', payload: 5, port }).bytes);
      sink.receiver?.receive(frame);
      sink.receiver?.receive(frame);
    }
    await settle();
    const where = [0, 1, 2, 3].map((queue) => front.received(queue).map(({ bytes }) => bytes[35] as number));
    expect(where.filter((list) => list.length > 0).length).toBeGreaterThan(1);
    expect(where.flat().sort()).toEqual(ports.flatMap((port) => [port, port]));
    for (const list of where) expect(list).toEqual([...new Set(list)].flatMap((port) => [port, port]));
  });

  it('are refused when there are too many', async () => {
    const guest = new BackendGuest();
    attachVif(guest.bus, { sink: new TestSink(), mac: MAC });
    const front = new NetFrontend(guest, 0, { queues: 5 });
    await expect(front.connect()).rejects.toThrow('state 5');
    expect(reasonOf(guest)).toBe('22 guest requested 5 queues, exceeding the maximum of 4');
    front.release();
  });
});

describe('multicast', () => {
  const group = [1, 0, 0x5e, 0, 0, 1];
  const to = (destination: readonly number[]) =>
    plainFrame(testFrame({ version: 4, protocol: 'udp', payload: 1, destination }).bytes);

  it('is filtered while the guest asks for it, which it may change', async () => {
    const { front, sink } = await setup({ keys: { 'request-multicast-control': 1 } });
    const count = async () => {
      front.post(4);
      for (const address of [group, [1, 0, 0x5e, 0, 0, 2], Array(6).fill(255), [2, 0, 0, 0, 0, 9]])
        sink.receiver?.receive(to(address));
      await settle();
      return front.received().length;
    };
    const change = (type: number) => {
      front.putTx({ flags: NETTXF.extra_info });
      front.putExtra(type, group);
      front.push();
      return front.answers();
    };
    expect(await count()).toBe(2);
    expect(change(NETIF_EXTRA.MCAST_ADD)).toEqual([0, 1]);
    expect(sink.filters.at(-1)?.multicast).toEqual([Uint8Array.from(group)]);
    expect(await count()).toBe(3);
    expect(change(NETIF_EXTRA.MCAST_DEL)).toEqual([0, 1]);
    expect(await count()).toBe(2);
    front.write('request-multicast-control', 0);
    await settle();
    expect(sink.filters.at(-1)?.multicast).toBe('all');
    expect(await count()).toBe(4);
  });

  it('takes 64 addresses', async () => {
    const { front } = await setup({ keys: { 'request-multicast-control': 1 } });
    const statuses: (number | undefined)[] = [];
    for (let i = 0; i < 65; i++) {
      front.putTx({ flags: NETTXF.extra_info });
      front.putExtra(NETIF_EXTRA.MCAST_ADD, [1, 0, 0, 0, 0, i]);
      front.push();
      statuses.push(front.answers()[0]);
    }
    expect(statuses).toEqual([...Array(64).fill(0), -1]);
  });
});

it('serves a frontend that comes and goes a hundred times, and keeps nothing of it', async () => {
  const { front, sink, guest, backend } = await setup({ split: true, queues: 2 });
  const watches = guest.bus.client.watches.length;
  const { bytes } = testFrame({ version: 4, protocol: 'udp', payload: 9 });
  for (let i = 0; i < 100; i++) {
    front.send({ bytes }, i & 1);
    expect(front.answers(i & 1)).toEqual([0]);
    // One that waits for room, and one that waits for pages.
    sink.room = 0;
    front.send({ bytes }, 0);
    sink.receiver?.receive(plainFrame(bytes));
    if (i % 3 === 0) {
      front.write('state', 1);
      await settle();
      for (const { txPort, rxPort } of front.queues) {
        const states = [txPort, rxPort].map((port) => guest.domain.events.ports.state(port));
        expect(states).toEqual([EVTCHNSTAT.unbound, EVTCHNSTAT.unbound]);
      }
      front.release();
    } else {
      await front.disconnect();
      front.write('state', 1);
    }
    sink.room = 10;
    await front.connect();
  }
  expect(guest.bus.client.watches.length).toBe(watches);
  expect(sink.attached).toBe(101);
  expect(backend.counters.txFrames).toBe(200);
  expect(guest.events.filter(({ kind }) => kind !== 'state')).toEqual([]);
});

it('goes away when it is detached', async () => {
  const { guest, device, front, sink } = await setup();
  const gone = guest.bus.detach(device);
  await settle();
  expect(front.backendState).toBe(5);
  for (const state of [5, 6]) front.write('state', state);
  expect(await gone).toBe(true);
  expect([sink.receiver, guest.zero.read(device.paths.backend)]).toEqual([undefined, undefined]);
  front.release();
});
