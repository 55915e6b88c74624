import { describe, expect, it, vi } from 'vitest';
import { busyGuest } from '../../test/guest-program.ts';
import { DiskDevice } from '../backends/block/disk-device.ts';
import { RamStore } from '../io/ram-store.ts';
import { buildDomain } from './domain.ts';
import type { DomainConfig } from './domain-config.ts';
import { ManualHost } from './fixtures/manual-vcpus.ts';

async function build(config: Partial<DomainConfig> = {}) {
  const host = new ManualHost();
  return { host, domain: await buildDomain({ kernel: busyGuest(), memoryBytes: 8 << 20, ...config }, host) };
}

describe('the events of a domain', () => {
  it('tell its states, and whether it runs, in the order in which they come', async () => {
    const { host, domain } = await build();
    const events: unknown[] = [];
    domain.on('state', (event) => void events.push(event));
    domain.on('running', (running) => void events.push(running));
    domain.on('end', ({ reason }) => void events.push(reason));
    domain.run();
    await host.until(domain.pause());
    domain.unpause();
    host.turn();
    await host.until(domain.reset());
    await host.until(domain.destroy());
    await domain.ended;
    expect(events).toEqual([
      { state: 'running' },
      true,
      { state: 'paused' },
      false,
      { state: 'running' },
      true,
      { state: 'running', cause: 'reset' },
      true,
      { state: 'destroyed' },
      false,
      'destroyed',
    ]);
  });

  it('can be waited for', async () => {
    const { host, domain } = await build();
    domain.run();
    const paused = domain.once('state', { where: ({ state }) => state === 'paused' });
    await host.until(domain.pause());
    expect(await paused).toEqual({ state: 'paused' });
    await host.until(domain.destroy());
  });

  it('that can come no more reject who waits for them', async () => {
    const { domain } = await build();
    const suspended = domain.once('state', { where: ({ state }) => state === 'suspended' });
    suspended.catch(() => {});
    await domain.destroy();
    const message = "the domain has ended (destroyed) without the event 'state'";
    await expect(suspended).rejects.toMatchObject({ name: 'DomainStateError', message });
    await expect(domain.once('state')).rejects.toThrow(message);
  });

  it('tell of problems, or else the console does', async () => {
    const close = (): Promise<void> => Promise.reject(new Error('not written'));
    const devices = () => [new DiskDevice({ vdev: 'xvda', store: new RamStore(4096), close })];
    const warn = vi.spyOn(globalThis.console, 'warn').mockImplementation(() => {});
    try {
      const heard: string[] = [];
      const { domain: listenedTo } = await build({ devices: devices() });
      listenedTo.on('problem', ({ message }) => void heard.push(message));
      await listenedTo.destroy();
      await listenedTo.ended;
      expect(heard).toEqual([expect.stringContaining('not written')]);
      expect(warn).not.toHaveBeenCalled();

      const { domain: alone } = await build({ devices: devices(), name: 'alone' });
      await alone.destroy();
      await alone.ended;
      expect(warn.mock.calls).toEqual([[expect.stringMatching(/^dom1: alone: .*not written/)]]);
    } finally {
      warn.mockRestore();
    }
  });
});

describe('a command', () => {
  it('is refused before the domain has been started', async () => {
    const { domain } = await build();
    await expect(domain.sh('true')).rejects.toThrow('the domain has not been started: call run() first');
    await expect(domain.login()).rejects.toThrow('the domain has not been started: call run() first');
    await domain.destroy();
  });

  it('is refused after its end, which it names', async () => {
    const { domain } = await build();
    await domain.destroy();
    await expect(domain.sh('true')).rejects.toMatchObject({
      code: 'closed',
      message: expect.stringContaining('the guest ended (destroyed)'),
    });
  });
});
