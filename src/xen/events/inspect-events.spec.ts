import { expect, it } from 'vitest';
import { EVTCHNOP, VIRQ } from '../../abi/xen/event-channel.ts';
import { DOMID, TestGuest } from '../fixtures/test-guest.ts';
import { injectEvent, inspectEvents, listEventChannels } from './inspect-events.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;

function guest() {
  const g = new TestGuest({ vcpus: 2, config: { emulation: { pirq: true } } });
  const shared = g.mapSharedInfo(0x10);
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  op(EVTCHNOP.alloc_unbound, SELF);
  g.channels.bind(1, () => {});
  op(EVTCHNOP.alloc_unbound, SELF | (5 << 16));
  op(EVTCHNOP.bind_virq, VIRQ.DEBUG, 1, 0);
  op(EVTCHNOP.bind_ipi, 1, 0);
  op(EVTCHNOP.bind_pirq, 20, 0, 0);
  op(EVTCHNOP.alloc_unbound, SELF | (DOMID << 16));
  op(EVTCHNOP.bind_interdomain, SELF, 6, 0);
  return { g, shared, op };
}

it('lists every bound port with what it is bound to', () => {
  const { g, shared } = guest();
  g.poke(shared + 0xa00, 1 << 4);
  const rest = { pending: false, masked: false, priority: null };
  expect(listEventChannels(g.domain)).toEqual([
    { port: 1, vcpu: 0, type: 'interdomain', remoteDomain: 0, target: 1, ...rest },
    { port: 2, vcpu: 0, type: 'unbound', remoteDomain: 5, target: 0, ...rest },
    { port: 3, vcpu: 1, type: 'virq', remoteDomain: null, target: VIRQ.DEBUG, ...rest },
    { port: 4, vcpu: 1, type: 'ipi', remoteDomain: null, target: 0, ...rest, masked: true },
    { port: 5, vcpu: 0, type: 'pirq', remoteDomain: null, target: 20, ...rest },
    { port: 6, vcpu: 0, type: 'interdomain', remoteDomain: DOMID, target: 7, ...rest },
    { port: 7, vcpu: 0, type: 'interdomain', remoteDomain: DOMID, target: 6, ...rest, pending: true },
  ]);
});

it('shows the ABI, its limits and priorities', () => {
  const { g, op } = guest();
  expect(inspectEvents(g.domain)).toMatchObject({ abi: '2-level', validPorts: 64, limit: 1024, fifoWords: 0 });
  op(EVTCHNOP.init_control, 0x18, 0, 0, 0, 0, 0);
  op(EVTCHNOP.set_priority, 3, 2);
  const before = inspectEvents(g.domain);
  expect(before.ports[7]).toMatchObject({ pending: true, masked: true, priority: 7 }); // kept until its page comes
  op(EVTCHNOP.expand_array, 0x19, 0);
  const after = inspectEvents(g.domain);
  expect(after).toMatchObject({ abi: 'fifo', limit: 1024, fifoWords: 1024 });
  expect(after.ports[3]).toMatchObject({ masked: false, priority: 2 });
  expect(after.ports[7]).toMatchObject({ pending: true, masked: false });
});

it('injects an event into a bound port, and says no to others', () => {
  const { g, shared } = guest();
  g.poke(shared, 0);
  expect(injectEvent(g.domain, 3)).toBe(true);
  expect(g.peek(shared + 0x800) & 8).toBe(8);
  expect(g.peek(shared + 64) & 0xff).toBe(1);
  for (const port of [0, 8, 64, 1e9, -1, 1.5]) expect(injectEvent(g.domain, port)).toBe(false);
});
