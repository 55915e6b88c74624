import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XENSTORE_RING as RING, XENSTORE_CONNECTION, XENSTORE_ERROR, XS } from '../../abi/xen/xenstore.ts';
import { DOMID, TestGuest } from '../fixtures/test-guest.ts';
import { bytesOf, textOf } from './bytes.ts';
import { RingGuest } from './fixtures/ring-guest.ts';
import { WireNoise } from './fixtures/wire-noise.ts';
import { encodeMessage } from './message.ts';
import { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';
import { XenStoreRing } from './store-ring.ts';

it('answers over the ring, and sends an event for it', () => {
  const g = new RingGuest();
  expect(g.put(g.request('READ', 'name\0'))).toBe(21);
  g.kick();
  expect(g.notified()).toBe(true);
  expect([...g.takeBytes()]).toEqual([2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, ...bytesOf('guest')]);
  expect(g.get(RING.req_cons)).toBe(21);
});

it('advertises reconnection and the error field', () => {
  const g = new RingGuest();
  expect([RING.server_features, RING.connection, RING.error].map((at) => g.get(at))).toEqual([3, 0, 0]);
});

it('cannot be attached to a ring that was not offered, and leaves no connection behind', () => {
  const { domain, channels } = new TestGuest();
  const store = new XenStore();
  expect(() => new XenStoreRing({ store, domain, channels })).toThrow(/event channel/);
  expect(store.connectionsOf(store.addDomain(DOMID))).toEqual([]);
});

it('takes a request byte by byte, an event each', () => {
  const g = new RingGuest();
  const bytes = g.request('READ', 'domid\0');
  for (const byte of bytes) {
    expect(g.receive()).toEqual([]);
    g.put(Uint8Array.of(byte));
    g.kick();
  }
  expect(g.receive().map(({ payload }) => textOf(payload))).toEqual(['7']);
});

it('goes on over the wrap of both rings and of the indices', () => {
  const g = new RingGuest();
  for (const at of [RING.req_cons, RING.req_prod, RING.rsp_cons, RING.rsp_prod]) g.set(at, 0xffff_fc10);
  const value = 'v'.repeat(900);
  for (let i = 0; i < 5; i++) {
    expect(g.call('WRITE', `data/x\0${value}${i}`)).toBe('OK\0');
    expect(g.call('READ', 'data/x\0')).toBe(`${value}${i}`);
  }
  expect(g.get(RING.req_prod)).toBeLessThan(0x4000);
});

it('carries messages larger than the ring both ways', () => {
  const g = new RingGuest();
  const value = Array.from({ length: 1900 }, (_, i) => String.fromCharCode(i & 255)).join('');
  expect(g.call('WRITE', `data/x\0${value}`)).toBe('OK\0');
  expect(g.call('READ', 'data/x\0')).toBe(value);
});

it('stops reading requests while replies do not fit, and loses nothing', () => {
  const g = new RingGuest();
  g.call('WRITE', `data/x\0${'x'.repeat(1000)}`);
  const requests = Array.from({ length: 60 }, () => g.request('READ', 'data/x\0'));
  let sent = 0;
  for (const request of requests) {
    if (g.put(request) < request.length) break;
    sent++;
  }
  g.kick();
  expect(g.ring.connection.queued).toBe(20);
  expect(g.get(RING.req_cons)).not.toBe(g.get(RING.req_prod));
  let replies = 0;
  for (let turn = 0; turn < 600 && replies < sent; turn++) {
    replies += g.receive(300).length;
    g.kick();
  }
  expect(replies).toBe(sent);
});

it('sends events of others’ changes without being asked', async () => {
  const g = new RingGuest();
  g.call('WATCH', 'control/shutdown\0tok\0');
  g.notified();
  new StoreClient(g.store).write(`/local/domain/${DOMID}/control/shutdown`, 'poweroff');
  expect(g.receive()).toEqual([]);
  await g.settle();
  expect(g.notified()).toBe(true);
  const [event] = g.receive();
  expect([event?.type, textOf(event?.payload ?? new Uint8Array(0))]).toEqual([XS.WATCH_EVENT, 'control/shutdown\0tok\0']);
});

it('serves a flood in portions', async () => {
  const g = new RingGuest();
  const many = Array.from({ length: 60 }, () => g.request('MKDIR', '\0'));
  for (const request of many) g.put(request);
  g.set(RING.rsp_cons, 0);
  g.kick();
  const first = g.receive().length;
  expect(first).toBeGreaterThan(0);
  expect(first).toBeLessThanOrEqual(32);
  let replies = first;
  for (let i = 0; i < 5; i++) {
    await g.settle();
    replies += g.receive().length;
  }
  expect(replies).toBe(60);
});

describe('what cannot be answered', () => {
  it.each([
    ['a request ring with more bytes than fit', RING.req_prod, 1025],
    ['a response ring with more bytes than fit', RING.rsp_cons, 5],
  ])('%s ends the connection with a ring index error', (_, at, value) => {
    const g = new RingGuest();
    g.call('WATCH', 'data\0t\0');
    g.put(g.request('READ', 'name\0'));
    g.set(at, at === RING.req_prod ? g.get(RING.req_cons) + value : g.get(RING.rsp_prod) + value);
    g.kick();
    expect(g.get(RING.error)).toBe(XENSTORE_ERROR.RINGIDX);
    expect(g.ring.connection.watches).toEqual([]);
    const cons = g.get(RING.req_cons);
    g.set(RING.req_prod, cons + 20);
    g.kick();
    expect(g.get(RING.req_cons)).toBe(cons);
  });

  it('a payload over 4096 bytes ends it with a protocol error', () => {
    const g = new RingGuest();
    const bytes = encodeMessage({ type: XS.READ, requestId: 1, transactionId: 0, payload: new Uint8Array(4096) }).slice(0, 16);
    bytes[12] = 1;
    g.put(bytes);
    g.kick();
    expect(g.get(RING.error)).toBe(XENSTORE_ERROR.PROTO);
    expect(g.ring.error).toBe(XENSTORE_ERROR.PROTO);
  });

  it('is over when the guest reconnects', () => {
    const g = new RingGuest();
    g.set(RING.req_prod, 5000);
    g.kick();
    g.notified();
    g.set(RING.connection, XENSTORE_CONNECTION.RECONNECT);
    g.kick();
    expect(g.notified()).toBe(true);
    expect(
      [RING.error, RING.connection, RING.req_prod, RING.req_cons, RING.rsp_prod, RING.rsp_cons].map((at) => g.get(at)),
    ).toEqual([0, 0, 0, 0, 0, 0]);
    expect(g.call('READ', 'name\0')).toBe('guest');
  });
});

describe('starting anew', () => {
  it('drops half a request, watches, transactions and unsent replies', async () => {
    const g = new RingGuest();
    g.call('WATCH', 'data\0t\0');
    g.call('TRANSACTION_START', '\0');
    g.put(g.request('READ', 'name\0').subarray(0, 18));
    g.kick();
    g.set(RING.connection, XENSTORE_CONNECTION.RECONNECT);
    g.kick();
    g.forget();
    const domain = g.store.domain(DOMID);
    expect([domain?.watches, domain?.transactions, domain?.outstanding]).toEqual([0, 0, 0]);
    expect(g.call('READ', 'domid\0')).toBe('7');
    expect(g.call('TRANSACTION_END', 'T\0', 1)).toBe('ENOENT');
  });

  it('binds the port of a soft reset', () => {
    const g = new RingGuest();
    g.call('WATCH', 'data\0t\0');
    g.put(g.request('READ', 'name\0').subarray(0, 5));
    g.kick();
    g.port = g.guest.domain.offerRing('store');
    g.ring.reset();
    expect(g.ring.connection.watches).toEqual([]);
    expect(g.get(RING.req_prod)).toBe(0);
    expect(g.get(RING.server_features)).toBe(3);
    expect(g.call('READ', 'name\0')).toBe('guest');
  });

  it('happens too when the toolstack introduces the domain again', () => {
    const g = new RingGuest();
    g.call('WATCH', 'data\0t\0');
    const zero = g.store.connect(0);
    zero.handle({ type: XS.INTRODUCE, requestId: 1, transactionId: 0, payload: bytesOf(`${DOMID}\0${0xfeffc}\0${g.port}\0`) });
    expect(g.get(RING.req_prod)).toBe(0);
    expect(g.ring.connection.watches).toEqual([]);
  });
});

it('ends with the domain', () => {
  const g = new RingGuest();
  g.ring.close();
  g.put(g.request('READ', 'name\0'));
  g.kick();
  expect(g.get(RING.req_cons)).toBe(0);
  expect(g.store.connectionsOf(g.store.addDomain(DOMID))).toEqual([]);
});

it('answers each request once and in order, however it is cut and whatever the rings hold', () => {
  const property = fc.property(
    fc.array(fc.tuple(fc.constantFrom('READ', 'WRITE', 'DIRECTORY', 'GET_PERMS'), fc.nat(1500)), { minLength: 1, maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 30 }),
    fc.nat(0xffff_ffff),
    (requests, cuts, start) => {
      const g = new RingGuest();
      for (const at of [RING.req_cons, RING.req_prod, RING.rsp_cons, RING.rsp_prod]) g.set(at, start);
      const all = requests.flatMap(([name, length]) => [
        ...g.request(name as 'READ', `data/x\0${name === 'WRITE' ? 'y'.repeat(length) : ''}`),
      ]);
      const replies: number[] = [];
      let at = 0;
      // A turn moves at least a byte of a request or of a reply, which is no longer than the longest value and its header.
      const turns = all.length + requests.length * 1600;
      for (let turn = 0; turn < turns && replies.length < requests.length; turn++) {
        const cut = cuts[turn % cuts.length] ?? 1;
        at += g.put(Uint8Array.from(all.slice(at, at + cut)));
        g.kick();
        replies.push(...g.receive(cuts[(turn * 7) % cuts.length]).map(({ requestId }) => requestId));
        for (const run of g.deferred.splice(0)) run();
      }
      expect(replies).toEqual(requests.map((_, i) => i + 1));
    },
  );
  const slowest = [Array.from({ length: 12 }, (): ['WRITE', number] => ['WRITE', 1500]), [1], 0] as const;
  fc.assert(property, { numRuns: 60, examples: [slowest as never] });
});

it('survives nonsense, and serves a guest that reconnects', () => {
  const property = fc.property(fc.nat(0xffff_ffff), (seed) => {
    let state = seed;
    const noise = new WireNoise((below) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    });
    for (let i = 0; i < 120; i++) expect(noise.step()).toBeUndefined();
    expect(noise.finish()).toBeUndefined();
  });
  fc.assert(property, { numRuns: 30 });
});
