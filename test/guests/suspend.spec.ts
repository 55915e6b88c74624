// SCHEDOP_shutdown with a reason that is no end: suspend, resumed or cancelled, and a soft reset. public/sched.h.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { systemTime } from './system-time.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { HYPERVISOR, SCHEDOP } from './xen-numbers.ts';

const REASON = { suspend: 2, soft_reset: 5 } as const;
const VERSION = 0x0004_0014;

describe.each(WIDTHS)('a %i-bit guest goes on', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  let port: number;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    events = new EventCalls(probe);
    shared = SharedPage.map(probe);
    port = events.bindIpi();
  });
  const shutdown = (reason: number): void =>
    guest.probe.begin(HYPERVISOR.sched_op, SCHEDOP.shutdown, guest.probe.make(4, [0, 4, reason]));

  it('with 1 from a suspend that was cancelled, and has everything still', async () => {
    const { probe } = guest;
    const before = systemTime(probe);
    shutdown(REASON.suspend);
    await probe.until('the suspend', () => probe.domain.state === 'suspended');
    expect(probe.busy).toBe(true);
    await probe.domain.resume({ cancelled: true });
    expect(probe.end()).toBe(1);
    expect(probe.domain.state).toBe('running');
    expect(systemTime(probe)).toBeGreaterThan(before);
    shared.settle();
    expect(events.send(port)).toBe(0);
    expect(shared.pending(port)).toBe(true);
  });

  it('with 0 from one that was not', async () => {
    const { probe } = guest;
    shutdown(REASON.suspend);
    await probe.until('the suspend', () => probe.domain.state === 'suspended');
    await probe.domain.resume();
    expect(probe.end()).toBe(0);
    expect(probe.call(HYPERVISOR.xen_version)).toBe(VERSION);
    // The platform is a new one: ports are to be bound again, and shared_info to be mapped.
    expect(events.status(port)).not.toMatchObject({ status: 5 });
    expect(SharedPage.map(probe).wallclock.seconds).toBeGreaterThan(1.7e9);
  });

  it('from a soft reset, with its memory and without its event channels', async () => {
    const { probe } = guest;
    port = events.bindIpi();
    const kept = probe.make(8, [0, 8, 0x1234_5678_9abcn]);
    shutdown(REASON.soft_reset);
    await probe.until('the guest to go on', () => !probe.busy);
    expect(probe.end()).toBe(0);
    expect(probe.get(kept, 8)).toBe(0x1234_5678_9abcn);
    expect(probe.call(HYPERVISOR.xen_version)).toBe(VERSION);
    expect(events.status(port)).not.toMatchObject({ status: 5 });
  });
});
