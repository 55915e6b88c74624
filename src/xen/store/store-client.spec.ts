import { beforeEach, describe, expect, it } from 'vitest';
import { WireClient } from './fixtures/wire-client.ts';
import { XenStore } from './store.ts';
import { StoreClient } from './store-client.ts';
import { StoreError } from './store-error.ts';

let store: XenStore;
let client: StoreClient;
beforeEach(() => {
  store = new XenStore();
  client = new StoreClient(store);
});
const settled = async () => {
  for (let i = 0; i < 5; i++) await Promise.resolve();
};

it('reads and writes text, numbers and bytes', () => {
  client.write('/a/b', 'grüße');
  client.write('/a/n', 42);
  client.write('/a/raw', Uint8Array.of(0, 255));
  expect([client.read('/a/b'), client.read('/a/n'), client.read('/a'), client.read('/none')]).toEqual([
    'grüße',
    '42',
    '',
    undefined,
  ]);
  expect([...(client.readBytes('/a/raw') ?? [])]).toEqual([0, 255]);
  expect([client.list('/a'), client.list('/none')]).toEqual([['b', 'n', 'raw'], undefined]);
  expect([client.exists('/a'), client.exists('/none')]).toEqual([true, false]);
});

it('keeps a copy of the bytes it was given', () => {
  const bytes = Uint8Array.of(1);
  client.write('/a', bytes);
  bytes[0] = 2;
  expect([...(client.readBytes('/a') ?? [])]).toEqual([1]);
});

it('makes, removes, and changes permissions', () => {
  store.addDomain(7);
  client.mkdir('/a/b');
  client.setPermissions('/a/b', 'n0,r7');
  expect(client.permissions('/a/b')).toEqual([
    { domid: 0, access: 0 },
    { domid: 7, access: 1 },
  ]);
  client.remove('/a');
  client.remove('/a/b/c');
  expect(client.exists('/a')).toBe(false);
});

it('throws what the store refuses, with code and path', () => {
  const guest = new StoreClient(store, 7);
  const caught = (act: () => unknown) => {
    try {
      return act();
    } catch (error) {
      return error instanceof StoreError ? [error.code, error.path] : error;
    }
  };
  expect(caught(() => guest.read('/tool'))).toEqual(['EACCES', '/tool']);
  expect(caught(() => client.write('/a//b', 1))).toEqual(['EINVAL', '/a//b']);
  expect(caught(() => client.permissions('/none'))).toEqual(['ENOENT', '/none']);
  expect(caught(() => client.watch('/a/', () => {}))).toEqual(['EINVAL', '/a/']);
});

describe('a watch', () => {
  it('is told once at the start, then of each change, never within it', async () => {
    const told: string[] = [];
    using _ = client.watch('/a', (path) => told.push(path));
    expect(told).toEqual([]);
    await settled();
    client.write('/a/b', 1);
    client.write('/a/b', 2);
    client.write('/ab', 1);
    expect(told).toEqual(['/a']);
    await settled();
    expect(told).toEqual(['/a', '/a/b']);
  });

  it('with a relative path is told relative ones', async () => {
    const told: string[] = [];
    using _ = client.watch('backend', (path) => told.push(path));
    client.write('/local/domain/0/backend/vbd', 1);
    await settled();
    expect(told).toEqual(['backend', 'backend/vbd']);
  });

  it('that ended is told nothing, even of what was on its way', async () => {
    const told: string[] = [];
    const watch = client.watch('/a', (path) => told.push(path));
    watch[Symbol.dispose]();
    client.write('/a', 1);
    await settled();
    expect(told).toEqual([]);
  });

  it('may change the store and end itself', async () => {
    let count = 0;
    const watch = client.watch('/a', () => {
      count++;
      client.write('/a', count);
      if (count === 3) watch[Symbol.dispose]();
    });
    for (let i = 0; i < 5; i++) await settled();
    expect([count, client.read('/a')]).toEqual([3, '3']);
  });

  it('hears of domains', async () => {
    const told: string[] = [];
    using _ = client.watch('@introduceDomain', (path) => told.push(path));
    await settled();
    store.introduce(9);
    await settled();
    expect(told).toEqual(['@introduceDomain', '@introduceDomain']);
  });
});

describe('waiting for a value', () => {
  it('ends at once when it is there, or when it comes', async () => {
    client.write('/a', 1);
    expect(await client.waitFor('/a', (value) => value === '1')).toBe('1');
    const wait = client.waitFor('/b/state', (value) => value === '4');
    new WireClient(store, 0).call('WRITE', '/b/state\x003');
    await settled();
    client.write('/b/state', 4);
    expect(await wait).toBe('4');
    expect(client.watches).toEqual([]);
  });
  it('can be for a node to go', async () => {
    client.write('/a', 1);
    const wait = client.waitFor('/a', (value) => value === undefined);
    client.remove('/a');
    expect(await wait).toBeUndefined();
  });
  it('ends with the time, the signal, or a predicate that throws', async () => {
    await expect(client.waitFor('/a', () => false, { timeout: 1 })).rejects.toMatchObject({ name: 'TimeoutError' });
    const controller = new AbortController();
    const wait = client.waitFor('/a', () => false, { signal: controller.signal });
    controller.abort(new Error('stop'));
    await expect(wait).rejects.toThrow('stop');
    await expect(client.waitFor('/a', () => false, { signal: controller.signal })).rejects.toThrow('stop');
    const broken = client.waitFor('/a', () => {
      throw new Error('broken');
    });
    await expect(broken).rejects.toThrow('broken');
    expect(client.watches).toEqual([]);
  });
});

describe('a transaction', () => {
  it('is all or nothing', () => {
    expect(() =>
      client.transaction((view) => {
        view.write('/a', 1);
        throw new Error('no');
      }),
    ).toThrow('no');
    expect(client.exists('/a')).toBe(false);
    expect(client.transaction((view) => (view.write('/a', 1), 'result'))).toBe('result');
    expect(client.read('/a')).toBe('1');
  });
  it('costs nothing once it is over', () => {
    client.write('/a', 'v');
    const before = store.domain(0)?.memory;
    client.transaction((view) => view.write('/a', 'w'));
    expect(() =>
      client.transaction(() => {
        throw new Error('no');
      }),
    ).toThrow();
    expect(store.domain(0)?.memory).toBe(before);
  });
  it('is done again after a conflict', async () => {
    let attempts = 0;
    await client.transactionAsync(async (view) => {
      const value = Number(view.read('/n') ?? 0);
      if (attempts++ === 0) client.write('/n', 10);
      await settled();
      view.write('/n', value + 1);
    });
    expect([attempts, client.read('/n')]).toEqual([2, '11']);
  });
  it('that conflicts each time is given up', () => {
    const never = () =>
      client.transaction((view) => {
        view.read('/n');
        client.write('/n', 1);
      });
    expect(never).toThrow(/EAGAIN/);
    expect(store.domain(0)?.transactions).toBe(0);
  });
});
