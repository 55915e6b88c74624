import { describe, expect, it } from 'vitest';
import { EINVAL } from '../../abi/xen/errno.ts';
import { DOMID } from '../../xen/fixtures/test-guest.ts';
import { formatStore } from '../../xen/store/format-store.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import type { BackendDevice } from './backend-device.ts';
import type { BackendConnection, BackendDriver } from './backend-driver.ts';
import { reaction } from './reaction.ts';
import { Refusal } from './refusal.ts';

/** A driver that does what the spec says, and notes what is asked of it. */
class TestDriver implements BackendDriver {
  readonly type = 'thing';
  readonly frontendType = 'vthing';
  readonly log: string[] = [];
  answer: () => BackendConnection | Refusal | Promise<BackendConnection | Refusal> = () => this.connection();
  closing: () => Promise<void> = async () => {};

  offer() {
    this.log.push('offer');
    return { 'feature-x': 1 };
  }

  connect(device: BackendDevice) {
    this.log.push(`connect ${device.frontend.text('ring-ref') ?? ''}`);
    return this.answer();
  }

  connection(): BackendConnection {
    return {
      keys: { size: 5 },
      close: async () => {
        await this.closing();
        this.log.push('close');
      },
    };
  }
}

function setup() {
  const guest = new BackendGuest();
  const driver = new TestDriver();
  const device = guest.bus.attach(driver, { id: 3, frontend: { mac: 'm' }, backend: { mac: 'm', handle: 3 } });
  /** What the frontend writes; then everybody has time to see it. */
  const front = async (state: number | string) => {
    guest.own.write('device/vthing/3/state', state);
    await settle();
    return Number(guest.own.read(`${device.paths.backend}/state`));
  };
  const connect = async () => {
    await settle();
    guest.own.write('device/vthing/3/ring-ref', 8);
    expect(await front(3)).toBe(4);
    expect(await front(4)).toBe(4);
  };
  return { guest, driver, device, front, connect };
}

const flat = (guest: BackendGuest, path: string) => formatStore(guest.store, { path, flat: true, permissions: true });

describe('attach', () => {
  it('writes the nodes that libxl writes, with their permissions', () => {
    const { guest } = setup();
    const back = '/local/domain/0/backend/thing/7/3';
    const front = '/local/domain/7/device/vthing/3';
    expect(flat(guest, front)).toBe(`${front}/backend = "${back}"   (n7,r0)
${front}/backend-id = "0"   (n7,r0)
${front}/state = "1"   (n7,r0)
${front}/mac = "m"   (n7,r0)
`);
    expect(flat(guest, back)).toBe(`${back}/frontend = "${front}"   (n0,r7)
${back}/frontend-id = "7"   (n0,r7)
${back}/online = "1"   (n0,r7)
${back}/mac = "m"   (n0,r7)
${back}/handle = "3"   (n0,r7)
${back}/state = "1"   (n0,r7)
`);
    expect(flat(guest, '/libxl/7/device/vthing/3')).toContain(`/libxl/7/device/vthing/3/backend = "${back}"   (n0)`);
    expect(guest.zero.permissions(front)).toEqual(guest.zero.permissions(`${front}/state`));
    expect(guest.zero.permissions(back)).toEqual(guest.zero.permissions(`${back}/state`));
  });

  it('offers the device at once, features before the state', async () => {
    const { guest, device, driver } = setup();
    const seen: (string | undefined)[] = [];
    guest.own.watch(`${device.paths.backend}/state`, () =>
      seen.push(`${guest.own.read(`${device.paths.backend}/state`)} ${guest.own.read(`${device.paths.backend}/feature-x`)}`),
    );
    await settle();
    expect(seen.at(-1)).toBe('2 1');
    expect(driver.log).toEqual(['offer']);
    expect(guest.own.read(`${device.paths.backend}/hotplug-status`)).toBe('connected');
  });

  it('refuses a number that is taken', () => {
    const { guest } = setup();
    expect(() => guest.bus.attach(new TestDriver(), { id: 3 })).toThrow('vthing/3');
  });
});

describe('the state machine', () => {
  it('has a reaction to every state, and to numbers that are none', () => {
    expect([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, Number.NaN].map(reaction)).toEqual([
      'close', 'offer', 'wait', 'connect', 'connect', 'drain', 'close', 'refuse', 'refuse', 'refuse', 'refuse',
    ]); // biome-ignore format: by state
  });

  it('connects, and writes keys before the state', async () => {
    const { guest, driver, device, connect } = setup();
    const connected = guest.bus.connected(device, { timeout: 1000 });
    await connect();
    await connected;
    expect(driver.log).toEqual(['offer', 'connect 8']);
    expect(device.read('size')).toBe('5');
    expect([device.connected, device.state, device.frontendState]).toEqual([true, 4, 4]);
    expect(guest.takeStates()).toEqual([2, 4]);
  });

  it('connects once, whatever order the states are seen in', async () => {
    const { driver, front } = setup();
    await settle();
    await front(4);
    await front(3);
    await front(4);
    expect(driver.log).toEqual(['offer', 'connect ']);
  });

  it('closes: lets go before it says so', async () => {
    const { guest, driver, device, connect, front } = setup();
    await connect();
    const states: (number | string)[] = [];
    driver.closing = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      states.push(`state ${device.state} while closing`);
    };
    expect(await front(5)).toBe(5);
    expect(driver.log).not.toContain('close');
    expect(await front(6)).toBe(5);
    await guest.zero.waitFor(`${device.paths.backend}/state`, (state) => state === '6', { timeout: 1000 });
    expect([driver.log.at(-1), ...states]).toEqual(['close', 'state 5 while closing']);
    expect(await front(1)).toBe(2);
    await connect();
    expect(driver.log).toEqual(['offer', 'connect 8', 'close', 'offer', 'connect 8']);
  });

  it('begins anew for a frontend that did not say goodbye', async () => {
    const { driver, connect, front } = setup();
    await connect();
    expect(await front(1)).toBe(2);
    expect(driver.log).toEqual(['offer', 'connect 8', 'close', 'offer']);
    await connect();
  });

  it('closes when the frontend’s nodes are gone', async () => {
    const { guest, driver, device, connect } = setup();
    await connect();
    guest.own.remove('device/vthing/3');
    await settle();
    expect([driver.log.at(-1), device.state, device.connected]).toEqual(['close', 6, false]);
  });

  it('takes 100 reconnects', async () => {
    const { driver, connect, front } = setup();
    for (let i = 0; i < 100; i++) {
      await connect();
      if (i % 2 === 0) await front(5);
      if (i % 3 !== 0) await front(6);
      expect(await front(1)).toBe(2);
    }
    expect(driver.log.filter((line) => line === 'close').length).toBe(100);
  });

  it('runs steps one after another when the frontend does not wait', async () => {
    const { guest, driver, device } = setup();
    driver.closing = () => new Promise((resolve) => setTimeout(resolve, 1));
    let open = 0;
    driver.answer = async () => {
      expect(++open).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 1));
      return { close: async () => void open-- };
    };
    let seed = 1;
    for (let i = 0; i < 300; i++) {
      seed = (seed * 48271) % 2147483647;
      guest.own.write('device/vthing/3/state', seed % 8);
      if (seed % 3 === 0) await settle();
      if (seed % 7 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
    }
    guest.own.write('device/vthing/3/state', 6);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(device.state).toBe(6);
    expect(open).toBe(0);
    expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
  });
});

describe('refusal', () => {
  it('writes down why, goes to Closing, and does not try again until the frontend starts afresh', async () => {
    const { guest, driver, device, front, connect } = setup();
    await settle();
    driver.answer = () => device.frontend.number('ring-ref') as Refusal;
    expect(await front(3)).toBe(5);
    const why = '22 reading /local/domain/7/device/vthing/3/ring-ref';
    expect(guest.own.read('error/device/vthing/3/error')).toBe(why);
    expect(guest.zero.read('/local/domain/0/error/backend/thing/7/3/error')).toBe(why);
    expect(guest.events.at(-1)).toMatchObject({ kind: 'refused', refusal: { errno: EINVAL } });
    expect(await front(4)).toBe(5);
    expect(await front(5)).toBe(5);
    expect(await front(6)).toBe(6);
    expect(await front(1)).toBe(2);
    driver.answer = () => driver.connection();
    await connect();
    expect(driver.log).toEqual(['offer', 'connect ', 'offer', 'connect 8']);
    expect(guest.own.exists('error/device')).toBe(false);
    expect(guest.zero.exists('/local/domain/0/error')).toBe(false);
  });

  it('of a frontend that broke the rules while connected', async () => {
    const { guest, driver, device, connect, front } = setup();
    await connect();
    device.refuse(new Refusal(EINVAL, 'nonsense'));
    await settle();
    expect([device.state, driver.log.at(-1), device.connected]).toEqual([5, 'close', false]);
    expect(guest.own.read('error/device/vthing/3/error')).toBe('22 nonsense');
    expect(await front(4)).toBe(5);
    expect(await front(1)).toBe(2);
  });

  it('of one that is found out while it connects', async () => {
    const { driver, device, front } = setup();
    await settle();
    driver.answer = () => {
      device.refuse(new Refusal(EINVAL, 'nonsense'));
      return driver.connection();
    };
    expect(await front(3)).toBe(5);
    expect(driver.log).toEqual(['offer', 'connect ', 'close']);
  });

  it('is not held against the frontend that came after', async () => {
    const { guest, driver, device, connect } = setup();
    await connect();
    driver.closing = () => new Promise((resolve) => setTimeout(resolve, 10));
    guest.own.write('device/vthing/3/state', 1);
    await settle();
    device.refuse(new Refusal(EINVAL, 'too late'));
    await guest.zero.waitFor(`${device.paths.backend}/state`, (state) => state === '2', { timeout: 1000 });
    await settle();
    expect([device.state, guest.own.exists('error/device')]).toEqual([2, false]);
    await connect();
  });

  it.each(['7', '8', '99', 'x', '-1', ''])('of state %j', async (state) => {
    const { guest, device, front } = setup();
    await settle();
    expect(await front(state)).toBe(5);
    expect(guest.own.read('error/device/vthing/3/error')).toBe(`22 saw state ${state} at frontend`);
    expect(await front(1)).toBe(2);
    expect(device.online).toBe(true);
  });

  it('of a driver that fails, which is the host’s fault', async () => {
    const { guest, driver, front } = setup();
    await settle();
    driver.answer = () => Promise.reject(new Error('a bug'));
    expect(await front(3)).toBe(5);
    expect(guest.events.find(({ kind }) => kind === 'error')).toMatchObject({ error: new Error('a bug') });
    expect(guest.own.read('error/device/vthing/3/error')).toBe('5 the backend failed');
  });
});

describe('detach', () => {
  const gone = (guest: BackendGuest) => [
    guest.zero.list('/local/domain/7/device'),
    guest.zero.exists('/local/domain/0/backend/thing'),
    guest.zero.list('/libxl/7/device'),
    guest.bus.devices.length,
  ];

  it('waits for the frontend, and leaves nothing', async () => {
    const { guest, driver, device, connect, front } = setup();
    await connect();
    const detached = guest.bus.detach(device);
    await settle();
    expect([device.state, device.read('online'), driver.log.includes('close')]).toEqual([5, '0', false]);
    await front(5);
    guest.own.write('device/vthing/3/state', 6);
    expect(await detached).toBe(true);
    expect(driver.log.at(-1)).toBe('close');
    expect(gone(guest)).toEqual([['suspend'], false, [], 0]);
  });

  it('may be asked for twice', async () => {
    const { guest, device, connect } = setup();
    await connect();
    const both = Promise.all([guest.bus.detach(device), guest.bus.detach(device)]);
    await settle();
    guest.own.write('device/vthing/3/state', 6);
    expect(await both).toEqual([true, true]);
    expect(gone(guest)).toEqual([['suspend'], false, [], 0]);
  });

  it('does not wait for a frontend that has nothing', async () => {
    const { guest, device } = setup();
    expect(await guest.bus.detach(device, { timeout: 60_000 })).toBe(true);
    expect(gone(guest)).toEqual([['suspend'], false, [], 0]);
  });

  it('does not wait for one that was refused', async () => {
    const { guest, driver, device, front } = setup();
    await settle();
    driver.answer = () => new Refusal(EINVAL, 'no');
    await front(3);
    expect(await guest.bus.detach(device, { timeout: 60_000 })).toBe(true);
  });

  it('takes the device away from a guest that does not let go', async () => {
    const { guest, driver, device, connect } = setup();
    await connect();
    expect(await guest.bus.detach(device, { timeout: 10, force: false })).toBe(false);
    expect([device.state, device.connected, guest.bus.devices.length]).toEqual([5, true, 1]);
    expect(await guest.bus.detach(device, { timeout: 10 })).toBe(true);
    expect(driver.log.at(-1)).toBe('close');
    expect(gone(guest)).toEqual([['suspend'], false, [], 0]);
    guest.bus.attach(driver, { id: 3 });
  });
});

it('reset offers all devices as new', async () => {
  const { guest, driver, device, connect } = setup();
  await connect();
  await guest.bus.reset();
  expect([device.state, device.connected, guest.own.read('device/vthing/3/state')]).toEqual([2, false, '1']);
  expect(guest.own.exists('device/vthing/3/ring-ref')).toBe(false);
  expect(driver.log).toEqual(['offer', 'connect 8', 'close', 'offer']);
  await connect();
});

it('announce writes nodes and the state once more', async () => {
  const { guest, device, connect } = setup();
  await connect();
  const seen: (string | undefined)[] = [];
  guest.own.watch(`${device.paths.backend}/state`, () => seen.push(device.read('size')));
  await settle();
  device.announce({ size: 6 });
  await settle();
  expect(seen).toEqual(['5', '6']);
});

it('close lets go of everything', async () => {
  const { guest, driver, connect } = setup();
  await connect();
  await guest.bus.close();
  expect(driver.log.at(-1)).toBe('close');
  expect(guest.zero.list(`/local/domain/${DOMID}/device`)).toEqual(['suspend']);
  expect(guest.bus.client.watches).toEqual([]);
});
