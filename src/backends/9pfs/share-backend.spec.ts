import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { XEN_9PFS_INTF as INTF } from '../../abi/xen/9pfs.ts';
import { BackendGuest, settle } from '../fixtures/backend-guest.ts';
import { P9Client } from '../fixtures/p9-client.ts';
import { P9Frontend, type P9FrontendOptions } from '../fixtures/p9-frontend.ts';
import { RamTree } from '../fixtures/ram-tree.ts';
import { encode, P9 } from './protocol/messages.ts';
import { shareDevice } from './share-device.ts';

async function setup(options: P9FrontendOptions = {}, readOnly = false) {
  const guest = new BackendGuest();
  const tree = new RamTree();
  const device = shareDevice({ tag: 'work', tree, path: '/srv/work', readOnly });
  const attached = device.attach(guest.bus);
  const front = new P9Frontend(guest, 0, options);
  await front.connect();
  const client = new P9Client((message) => front.exchange(message));
  return { guest, tree, device, attached, front, client };
}

const errorOf = (guest: BackendGuest): string | undefined => guest.own.read('error/device/9pfs/0/error');
const statfs = (tag: number, fid = 0): Uint8Array => encode(P9.statfs.type, tag, P9.statfs.request, { fid });
const tagOf = (message: Uint8Array): number => (message[5] as number) | ((message[6] as number) << 8);

/** Whether nothing is left in use of what the guest gave. */
async function gone({ tree, front, guest }: Awaited<ReturnType<typeof setup>>): Promise<void> {
  await front.disconnect();
  expect({ references: tree.references, open: tree.open }).toEqual({ references: 0, open: 0 });
  expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
}

describe('a share', () => {
  it('has the nodes that libxl and QEMU write', async () => {
    const { guest, front, device, tree } = await setup();
    expect(front.backendState).toBe(4);
    expect(guest.own.read('device/9pfs/0/tag')).toBe('work');
    const backend = guest.own.read('device/9pfs/0/backend');
    expect(backend).toMatch(/\/backend\/9pfs\/\d+\/0$/);
    for (const [key, value] of Object.entries({
      versions: '1',
      'max-rings': '8',
      'max-ring-page-order': '9',
      path: '/srv/work',
      security_model: 'none',
    }))
      expect(front.read(key)).toBe(value);
    expect([device.type, device.name]).toEqual(['9pfs', 'work']);
    await device.close();
    expect(tree.closed).toBe(true);
  });

  it('takes the lowest number that is free, and refuses tags that no mount can name', () => {
    const guest = new BackendGuest();
    const ids = ['a', 'b'].map((tag) => shareDevice({ tag, tree: new RamTree() }).attach(guest.bus).id);
    expect(ids).toEqual([0, 1]);
    for (const tag of ['', 'a b', 'a,b', 'a/b', 'ä', 'x'.repeat(256)])
      expect(() => shareDevice({ tag, tree: new RamTree() })).toThrow(RangeError);
  });

  it.each([0, 0xffff_fff0, 0x7fff_f123])('serves files over rings whose indices begin at %i', async (startAt) => {
    const all = await setup({ startAt });
    const { client } = all;
    await client.begin(1 << 20);
    const data = Uint8Array.from({ length: 3000 }, (_, i) => i * 7);
    for (const name of ['a', 'b', 'c', 'd', 'e']) await client.put(0, 1, name, data);
    await client.walk(0, 1, 'c');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    expect((await client.get(P9.read, { fid: 1, offset: 0n, count: 4000 })).data).toEqual(data);
    expect((await client.list(0, 2)).length).toBe(7);
    await gone(all);
  });

  it('bounds messages by the smallest ring', async () => {
    const all = await setup({ order: 2 });
    expect(await all.client.ask(P9.version, { msize: 1 << 20, version: '9P2000.L' })).toMatchObject({ msize: 8192 });
    await gone(all);
  });

  it('takes a message that comes in pieces', async () => {
    const all = await setup();
    const { front, client } = all;
    await client.begin();
    const message = statfs(9);
    for (let at = 0; at < message.length; at++) {
      expect(front.take()).toEqual([]);
      front.put(message.subarray(at, at + 1));
      front.notify();
      await settle();
    }
    expect(front.take().map(tagOf)).toEqual([9]);
    await gone(all);
  });

  it('keeps an answer until all of it fits', async () => {
    const all = await setup();
    const { front, client } = all;
    await client.begin();
    await client.put(0, 1, 'f', new Uint8Array(3000).fill(5));
    await client.walk(0, 1, 'f');
    await client.get(P9.lopen, { fid: 1, flags: 0 });
    for (const tag of [20, 21, 22]) front.put(encode(P9.read.type, tag, P9.read.request, { fid: 1, offset: 0n, count: 3000 }));
    front.notify();
    await settle();
    const tags: number[] = [];
    for (let i = 0; i < 3; i++) {
      const answers = front.take();
      expect(answers).toHaveLength(1);
      tags.push(...answers.map(tagOf));
      front.notify();
      await settle();
    }
    expect(tags).toEqual([20, 21, 22]);
    await gone(all);
  });

  it('takes no more than it can keep the answers of', async () => {
    const all = await setup();
    const { front, client, tree } = all;
    await client.begin();
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    tree.pace = () => gate;
    const size = statfs(0).length;
    let sent = 0;
    for (let i = 0; i < 400; i++) {
      if (front.room() < size) break;
      front.put(statfs(100 + sent++));
      front.notify();
    }
    await settle();
    expect((front.index(0, INTF.out_prod) - front.index(0, INTF.out_cons)) >>> 0).toBe((sent - 32) * size);
    open();
    const tags = new Set<number>();
    for (let i = 0; i < 200 && tags.size < sent; i++) {
      for (const answer of front.take()) tags.add(tagOf(answer));
      front.notify();
      await settle();
    }
    expect(tags.size).toBe(sent);
    await gone(all);
  });

  it('is served anew after a close, a reload and a reset of the machine', async () => {
    const all = await setup();
    const { front, client, guest, tree, device } = all;
    for (let i = 0; i < 3; i++) {
      await client.begin();
      await client.put(0, 1, `file-${i}`, new Uint8Array(10));
      await client.walk(0, 1, `file-${i}`);
      await client.get(P9.lopen, { fid: 1, flags: 0 });
      await gone(all);
      front.setState(1);
      await front.connect();
      expect(front.backendState).toBe(4);
    }
    const next = new BackendGuest();
    device.attach(next.bus);
    const other = new P9Frontend(next);
    await other.connect();
    const again = new P9Client((message) => other.exchange(message));
    await again.begin();
    expect((await again.list(0, 1)).length).toBe(5);
    await guest.bus.close();
    await next.bus.close();
    expect({ references: tree.references, open: tree.open }).toEqual({ references: 0, open: 0 });
  });

  it('changes nothing when it is read-only', async () => {
    const all = await setup({}, true);
    await all.client.begin();
    expect(await all.client.ask(P9.mkdir, { dfid: 0, name: 'd', mode: 0o755, gid: 0 })).toBe(30);
    await gone(all);
  });
});

describe('a frontend that lies', () => {
  it.each([
    ['version', '2', /^22 /],
    ['version', '', /^22 /],
    ['num-rings', '0', /^22 /],
    ['num-rings', '9', /^22 /],
    ['num-rings', 'x', /^22 /],
    ['ring-ref1', '9999', /^(22|5) /],
    ['ring-ref0', '-1', /^22 /],
    ['event-channel-1', '0', /^22 /],
    ['event-channel-0', '77', /^22 /],
  ])('is refused for %s = %j', async (key, value, reason) => {
    const guest = new BackendGuest();
    shareDevice({ tag: 'work', tree: new RamTree() }).attach(guest.bus);
    const front = new P9Frontend(guest);
    await settle();
    front.prepare();
    guest.own.write(`${front.home}/${key}`, value);
    front.setState(3);
    await settle();
    expect(front.backendState).toBe(5);
    expect(errorOf(guest)).toMatch(reason);
    for (const { refs } of front.rings) for (const ref of refs) guest.unshare(ref);
  });

  it.each([0, 10, 31, 0xffff_ffff])('is refused for a ring order of %i', async (order) => {
    const guest = new BackendGuest();
    shareDevice({ tag: 'work', tree: new RamTree() }).attach(guest.bus);
    const front = new P9Frontend(guest);
    await settle();
    front.prepare();
    front.setIndex(1, INTF.ring_order, order);
    front.setState(3);
    await settle();
    expect(errorOf(guest)).toMatch(/^22 a ring order/);
    for (const { refs } of front.rings) for (const ref of refs) guest.unshare(ref);
  });

  it('is refused for pages that it does not grant', async () => {
    const guest = new BackendGuest();
    shareDevice({ tag: 'work', tree: new RamTree() }).attach(guest.bus);
    const front = new P9Frontend(guest);
    await settle();
    front.prepare();
    front.setIndex(0, INTF.ref + 4, 1000);
    front.setState(3);
    await settle();
    expect(errorOf(guest)).toMatch(/mapping the 2 pages of ring-ref/);
    for (const { refs } of front.rings) for (const ref of refs) guest.unshare(ref);
  });

  const broken: readonly (readonly [string, (front: P9Frontend) => void])[] = [
    ['more requests than the ring holds', (front) => front.setIndex(1, INTF.out_prod, front.halfBytes + 1)],
    ['requests taken back', (front) => front.setIndex(1, INTF.out_prod, -1)],
    ['a message shorter than its header', (front) => front.put(Uint8Array.of(6, 0, 0, 0, 100, 0, 0), 1)],
    ['a message longer than the ring', (front) => front.put(Uint8Array.of(1, 16, 0, 0, 100, 0, 0), 1)],
    ['a message of 4 GiB', (front) => front.put(new Uint8Array(7).fill(255), 1)],
    [
      'answers read before they are there',
      (front) => {
        front.setIndex(1, INTF.in_cons, 1);
        front.put(statfs(1), 1);
      },
    ],
  ];
  it.each(broken)('loses its connection for %s', async (_what, act) => {
    const all = await setup();
    const { front, guest } = all;
    act(front);
    front.notify(1);
    for (let i = 0; i < 5; i++) await settle();
    expect(front.backendState).toBe(5);
    expect(errorOf(guest)).toMatch(/^5 /);
    await gone(all);
    front.setState(1);
    await front.connect();
    expect(front.backendState).toBe(4);
    await all.client.begin();
  });

  it('changes a request in vain once it is taken', async () => {
    const all = await setup();
    const { front, client, tree } = all;
    await client.begin();
    const message = encode(P9.mkdir.type, 5, P9.mkdir.request, { dfid: 0, name: 'good', mode: 0o755, gid: 0 });
    front.put(message);
    front.notify();
    // The name where it lay.
    for (const page of front.rings[0]!.pages.slice(1)) guestFill(front, page);
    for (let i = 0; i < 3; i++) await settle();
    expect([...tree.top.entries.keys()]).toEqual(['good']);
    front.setIndex(0, INTF.in_cons, front.index(0, INTF.in_prod));
    await gone(all);
  });

  it('gets answers or a refusal whatever it writes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(
            fc.record({ ring: fc.nat(1), bytes: fc.uint8Array({ minLength: 1, maxLength: 64 }) }),
            fc.record({ ring: fc.nat(1), index: fc.constantFrom(...Object.values(INTF)), value: fc.integer() }),
          ),
          { maxLength: 20 },
        ),
        async (steps) => {
          const all = await setup();
          const { front, tree, guest } = all;
          for (const step of steps) {
            if ('bytes' in step) front.put(step.bytes, step.ring);
            else front.setIndex(step.ring, step.index, step.value);
            front.notify(step.ring);
            await settle();
          }
          await guest.bus.close();
          for (const { refs } of front.rings) for (const ref of refs) guest.unshare(ref);
          expect({ references: tree.references, open: tree.open }).toEqual({ references: 0, open: 0 });
          expect(guest.events.filter(({ kind }) => kind === 'error')).toEqual([]);
        },
      ),
      { numRuns: 40 },
    );
  });
});

const guestFill = (front: P9Frontend, page: number): void => void front.guest.page(page).fill(0x41);
