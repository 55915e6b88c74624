import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { busyGuest } from '../../test/guest-program.ts';
import { SHUTDOWN } from '../abi/xen/sched.ts';
import { buildDomain, type Domain } from './domain.ts';
import { ManualHost, type ManualVcpu } from './fixtures/manual-vcpus.ts';

async function start(vcpus = 1) {
  const host = new ManualHost();
  const domain = await buildDomain({ kernel: busyGuest(), memoryBytes: 8 << 20, vcpus }, host);
  domain.run();
  return { host, domain, cpu: (n: number) => host.vcpus[n] as ManualVcpu };
}

const now = (domain: Domain): number => (domain.inspect()['time'] as { system_ns: number }).system_ns;

/** Whether guest time goes on. */
async function ticks(domain: Domain): Promise<boolean> {
  const before = now(domain);
  await sleep(5);
  return now(domain) > before;
}

describe('guest time', () => {
  it('stands still from when all vCPUs are parked until the domain goes on', async () => {
    const { host, domain } = await start(2);
    const paused = domain.pause();
    expect(await ticks(domain)).toBe(true);
    await host.until(paused);
    expect(await ticks(domain)).toBe(false);
    domain.unpause();
    expect(await ticks(domain)).toBe(true);
  });

  it('goes on after a pause that was taken back before the vCPUs had parked', async () => {
    const { host, domain } = await start();
    const paused = domain.pause();
    domain.unpause();
    await paused;
    await host.until(domain.registers());
    host.turn();
    expect(await ticks(domain)).toBe(true);
  });

  it('goes on when a pause is taken back while somebody reads registers', async () => {
    const { host, domain } = await start();
    const [paused, registers] = [domain.pause(), domain.registers()];
    domain.unpause();
    await host.until(Promise.all([paused, registers]));
    host.turn();
    expect(await ticks(domain)).toBe(true);
  });

  it('is at 0 and stands still after a reset of a paused domain', async () => {
    const { host, domain } = await start();
    await host.until(domain.pause());
    await sleep(20);
    await host.until(domain.reset());
    expect(domain.state).toBe('paused');
    expect(now(domain)).toBeLessThan(20e6);
    expect(await ticks(domain)).toBe(false);
    domain.unpause();
    expect(await ticks(domain)).toBe(true);
  });

  it('goes on after a reset of a suspended domain', async () => {
    const { host, domain, cpu } = await start();
    cpu(0).xen.shutdown(SHUTDOWN.suspend);
    host.turn();
    expect(domain.state).toBe('suspended');
    await host.until(domain.reset());
    expect(domain.state).toBe('running');
    expect(await ticks(domain)).toBe(true);
  });
});

describe('a pause', () => {
  it('asked for twice resolves both times when the vCPUs are out of the guest', async () => {
    const { host, domain } = await start();
    const resolved: string[] = [];
    const first = domain.pause().then(() => resolved.push('first'));
    const second = domain.pause().then(() => resolved.push('second'));
    await sleep(5);
    expect(resolved).toEqual([]);
    host.turn();
    await Promise.all([first, second]);
    expect(resolved).toHaveLength(2);
  });

  it('that waits when the domain is destroyed is over with it', async () => {
    const { host, domain } = await start();
    const paused = domain.pause();
    await host.until(domain.destroy());
    await paused;
    expect(domain.state).toBe('destroyed');
  });
});

describe('a suspended domain that goes on', () => {
  it('stays running when a second vCPU tells of the suspend late', async () => {
    const { host, domain, cpu } = await start(2);
    cpu(0).xen.shutdown(SHUTDOWN.suspend);
    for (const vcpu of host.vcpus) vcpu.look();
    cpu(0).deliver();
    expect(domain.state).toBe('suspended');
    await domain.resume({ cancelled: true });
    for (const vcpu of host.vcpus) vcpu.look();
    cpu(1).deliver();
    expect(domain.state).toBe('running');
    await sleep(0);
    expect(await ticks(domain)).toBe(true);
    // Nor does what waited for the suspend stop the clock at the next opportunity.
    await host.until(domain.registers());
    host.turn();
    expect(await ticks(domain)).toBe(true);
  });
});

describe('a soft reset', () => {
  it('is one, although each vCPU tells of it, and the guest goes on', async () => {
    const { host, domain, cpu } = await start(3);
    let renewals = 0;
    // A client would be told once of two changes that come together.
    domain.xenstore.store.addWatcher({
      domain: domain.xenstore.domain,
      watches: [{ path: `/local/domain/${domain.id}/store/port`, token: '', skip: 0 }],
      event: () => void renewals++,
    });
    cpu(0).xen.shutdown(SHUTDOWN.soft_reset);
    host.turn();
    await sleep(20);
    expect(renewals).toBe(1);
    expect(cpu(0).xen.shutdownReason).toBe(-1);
    expect(domain.state).toBe('running');
    expect(await ticks(domain)).toBe(true);
  });
});

describe('a reset', () => {
  it('asked for twice at once is one', async () => {
    const { host, domain } = await start(2);
    await host.until(Promise.all([domain.reset(), domain.reset()]));
    expect(host.vcpus).toHaveLength(4);
    expect(host.vcpus.map(({ ended }) => ended)).toEqual([true, true, false, false]);
  });

  it('is followed by the end of a domain that is destroyed meanwhile', async () => {
    const { host, domain } = await start();
    const reset = domain.reset();
    await host.until(Promise.all([reset, domain.destroy()]));
    expect(domain.state).toBe('destroyed');
    expect(host.vcpus.every(({ ended }) => ended)).toBe(true);
  });

  it('ends no thread before it has let go of the domain’s locks', async () => {
    const { host, domain, cpu } = await start();
    const reset = domain.reset();
    await sleep(5);
    expect(cpu(0).ended).toBe(false);
    await host.until(reset);
    expect(cpu(0)).toMatchObject({ left: true, ended: true });
  });
});
