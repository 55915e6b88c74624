// What becomes of a domain when its guest ends, with guests that are not there.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { FakeTarget } from '../control/fixtures/fake-target.ts';
import type { StartableTarget } from '../control/replaceable-target.ts';
import type { ShutdownActions } from '../control/xl-config/domain-spec.ts';
import type { DomainEnd, DomainState } from '../machine/domain-config.ts';
import { connectControl } from './connect-control.ts';
import { DomainKeeper, type DomainKeeperOptions } from './domain-keeper.ts';
import { claimDomain, listDomains } from './domain-registry.ts';

class FakeGuest extends FakeTarget implements StartableTarget {
  override state: DomainState = 'built';
  run(): void {
    this.change('running');
  }
  override async destroy(): Promise<void> {
    if (['shutdown', 'crashed', 'destroyed'].includes(this.state)) return;
    await super.destroy();
  }
  stop(reason: DomainEnd['reason']): void {
    this.end(reason === 'crash' ? 'crashed' : 'shutdown', { reason, retired: 1 });
  }
}

let parent: string;
let directory: string;
let abort: AbortController;
let guests: FakeGuest[];
let log: string[];

beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'dom1-keeper-'));
  directory = join(parent, 'dom1');
  abort = new AbortController();
  guests = [];
  log = [];
});
afterEach(() => rmSync(parent, { recursive: true }));

const ACTIONS: ShutdownActions = {
  poweroff: 'destroy',
  reboot: 'restart',
  crash: 'destroy',
  watchdog: 'destroy',
  soft_reset: 'soft-reset',
};

/** Starts a domain; `ended` is its end. */
async function start(
  actions: Partial<ShutdownActions> = {},
  more: Partial<DomainKeeperOptions> = {},
): Promise<{ readonly ended: Promise<DomainEnd> }> {
  const claim = await claimDomain({ directory, name: 'web' });
  const keeper = new DomainKeeper({
    claim,
    actions: { ...ACTIONS, ...actions },
    version: '0.1.0',
    signal: abort.signal,
    log: (line) => log.push(line),
    restartInterval: 0,
    async build() {
      const guest = new FakeGuest({ id: claim.record.id, name: claim.record.name });
      guests.push(guest);
      return guest;
    },
    ...more,
  });
  let ended: Promise<DomainEnd> | undefined;
  await new Promise<void>((resolve) => {
    ended = keeper.run(() => resolve()).finally(() => claim[Symbol.asyncDispose]());
  });
  return { ended: ended as Promise<DomainEnd> };
}
const names = async (): Promise<string[]> => (await listDomains({ directory })).map(({ name }) => name);
const guestsRunning = (count: number): Promise<void> =>
  expect.poll(() => guests.filter(({ state }) => state !== 'built').length).toBe(count);
const left = (): string[] => readdirSync(directory);

describe('a guest that ends', () => {
  it.each(['poweroff', 'crash', 'watchdog'] as const)('by %s ends the domain when that is what is to be done', async (reason) => {
    const { ended } = await start();
    expect(guests[0]?.state).toBe('running');
    guests[0]?.stop(reason);
    expect(await ended).toMatchObject({ reason });
    expect(left()).toEqual([]);
  });

  it.each([
    ['reboot', 'reboot'],
    ['triple-fault', 'reboot'],
    ['poweroff', 'poweroff'],
    ['crash', 'crash'],
  ] as const)('by %s is started anew by on_%s=restart, under the same name and id', async (reason, key) => {
    const { ended } = await start({ [key]: 'restart' });
    using client = await connectControl('web', { directory });
    const events: string[] = [];
    client.onEvent(({ event, data }) => events.push(event === 'SHUTDOWN' ? `SHUTDOWN ${String(data['action'])}` : event));
    await client.execute('console-attach');
    await client.execute('xenstore-watch', { path: 'data' });
    guests[0]?.stop(reason);
    await guestsRunning(2);
    expect(await client.execute('query-domain')).toMatchObject({ name: 'web', domid: 1, state: 'running' });
    guests[1]?.console.print('again');
    await client.execute('xenstore-write', { path: 'data/new', value: '1' });
    await expect
      .poll(() => events)
      .toEqual(expect.arrayContaining(['SHUTDOWN restart', 'RESET', 'CONSOLE_OUTPUT', 'XENSTORE_WATCH']));
    await client.execute('quit');
    expect(await ended).toMatchObject({ reason: 'destroyed' });
    expect(left()).toEqual([]);
  });

  it('is not started more often than once in the interval, and not at all when it is destroyed meanwhile', async () => {
    const { ended } = await start({}, { restartInterval: 60_000 });
    guests[0]?.stop('reboot');
    await expect.poll(() => log).toEqual(['the guest ended: reboot; restart']);
    using client = await connectControl('web', { directory });
    expect(await client.execute('query-status')).toMatchObject({ status: 'shutdown' });
    await client.execute('quit');
    expect(await ended).toMatchObject({ reason: 'reboot' });
    expect(guests).toHaveLength(1);
    expect(left()).toEqual([]);
  });

  it('is kept with preserve until it is destroyed', async () => {
    const { ended } = await start({ crash: 'preserve' });
    using client = await connectControl('web', { directory });
    const told = new Promise((resolve) => {
      client.onEvent(({ event, data }) => event === 'SHUTDOWN' && resolve(data));
    });
    guests[0]?.stop('crash');
    expect(await told).toEqual({ guest: true, reason: 'crash', action: 'preserve' });
    expect(await client.execute('query-status')).toMatchObject({ status: 'crashed' });
    expect(await client.execute('xenstore-read', { path: 'name' })).toEqual({ value: 'web' });
    await client.execute('quit');
    expect(await ended).toMatchObject({ reason: 'crash' });
    expect(left()).toEqual([]);
  });

  it('is kept under another name with rename-restart, beside the new one', async () => {
    const { ended } = await start({ crash: 'rename-restart' });
    guests[0]?.console.print('panic');
    guests[0]?.stop('crash');
    await guestsRunning(2);
    const [web, kept = ''] = await names();
    expect(web).toBe('web');
    expect(kept).toMatch(/^web-\d{8}T\d{4}Z$/);
    {
      using client = await connectControl(kept, { directory });
      expect(await client.execute('query-domain')).toMatchObject({ name: kept, state: 'crashed' });
      expect(await client.execute('console-history')).toEqual({ data: Buffer.from('panic').toString('base64') });
      expect(await client.execute('xenstore-read', { path: 'name' })).toEqual({ value: kept });
    }
    guests[1]?.stop('crash');
    await guestsRunning(3);
    expect(await names()).toEqual(['web', kept, expect.stringMatching(/^web-.*Z(\.2)?$/)]);
    guests[2]?.stop('poweroff');
    for (const name of (await names()).filter((one) => one !== 'web')) {
      using client = await connectControl(name, { directory });
      await client.execute('quit');
    }
    await ended;
    expect(left()).toEqual([]);
  });
});

describe('a domain', () => {
  it('that is created paused starts when it is unpaused', async () => {
    const { ended } = await start({}, { paused: true });
    using client = await connectControl('web', { directory });
    expect(guests[0]?.state).toBe('built');
    expect(await client.execute('query-status')).toMatchObject({ status: 'paused' });
    await client.execute('cont');
    expect(guests[0]?.state).toBe('running');
    guests[0]?.stop('poweroff');
    await ended;
  });

  it('ends with the signal, whatever its actions say', async () => {
    const { ended } = await start({ poweroff: 'preserve', reboot: 'restart' });
    abort.abort();
    expect(await ended).toMatchObject({ reason: 'destroyed' });
    expect(left()).toEqual([]);
  });

  it('that cannot be built again ends with the reason', async () => {
    let builds = 0;
    const { ended } = await start(
      {},
      {
        async build() {
          if (builds++ > 0) throw new Error('vmlinuz: there is no such kernel file');
          const guest = new FakeGuest();
          guests.push(guest);
          return guest;
        },
      },
    );
    guests[0]?.stop('reboot');
    await expect(ended).rejects.toThrow('no such kernel file');
    expect(left()).toEqual([]);
  });

  it('is renamed, unless somebody has the name', async () => {
    const { ended } = await start();
    await using _ = await claimDomain({ directory, name: 'other' });
    using client = await connectControl('web', { directory });
    await expect(client.execute('rename', { name: 'other' })).rejects.toThrow(/a domain named other runs already/);
    await expect(client.execute('rename', { name: '7' })).rejects.toThrow(/is no name/);
    await client.execute('rename', { name: 'www' });
    expect(await names()).toEqual(['www', 'other']);
    expect(await client.execute('query-name')).toEqual({ name: 'www' });
    expect(await client.execute('xenstore-read', { path: 'name' })).toEqual({ value: 'www' });
    abort.abort();
    await ended;
  });
});
