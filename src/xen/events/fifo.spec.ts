// The FIFO ABI: switching to it, queues, priorities, closing and limits.
import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { EFAULT, EINVAL, ENOENT, ENOSPC, EOPNOTSUPP } from '../../abi/xen/errno.ts';
import { EVENT_WORD, EVTCHN_FIFO, EVTCHNOP, EVTCHNSTAT, VIRQ } from '../../abi/xen/event-channel.ts';
import { ARG, ARRAY, CONTROL, drain, fifoGuest, guest, SELF } from '../fixtures/fifo-guest.ts';

describe('init_control', () => {
  it('gives each vCPU its control block once, and says that links have 17 bits', () => {
    const { g, init, op } = guest(2);
    expect(init(0)).toBe(0);
    expect(g.peek(ARG + 16) & 0xff).toBe(17);
    expect(g.domain.events.usesFifo).toBe(true);
    expect(init(0)).toBe(-EINVAL);
    expect(init(1)).toBe(0);
    expect(op(EVTCHNOP.init_control, CONTROL, 0, 0, 2, 0, 0)).toBe(-ENOENT);
  });

  it('refuses blocks that cross the page, lie askew or are no RAM, and stays 2-level', () => {
    const { g, op } = guest();
    expect(op(EVTCHNOP.init_control, CONTROL, 0, 4096 - 64, 0, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.init_control, CONTROL, 0, 4, 0, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.init_control, 0xffff_fff0, 0, 0, 0, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.init_control, CONTROL, 1, 0, 0, 0, 0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.init_control, CONTROL, 0x8000_0000, 0, 0, 0, 0)).toBe(-EINVAL);
    expect(g.call('event_channel_op', EVTCHNOP.init_control, 0xdead_0000)).toBe(-EFAULT);
    expect(g.domain.events.usesFifo).toBe(false);
    expect(op(EVTCHNOP.init_control, CONTROL, 0, 4096 - 72, 0, 0, 0)).toBe(0);
  });
});

describe('expand_array', () => {
  it('needs FIFO and RAM, and takes 128 pages', () => {
    const { expand, init, op, g } = guest();
    expect(expand()).toBe(-EOPNOTSUPP);
    init();
    expect(expand(0xffff0)).toBe(-EINVAL);
    expect(op(EVTCHNOP.expand_array, ARRAY, 1)).toBe(-EINVAL);
    for (let i = 0; i < 128; i++) expect(expand()).toBe(0);
    expect(expand()).toBe(-ENOSPC);
    expect(g.call('event_channel_op', EVTCHNOP.expand_array, 0xdead_0000)).toBe(-EFAULT);
  });

  it('raises the events that were sent before the page was there', () => {
    const { init, expand, ipis, op, consumer, upcall } = guest();
    init();
    ipis(3);
    op(EVTCHNOP.send, 2);
    expect(upcall()).toBe(0);
    expand();
    expect(upcall()).toBe(1);
    expect(drain(consumer())).toEqual([[2, 7]]);
  });

  it('raises what was pending under the 2-level ABI', () => {
    const { g, shared, init, expand, ipis, op, consumer } = guest();
    ipis(40);
    op(EVTCHNOP.send, 33);
    g.poke(shared + 0xa00, 1 << 5);
    op(EVTCHNOP.send, 5); // masked there; the FIFO has masks of its own
    init();
    expand();
    expect(drain(consumer())).toEqual([
      [5, 7],
      [33, 7],
    ]);
  });
});

describe('queues', () => {
  it('keep the order of arrival, and call the vCPU for the first event only', () => {
    const { g, ipis, op, consumer, upcall } = fifoGuest();
    ipis(5);
    g.call('hvm_op', 23, g.poke(ARG, 0, 0xf3));
    g.vcpus[0]?.service();
    for (const port of [3, 1, 5, 3]) op(EVTCHNOP.send, port);
    g.vcpus[0]?.service();
    expect(g.vectors.length).toBe(2); // the one of the registration, and one
    expect(upcall()).toBe(1);
    const c = consumer();
    expect(c.ready).toBe(1 << 7);
    expect(drain(c)).toEqual([
      [3, 7],
      [1, 7],
      [5, 7],
    ]);
    op(EVTCHNOP.send, 5);
    expect(drain(c)).toEqual([[5, 7]]);
  });

  it('are taken by priority', () => {
    const { ipis, op, consumer } = fifoGuest();
    ipis(3);
    expect(op(EVTCHNOP.set_priority, 1, 15)).toBe(0);
    expect(op(EVTCHNOP.set_priority, 3, 0)).toBe(0);
    expect(op(EVTCHNOP.set_priority, 3, 16)).toBe(-EINVAL);
    expect(op(EVTCHNOP.set_priority, 64, 0)).toBe(-EINVAL);
    for (const port of [1, 2, 3]) op(EVTCHNOP.send, port);
    expect(drain(consumer())).toEqual([
      [3, 0],
      [2, 7],
      [1, 15],
    ]);
  });

  it('leave an event where it is queued when its priority changes; the next one goes to the new queue', () => {
    const { ipis, op, consumer } = fifoGuest();
    ipis(3);
    op(EVTCHNOP.send, 1);
    op(EVTCHNOP.set_priority, 1, 2);
    op(EVTCHNOP.send, 1);
    const c = consumer();
    expect(drain(c)).toEqual([[1, 7]]);
    // Port 1 is the old queue's tail and is linked again, elsewhere: port 2 must not be hung behind it there.
    op(EVTCHNOP.send, 1);
    op(EVTCHNOP.send, 2);
    expect(drain(c)).toEqual([
      [1, 2],
      [2, 7],
    ]);
  });

  it('belong to the vCPU that the port notifies', () => {
    const { g, op, consumer, upcall } = fifoGuest(2);
    op(EVTCHNOP.bind_virq, VIRQ.CONSOLE, 0, 0);
    op(EVTCHNOP.bind_virq, VIRQ.TIMER, 1, 0);
    expect(op(EVTCHNOP.bind_vcpu, 1, 1)).toBe(0);
    g.domain.events.raiseVirq(VIRQ.CONSOLE, 0);
    g.domain.events.raiseVirq(VIRQ.TIMER, 1);
    expect([upcall(0), upcall(1)]).toEqual([0, 1]);
    expect(drain(consumer(0))).toEqual([]);
    expect(drain(consumer(1))).toEqual([
      [1, 7],
      [2, 7],
    ]);
  });

  it('take a masked event only when it is unmasked', () => {
    const { ipis, op, consumer, upcall } = fifoGuest();
    ipis(2);
    const c = consumer();
    c.mask(1);
    op(EVTCHNOP.send, 1);
    expect(upcall()).toBe(0);
    expect(c.word(1)).toBe((EVENT_WORD.pending | EVENT_WORD.masked) >>> 0);
    expect(c.tryUnmask(1)).toBe(false);
    expect(op(EVTCHNOP.unmask, 1)).toBe(0);
    expect(upcall()).toBe(1);
    expect(drain(c)).toEqual([[1, 7]]);
    expect(op(EVTCHNOP.unmask, 1)).toBe(0);
    expect(drain(c)).toEqual([]);
  });

  it('drop events for a vCPU that has no control block yet, but keep them pending', () => {
    const { g, op, init, expand, ipis, consumer, upcall } = guest(2);
    init(0);
    expand();
    ipis(1, 1);
    op(EVTCHNOP.send, 1);
    expect(upcall(1)).toBe(0);
    expect(g.domain.events.isPending(1)).toBe(true);
    init(1);
    op(EVTCHNOP.unmask, 1);
    expect(upcall(1)).toBe(1);
    expect(drain(consumer(1))).toEqual([[1, 7]]);
  });

  it('redeliver a pending event when it moves to another vCPU', () => {
    const { op, consumer, g } = fifoGuest(2);
    op(EVTCHNOP.bind_virq, VIRQ.CONSOLE, 0, 0);
    const c = consumer(0);
    g.domain.events.raiseVirq(VIRQ.CONSOLE, 0);
    expect(drain(c)).toEqual([[1, 7]]);
    Atomics.or(g.memory.i32, c.wordIndex(1), EVENT_WORD.pending);
    expect(op(EVTCHNOP.bind_vcpu, 1, 1)).toBe(0);
    expect(drain(consumer(1))).toEqual([[1, 7]]);
  });

  it('wake a vCPU that polls for the port, masked or not', () => {
    const { g, ipis, op, consumer } = fifoGuest();
    ipis(1);
    consumer().mask(1);
    const list = g.poke(0x3000, 1);
    expect(g.call('sched_op', 3, g.poke(ARG, list, 0, 1, 0, 0, 0))).toBe(0);
    expect(g.vcpus[0]?.mayRun(false)).toBe(false);
    op(EVTCHNOP.send, 1);
    expect(g.vcpus[0]?.mayRun(false)).toBe(true);
  });
});

describe('closing', () => {
  it('clears PENDING and keeps the port from being given out while it is still queued', () => {
    const { ipis, op, g, consumer } = fifoGuest();
    ipis(2);
    op(EVTCHNOP.set_priority, 1, 3);
    op(EVTCHNOP.send, 1);
    expect(op(EVTCHNOP.close, 1)).toBe(0);
    const c = consumer();
    expect(c.word(1)).toBe(EVENT_WORD.linked);
    op(EVTCHNOP.bind_ipi, 0, 0);
    expect(g.peek(ARG + 4)).toBe(3);
    expect(drain(c)).toEqual([]);
    expect(c.dropped).toBe(1);
    op(EVTCHNOP.bind_ipi, 0, 0);
    expect(g.peek(ARG + 4)).toBe(1);
    op(EVTCHNOP.send, 1);
    expect(drain(c)).toEqual([[1, 7]]); // with the default priority again
  });

  it('by reset brings the 2-level ABI back, and FIFO can be set up again', () => {
    const { g, ipis, op, init, expand, consumer, shared, upcall } = fifoGuest();
    ipis(3);
    op(EVTCHNOP.send, 2);
    expect(op(EVTCHNOP.reset, SELF)).toBe(0);
    const { events } = g.domain;
    expect(events.usesFifo).toBe(false);
    op(EVTCHNOP.status, SELF, 2);
    expect(g.peek(ARG + 8)).toBe(EVTCHNSTAT.closed);
    g.memory.u8[g.domain.vcpus[0]?.infoAt ?? 0] = 0;
    ipis(1);
    op(EVTCHNOP.send, 1);
    expect(g.peek(shared + 0x800)).toBe(2);
    expect(upcall()).toBe(1);
    expect(init()).toBe(0);
    g.memory.u8.fill(0, g.memory.host((ARRAY * 4096) as Gpa), g.memory.host((ARRAY * 4096 + 4095) as Gpa) + 1);
    expect(expand()).toBe(0);
    expect(drain(consumer())).toEqual([[1, 7]]);
  });
});

describe('limits', () => {
  it('are 131071 ports, whatever the width', () => {
    const { g, op, init } = guest();
    g.domain.latchWidth(false);
    let count = 0;
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(1023);
    init();
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(EVTCHN_FIFO.ports - 1);
    expect(op(EVTCHNOP.bind_ipi, 0, 0)).toBe(-ENOSPC);
    op(EVTCHNOP.close, 70_000);
    expect(op(EVTCHNOP.bind_ipi, 0, 0)).toBe(0);
    expect(g.peek(ARG + 4)).toBe(70_000);
  });

  it("are the domain's own below that: 1023 ports unless it is given more", () => {
    const { op, init } = guest(1, { maxEventChannel: 1023 });
    init();
    let count = 0;
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0) count++;
    expect(count).toBe(1023);
    expect(op(EVTCHNOP.bind_interdomain, SELF, 5, 0)).toBe(-ENOSPC);
  });

  it('let a port in the last page of the array work', () => {
    const { g, init, expand, op, upcall } = guest();
    init();
    for (let i = 0; i < 128; i++) expand();
    while (op(EVTCHNOP.bind_ipi, 0, 0) === 0);
    expect(op(EVTCHNOP.send, 131_071)).toBe(0);
    expect(upcall()).toBe(1);
    expect(g.domain.events.isPending(131_071)).toBe(true);
  });
});
