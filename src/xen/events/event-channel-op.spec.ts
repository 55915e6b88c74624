import { describe, expect, it } from 'vitest';
import type { Gfn, Gpa } from '../../abi/types.ts';
import { EBUSY, EEXIST, EFAULT, EINVAL, ENOENT, ENOSPC, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { EVTCHNOP, EVTCHNSTAT, VIRQ } from '../../abi/xen/event-channel.ts';
import type { DomainConfig } from '../domain.ts';
import { DOMID, TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;
const SHARED = 0x10;

function guest(vcpus = 1, config: Partial<DomainConfig> = {}) {
  const g = new TestGuest({ vcpus, config });
  const shared = g.mapSharedInfo(SHARED);
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  return { g, shared, op };
}
const pending = (g: TestGuest, shared: number, port: number) => (g.peek(shared + 0x800 + (port >>> 5) * 4) >>> (port & 31)) & 1;

describe('binding', () => {
  it('gives out the lowest free port, never 0', () => {
    const { g, op } = guest();
    expect(op(EVTCHNOP.alloc_unbound, SELF, 0)).toBe(0);
    expect(g.peek(ARG + 4)).toBe(1);
    expect(op(EVTCHNOP.bind_ipi, 0, 0)).toBe(0);
    expect(g.peek(ARG + 4)).toBe(2);
    expect(op(EVTCHNOP.close, 1)).toBe(0);
    expect(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 0, 0)).toBe(0);
    expect(g.peek(ARG + 8)).toBe(1);
  });

  it('answers as Xen does to bad arguments', () => {
    const { g, op } = guest();
    expect(op(EVTCHNOP.alloc_unbound, 99, 0)).toBe(-ESRCH);
    expect(op(EVTCHNOP.alloc_unbound, 0, 0)).toBe(-EPERM);
    expect(op(EVTCHNOP.alloc_unbound, DOMID | (99 << 16), 0)).toBe(0); // the remote domain need not exist
    expect(op(EVTCHNOP.bind_interdomain, 99, 1, 0)).toBe(-ESRCH);
    expect(op(EVTCHNOP.bind_interdomain, SELF, 4096, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_interdomain, 0, 3, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_virq, 24, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_virq, VIRQ.CONSOLE, 1, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 1, 0)).toBe(-ENOENT);
    expect(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 0, 0)).toBe(0);
    expect(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 0, 0)).toBe(-EEXIST);
    expect(op(EVTCHNOP.bind_ipi, 1, 0)).toBe(-ENOENT);
    expect(op(EVTCHNOP.bind_pirq, 3, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.close, 63)).toBe(-EINVAL);
    expect(op(EVTCHNOP.close, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.send, 63)).toBe(-EINVAL);
    expect(op(EVTCHNOP.reset, 99)).toBe(-ESRCH);
    expect(op(EVTCHNOP.reset_cont, SELF)).toBe(-EBUSY);
    expect(op(EVTCHNOP.reset, 0)).toBe(-EPERM);
    expect(op(EVTCHNOP.bind_vcpu, 63, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.unmask, 64)).toBe(-EINVAL);
    expect(op(EVTCHNOP.set_priority, 1, 1)).toBe(-ENOSYS); // 2-level
    expect(op(EVTCHNOP.set_priority, 64, 1)).toBe(-EINVAL);
    expect(op(77)).toBe(-ENOSYS);
    expect(g.call('event_channel_op', EVTCHNOP.send, 0xdead_0000)).toBe(-EFAULT);
  });

  it('has 4095 ports in the 64-bit layout, 1023 in the 32-bit one', () => {
    const { g, op } = guest(1, { maxEventChannel: 131071 });
    g.domain.latchWidth(false);
    let count = 0;
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(1023);
    expect(op(EVTCHNOP.bind_ipi, 0, 0)).toBe(-ENOSPC);
    g.domain.latchWidth(true);
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(4095);
  });

  it('reports status: port existence, state and details', () => {
    const { g, op } = guest();
    op(EVTCHNOP.alloc_unbound, SELF, 0);
    op(EVTCHNOP.bind_virq, VIRQ.DEBUG, 0, 0);
    op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16), 0);
    op(EVTCHNOP.bind_interdomain, SELF, 3, 0);
    const status = (port: number) => {
      expect(op(EVTCHNOP.status, SELF, port, 0, 0, 0, 0)).toBe(0);
      return [8, 12, 16, 20].map((offset) => g.peek(ARG + offset));
    };
    expect(status(1)).toEqual([EVTCHNSTAT.unbound, 0, 0, 0]);
    expect(status(2)).toEqual([EVTCHNSTAT.virq, 0, VIRQ.DEBUG, 0]);
    expect(status(4)).toEqual([EVTCHNSTAT.interdomain, 0, DOMID, 3]);
    expect(status(9)).toEqual([EVTCHNSTAT.closed, 0, 0, 0]);
    expect(op(EVTCHNOP.status, SELF, 64)).toBe(-EINVAL); // no port of that group exists yet
    expect(op(EVTCHNOP.status, 99, 1)).toBe(-ESRCH);
  });
});

describe('2-level delivery', () => {
  it('sets pending bit, selector, upcall_pending, then raises the upcall once', () => {
    const { g, shared, op } = guest();
    g.call('hvm_op', 23, g.poke(ARG, 0, 0xf3));
    g.vcpus[0]?.service();
    expect(g.vectors).toEqual([[0, 0xf3]]); // registration raises one
    op(EVTCHNOP.bind_ipi, 0, 0);
    for (let i = 2; i < 70; i++) op(EVTCHNOP.bind_ipi, 0, 0);
    expect(op(EVTCHNOP.send, 69)).toBe(0);
    expect(pending(g, shared, 69)).toBe(1);
    expect(g.peek64(shared + 8)).toBe(2n); // bit 69 / 64
    expect(g.peek(shared) & 0xff).toBe(1);
    g.vcpus[0]?.service();
    op(EVTCHNOP.send, 5);
    g.vcpus[0]?.service();
    expect(g.peek64(shared + 8)).toBe(3n);
    expect(g.vectors).toEqual([
      [0, 0xf3],
      [0, 0xf3],
    ]); // only on the 0 to 1 transition
  });

  it('leaves a masked port pending until it is unmasked', () => {
    const { g, shared, op } = guest();
    op(EVTCHNOP.bind_ipi, 0, 0);
    g.poke(shared + 0xa00, 2);
    op(EVTCHNOP.send, 1);
    expect(pending(g, shared, 1)).toBe(1);
    expect(g.peek(shared) & 0xff).toBe(0);
    expect(op(EVTCHNOP.unmask, 1)).toBe(0);
    expect(g.peek(shared + 0xa00)).toBe(0);
    expect(g.peek(shared) & 0xff).toBe(1);
    expect(g.peek64(shared + 8)).toBe(1n);
  });

  it('uses the 32-bit geometry once that width is latched', () => {
    const { g, shared, op } = guest();
    g.domain.latchWidth(false);
    for (let i = 0; i < 40; i++) op(EVTCHNOP.bind_ipi, 0, 0);
    g.poke(shared + 0x880, 0, 1 << 3);
    op(EVTCHNOP.send, 35);
    expect(g.peek(shared) & 0xff).toBe(0);
    op(EVTCHNOP.unmask, 35);
    expect(g.peek(shared + 4)).toBe(1 << 1); // bit 35 / 32, selector at +4
  });

  it('delivers to the vCPU that bind_vcpu names, and refuses per-vCPU VIRQs and IPIs', () => {
    const { g, shared, op } = guest(2);
    op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16), 0);
    op(EVTCHNOP.bind_interdomain, SELF, 1, 0);
    expect(op(EVTCHNOP.bind_vcpu, 1, 1)).toBe(0);
    expect(op(EVTCHNOP.send, 2)).toBe(0);
    expect(g.peek(shared + 64) & 0xff).toBe(1);
    op(EVTCHNOP.bind_ipi, 0, 0);
    expect(op(EVTCHNOP.bind_vcpu, 3, 1)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_vcpu, 1, 2)).toBe(-ENOENT);
    op(EVTCHNOP.bind_virq, VIRQ.TIMER, 1, 0);
    expect(op(EVTCHNOP.bind_vcpu, 4, 0)).toBe(-EINVAL);
    op(EVTCHNOP.bind_virq, VIRQ.CONSOLE, 0, 0);
    expect(op(EVTCHNOP.bind_vcpu, 5, 1)).toBe(0);
  });

  it('marks the local port pending when an interdomain channel is bound', () => {
    const { g, shared, op } = guest();
    op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16), 0);
    expect(op(EVTCHNOP.send, 1)).toBe(0); // unbound: dropped
    op(EVTCHNOP.bind_interdomain, SELF, 1, 0);
    expect(pending(g, shared, 2)).toBe(1);
    expect(pending(g, shared, 1)).toBe(0);
  });

  it('clears the pending bit on close, leaves the mask, and unbinds the peer', () => {
    const { g, shared, op } = guest();
    op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16), 0);
    op(EVTCHNOP.bind_interdomain, SELF, 1, 0);
    g.poke(shared + 0xa00, 4);
    expect(op(EVTCHNOP.close, 2)).toBe(0);
    expect(pending(g, shared, 2)).toBe(0);
    expect(g.peek(shared + 0xa00)).toBe(4);
    op(EVTCHNOP.status, SELF, 1);
    expect(g.peek(ARG + 8)).toBe(EVTCHNSTAT.unbound);
    expect(op(EVTCHNOP.send, 2)).toBe(-EINVAL);
  });
});

it('marks no event at port 0, which a sender finds at the other end of a channel that is just being closed', () => {
  const { g, shared } = guest();
  g.domain.events.setPending(0);
  expect([g.peek(shared) & 0xff, g.peek(shared + 8), pending(g, shared, 0)]).toEqual([0, 0, 0]);
});

describe('every operation', () => {
  it('fails with -EFAULT when its argument cannot be read', () => {
    const { g } = guest();
    for (const cmd of Object.values(EVTCHNOP)) expect(g.call('event_channel_op', cmd, 0xdead_0000)).toBe(-EFAULT);
  });

  it('that gives out a port fails with -ENOSPC when the domain has all it may have', () => {
    const { op } = guest(1, { maxEventChannel: 70 });
    let count = 0;
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(70);
    expect(op(EVTCHNOP.alloc_unbound, SELF, 0)).toBe(-ENOSPC);
    expect(op(EVTCHNOP.bind_virq, VIRQ.DEBUG, 0, 0)).toBe(-ENOSPC);
    expect(op(EVTCHNOP.bind_interdomain, SELF, 1, 0)).toBe(-ENOSPC);
    expect(op(EVTCHNOP.status, SELF, 127)).toBe(0); // it exists, and stays closed
    expect(op(EVTCHNOP.close, 33)).toBe(0);
    expect(op(EVTCHNOP.bind_virq, VIRQ.DEBUG, 0, 0)).toBe(0);
  });

  it('leaves the port bound when the answer cannot be written', () => {
    const { g, op } = guest();
    const arg = 0x3000;
    g.poke(arg, 0, 0);
    g.memory.map(3 as Gfn, g.memory.host(arg as Gpa), false);
    expect(g.call('event_channel_op', EVTCHNOP.bind_ipi, arg)).toBe(-EFAULT);
    op(EVTCHNOP.status, SELF, 1);
    expect(g.peek(ARG + 8)).toBe(EVTCHNSTAT.ipi);
  });

  it('resets to a state in which everything can be bound again', () => {
    const { g, shared, op } = guest(2);
    op(EVTCHNOP.bind_virq, VIRQ.TIMER, 1, 0);
    op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16), 0);
    op(EVTCHNOP.bind_interdomain, SELF, 2, 0);
    op(EVTCHNOP.bind_vcpu, 2, 1);
    expect(op(EVTCHNOP.reset, DOMID)).toBe(0);
    expect(g.peek(shared + 0x800)).toBe(0);
    for (const port of [1, 2, 3]) {
      op(EVTCHNOP.status, SELF, port);
      expect([g.peek(ARG + 8), g.peek(ARG + 12)]).toEqual([EVTCHNSTAT.closed, 0]);
    }
    expect(op(EVTCHNOP.bind_virq, VIRQ.TIMER, 1, 0)).toBe(0);
    expect(g.peek(ARG + 8)).toBe(1);
  });
});

describe('a port that is pending already', () => {
  it('is delivered again when it moves to another vCPU, unless it is masked', () => {
    const { g, shared, op } = guest(2);
    op(EVTCHNOP.bind_virq, VIRQ.CONSOLE, 0, 0);
    g.domain.events.raiseVirq(VIRQ.CONSOLE, 0);
    expect(op(EVTCHNOP.bind_vcpu, 1, 1)).toBe(0);
    expect(g.peek(shared + 64) & 0xff).toBe(1);
    g.poke(shared + 64, 0);
    g.poke(shared + 64 + 8, 0, 0);
    g.poke(shared + 0xa00, 2);
    op(EVTCHNOP.bind_vcpu, 1, 0);
    op(EVTCHNOP.bind_vcpu, 1, 1);
    expect(g.peek(shared + 64) & 0xff).toBe(0);
  });

  it('is delivered when it is bound', () => {
    const { g, shared, op } = guest();
    g.poke(shared + 0x800, 2); // left by the guest on a closed port
    op(EVTCHNOP.alloc_unbound, SELF, 0);
    expect(g.peek(shared) & 0xff).toBe(1);
    expect(g.peek64(shared + 8)).toBe(1n);
  });
});

describe('backends', () => {
  it('exchange events with the guest through domain 0', () => {
    const { g, shared, op } = guest();
    op(EVTCHNOP.alloc_unbound, SELF, 0);
    let events = 0;
    const channel = g.channels.bind(1, () => events++);
    if (typeof channel === 'number') throw new Error(`bind: ${channel}`);
    expect(events).toBe(1); // what was sent before may be lost: look once
    op(EVTCHNOP.send, 1);
    op(EVTCHNOP.send, 1);
    expect(g.backendWakes).toBe(1); // coalesced until served
    expect(g.channels.dispatch()).toBe(1);
    expect(events).toBe(2);
    channel.notify();
    expect(pending(g, shared, 1)).toBe(1);
    op(EVTCHNOP.status, SELF, 1);
    expect([g.peek(ARG + 16), g.peek(ARG + 20)]).toEqual([0, channel.port]);
  });

  it('lets the guest reset and bind again to the port that status named', () => {
    const { g, shared, op } = guest();
    const port = g.domain.offerRing('console');
    const channel = g.channels.bind(port, () => {});
    if (typeof channel === 'number') throw new Error(`bind: ${channel}`);
    expect(g.channels.bind(port, () => {})).toBe(-EINVAL);
    expect(op(EVTCHNOP.reset, SELF)).toBe(0);
    channel.notify();
    expect(pending(g, shared, port)).toBe(0);
    expect(op(EVTCHNOP.bind_interdomain, 0, channel.port, 0)).toBe(0);
    const rebound = g.peek(ARG + 8);
    g.poke(shared + 0x800, 0);
    channel.notify();
    expect(pending(g, shared, rebound)).toBe(1);
    channel.close();
    op(EVTCHNOP.status, SELF, rebound);
    expect(g.peek(ARG + 8)).toBe(EVTCHNSTAT.unbound);
  });
});
