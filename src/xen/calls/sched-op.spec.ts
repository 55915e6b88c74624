import { describe, expect, it } from 'vitest';
import { EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { SCHEDOP, SHUTDOWN } from '../../abi/xen/sched.ts';
import { DOMID, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const MS = 1e6;

function guest() {
  const g = new TestGuest();
  const shared = g.mapSharedInfo(0x10);
  for (let i = 0; i < 3; i++) g.call('event_channel_op', 7, g.poke(ARG, 0, 0)); // IPI ports 1..3
  const op = (cmd: number, ...words: number[]) => g.call('sched_op', cmd, g.poke(ARG, ...words));
  const poll = (ports: number[], timeoutNs = 0) => {
    g.poke(0x3000, ...ports);
    return op(SCHEDOP.poll, 0x3000, 0, ports.length, 0, timeoutNs, 0);
  };
  const runs = () => g.vcpus[0]?.mayRun(false);
  const send = (port: number) => g.call('event_channel_op', 4, g.poke(0x3800, port));
  return { g, shared, op, poll, runs, send };
}

describe('shutdown', () => {
  it('takes every reason there is', () => {
    for (const reason of Object.values(SHUTDOWN)) {
      const { g, op, runs } = guest();
      expect(op(SCHEDOP.shutdown, reason)).toBe(0);
      expect(g.domain.shutdownReason).toBe(reason);
      expect(g.kicks).toContain(0);
      expect(runs()).toBe(false);
    }
    const { g, op } = guest();
    expect(op(SCHEDOP.shutdown, 6)).toBe(-EINVAL);
    expect(g.domain.shutdownReason).toBe(-1);
    expect(g.call('sched_op', SCHEDOP.shutdown, 0xdead_0000)).toBe(-EFAULT);
  });

  it('keeps the first code given', () => {
    const { g, op } = guest();
    expect(op(SCHEDOP.shutdown_code, SHUTDOWN.crash)).toBe(0);
    expect(g.domain.shutdownReason).toBe(-1);
    op(SCHEDOP.shutdown, SHUTDOWN.poweroff);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.crash);
  });

  it('can be taken back, as after a cancelled suspend', () => {
    const { g, op, runs } = guest();
    op(SCHEDOP.shutdown, SHUTDOWN.suspend);
    g.domain.resume();
    expect(runs()).toBe(true);
    op(SCHEDOP.shutdown, SHUTDOWN.reboot);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.reboot);
  });
});

describe('a suspend', () => {
  it('is answered 0, and 1 when it was cancelled: the vCPU that asked is told once', () => {
    const { g, op } = guest();
    const state = g.domain.vcpus[0];
    expect(op(SCHEDOP.shutdown, SHUTDOWN.suspend)).toBe(0);
    expect(state?.takeSuspendCancelled()).toBe(false);
    g.domain.resume({ cancelled: true });
    expect([state?.takeSuspendCancelled(), state?.takeSuspendCancelled()]).toEqual([true, false]);
    op(SCHEDOP.shutdown, SHUTDOWN.suspend);
    g.domain.resume();
    expect(state?.takeSuspendCancelled()).toBe(false);
    op(SCHEDOP.shutdown, SHUTDOWN.reboot);
    g.domain.resume({ cancelled: true });
    expect(state?.takeSuspendCancelled()).toBe(false);
  });
});

describe('poll', () => {
  it('waits for one port', () => {
    const { poll, runs, send } = guest();
    expect(poll([2])).toBe(0);
    expect(runs()).toBe(false);
    send(1);
    // Unmasked, so its upcall ends the wait as well: in Xen any event that needs delivery does.
    expect(runs()).toBe(true);
  });

  it('sees a masked port, and is not ended by another masked one', () => {
    const { g, shared, poll, runs, send } = guest();
    g.poke(shared + 0xa00, 0xff);
    expect(poll([2])).toBe(0);
    send(1);
    expect(runs()).toBe(false);
    send(2);
    expect(runs()).toBe(true);
    expect(poll([2])).toBe(0); // still pending: no wait
    expect(runs()).toBe(true);
  });

  it('is ended by any port when it asked for several', () => {
    const { g, shared, poll, runs, send } = guest();
    g.poke(shared + 0xa00, 0xff);
    expect(poll([1, 2])).toBe(0);
    send(2);
    expect(runs()).toBe(true);
  });

  it('ends at its absolute timeout', () => {
    const { g, poll, runs } = guest();
    g.clock.advance(3 * MS);
    expect(poll([1], 5 * MS)).toBe(0);
    g.clock.advance(MS);
    expect(runs()).toBe(false);
    g.clock.advance(MS);
    expect(runs()).toBe(true);
  });

  it('refuses bad lists without waiting', () => {
    const { g, op, poll, runs } = guest();
    expect(op(SCHEDOP.poll, 0x3000, 0, 129, 0, 0, 0)).toBe(-EINVAL);
    expect(poll([64])).toBe(-EINVAL);
    expect(op(SCHEDOP.poll, 0xdead_0000, 0, 1, 0, 0, 0)).toBe(-EFAULT);
    expect(g.call('sched_op', SCHEDOP.poll, 0xdead_0000)).toBe(-EFAULT);
    expect(runs()).toBe(true);
  });

  it('reads the 16-byte structure of a 32-bit caller', () => {
    const { g, runs } = guest();
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    g.poke(0x3000, 1);
    expect(g.call('sched_op', SCHEDOP.poll, g.poke(ARG, 0x3000, 1, 5 * MS, 0))).toBe(0);
    expect(runs()).toBe(false);
    g.clock.advance(5 * MS);
    expect(runs()).toBe(true);
  });
});

describe('block', () => {
  it('waits until an event needs delivery', () => {
    const { op, runs, send } = guest();
    expect(op(SCHEDOP.block)).toBe(0);
    expect(runs()).toBe(false);
    send(1);
    expect(runs()).toBe(true);
    op(SCHEDOP.block);
    expect(runs()).toBe(true); // upcall_pending is still set
  });

  it('ends when the machine has an interrupt to deliver', () => {
    const { g, op, runs } = guest();
    op(SCHEDOP.block);
    expect(g.vcpus[0]?.mayRun(true)).toBe(true);
    expect(runs()).toBe(true);
  });
});

describe('watchdog', () => {
  it('has two timers, and shuts the domain down when one expires', () => {
    const { g, op } = guest();
    expect(op(SCHEDOP.watchdog, 0, 10)).toBe(1);
    expect(op(SCHEDOP.watchdog, 0, 20)).toBe(2);
    expect(op(SCHEDOP.watchdog, 0, 10)).toBe(-ENOSPC);
    expect(op(SCHEDOP.watchdog, 3, 10)).toBe(-EINVAL);
    g.clock.advance(9e9);
    expect(op(SCHEDOP.watchdog, 1, 10)).toBe(0); // re-armed
    g.clock.advance(9e9);
    expect(op(SCHEDOP.watchdog, 1, 0)).toBe(0); // freed
    expect(op(SCHEDOP.watchdog, 1, 5)).toBe(-EINVAL);
    expect(g.domain.shutdownReason).toBe(-1);
    g.clock.advance(2e9);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.watchdog);
  });
});

describe('watchdogs', () => {
  it('fire at once for no time at all, and not once the domain is stopping', () => {
    const { g, op } = guest();
    expect(op(SCHEDOP.watchdog, 0, 0)).toBe(1);
    g.clock.advance(1);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.watchdog);
    const other = guest();
    other.op(SCHEDOP.watchdog, 0, 1);
    other.op(SCHEDOP.shutdown, SHUTDOWN.poweroff);
    other.g.clock.advance(2e9);
    expect(other.g.domain.shutdownReason).toBe(SHUTDOWN.poweroff);
    expect(g.call('sched_op', SCHEDOP.watchdog, 0xdead_0000)).toBe(-EFAULT);
  });

  it("are the domain's: another vCPU may feed one", () => {
    const g = new TestGuest({ vcpus: 2 });
    const feed = (vcpu: number, id: number) => g.callOn(vcpu, 'sched_op', SCHEDOP.watchdog, g.poke(ARG, id, 10));
    expect(feed(0, 0)).toBe(1);
    g.clock.advance(8e9);
    expect(feed(1, 1)).toBe(0);
    g.clock.advance(8e9);
    expect(g.domain.shutdownReason).toBe(-1);
    g.clock.advance(3e9);
    expect(g.domain.shutdownReason).toBe(SHUTDOWN.watchdog);
  });
});

it('answers the others with their errors', () => {
  const { op } = guest();
  expect(op(SCHEDOP.yield)).toBe(0);
  expect(op(SCHEDOP.remote_shutdown, DOMID, 0)).toBe(-EPERM);
  expect(op(SCHEDOP.remote_shutdown, 0, 0)).toBe(-EPERM);
  expect(op(SCHEDOP.remote_shutdown, 0x7ff0, 0)).toBe(-ESRCH);
  expect(op(SCHEDOP.remote_shutdown, 99, 0)).toBe(-ESRCH);
  expect(op(SCHEDOP.pin_override, 0)).toBe(-EPERM);
  expect(op(8)).toBe(-ENOSYS);
});
