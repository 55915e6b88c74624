// Random requests against a model of the disk, as a correct frontend makes them; then as an incorrect one does.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { BLKIF_OP as OP } from '../../abi/xen/blkif.ts';
import { GNTST } from '../../abi/xen/grant-table.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { BlockFrontend, type FrontendOptions, type Segment } from '../fixtures/block-frontend.ts';
import { TestStore } from '../fixtures/test-store.ts';
import { attachDisk } from './attach-disk.ts';

const ID = 51712;
const SECTORS = 1024;

const OPTIONS: fc.Arbitrary<FrontendOptions> = fc.record({
  protocol: fc.constantFrom('x86_64-abi', 'x86_32-abi'),
  order: fc.constantFrom(0, 1, 2),
  queues: fc.constantFrom(1, 2),
  persistent: fc.boolean(),
  startAt: fc.constantFrom(0, 0xffff_fffa),
});
const SPAN = fc.tuple(fc.nat(7), fc.nat(7)).map(([a, b]) => ({ first: Math.min(a, b), last: Math.max(a, b) }));
const REQUEST = fc.record({
  operation: fc.constantFrom(OP.READ, OP.READ, OP.WRITE, OP.WRITE, OP.WRITE_BARRIER, OP.FLUSH_DISKCACHE, OP.DISCARD),
  sector: fc.nat(SECTORS - 1),
  spans: fc.array(SPAN, { minLength: 1, maxLength: 6 }),
  indirect: fc.boolean(),
  queue: fc.nat(1),
  fill: fc.nat(255),
});
const ROUNDS = fc.array(fc.array(REQUEST, { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 8 });
type Random = typeof REQUEST extends fc.Arbitrary<infer T> ? T : never;

async function setup(options: FrontendOptions) {
  const guest = new BackendGuest();
  const store = new TestStore(SECTORS * 512);
  for (let i = 0; i < store.bytes.length; i++) store.bytes[i] = (i >>> 9) + i;
  const attached = attachDisk(guest.bus, { vdev: 'xvda', store, persistentGrants: true });
  const front = new BlockFrontend(guest, ID, options);
  await front.connect();
  return { guest, store, front, ...attached };
}

/** A request, what it must do to the model, and what must then be in the guest's pages. */
function plan(front: BlockFrontend, model: Uint8Array, random: Random, pages: { ref: number; bytes: Uint8Array }[], id: bigint) {
  const { operation, sector, spans, fill } = random;
  const segments = spans.map((span, i) => ({ ...span, ref: (pages[i] as { ref: number }).ref }));
  const length = segments.reduce((sum, { first, last }) => sum + last - first + 1, 0);
  const at = Math.min(sector, SECTORS - length);
  let done = at * 512;
  for (const [i, { first, last }] of spans.entries()) {
    const { bytes } = pages[i] as { bytes: Uint8Array };
    bytes.fill(0xee);
    if (operation !== OP.READ) for (let j = first * 512; j < (last + 1) * 512; j++) bytes[j] = fill + i + j;
  }
  const writes = operation === OP.WRITE || operation === OP.WRITE_BARRIER || operation === OP.FLUSH_DISKCACHE;
  const expected = pages.map(({ bytes }) => bytes.slice());
  for (const [i, { first, last }] of spans.entries()) {
    const size = (last - first + 1) * 512;
    if (writes) model.set((expected[i] as Uint8Array).subarray(first * 512, (last + 1) * 512), done);
    if (operation === OP.READ) (expected[i] as Uint8Array).set(model.subarray(done, done + size), first * 512);
    done += size;
  }
  if (operation === OP.DISCARD) model.fill(0, at * 512, (at + length) * 512);
  const table = pages[spans.length] as { ref: number };
  const entry =
    operation === OP.DISCARD
      ? front.discard(id, at, length)
      : random.indirect && operation <= OP.WRITE
        ? front.indirect(operation, id, at, segments, [{ ...table, first: 0, last: 7 }])
        : front.request(operation, id, at, segments);
  const used = random.indirect ? spans.length : pages.length;
  const right = () => pages.slice(0, used).every(({ bytes }, i) => Buffer.compare(bytes, expected[i] as Uint8Array) === 0);
  return { entry, right, from: at, to: at + length };
}

it('what a frontend reads and writes is what a disk would give and keep', { timeout: 60_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(OPTIONS, ROUNDS, fc.nat(3), async (options, rounds, slowness) => {
      const { guest, store, front } = await setup(options);
      const model = store.bytes.slice();
      let turn = 0;
      store.delay = () => (slowness === 0 ? 0 : (turn++ * 5) % (slowness + 1));
      const slots = Array.from({ length: 4 }, () =>
        Array.from({ length: 7 }, () => {
          const gfn = guest.allocPage();
          return { ref: guest.share(gfn), bytes: guest.page(gfn) };
        }),
      );
      for (const [n, round] of rounds.entries()) {
        const planned: (ReturnType<typeof plan> & { queue: number })[] = [];
        for (const random of round.slice(0, slots.length)) {
          const saved = model.slice();
          const request = plan(front, model, random, slots[planned.length] as never, BigInt(n * 100 + planned.length));
          // A frontend does not have two requests for the same sectors under way.
          if (planned.some(({ from, to }) => from < request.to && request.from < to)) model.set(saved);
          else planned.push({ ...request, queue: random.queue % (options.queues ?? 1) });
        }
        const queues = [0, 1].map((queue) => planned.filter((request) => request.queue === queue));
        const answers = await Promise.all(
          queues.map((requests, queue) =>
            requests.length === 0
              ? []
              : front.exchange(
                  requests.map(({ entry }) => entry),
                  queue,
                ),
          ),
        );
        expect(answers.flat().map(({ status }) => status)).toEqual(planned.map(() => 0));
        expect(new Set(answers.flat().map(({ id }) => id)).size).toBe(planned.length);
        expect(planned.map(({ right }) => right())).toEqual(planned.map(() => true));
      }
      expect(Buffer.compare(store.bytes, model)).toBe(0);
      await front.disconnect();
      for (const { ref } of slots.flat()) guest.unshare(ref);
      expect(guest.events.filter(({ kind }) => kind !== 'state')).toEqual([]);
    }),
    { numRuns: 60 },
  );
});

describe('a hostile frontend', () => {
  /** What every entry gets or leads to: an answer, or the end of the connection; and nothing is held on to. */
  it('can put anything on the ring', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(
        OPTIONS,
        fc.array(fc.uint8Array({ minLength: 108, maxLength: 108 }), { minLength: 1, maxLength: 30 }),
        fc.array(fc.tuple(fc.nat(11), fc.nat(107), fc.nat(255)), { maxLength: 20 }),
        async (options, entries, pokes) => {
          const { guest, store, front } = await setup({ ...options, queues: 1 });
          const gfns = Array.from({ length: 4 }, () => guest.allocPage());
          const refs = gfns.map((gfn) => guest.share(gfn));
          const valid = refs.map((ref, i) => front.request(i % 6, BigInt(i), i * 8, [{ ref, first: 0, last: i }]));
          // Half of them are almost right.
          const all = entries.map((entry, i) => {
            const bytes = (i % 2 === 0 ? entry : (valid[i % 4] as Uint8Array)).slice();
            const [at, byte] = [
              (pokes[i % (pokes.length || 1)]?.[1] ?? 0) % bytes.length,
              pokes[i % (pokes.length || 1)]?.[2] ?? 0,
            ];
            if (i % 3 === 0) bytes[at] = byte;
            return bytes;
          });
          const answers = await front.exchange(all);
          expect(answers.every(({ status }) => status === 0 || status === -1 || status === -2)).toBe(true);
          expect(store.underWay).toBe(0);
          await front.disconnect();
          for (const ref of refs) guest.unshare(ref);
          expect(guest.events.filter(({ kind }) => kind !== 'state')).toEqual([]);
        },
      ),
      { numRuns: 80 },
    );
  });

  it.each([33, 100, 0x7fff_ffff, 0xffff_ffff])('that claims %i requests is cut off, and may come back', async (count) => {
    const { guest, front } = await setup({});
    front.queues[0]?.ring.index('req_prod', count);
    guest.send(front.queues[0]?.port ?? 0);
    await settle();
    expect(front.backendState).toBe(5);
    expect(guest.own.read(`error/device/vbd/${ID}/error`)).toMatch(/^5 the ring/);
    await front.disconnect();
    front.setState(1);
    await front.connect();
  });

  it('that makes bad requests as fast as they are answered does not keep the thread', async () => {
    const { guest, front, device } = await setup({});
    const { ring, port } = front.queues[0] as (typeof front.queues)[number];
    const bad = front.indirect(OP.READ, 1n, 0, [{ ref: 0, first: 0, last: 0 }], [{ ref: 7, first: 0, last: 0 }]);
    let looked = 0;
    let more = true;
    // Another vCPU that is quick: whenever the backend looks at a request, there are two new ones.
    vi.spyOn(device.grants, 'copyFrom').mockImplementation(() => {
      looked++;
      for (let i = 0; i < 2 && more; i++) {
        ring.put(bad);
        ring.responses = (ring.responses + 1) >>> 0;
      }
      ring.index('req_prod', Math.min(ring.requests, looked + 31));
      return GNTST.bad_gntref;
    });
    ring.put(bad);
    ring.push();
    guest.send(port);
    expect([looked > 32, looked <= 64]).toEqual([true, true]);
    const first = looked;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(looked).toBeGreaterThan(first + 32);
    more = false;
    expect(device.state).toBe(4);
    vi.restoreAllMocks();
  });

  it.each<[string, Record<string, string>, RegExp]>([
    ['no ring', { 'ring-ref': '' }, /ring-ref is ""/],
    ['a ring that is not granted', { 'ring-ref': '7' }, /mapping ring-ref 7: grant status -1/],
    ['a ring beyond the table', { 'ring-ref': '4294967295' }, /grant status -3/],
    ['a negative ring', { 'ring-ref': '-1' }, /ring-ref is "-1"/],
    ['no channel', { 'event-channel': 'x' }, /event-channel is "x"/],
    ['a channel that is not for us', { 'event-channel': '1000' }, /binding event-channel 1000/],
    ['a protocol of another machine', { protocol: 'arm-abi' }, /unknown fe protocol arm-abi/],
    ['the name of a property', { protocol: 'constructor' }, /unknown fe protocol constructor/],
    ['no queues', { 'multi-queue-num-queues': '0' }, /requested 0 queues/],
    ['1000 queues', { 'multi-queue-num-queues': '1000' }, /requested 1000 queues/],
    ['queues without nodes', { 'multi-queue-num-queues': '2' }, /queue-0\/ring-ref/],
    ['a ring of 2^5 pages', { 'ring-page-order': '5' }, /ring-page-order is "5"/],
    ['a ring of 2 pages without nodes', { 'ring-page-order': '1' }, /ring-ref0/],
    ['a ring of 3 pages', { 'num-ring-pages': '3' }, /a ring of 3 pages/],
  ])('with %s is refused', async (_, keys, reason) => {
    const guest = new BackendGuest();
    const { device } = attachDisk(guest.bus, { vdev: 'xvda', store: new TestStore(4096) });
    const front = new BlockFrontend(guest, ID);
    await settle();
    front.publish();
    for (const [key, value] of Object.entries(keys)) guest.own.write(`${front.home}/${key}`, value);
    await settle();
    expect([device.state, device.connected]).toEqual([5, false]);
    expect(guest.own.read(`error/device/vbd/${ID}/error`)).toMatch(reason);
    front.release();
  });

  it('with two queues on one channel is refused, and nothing stays mapped', async () => {
    const guest = new BackendGuest();
    const { device } = attachDisk(guest.bus, { vdev: 'xvda', store: new TestStore(4096) });
    const front = new BlockFrontend(guest, ID, { queues: 2 });
    await settle();
    front.publish();
    guest.own.write(`${front.home}/queue-1/event-channel`, front.queues[0]?.port ?? 0);
    await settle();
    expect([device.state, device.connected]).toEqual([5, false]);
    front.release();
  });
});

describe('reconnecting', () => {
  it('works 100 times, with requests under way each time, and leaks nothing', { timeout: 60_000 }, async () => {
    const guest = new BackendGuest();
    const store = new TestStore(SECTORS * 512);
    store.delay = () => 1;
    attachDisk(guest.bus, { vdev: 'xvda', store, persistentGrants: true });
    for (let i = 0; i < 100; i++) {
      const front = new BlockFrontend(guest, ID, {
        persistent: i % 2 === 0,
        order: i % 3,
        protocol: i % 2 ? 'x86_32-abi' : 'x86_64-abi',
      });
      await front.connect();
      const gfn = guest.allocPage();
      const segment: Segment = { ref: guest.share(gfn), first: 0, last: 7 };
      await front.exchange([front.request(OP.WRITE, 1n, 8, [segment])]);
      front.submit(Array.from({ length: 10 }, (_, n) => front.request(OP.READ, BigInt(n), n, [{ ...segment, last: 0 }])));
      if (i % 4 !== 0) front.setState(5);
      front.setState(6);
      await guest.own.waitFor(`${front.backend}/state`, (state) => state === '6', { timeout: 1000 });
      expect(store.underWay).toBe(0);
      front.release();
      guest.unshare(segment.ref);
      guest.freePage(gfn);
      front.setState(1);
    }
    expect(guest.events.filter(({ kind }) => kind !== 'state')).toEqual([]);
  });

  it('works for the kernel after a soft reset, and nothing of the old one is held or written to', async () => {
    const { guest, store, front } = await setup({ persistent: true, queues: 2 });
    store.delay = () => 10;
    const gfn = guest.allocPage();
    const segment: Segment = { ref: guest.share(gfn), first: 0, last: 7 };
    front.submit([front.request(OP.READ, 1n, 0, [segment])]);
    await guest.bus.reset();
    expect(store.underWay).toBe(0);
    expect(guest.softReset()).toEqual([]);
    guest.page(gfn).fill(0x55);
    const next = new BlockFrontend(guest, ID, { order: 1 });
    await next.connect();
    const page = { ...segment, ref: guest.share(gfn) };
    expect(await next.exchange([next.request(OP.WRITE, 1n, 0, [page])])).toMatchObject([{ status: 0 }]);
    expect(store.bytes.subarray(0, 4096).every((byte) => byte === 0x55)).toBe(true);
    await next.disconnect();
  });

  it('a detached disk waits for what is under way', async () => {
    const { guest, store, front, device } = await setup({});
    store.delay = () => 30;
    const gfn = guest.allocPage();
    const segment: Segment = { ref: guest.share(gfn), first: 0, last: 7 };
    front.submit([front.request(OP.READ, 1n, 0, [segment])]);
    expect(await guest.bus.detach(device, { timeout: 0 })).toBe(true);
    expect(store.log.at(-1)).toBe('read done');
    guest.unshare(segment.ref);
    front.release();
  });
});
