import { expect, it } from 'vitest';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { NetFrontend } from '../fixtures/net-frontend.ts';
import { TestSink } from '../fixtures/test-sink.ts';
import { vifDevice } from './vif-device.ts';

/** A sink that counts what it is asked for. */
class CountingSink extends TestSink {
  forgotten = 0;
  closed = 0;
  forgetGuest(): void {
    this.forgotten++;
  }
  override async close(): Promise<void> {
    this.closed++;
  }
}

it('is the same card for the guest after a reset: number and address stay, what its network knew is forgotten', async () => {
  const sink = new CountingSink();
  const card = vifDevice({ sink });
  const first = new BackendGuest();
  vifDevice({ id: 0, sink: new TestSink() }).attach(first.bus);
  expect([card.name, card.mac]).toEqual(['', undefined]);
  const before = card.attach(first.bus);
  expect([card.name, before.id, sink.forgotten]).toEqual(['1', 1, 0]);
  expect(card.mac).toMatch(/^00:16:3e:/);
  await first.bus.close();

  const second = new BackendGuest();
  const after = card.attach(second.bus);
  expect([after.id, sink.forgotten, sink.attached]).toEqual([1, 1, 0]);
  expect(second.own.read('device/vif/1/mac')).toBe(card.mac);
  const front = new NetFrontend(second, 1);
  await front.connect();
  await settle();
  expect(sink.receiver).toBe(card.backend?.connection);
  await front.disconnect();
  expect(sink.closed).toBe(0);
  await card.close();
  expect(sink.closed).toBe(1);
});

it('is closed as its owner says', async () => {
  const sink = new CountingSink();
  let closed = 0;
  const card = vifDevice({ sink, id: 3, mac: '00:16:3e:00:00:01', close: async () => void closed++ });
  expect([card.name, card.mac]).toEqual(['3', '00:16:3e:00:00:01']);
  await card.close();
  expect([closed, sink.closed]).toEqual([1, 0]);
});

it('cannot be given with an address that no card has, and can be given another time', () => {
  const guest = new BackendGuest();
  const card = vifDevice({ sink: new CountingSink(), mac: '01:00:00:00:00:01' });
  expect(() => card.attach(guest.bus)).toThrow(RangeError);
  expect(guest.bus.device('vif', 0)).toBeUndefined();
});
