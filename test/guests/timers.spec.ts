// VIRQ_TIMER by set_timer_op and vcpu_op: xen/common/sched/core.c, xen/common/domain.c.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { OP } from './probe-layout.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { systemTime } from './system-time.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { E, HYPERVISOR, VCPUOP } from './xen-numbers.ts';

const MILLISECOND = 1_000_000n;
const VIRQ_TIMER = 0;
const UPCALL = 0x60;

describe.each(WIDTHS)('timers of a %i-bit guest', (width) => {
  let shared: SharedPage;
  let port: number;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    const events = new EventCalls(probe);
    shared = SharedPage.map(probe);
    shared.settle();
    port = events.bindVirq(VIRQ_TIMER);
    shared.mask(port);
  });
  const vcpuOp = (cmd: number, at = 0): number => guest.probe.call(HYPERVISOR.vcpu_op, cmd, 0, at);
  const now = (): bigint => systemTime(guest.probe);
  /** One register, or two in a 32-bit guest: low word first. */
  const setTimer = (timeout: bigint): number =>
    width === 64
      ? guest.probe.call(HYPERVISOR.set_timer_op, timeout)
      : guest.probe.call(HYPERVISOR.set_timer_op, timeout & 0xffff_ffffn, timeout >> 32n);
  const singleshot = (timeout: bigint, flags = 0): number =>
    vcpuOp(VCPUOP.set_singleshot_timer, guest.probe.make(16, [0, 8, timeout], [8, 4, flags]));
  const periodic = (period: bigint): number => vcpuOp(VCPUOP.set_periodic_timer, guest.probe.make(8, [0, 8, period]));
  const fired = async (): Promise<bigint> => {
    const { probe } = guest;
    await probe.until('the timer', () => shared.pending(port));
    shared.clearPending(port);
    return now();
  };
  /** Waits on the guest's clock; the guest makes hypercalls meanwhile. */
  const pass = (ns: bigint): void => {
    const end = now() + ns;
    while (now() < end);
  };

  /** Does what must be done before a deadline that is so far off, again if a busy host let it pass; returns the deadline. */
  const inTime = (ns: bigint, act: (deadline: bigint) => void): bigint => {
    for (;;) {
      const deadline = now() + ns;
      act(deadline);
      if (now() < deadline) return deadline;
      shared.clearPending(port);
    }
  };

  it.each(['set_timer_op', 'set_singleshot_timer'])('%s fires once, not before its time', async (name) => {
    const set = name === 'set_timer_op' ? setTimer : singleshot;
    const deadline = inTime(8n * MILLISECOND, (at) => {
      expect(set(at)).toBe(0);
      expect(shared.pending(port) && now() < at).toBe(false);
    });
    const end = await fired();
    expect(end).toBeGreaterThanOrEqual(deadline);
    pass(4n * MILLISECOND);
    expect(shared.pending(port)).toBe(false);
  });

  it('a later setting replaces an earlier one', async () => {
    const start = inTime(10n * MILLISECOND, (at) => {
      expect(setTimer(at)).toBe(0);
      expect(setTimer(at + 10n * MILLISECOND)).toBe(0);
    });
    expect(await fired()).toBeGreaterThanOrEqual(start + 10n * MILLISECOND);
  });

  it.each(['set_timer_op', 'set_singleshot_timer'])('%s in the past fires at once', async (name) => {
    const set = name === 'set_timer_op' ? setTimer : singleshot;
    expect(set(now() - MILLISECOND)).toBe(0);
    pass(50_000n);
    expect(shared.pending(port)).toBe(true);
    shared.clearPending(port);
    expect(set(1n)).toBe(0);
    pass(50_000n);
    expect(shared.pending(port)).toBe(true);
    shared.clearPending(port);
  });

  it('set_timer_op with a time far off or negative fires after 100 ms', async () => {
    for (const timeout of [1n << 62n, 0xffff_ffff_ffff_ffffn]) {
      const start = now();
      expect(setTimer(timeout)).toBe(0);
      const end = await fired();
      expect(end).toBeGreaterThanOrEqual(start + 100n * MILLISECOND);
    }
  });

  it('0, and stop_singleshot_timer, stop it', () => {
    const stops = [() => setTimer(0n), () => vcpuOp(VCPUOP.stop_singleshot_timer)];
    for (const stop of stops) {
      inTime(10n * MILLISECOND, (at) => {
        expect(setTimer(at)).toBe(0);
        expect(stop()).toBe(0);
      });
      pass(15n * MILLISECOND);
      expect(shared.pending(port)).toBe(false);
    }
  });

  it("set_singleshot_timer reads its structure, of the caller's width", () => {
    const { probe } = guest;
    expect(vcpuOp(VCPUOP.set_singleshot_timer, probe.hole())).toBe(E.FAULT);
    const page = probe.map(probe.pages());
    probe.hole();
    const size = width === 64 ? 16 : 12;
    probe.put(page + 0x1000 - size, [0, 8, now() + 1000n * MILLISECOND]);
    expect(vcpuOp(VCPUOP.set_singleshot_timer, page + 0x1000 - size)).toBe(0);
    expect(vcpuOp(VCPUOP.set_singleshot_timer, page + 0x1000 - size + 4)).toBe(E.FAULT);
    expect(vcpuOp(VCPUOP.stop_singleshot_timer)).toBe(0);
  });

  it('a periodic timer fires until it is stopped', async () => {
    for (const bad of [0n, 1n, MILLISECOND - 1n, 0xffff_ffff_ffff_ffffn]) expect(periodic(bad)).toBe(E.INVAL);
    expect(vcpuOp(VCPUOP.set_periodic_timer, guest.probe.hole())).toBe(E.FAULT);
    const start = now();
    expect(periodic(3n * MILLISECOND)).toBe(0);
    for (let i = 0; i < 4; i++) await fired();
    expect(now() - start).toBeGreaterThanOrEqual(9n * MILLISECOND);
    expect(vcpuOp(VCPUOP.stop_periodic_timer)).toBe(0);
    shared.clearPending(port);
    pass(8n * MILLISECOND);
    expect(shared.pending(port)).toBe(false);
  });

  it('wakes a guest that halted', async () => {
    const { probe } = guest;
    probe.vcpuInfo = shared.info();
    new EventCalls(probe).upcallVector(UPCALL);
    probe.interrupts(true);
    await probe.until('the first upcall', () => probe.count(UPCALL) > 0);
    probe.interrupts(false);
    shared.settle();
    shared.clearMask(port);
    const before = probe.count(UPCALL);
    const start = now();
    expect(singleshot(start + 10n * MILLISECOND)).toBe(0);
    expect(probe.attempt(OP.halt)).toBeUndefined();
    expect(now()).toBeGreaterThanOrEqual(start + 10n * MILLISECOND);
    expect(probe.count(UPCALL)).toBe(before + 1);
    expect(shared.pending(port)).toBe(true);
  });
});
