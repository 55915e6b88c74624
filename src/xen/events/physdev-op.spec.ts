// Physical interrupts of an HVM domain as event channels.
import { describe, expect, it } from 'vitest';
import { EEXIST, EFAULT, EINVAL, ENOSPC, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import { EVTCHNOP, EVTCHNSTAT } from '../../abi/xen/event-channel.ts';
import { HVMOP } from '../../abi/xen/hvm.ts';
import { MAP_PIRQ_TYPE, PHYSDEVOP } from '../../abi/xen/physdev.ts';
import { XENFEAT } from '../../abi/xen/version.ts';
import { TestGuest } from '../fixtures/test-guest.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;
const { gsi: GSI, msi: MSI } = MAP_PIRQ_TYPE;

function guest(pirq = true) {
  const g = new TestGuest({ config: { emulation: { pirq } } });
  const shared = g.mapSharedInfo(0x10);
  g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0xf3));
  const phys = (cmd: number, ...words: number[]) => g.call('physdev_op', cmd, g.poke(ARG, ...words));
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  const map = (index: number, pirq: number, type: number = GSI, domid = SELF) =>
    phys(PHYSDEVOP.map_pirq, domid, type, index, pirq, 0, 0, 0, 0, 0, 0);
  const bind = (pirq: number) => (op(EVTCHNOP.bind_pirq, pirq, 0, 0) === 0 ? g.peek(ARG + 8) : -1);
  /** Whether a port is pending; it is cleared. */
  const take = (port: number) => {
    const word = g.peek(shared + 0x800);
    g.poke(shared + 0x800, word & ~(1 << port));
    return (word & (1 << port)) !== 0;
  };
  return { g, phys, op, map, bind, take, pirqs: g.domain.events.pirqs };
}

describe('a domain without pirqs', () => {
  it('has no physdev_op, no pirq to bind and no such feature', () => {
    const { g, phys, op, pirqs } = guest(false);
    for (const cmd of Object.values(PHYSDEVOP)) expect(phys(cmd, SELF, GSI, 20, 20)).toBe(-ENOSYS);
    expect(op(EVTCHNOP.bind_pirq, 20, 0, 0)).toBe(-EINVAL);
    g.call('xen_version', 6, g.poke(ARG, 0, 0));
    expect((g.peek(ARG + 4) >>> XENFEAT.hvm_pirqs) & 1).toBe(0);
    expect(pirqs.gsiLevel(20, true)).toBe(false);
    expect(pirqs.msi(0xfee1_4000, 0)).toBe(false);
  });
});

describe('map_pirq', () => {
  it('routes a GSI to a pirq of the guest or of its own choice, from 16 up', () => {
    const { g, map } = guest();
    expect(map(20, -1)).toBe(0);
    expect(g.peek(ARG + 12)).toBe(16);
    expect(map(21, -1)).toBe(0);
    expect(g.peek(ARG + 12)).toBe(17);
    expect(map(4, 4)).toBe(0);
    g.call('xen_version', 6, g.poke(ARG, 0, 0));
    expect((g.peek(ARG + 4) >>> XENFEAT.hvm_pirqs) & 1).toBe(1);
  });

  it('answers 0 and changes nothing when either has a partner already', () => {
    const { map, bind, take, pirqs } = guest();
    map(20, 30);
    const port = bind(30);
    expect(map(20, 31)).toBe(0);
    expect(map(21, 30)).toBe(0);
    expect(map(20, 30)).toBe(0);
    expect(pirqs.gsiLevel(21, true)).toBe(false);
    expect(pirqs.gsiLevel(20, true)).toBe(true);
    expect(take(port)).toBe(true);
  });

  it('takes 36 bytes from a 32-bit guest, and writes no more', () => {
    const { g, map } = guest();
    const caller = g.callers[0];
    if (caller) caller.longMode = false;
    g.poke(ARG + 36, 0x1234);
    expect(g.call('physdev_op', PHYSDEVOP.map_pirq, g.poke(ARG, SELF, GSI, 22, 0xffff_ffff, 1, 2, 3, 4, 5))).toBe(0);
    expect([12, 32, 36].map((o) => g.peek(ARG + o))).toEqual([16, 5, 0x1234]);
    expect(map(22, 16)).toBe(0);
  });

  it('refuses other domains, other types and numbers out of range', () => {
    const { g, map } = guest();
    expect(map(20, -1, GSI, 99)).toBe(-ESRCH);
    expect(map(20, -1, GSI, 0)).toBe(-EPERM);
    expect(map(20, -1, GSI, 7)).toBe(-EPERM);
    expect(map(20, -1, MSI)).toBe(-EINVAL);
    expect(map(48, -1)).toBe(-EINVAL);
    expect(map(-1, -1)).toBe(-EINVAL);
    expect(map(20, 256)).toBe(-EINVAL);
    expect(g.call('physdev_op', PHYSDEVOP.map_pirq, 0xdead_0000)).toBe(-EFAULT);
  });

  it('needs a vector for the events: a callback that is a GSI could be routed to itself', () => {
    const g = new TestGuest({ config: { emulation: { pirq: true } } });
    const map = () => g.call('physdev_op', PHYSDEVOP.map_pirq, g.poke(ARG, SELF, GSI, 20, 20, 0, 0, 0, 0, 0, 0));
    expect(map()).toBe(-EINVAL);
    g.call('hvm_op', HVMOP.set_param, g.poke(ARG, SELF, 0, 0xf3, 2 << 24));
    expect(map()).toBe(0);
  });
});

describe('a routed GSI', () => {
  it('raises its port at each rise, is not for the IOAPIC, and is again after unmap', () => {
    const { map, bind, take, pirqs, phys } = guest();
    map(20, 20);
    const port = bind(20);
    expect(pirqs.gsiLevel(20, true)).toBe(true);
    expect(take(port)).toBe(true);
    expect(pirqs.gsiLevel(20, true)).toBe(true);
    expect(take(port)).toBe(false);
    expect(pirqs.gsiLevel(20, false)).toBe(true);
    expect(take(port)).toBe(false);
    expect(pirqs.gsiLevel(20, true)).toBe(true);
    expect(take(port)).toBe(true);
    expect(phys(PHYSDEVOP.unmap_pirq, SELF, 20)).toBe(0);
    expect(pirqs.gsiLevel(20, true)).toBe(false);
    expect(pirqs.gsiLevel(48, true)).toBe(false);
  });

  it('is raised again by eoi while it is asserted, when it is a level-triggered one', () => {
    const { map, bind, take, pirqs, phys } = guest();
    map(20, 20);
    map(4, 4);
    const [level, edge] = [bind(20), bind(4)];
    pirqs.gsiLevel(20, true);
    pirqs.gsiLevel(4, true);
    expect([take(level), take(edge)]).toEqual([true, true]);
    expect([phys(PHYSDEVOP.eoi, 20), phys(PHYSDEVOP.eoi, 4)]).toEqual([0, 0]);
    expect([take(level), take(edge)]).toEqual([true, false]);
    pirqs.gsiLevel(20, false);
    expect(phys(PHYSDEVOP.eoi, 20)).toBe(0);
    expect(take(level)).toBe(false);
  });

  it('asserted before it was mapped is found by the eoi that follows binding', () => {
    const { map, bind, take, pirqs, phys } = guest();
    expect(pirqs.gsiLevel(20, true)).toBe(false);
    map(20, 20);
    const port = bind(20);
    expect(take(port)).toBe(false);
    phys(PHYSDEVOP.eoi, 20);
    expect(take(port)).toBe(true);
  });
});

it('forgets routes and allocations at a soft reset, but not levels', () => {
  const { g, map, op, bind, take, pirqs, phys } = guest();
  map(20, 20);
  phys(PHYSDEVOP.get_free_pirq, MSI, 0);
  pirqs.gsiLevel(20, true);
  op(EVTCHNOP.reset, SELF);
  pirqs.reset();
  expect(pirqs.gsiLevel(20, true)).toBe(false);
  phys(PHYSDEVOP.get_free_pirq, MSI, 0);
  expect(g.peek(ARG + 4)).toBe(255);
  map(20, 20);
  const port = bind(20);
  phys(PHYSDEVOP.eoi, 20);
  expect(take(port)).toBe(true);
});

describe('bind_pirq', () => {
  it('binds each pirq once, and close frees it', () => {
    const { g, op, bind, map, pirqs } = guest();
    const port = bind(40);
    expect(op(EVTCHNOP.bind_pirq, 40, 0, 0)).toBe(-EEXIST);
    expect(op(EVTCHNOP.bind_pirq, 256, 0, 0)).toBe(-EINVAL);
    op(EVTCHNOP.status, SELF, port);
    expect([8, 12, 16].map((o) => g.peek(ARG + o))).toEqual([EVTCHNSTAT.pirq, 0, 40]);
    expect(op(EVTCHNOP.send, port)).toBe(-EINVAL);
    expect(op(EVTCHNOP.bind_vcpu, port, 0)).toBe(0);
    expect(op(EVTCHNOP.close, port)).toBe(0);
    map(20, 40);
    expect(pirqs.gsiLevel(20, true)).toBe(true); // taken, but nobody hears it
    expect(bind(40)).toBe(port);
    expect(op(EVTCHNOP.reset, SELF)).toBe(0);
    expect(bind(40)).toBe(1);
  });
});

describe('MSIs', () => {
  it('with vector 0 raise the port of the pirq in their address', () => {
    const { phys, g, bind, take, pirqs } = guest();
    expect(phys(PHYSDEVOP.get_free_pirq, MSI, 0)).toBe(0);
    expect(g.peek(ARG + 4)).toBe(255);
    const port = bind(255);
    expect(pirqs.msi(0xfee0_0000 + (255 << 12), 0)).toBe(true);
    expect(take(port)).toBe(true);
    expect(phys(PHYSDEVOP.irq_status_query, 255, 9)).toBe(0);
    expect(g.peek(ARG + 4)).toBe(1);
    expect(pirqs.msi(0xfee0_0000 + (255 << 12), 0x41)).toBe(false); // an ordinary one
    expect(pirqs.msi(0x1_0000_0000 * 0x100 + 0xfee0_0000, 0)).toBe(true); // pirq 256: nobody's
    expect(pirqs.msi(0xfee0_0000, 0)).toBe(true);
    expect(take(port)).toBe(false);
  });

  it('do not raise a pirq that belongs to a GSI', () => {
    const { map, bind, take, pirqs } = guest();
    map(20, 20);
    const port = bind(20);
    expect(pirqs.msi(0xfee0_0000 + (20 << 12), 0)).toBe(true);
    expect(take(port)).toBe(false);
  });
});

describe('the other operations', () => {
  it('hand out each pirq once: GSIs from 16 up, MSIs from the top, until there is none', () => {
    const { phys, g } = guest();
    const got: number[] = [];
    for (let i = 0; i < 240; i++) {
      expect(phys(PHYSDEVOP.get_free_pirq, i < 240 - 10 ? GSI : MSI, 0)).toBe(0);
      got.push(g.peek(ARG + 4));
    }
    expect(new Set(got).size).toBe(240);
    expect([got[0], got[31], got[32], got[239]]).toEqual([16, 47, 255, 48]);
    expect(phys(PHYSDEVOP.get_free_pirq, MSI, 0)).toBe(-ENOSPC);
    expect(phys(PHYSDEVOP.map_pirq, SELF, GSI, 20, 0xffff_ffff, 0, 0, 0, 0, 0, 0)).toBe(-EINVAL);
  });

  it('know a pirq by what raises it', () => {
    const { phys, map, bind } = guest();
    expect(phys(PHYSDEVOP.eoi, 20)).toBe(-EINVAL);
    expect(phys(PHYSDEVOP.eoi, 256)).toBe(-EINVAL);
    expect(phys(PHYSDEVOP.irq_status_query, 20, 0)).toBe(-EINVAL);
    expect(phys(PHYSDEVOP.irq_status_query, 256, 0)).toBe(-EINVAL);
    bind(20);
    expect(phys(PHYSDEVOP.eoi, 20)).toBe(0);
    expect(phys(PHYSDEVOP.irq_status_query, 20, 0)).toBe(-EINVAL);
    map(20, 20);
    expect(phys(PHYSDEVOP.irq_status_query, 20, 0)).toBe(0);
  });

  it('unmap nothing without complaint, and refuse other domains and unknown operations', () => {
    const { phys, g } = guest();
    expect(phys(PHYSDEVOP.unmap_pirq, SELF, 20)).toBe(0);
    expect(phys(PHYSDEVOP.unmap_pirq, SELF, 9999)).toBe(0);
    expect(phys(PHYSDEVOP.unmap_pirq, 0, 20)).toBe(-EPERM);
    expect(phys(PHYSDEVOP.unmap_pirq, 99, 20)).toBe(-ESRCH);
    expect(phys(28, 0)).toBe(-ENOSYS); // pirq_eoi_gmfn_v2, which FreeBSD 13 tries
    for (const cmd of Object.values(PHYSDEVOP)) expect(g.call('physdev_op', cmd, 0xdead_0000)).toBe(-EFAULT);
  });
});
