import { describe, expect, it } from 'vitest';
import { BLKIF_OP as OP } from '../../abi/xen/blkif.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { BlockFrontend, type FrontendOptions, type Segment } from '../fixtures/block-frontend.ts';
import { TestStore } from '../fixtures/test-store.ts';
import { inspectBackends } from '../xenbus/inspect-backends.ts';
import { attachDisk, type DiskOptions } from './attach-disk.ts';

const ID = 51712;
const SIZE = 1 << 20;

async function setup(options: FrontendOptions = {}, disk: Partial<DiskOptions> = {}, store = new TestStore(SIZE)) {
  const guest = new BackendGuest();
  for (let i = 0; i < store.bytes.length; i++) store.bytes[i] = (i * 7 + (i >>> 9)) & 255;
  store.durable = store.bytes.slice();
  const persistentGrants = options.persistent === true;
  const attached = attachDisk(guest.bus, { vdev: 'xvda', store, params: 'raw:test', persistentGrants, ...disk });
  const front = new BlockFrontend(guest, ID, options);
  await front.connect();
  /** A granted page, whole. */
  const page = (flags?: number): Segment & { bytes: Uint8Array; gfn: number } => {
    const gfn = guest.allocPage();
    return { ref: guest.share(gfn, flags), first: 0, last: 7, bytes: guest.page(gfn), gfn };
  };
  const free = (segment: { ref: number; gfn: number }) => {
    guest.unshare(segment.ref);
    guest.freePage(segment.gfn);
  };
  return { guest, store, front, page, free, ...attached };
}

describe.each(['x86_64-abi', 'x86_32-abi', undefined] as const)('with the protocol %s', (protocol) => {
  const options: FrontendOptions = protocol === undefined ? {} : { protocol };

  it('reads what is on the disk into the guest’s pages', async () => {
    const { front, store, page } = await setup(options);
    const [a, b] = [page(), page()];
    const id = 0xfedc_ba98_7654_3210n;
    const answers = await front.exchange([front.request(OP.READ, id, 9, [{ ...a, first: 2, last: 4 }, b])]);
    expect(answers).toEqual([{ id, operation: OP.READ, status: 0 }]);
    expect(a.bytes.slice(1024, 2560)).toEqual(store.bytes.slice(9 * 512, 12 * 512));
    expect(b.bytes.slice()).toEqual(store.bytes.slice(12 * 512, 20 * 512));
    expect(a.bytes.slice(0, 1024).every((byte) => byte === 0)).toBe(true);
    expect(a.bytes.slice(2560).every((byte) => byte === 0)).toBe(true);
  });

  it('writes, flushes, discards, and takes indirect requests', async () => {
    const { front, store, page, guest } = await setup(options);
    const data = Array.from({ length: 12 }, page);
    for (const [i, { bytes }] of data.entries()) bytes.fill(i + 1);
    const segments = Array.from({ length: 200 }, (_, i) => ({ ...(data[i % 12] as Segment), first: 1, last: 3 }));
    const table = page();
    const answers = await front.exchange([
      front.request(OP.WRITE, 1n, 0, data.slice(0, 11)),
      front.indirect(OP.WRITE, 2n, 100, segments, [table]),
    ]);
    expect(answers.sort((a, b) => Number(a.id - b.id))).toEqual([
      { id: 1n, operation: OP.WRITE, status: 0 },
      { id: 2n, operation: OP.WRITE, status: 0 },
    ]);
    expect(store.bytes[0]).toBe(1);
    expect(store.bytes[4096 * 11 - 1]).toBe(11);
    for (const i of [0, 1, 199]) expect(store.bytes[(100 + i * 3) * 512]).toBe((i % 12) + 1);
    expect(store.durable[0]).not.toBe(1);
    const more = await front.exchange([front.request(OP.FLUSH_DISKCACHE, 3n, 0, [])]);
    expect(more).toEqual([{ id: 3n, operation: OP.FLUSH_DISKCACHE, status: 0 }]);
    expect(Buffer.compare(store.durable, store.bytes)).toBe(0);
    expect(await front.exchange([front.discard(4n, 8, 8)])).toEqual([{ id: 4n, operation: OP.DISCARD, status: 0 }]);
    expect(store.bytes.slice(4096, 8192).every((byte) => byte === 0)).toBe(true);
    expect(guest.events.filter(({ kind }) => kind !== 'state')).toEqual([]);
  });
});

it('writes what a disk has into the store before it is asked', async () => {
  const { front } = await setup();
  const keys = ['sectors', 'sector-size', 'info', 'mode', 'feature-flush-cache', 'feature-barrier', 'feature-discard'];
  expect(keys.map((key) => front.read(key))).toEqual(['2048', '512', '0', 'w', '1', '1', '1']);
  expect(front.read('feature-max-indirect-segments')).toBe('256');
  expect(front.read('max-ring-page-order')).toBe('4');
});

it('serves the largest ring, past the end of its indices', async () => {
  const { front, store, page } = await setup({ order: 4, startAt: 0xffff_ff00 });
  const data = page();
  const ring = front.queues[0]?.ring;
  expect(ring?.entries).toBe(512);
  for (let round = 0; round < 3; round++) {
    const requests = Array.from({ length: 500 }, (_, i) => front.request(OP.READ, BigInt(i), i, [{ ...data, last: 0 }]));
    const answers = await front.exchange(requests);
    expect(new Set(answers.map(({ id }) => id)).size).toBe(500);
    expect(answers.every(({ status }) => status === 0)).toBe(true);
  }
  expect(store.most).toBeLessThanOrEqual(64);
  expect(store.most).toBeGreaterThan(8);
});

it('serves several queues', async () => {
  const { front, store, page } = await setup({ queues: 4 });
  const pages = Array.from({ length: 4 }, page);
  for (const [i, { bytes }] of pages.entries()) bytes.fill(0x40 + i);
  for (let i = 0; i < 4; i++) await front.exchange([front.request(OP.WRITE, 1n, i * 8, [pages[i] as Segment])], i);
  expect([0, 1, 2, 3].map((i) => store.bytes[i * 4096])).toEqual([0x40, 0x41, 0x42, 0x43]);
});

it('keeps persistent grants mapped, and gives them back at the end', async () => {
  const { front, guest, page, free, backend } = await setup({ persistent: true });
  const [a, b] = [page(), page()];
  await front.exchange([front.request(OP.WRITE, 1n, 0, [a, b]), front.request(OP.READ, 2n, 0, [a])]);
  expect(guest.inUse(a.ref)).not.toBe(0);
  expect(backend.connection?.queues[0]?.keptGrants).toBe(2);
  await front.disconnect();
  free(a);
  free(b);
});

it('keeps no grants of a frontend that would have it so unless it offered to', async () => {
  const { front, guest, page, free, backend } = await setup({ persistent: true }, { persistentGrants: false });
  expect(guest.own.read(`${front.backend}/feature-persistent`)).toBe('0');
  const a = page();
  await front.exchange([front.request(OP.WRITE, 1n, 0, [a])]);
  expect(guest.inUse(a.ref)).toBe(0);
  expect(backend.connection?.queues[0]?.keptGrants).toBe(0);
  free(a);
});

it('gives other grants back with each answer', async () => {
  const { front, page, free } = await setup();
  const a = page();
  const readonly = page(1 | 4);
  const answers = await front.exchange([
    front.request(OP.WRITE, 1n, 0, [readonly]),
    front.request(OP.READ, 2n, 0, [a]),
    front.request(OP.READ, 3n, 0, [readonly]),
  ]);
  expect(answers.sort((x, y) => Number(x.id - y.id)).map(({ status }) => status)).toEqual([0, 0, -1]);
  free(a);
  free(readonly);
});

describe('order', () => {
  it('a flush waits for the writes before it', async () => {
    const { front, store, page } = await setup();
    const a = page();
    let wait = 40;
    store.delay = () => (wait -= 15);
    store.log.length = 0;
    await front.exchange([
      front.request(OP.WRITE, 1n, 0, [a]),
      front.request(OP.WRITE, 2n, 8, [a]),
      front.request(OP.FLUSH_DISKCACHE, 3n, 0, []),
    ]);
    expect(store.log.slice(-2)).toEqual(['flush 0+0', 'flush done']);
  });

  it('nothing passes a barrier, either way', async () => {
    const { front, store, page } = await setup();
    const a = page();
    store.delay = () => 5;
    store.log.length = 0;
    const answers = await front.exchange([
      front.request(OP.READ, 1n, 0, [a]),
      front.request(OP.WRITE, 2n, 8, [a]),
      front.request(OP.WRITE_BARRIER, 3n, 16, [a]),
      front.request(OP.READ, 4n, 24, [a]),
      front.request(OP.WRITE_BARRIER, 5n, 0, []),
    ]);
    expect(answers.map(({ id }) => id).slice(2)).toEqual([3n, 4n, 5n]);
    const barrier = ['flush 0+0', 'flush done', 'write 8192+4096', 'write done', 'flush 0+0', 'flush done'];
    expect(store.log.slice(4, 10)).toEqual(barrier);
    expect(store.log.slice(10)).toEqual(['read 12288+4096', 'read done', 'flush 0+0', 'flush done']);
  });

  it('answers come as requests are done', async () => {
    const { front, store, page } = await setup();
    const a = page();
    let wait = 60;
    store.delay = () => (wait -= 20);
    const answers = await front.exchange([1, 2].map((i) => front.request(OP.READ, BigInt(i), i, [{ ...a, last: 0 }])));
    expect(answers.map(({ id }) => id)).toEqual([2n, 1n]);
  });
});

describe('what a frontend may not ask', () => {
  const status = async (
    build: (front: BlockFrontend, page: Segment) => Uint8Array,
    disk: Partial<DiskOptions> = {},
    size?: 4096,
  ) => {
    const s = await setup({}, disk, new TestStore(SIZE, size ?? 512));
    s.store.log.length = 0;
    const [answer] = await s.front.exchange([build(s.front, s.page())]);
    // The store was not even asked.
    expect(s.guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
    return [answer?.operation, answer?.status, s.store.log.length];
  };
  const END = SIZE / 512;

  it.each<[string, (front: BlockFrontend, page: Segment) => Uint8Array, number, number]>([
    ['no segments', (f) => f.request(OP.READ, 1n, 0, []), OP.READ, -1],
    ['12 segments', (f, p) => f.request(OP.WRITE, 1n, 0, Array(12).fill(p)), OP.WRITE, -1],
    ['sector 8 of a page', (f, p) => f.request(OP.READ, 1n, 0, [{ ...p, last: 8 }]), OP.READ, -1],
    ['a segment that ends before it begins', (f, p) => f.request(OP.READ, 1n, 0, [{ ...p, first: 3, last: 2 }]), OP.READ, -1],
    ['one sector beyond the end', (f, p) => f.request(OP.READ, 1n, END - 7, [p]), OP.READ, -1],
    ['a sector near 2^64', (f, p) => f.request(OP.READ, 1n, 2 ** 63, [p]), OP.READ, -1],
    ['a grant that is none', (f, p) => f.request(OP.READ, 1n, 0, [{ ...p, ref: 7 }]), OP.READ, -1],
    ['a grant beyond the table', (f, p) => f.request(OP.READ, 1n, 0, [{ ...p, ref: 0xffff_ffff }]), OP.READ, -1],
    ['an unknown operation', (f, p) => f.request(9, 1n, 0, [p]), 9, -2],
    ['the reserved operation', (f, p) => f.request(4, 1n, 0, [p]), 4, -2],
    ['an indirect flush', (f, p) => f.indirect(OP.FLUSH_DISKCACHE, 1n, 0, [p], [p]), OP.FLUSH_DISKCACHE, -1],
    ['257 indirect segments', (f, p) => f.indirect(OP.READ, 1n, 0, Array(257).fill({ ...p, last: 0 }), [p]), OP.READ, -1],
    ['no indirect segments', (f, p) => f.indirect(OP.READ, 1n, 0, [], [p]), OP.READ, -1],
    ['an ungranted indirect page', (f, p) => f.indirect(OP.READ, 1n, 0, [p], [{ ...p, ref: 6 }]), OP.READ, -1],
    ['a discard beyond the end', (f) => f.discard(1n, END - 1, 2), OP.DISCARD, -1],
    ['a secure discard', (f) => f.discard(1n, 0, 8, 1), OP.DISCARD, -2],
  ])('%s', async (_, build, operation, expected) => {
    expect(await status(build)).toEqual([operation, expected, 0]);
  });

  it('to write on a disk that is read-only', async () => {
    expect(await status((f, p) => f.request(OP.WRITE, 1n, 0, [p]), { readOnly: true })).toEqual([OP.WRITE, -1, 0]);
    expect(await status((f) => f.discard(1n, 0, 8), { readOnly: true })).toEqual([OP.DISCARD, -2, 0]);
    expect(await status((f) => f.request(OP.FLUSH_DISKCACHE, 1n, 0, []), { readOnly: true })).toEqual([OP.FLUSH_DISKCACHE, 0, 0]);
  });

  it('part of a sector of 4096 bytes', async () => {
    expect(await status((f, p) => f.request(OP.READ, 1n, 8, [p]), {}, 4096)).toEqual([OP.READ, 0, 2]);
    expect(await status((f, p) => f.request(OP.READ, 1n, 4, [p]), {}, 4096)).toEqual([OP.READ, -1, 0]);
    const halves = (f: BlockFrontend, p: Segment) =>
      f.request(OP.READ, 1n, 8, [
        { ...p, last: 3 },
        { ...p, first: 4 },
      ]);
    expect(await status(halves, {}, 4096)).toEqual([OP.READ, -1, 0]);
    expect(await status((f) => f.discard(1n, 8, 4), {}, 4096)).toEqual([OP.DISCARD, -1, 0]);
  });
});

it('answers ERROR for what the store cannot do, and tells the owner', async () => {
  const { front, store, page, guest, backend } = await setup();
  store.failing = (what) => what === 'write';
  const a = page();
  const answers = await front.exchange([front.request(OP.WRITE, 1n, 0, [a]), front.request(OP.READ, 2n, 0, [a])]);
  expect(answers.sort((x, y) => Number(x.id - y.id)).map(({ status }) => status)).toEqual([-1, 0]);
  expect(guest.events.filter(({ kind }) => kind === 'error').map((event) => String((event as { error: unknown }).error))).toEqual(
    ['Error: the disk cannot write'],
  );
  expect(backend.counters).toMatchObject({ readRequests: 1, writeRequests: 1, errors: 1, readSectors: 8 });
});

describe('while it is in use', () => {
  it('a disk grows', async () => {
    const { front, store, page, guest } = await setup();
    const told: string[] = [];
    guest.own.watch(`${front.backend}/state`, () => void told.push(`${front.read('state')} ${front.read('sectors')}`));
    await settle();
    const beyond = front.request(OP.READ, 1n, SIZE / 512, [page()]);
    expect(await front.exchange([beyond])).toMatchObject([{ status: -1 }]);
    store.resize(2 * SIZE);
    await settle();
    expect(told).toEqual(['4 2048', '4 4096']);
    expect(await front.exchange([beyond])).toMatchObject([{ status: 0 }]);
  });

  it('a disk shrinks while a write waits for a barrier’s flush, and is not asked for what it has no more', async () => {
    const { front, store, page } = await setup();
    const asked: number[] = [];
    const write = store.write.bind(store);
    store.write = (offset, from) => {
      asked.push(offset + from.length);
      return write(offset, from);
    };
    store.delay = () => 5;
    front.submit([front.request(OP.WRITE_BARRIER, 1n, SIZE / 512 - 8, [page()])]);
    store.resize(SIZE / 2);
    expect(await front.exchange([front.request(OP.READ, 2n, 0, [page()])])).toMatchObject([{ id: 1n, status: -1 }]);
    expect(asked).toEqual([]);
  });

  it('a disc is changed', async () => {
    const { front, store, page, backend } = await setup({}, { cdrom: true, vdev: 'xvda' });
    expect([front.read('device-type'), front.read('info'), front.read('mode')]).toEqual(['cdrom', '5', 'r']);
    store.delay = () => 20;
    const a = page();
    front.submit([front.request(OP.READ, 1n, 0, [a])]);
    const gone = await backend.changeMedium(undefined);
    expect([gone === store, store.underWay, front.read('sectors')]).toEqual([true, 0, '0']);
    await settle();
    const answers = await front.exchange([front.request(OP.READ, 2n, 0, [a])]);
    expect(answers.map(({ id, status }) => [id, status])).toEqual([
      [1n, 0],
      [2n, -1],
    ]);
    const other = new TestStore(8192);
    other.bytes.fill(0x77);
    await backend.changeMedium(other);
    expect(front.read('sectors')).toBe('16');
    expect(await front.exchange([front.request(OP.READ, 3n, 0, [a])])).toMatchObject([{ status: 0 }]);
    expect(a.bytes[0]).toBe(0x77);
  });
});

it('can be inspected', async () => {
  const { guest, front, page } = await setup({ persistent: true, order: 1 });
  await front.exchange([front.request(OP.WRITE, 1n, 0, [page()])]);
  const shown = inspectBackends(guest.bus)['vbd-51712'] as { device(): unknown };
  expect(shown).toMatchObject({ state: 'Connected', frontend_state: 'Connected', connected: true, online: true });
  expect(shown.device()).toMatchObject({
    size_bytes: SIZE,
    writable: true,
    counters: { writeRequests: 1, writeSectors: 8 },
    queues: { 0: { entries: 64, under_way: 0, unanswered: 0, kept_grants: 1, stopped: false } },
  });
});

it('leaves no listener when it is detached while its disc is changed', async () => {
  const { guest, store, device, backend } = await setup({}, { cdrom: true });
  const changed = backend.changeMedium(store);
  await guest.bus.detach(device, { timeout: 0 });
  await changed;
  expect(store.listened).toBe(false);
});

it('leaves neither nodes nor a listener when it is detached', async () => {
  const { guest, front, store, device } = await setup();
  const detached = guest.bus.detach(device);
  await settle();
  expect(front.backendState).toBe(5);
  front.setState(6);
  expect(await detached).toBe(true);
  front.release();
  expect([guest.zero.exists('/local/domain/0/backend/vbd'), guest.bus.devices.length, store.listened]).toEqual([false, 0, false]);
});

it.each(['xvdzzzzz', 'floppy'])('there is no disk %s', (vdev) => {
  expect(() => attachDisk(new BackendGuest().bus, { vdev, store: new TestStore(512) })).toThrow(RangeError);
});
