// physdev_op and EVTCHNOP_bind_pirq: absent in a PVH domain; physical interrupts of an HVM domain with pirqs.
// xen/arch/x86/hvm/hypercall.c (hvm_physdev_op), xen/arch/x86/physdev.c, public/physdev.h.
import { describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import type { Probe } from './probe.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { DOMID, E, HYPERVISOR } from './xen-numbers.ts';

const PHYSDEVOP = {
  irq_status_query: 5,
  eoi: 12,
  map_pirq: 13,
  unmap_pirq: 14,
  get_free_pirq: 23,
  pirq_eoi_gmfn_v2: 28,
} as const;
const PIRQ_CALLS = [5, 12, 13, 14, 23] as const;
/** Real hardware, or PV: 4 is the old IRQ_UNMASK_NOTIFY. */
const OTHERS = [0, 4, 6, 7, 8, 9, 10, 11, 15, 16, 17, 19, 20, 21, 24, 25, 26, 27, 28, 29, 30, 31, 32, 100] as const;
const TYPE = { msi: 0, gsi: 1 } as const;
const GSI = 20;
const FEATURE_PIRQS = 1 << 10;

describe.each(WIDTHS)('physdev_op of a %i-bit PVH guest', (width) => {
  const guest = useProbe(width);

  it('is not there', () => {
    const { probe } = guest;
    for (const op of [...PIRQ_CALLS, ...OTHERS]) expect(probe.call(HYPERVISOR.physdev_op, op, probe.alloc(64))).toBe(E.NOSYS);
  });
});

describe.each(WIDTHS)('physdev_op of a %i-bit guest with pirqs', (width) => {
  let events: EventCalls;
  const prepare = (probe: Probe): void => {
    events = new EventCalls(probe);
  };
  const guest = useProbe(width, prepare, { emulation: { pirq: true } });
  const op = (cmd: number, at: number): number => guest.probe.call(HYPERVISOR.physdev_op, cmd, at);
  /** struct physdev_map_pirq */
  const mapPirq = (type: number, index: number, pirq: number, dom: number = DOMID.self) => {
    const { probe } = guest;
    const at = probe.make(40, [0, 2, dom], [4, 4, type], [8, 4, index], [12, 4, pirq]);
    const result = op(PHYSDEVOP.map_pirq, at);
    return { result, pirq: probe.u32(at + 12) | 0 };
  };
  const unmapPirq = (pirq: number, dom: number = DOMID.self): number =>
    op(PHYSDEVOP.unmap_pirq, guest.probe.make(8, [0, 2, dom], [4, 4, pirq]));

  it('is announced as a feature', () => {
    const { probe } = guest;
    const at = probe.make(8, [0, 4, 0]);
    expect(probe.call(HYPERVISOR.xen_version, 6, at)).toBe(0);
    expect(probe.u32(at + 4) & FEATURE_PIRQS).toBe(FEATURE_PIRQS);
  });

  it('has nothing for real hardware', () => {
    for (const cmd of OTHERS) expect(op(cmd, guest.probe.alloc(64))).toBe(E.NOSYS);
    for (const cmd of PIRQ_CALLS) expect(op(cmd, guest.probe.hole())).toBe(E.FAULT);
  });

  it('get_free_pirq gives one that is not used', () => {
    const { probe } = guest;
    const at = probe.make(8, [0, 4, TYPE.msi], [4, 4, 0xffff_ffff]);
    expect(op(PHYSDEVOP.get_free_pirq, at)).toBe(0);
    expect(probe.u32(at + 4)).toBeGreaterThanOrEqual(16);
    const first = probe.u32(at + 4);
    expect(op(PHYSDEVOP.get_free_pirq, at)).toBe(0);
    expect(probe.u32(at + 4)).not.toBe(first);
  });

  it('routes no GSI while events themselves may come by one', () => {
    expect(mapPirq(TYPE.gsi, GSI, -1).result).toBe(E.INVAL);
    expect(events.upcallVector(0x63)).toBe(0);
  });

  it('a GSI gets a pirq, and that an event channel', () => {
    const { result, pirq } = mapPirq(TYPE.gsi, GSI, -1);
    expect(result).toBe(0);
    expect(pirq).toBeGreaterThanOrEqual(16);
    const port = events.bindPirq(pirq);
    expect(port).toBeGreaterThan(0);
    expect(events.status(port)).toEqual({ status: 3, vcpu: 0, u0: pirq, u1: 0 });
    expect(events.bindPirq(pirq)).toBe(E.EXIST);
    expect(events.send(port)).toBe(E.INVAL);
    expect(events.bindVcpu(port, 0)).toBe(0);
    expect(op(PHYSDEVOP.eoi, guest.probe.make(4, [0, 4, pirq]))).toBe(0);
    const query = guest.probe.make(8, [0, 4, pirq]);
    expect(op(PHYSDEVOP.irq_status_query, query)).toBe(0);
    expect(guest.probe.u32(query + 4) & 1).toBe(1);
    expect(events.close(port)).toBe(0);
    expect(unmapPirq(pirq)).toBe(0);
  });

  it('refuses what it cannot route', () => {
    expect(mapPirq(TYPE.gsi, 0xffff, -1).result).toBe(E.INVAL);
    expect(mapPirq(7, 1, -1).result).toBe(E.INVAL);
    expect(mapPirq(TYPE.gsi, GSI, -1, DOMID.missing).result).toBe(E.SRCH);
    expect(mapPirq(TYPE.gsi, GSI, -1, DOMID.zero).result).toBe(E.PERM);
    expect(unmapPirq(20, DOMID.missing)).toBe(E.SRCH);
    expect(unmapPirq(20, DOMID.zero)).toBe(E.PERM);
    for (const pirq of [0x1_0000, 0xffff_ffff]) expect(events.bindPirq(pirq)).toBe(E.INVAL);
    expect(op(PHYSDEVOP.eoi, guest.probe.make(4, [0, 4, 0x1_0000]))).toBe(E.INVAL);
  });
});
