// sched_op: xen/common/sched/core.c, public/sched.h. The ways to shut down are each a guest of their own.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { Probe } from './probe.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { systemTime } from './system-time.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, HYPERVISOR, SCHEDOP } from './xen-numbers.ts';

const MILLISECOND = 1_000_000n;

describe.each(WIDTHS)('sched_op of a %i-bit guest', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    events = new EventCalls(probe);
    shared = SharedPage.map(probe);
    shared.settle();
  });
  const op = (cmd: number, at = 0): number => guest.probe.call(HYPERVISOR.sched_op, cmd, at);
  /** struct sched_poll */
  const pollArgument = (ports: readonly number[], timeout: bigint, count = ports.length): number => {
    const { probe } = guest;
    const { word } = probe;
    const list = probe.put(probe.alloc(4 * Math.max(1, ports.length)), ...ports.map((port, i) => [i * 4, 4, port] as const));
    return probe.make(24, [0, word, list], [word, 4, count], [width === 64 ? 16 : 8, 8, timeout]);
  };
  const poll = (ports: readonly number[], timeout: bigint, count?: number): number =>
    op(SCHEDOP.poll, pollArgument(ports, timeout, count));
  const watchdog = (id: number, seconds: number): number =>
    op(SCHEDOP.watchdog, guest.probe.make(8, [0, 4, id], [4, 4, seconds]));

  it('yield', () => {
    expect(op(SCHEDOP.yield)).toBe(0);
  });

  it.each([8, 9, 100, 0xffff_ffff])('there is no operation %i', (cmd) => {
    expect(op(cmd, guest.probe.alloc(24))).toBe(E.NOSYS);
  });

  it.each([SCHEDOP.shutdown, SCHEDOP.poll, SCHEDOP.remote_shutdown, SCHEDOP.shutdown_code, SCHEDOP.watchdog])(
    'operation %i needs its structure',
    (cmd) => {
      expect(op(cmd, guest.probe.hole())).toBe(E.FAULT);
    },
  );

  it('poll ends at an absolute time', () => {
    const { probe } = guest;
    const ipi = events.bindIpi();
    for (const ports of [[], [ipi], [ipi, ipi + 1]]) {
      const start = systemTime(probe);
      expect(poll(ports, start + 5n * MILLISECOND)).toBe(0);
      const end = systemTime(probe);
      expect(end).toBeGreaterThanOrEqual(start + 5n * MILLISECOND);
    }
    // What is past does not wait.
    expect(poll([ipi], 1n)).toBe(0);
    expect(poll([ipi], systemTime(probe) - MILLISECOND)).toBe(0);
    events.close(ipi);
  });

  it('poll ends with an event, masked or not, and at once when there is one', async () => {
    const { probe } = guest;
    const [a, b] = events.loopback();
    shared.settle();
    for (const masked of [false, true]) {
      if (masked) shared.mask(b);
      expect(poll([b], systemTime(probe) + 2n * MILLISECOND)).toBe(0);
      expect(shared.pending(b)).toBe(false);
      events.send(a);
      expect(shared.pending(b)).toBe(true);
      // Without a timeout: the bit alone ends it.
      if (!masked) shared.settle();
      events.send(a);
      expect(poll([b], 0n)).toBe(0);
      expect(poll([a, b], 0n)).toBe(0);
      shared.settle();
    }
    shared.clearMask(b);
    events.close(a);
    events.close(b);
  });

  it("poll waits for a timer's event", () => {
    const { probe } = guest;
    const port = events.bindVirq(0);
    shared.mask(port);
    const start = systemTime(probe);
    const deadline = start + 10n * MILLISECOND;
    const low = Number(deadline & 0xffff_ffffn);
    const high = Number(deadline >> 32n);
    expect(width === 64 ? probe.call(HYPERVISOR.set_timer_op, deadline) : probe.call(HYPERVISOR.set_timer_op, low, high)).toBe(0);
    expect(poll([port], 0n)).toBe(0);
    const end = systemTime(probe);
    expect(end).toBeGreaterThanOrEqual(deadline);
    expect(shared.pending(port)).toBe(true);
    expect(shared.upcallPending).toBe(0);
    shared.settle();
    shared.clearMask(port);
    events.close(port);
  });

  it('poll refuses lists that are none', () => {
    const { probe } = guest;
    const { word } = probe;
    const soon = (): bigint => systemTime(probe) + MILLISECOND;
    expect(poll([1], soon(), 129)).toBe(E.INVAL);
    expect(poll([1], soon(), 0xffff_ffff)).toBe(E.INVAL);
    expect(poll([1, 5000], soon())).toBe(E.INVAL);
    expect(poll([0xffff_ffff], soon())).toBe(E.INVAL);
    const unread = probe.make(24, [0, word, probe.hole()], [word, 4, 1], [width === 64 ? 16 : 8, 8, soon()]);
    expect(op(SCHEDOP.poll, unread)).toBe(E.FAULT);
    expect(poll(new Array<number>(128).fill(1), soon())).toBe(0);
    // The list may lie across pages.
    const list = probe.scattered() + 0xffc;
    probe.put(list, [0, 4, 1], [4, 4, 2]);
    expect(op(SCHEDOP.poll, probe.make(24, [0, word, list], [word, 4, 2], [width === 64 ? 16 : 8, 8, soon()]))).toBe(0);
  });

  it('block returns when evtchn_upcall_pending is set, and waits for it otherwise', () => {
    const { probe } = guest;
    const port = events.bindVirq(0);
    probe.put(shared.info(), [0, 1, 1]);
    expect(op(SCHEDOP.block)).toBe(0);
    shared.settle();
    const deadline = systemTime(probe) + 10n * MILLISECOND;
    const at = probe.make(16, [0, 8, deadline]);
    expect(probe.call(HYPERVISOR.vcpu_op, 8, 0, at)).toBe(0);
    expect(op(SCHEDOP.block)).toBe(0);
    expect(systemTime(probe)).toBeGreaterThanOrEqual(deadline);
    expect(shared.upcallPending).toBe(1);
    shared.settle();
    events.close(port);
  });

  it('there are two watchdogs', () => {
    expect(watchdog(3, 1)).toBe(E.INVAL);
    expect(watchdog(0xffff_ffff, 1)).toBe(E.INVAL);
    expect(watchdog(1, 100)).toBe(E.INVAL);
    expect(watchdog(2, 0)).toBe(E.INVAL);
    expect(watchdog(0, 100)).toBe(1);
    expect(watchdog(0, 100)).toBe(2);
    expect(watchdog(0, 100)).toBe(E.NOSPC);
    expect(watchdog(1, 200)).toBe(0);
    expect(watchdog(1, 0)).toBe(0);
    expect(watchdog(1, 100)).toBe(E.INVAL);
    expect(watchdog(0, 100)).toBe(1);
    expect(watchdog(1, 0)).toBe(0);
    expect(watchdog(2, 0)).toBe(0);
  });

  it('remote_shutdown and pin_override are for others', () => {
    const { probe } = guest;
    const remote = (dom: number): number => op(SCHEDOP.remote_shutdown, probe.make(8, [0, 2, dom], [4, 4, 0]));
    expect(remote(DOMID.missing)).toBe(E.SRCH);
    expect(remote(DOMID.zero)).toBe(E.PERM);
    expect(remote(probe.cpuid(0x4000_0004)[2])).toBe(E.PERM);
    expect(op(SCHEDOP.pin_override, probe.make(4, [0, 4, 0]))).toBe(E.PERM);
  });

  it('shutdown_code is kept for the end, the first one', async () => {
    const { probe } = guest;
    const reason = (value: number): number => probe.make(4, [0, 4, value]);
    expect(op(SCHEDOP.shutdown_code, reason(1))).toBe(0);
    expect(op(SCHEDOP.shutdown_code, reason(3))).toBe(0);
    probe.begin(HYPERVISOR.sched_op, SCHEDOP.shutdown, reason(0));
    expect(await probe.domain.ended).toMatchObject({ reason: 'reboot' });
  });
});

describe('a guest ends', () => {
  it('as SCHEDOP_shutdown says', async () => {
    await using probe = await Probe.start(32);
    probe.begin(HYPERVISOR.sched_op, SCHEDOP.shutdown, probe.make(4, [0, 4, 3]));
    expect(await probe.domain.ended).toMatchObject({ reason: 'crash' });
  });

  it('when a watchdog expires', async () => {
    await using probe = await Probe.start(64);
    const started = performance.now();
    expect(probe.call(HYPERVISOR.sched_op, SCHEDOP.watchdog, probe.make(8, [0, 4, 0], [4, 4, 1]))).toBe(1);
    expect(await probe.domain.ended).toMatchObject({ reason: 'watchdog' });
    expect(performance.now() - started).toBeGreaterThan(900);
  });
});
