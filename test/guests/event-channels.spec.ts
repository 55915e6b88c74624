// event_channel_op on 2-level channels: xen/common/event_channel.c, event_2l.c.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { callbackVector, DOMID, E, EVTCHNOP, HVMOP, HYPERVISOR } from './xen-numbers.ts';

const VIRQ = { TIMER: 0, DEBUG: 1, CONSOLE: 2, DOM_EXC: 3, XENOPROF: 7, ARGO: 11, XENPMU: 13 } as const;
const STATUS = { closed: 0, unbound: 1, interdomain: 2, pirq: 3, virq: 4, ipi: 5 } as const;
const [CALLBACK, UPCALL] = [0x31, 0x52];

describe.each(WIDTHS)('event channels of a %i-bit guest', (width) => {
  let events: EventCalls;
  let shared: SharedPage;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    events = new EventCalls(probe);
    shared = SharedPage.map(probe);
    // Whatever the toolstack left: the tests begin with no port bound.
    events.reset();
    shared.settle();
  });
  const domid = (): number => guest.probe.cpuid(0x4000_0004)[2];

  it('alloc_unbound gives the lowest free port, from 1', () => {
    expect([events.allocUnbound(0), events.allocUnbound(0), events.allocUnbound(DOMID.missing)]).toEqual([1, 2, 3]);
    expect(events.close(2)).toBe(0);
    expect(events.allocUnbound(DOMID.self)).toBe(2);
    expect(events.status(2)).toEqual({ status: STATUS.unbound, vcpu: 0, u0: domid(), u1: 0 });
    expect(events.status(1)).toEqual({ status: STATUS.unbound, vcpu: 0, u0: 0, u1: 0 });
    expect(events.allocUnbound(0, domid())).toBe(4);
    for (const port of [1, 2, 3, 4]) events.close(port);
  });

  it('alloc_unbound is for oneself', () => {
    expect(events.allocUnbound(0, DOMID.missing)).toBe(E.SRCH);
    expect(events.allocUnbound(0, DOMID.zero)).toBe(E.PERM);
  });

  it('a port stays bound when its number cannot be written back', () => {
    const { probe } = guest;
    const page = probe.pages();
    probe.put(page, [0, 2, DOMID.self], [2, 2, 0]);
    expect(events.op(EVTCHNOP.alloc_unbound, probe.readOnly(page))).toBe(E.FAULT);
    expect(events.status(1)).toMatchObject({ status: STATUS.unbound });
    expect(events.close(1)).toBe(0);
  });

  it.each(Object.entries(EVTCHNOP).filter(([name]) => !['init_control', 'expand_array', 'set_priority'].includes(name)))(
    '%s needs its structure',
    (_, op) => {
      expect(events.op(op, guest.probe.hole())).toBe(E.FAULT);
    },
  );

  it.each([15, 100, 0xffff_ffff])('has no operation %i', (op) => {
    expect(events.op(op, guest.probe.alloc(32))).toBe(E.NOSYS);
  });

  it('a reset that was not begun cannot be continued', () => {
    expect(events.op(EVTCHNOP.reset_cont, guest.probe.make(2, [0, 2, DOMID.self]))).toBe(E.BUSY);
  });

  it('status knows every state', () => {
    expect(events.status(0)).toMatchObject({ status: STATUS.closed });
    expect(events.status(5)).toMatchObject({ status: STATUS.closed });
    const virq = events.bindVirq(VIRQ.DEBUG);
    const ipi = events.bindIpi();
    const [a, b] = events.loopback();
    expect(events.status(virq)).toMatchObject({ status: STATUS.virq, vcpu: 0, u0: VIRQ.DEBUG });
    expect(events.status(ipi)).toMatchObject({ status: STATUS.ipi, vcpu: 0 });
    expect(events.status(a)).toMatchObject({ status: STATUS.interdomain, u0: domid(), u1: b });
    expect(events.status(b, domid())).toMatchObject({ status: STATUS.interdomain, u0: domid(), u1: a });
    for (const port of [virq, ipi, a, b]) expect(events.close(port)).toBe(0);
    for (const port of [virq, ipi, a, b]) expect(events.status(port)).toMatchObject({ status: STATUS.closed });
  });

  it('status fails for what does not exist', () => {
    expect(events.status(1, DOMID.missing)).toBe(E.SRCH);
    expect(events.status(1, DOMID.zero)).toBe(E.PERM);
    for (const port of [4096, 0x2_0000, 0xffff_ffff]) expect(events.status(port)).toBe(E.INVAL);
  });

  it('a loopback channel carries events both ways, and begins with one pending', () => {
    const port = events.allocUnbound(DOMID.self);
    const other = events.bindInterdomain(DOMID.self, port);
    expect([shared.pending(port), shared.pending(other)]).toEqual([false, true]);
    expect(shared.selector).toBe(shared.word(other));
    expect(shared.upcallPending).toBe(1);
    shared.settle();
    expect(events.send(other)).toBe(0);
    expect([shared.pending(port), shared.pending(other)]).toEqual([true, false]);
    shared.settle();
    expect(events.send(port)).toBe(0);
    expect([shared.pending(port), shared.pending(other)]).toEqual([false, true]);

    // Closing one end clears its bit and leaves the other unbound, to be bound again.
    expect(events.close(other)).toBe(0);
    expect(shared.pending(other)).toBe(false);
    expect(events.status(port)).toMatchObject({ status: STATUS.unbound, u0: domid() });
    expect(events.send(port)).toBe(0);
    shared.settle();
    expect(events.bindInterdomain(domid(), port)).toBe(other);
    shared.settle();
    events.close(port);
    events.close(other);
  });

  it('bind_interdomain wants a port that waits for this domain', () => {
    const port = events.allocUnbound(0);
    expect(events.bindInterdomain(DOMID.self, port)).toBe(E.INVAL);
    expect(events.bindInterdomain(DOMID.self, port + 1)).toBe(E.INVAL);
    expect(events.bindInterdomain(DOMID.self, 0)).toBe(E.INVAL);
    expect(events.bindInterdomain(DOMID.self, 0x2_0000)).toBe(E.INVAL);
    expect(events.bindInterdomain(DOMID.zero, 0x2_0000)).toBe(E.INVAL);
    expect(events.bindInterdomain(DOMID.missing, port)).toBe(E.SRCH);
    expect(events.bindInterdomain(DOMID.invalid, port)).toBe(E.SRCH);
    events.close(port);
  });

  it('send is for interdomain ends and IPIs', () => {
    const virq = events.bindVirq(VIRQ.DEBUG);
    const ipi = events.bindIpi();
    expect(events.send(virq)).toBe(E.INVAL);
    expect(events.send(ipi)).toBe(0);
    expect(shared.pending(ipi)).toBe(true);
    events.close(virq);
    events.close(ipi);
    expect(shared.pending(ipi)).toBe(false);
    for (const port of [0, ipi, 4096, 0xffff_ffff]) expect(events.send(port)).toBe(E.INVAL);
    shared.settle();
  });

  it('close refuses what is not open', () => {
    for (const port of [0, 7, 4096, 0xffff_ffff]) expect(events.close(port)).toBe(E.INVAL);
  });

  it('bind_virq: once a VIRQ, the global ones on vCPU 0', () => {
    const timer = events.bindVirq(VIRQ.TIMER);
    expect(timer).toBeGreaterThan(0);
    expect(events.bindVirq(VIRQ.TIMER)).toBe(E.EXIST);
    expect(events.close(timer)).toBe(0);
    expect(events.bindVirq(VIRQ.TIMER)).toBe(timer);
    events.close(timer);
    for (const virq of [24, 100, 0x8000_0000, 0xffff_ffff]) expect(events.bindVirq(virq)).toBe(E.INVAL);
    for (const virq of [VIRQ.TIMER, VIRQ.DEBUG, VIRQ.XENOPROF, VIRQ.XENPMU]) expect(events.bindVirq(virq, 200)).toBe(E.NOENT);
    for (const virq of [VIRQ.CONSOLE, VIRQ.DOM_EXC, VIRQ.ARGO]) expect(events.bindVirq(virq, 1)).toBe(E.INVAL);
  });

  it('bind_ipi wants a vCPU', () => {
    for (const vcpu of [200, 0x8000_0000, 0xffff_ffff]) expect(events.bindIpi(vcpu)).toBe(E.NOENT);
  });

  it('bind_pirq: a PVH domain has none', () => {
    for (const pirq of [0, 16, 0xffff_ffff]) expect(events.bindPirq(pirq)).toBe(E.INVAL);
  });

  it('bind_vcpu moves what may be moved', () => {
    const [a, b] = events.loopback();
    const unbound = events.allocUnbound(0);
    const [timer, global, ipi] = [events.bindVirq(VIRQ.TIMER), events.bindVirq(VIRQ.DOM_EXC), events.bindIpi()];
    for (const port of [a, b, unbound]) expect(events.bindVcpu(port, 0)).toBe(0);
    expect(global > 0 ? events.bindVcpu(global, 0) : 0).toBe(0);
    for (const port of [timer, ipi, 40, 4096]) expect(events.bindVcpu(port, 0)).toBe(E.INVAL);
    expect(events.bindVcpu(a, 200)).toBe(E.NOENT);
    expect(events.bindVcpu(4096, 200)).toBe(E.NOENT);
    for (const port of [a, b, unbound, timer, global, ipi]) events.close(port);
    shared.settle();
  });

  it('a masked port becomes pending, and no more; unmask delivers it', () => {
    const ipi = events.bindIpi();
    shared.mask(ipi);
    expect(events.send(ipi)).toBe(0);
    expect({ pending: shared.pending(ipi), upcall: shared.upcallPending, selector: shared.selector }).toEqual({
      pending: true,
      upcall: 0,
      selector: 0n,
    });
    expect(events.unmask(ipi)).toBe(0);
    expect(shared.masked(ipi)).toBe(false);
    expect({ upcall: shared.upcallPending, selector: shared.selector }).toEqual({ upcall: 1, selector: shared.word(ipi) });
    shared.settle();
    // Nothing is pending: unmask does no more than that.
    shared.mask(ipi);
    expect(events.unmask(ipi)).toBe(0);
    expect({ masked: shared.masked(ipi), upcall: shared.upcallPending }).toEqual({ masked: false, upcall: 0 });
    for (const port of [4096, 0xffff_ffff]) expect(events.unmask(port)).toBe(E.INVAL);
    // The mask bit is the guest's: closing leaves it.
    shared.mask(ipi);
    events.close(ipi);
    expect(shared.masked(ipi)).toBe(true);
    shared.clearMask(ipi);
  });

  it('the domain-wide vector interrupts while evtchn_upcall_pending is set', async () => {
    const { probe } = guest;
    probe.vcpuInfo = shared.info();
    const param = probe.make(16, [0, 2, DOMID.self], [4, 4, 0], [8, 8, callbackVector(CALLBACK)]);
    expect(probe.call(HYPERVISOR.hvm_op, HVMOP.set_param, param)).toBe(0);
    const ipi = events.bindIpi();
    events.send(ipi);
    expect(probe.count(CALLBACK)).toBe(0);
    probe.interrupts(true);
    await probe.until('an upcall', () => probe.count(CALLBACK) === 1);
    expect(probe.takeSelector()).toBe(shared.word(ipi));
    expect(shared.upcallPending).toBe(0);
    // The port is still pending: another send changes nothing.
    events.send(ipi);
    expect(shared.upcallPending).toBe(0);
    shared.clearPending(ipi);
    events.send(ipi);
    await probe.until('another', () => probe.count(CALLBACK) === 2);
    // A guest may set the flag itself.
    probe.put(shared.info(), [0, 1, 1]);
    await probe.until('a third', () => probe.count(CALLBACK) === 3);
    probe.interrupts(false);
    events.close(ipi);
    shared.settle();
  });

  it('set_evtchn_upcall_vector interrupts by the local APIC, at once and then once for each 0 to 1', async () => {
    const { probe } = guest;
    for (const vector of [0, 1, 15]) expect(events.upcallVector(vector)).toBe(E.INVAL);
    expect(events.upcallVector(UPCALL, 200)).toBe(E.NOENT);
    probe.interrupts(true);
    expect(events.upcallVector(UPCALL)).toBe(0);
    await probe.until('the upcall that announces itself', () => probe.count(UPCALL) === 1);
    const ipi = events.bindIpi();
    events.send(ipi);
    await probe.until('an upcall', () => probe.count(UPCALL) === 2);
    expect(probe.takeSelector() & shared.word(ipi)).toBe(shared.word(ipi));
    // While the flag is set, further events add bits and no interrupt.
    probe.vcpuInfo = 0;
    const others = [events.bindIpi(), events.bindIpi()];
    probe.interrupts(false);
    for (const port of others) events.send(port);
    expect(shared.upcallPending).toBe(1);
    const before = probe.count(CALLBACK) + probe.count(UPCALL);
    shared.settle();
    probe.interrupts(true);
    await probe.until('one upcall for both', () => probe.count(CALLBACK) + probe.count(UPCALL) === before + 1);
    probe.interrupts(false);
    for (const port of [ipi, ...others]) events.close(port);
  });

  it('reset closes every port of the domain itself', () => {
    const ports = [events.allocUnbound(0), events.bindIpi(), events.bindVirq(VIRQ.TIMER), ...events.loopback()];
    expect(events.reset(DOMID.missing)).toBe(E.SRCH);
    expect(events.reset(DOMID.zero)).toBe(E.PERM);
    expect(events.reset()).toBe(0);
    for (const port of ports) {
      expect(events.status(port)).toMatchObject({ status: STATUS.closed });
      expect(shared.pending(port)).toBe(false);
    }
    expect(events.bindVirq(VIRQ.TIMER)).toBe(1);
    expect(events.reset(domid())).toBe(0);
    shared.settle();
  });

  it.runIf(width === 64)('the latched width decides where bits are, whatever code runs', () => {
    const { probe } = guest;
    const callback = probe.make(16, [0, 2, DOMID.self], [4, 4, 0], [8, 8, callbackVector(CALLBACK)]);
    expect(probe.callFrom('compat', HYPERVISOR.hvm_op, HVMOP.set_param, callback)).toBe(0);
    const narrow = new SharedPage(probe, shared.at, 32);
    narrow.settle();
    const ports = Array.from({ length: 40 }, () => events.bindIpi());
    const last = ports.at(-1) as number;
    narrow.mask(last);
    events.send(last);
    expect({ pending: narrow.pending(last), selector: narrow.selector, upcall: narrow.upcallPending }).toEqual({
      pending: true,
      selector: 0n,
      upcall: 0,
    });
    expect(events.unmask(last)).toBe(0);
    expect({ masked: narrow.masked(last), selector: narrow.selector }).toEqual({ masked: false, selector: 2n });
    narrow.settle();
    events.reset();
    expect(probe.call(HYPERVISOR.hvm_op, HVMOP.set_param, callback)).toBe(0);
    shared.settle();
  });

  it('ends with ENOSPC', () => {
    let last = 0;
    for (let port = events.allocUnbound(0); port > 0 && last < 4096; port = events.allocUnbound(0)) last = port;
    expect(events.allocUnbound(0)).toBe(E.NOSPC);
    expect(events.bindIpi()).toBe(E.NOSPC);
    expect(events.bindVirq(VIRQ.TIMER)).toBe(E.NOSPC);
    // 32 × 32 ports, or at most 64 × 64: a toolstack may allow fewer.
    expect(last).toBeGreaterThanOrEqual(1023);
    expect(last).toBeLessThanOrEqual(width * width - 1);
    expect(events.reset()).toBe(0);
  });
});
