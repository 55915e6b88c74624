import { expect, it } from 'vitest';
import { EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { HVMOP } from '../../abi/xen/hvm.ts';
import type { Ioapic } from '../../devices/apic/ioapic.ts';
import type { ApicMessage } from '../../devices/apic/registers.ts';
import { PicPair } from '../../devices/pc/pic-pair.ts';
import { TestGuest } from '../../xen/fixtures/test-guest.ts';
import { Interrupts } from './interrupts.ts';

const ARG = 0x2000;
const PIRQ = 200;

function make(pirq: boolean) {
  const g = new TestGuest({ config: { emulation: { pic: true, pirq } } });
  const shared = g.mapSharedInfo(0x10);
  g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0xf3));
  const delivered: ApicMessage[] = [];
  const pins: [number, boolean][] = [];
  const ioapic: Pick<Ioapic, 'setLine'> = { setLine: (pin, level) => void pins.push([pin, level]) };
  const interrupts = new Interrupts({
    pic: new PicPair(() => {}),
    ioapic: ioapic as Ioapic,
    pirqs: g.domain.events.pirqs,
    deliver: (message) => delivered.push(message),
  });
  return { g, delivered, interrupts, pins, pending: () => g.peek(shared + 0x800) };
}

it('gives a message to the local APICs, or to the event channel of the pirq that it names', () => {
  const { g, delivered, interrupts, pending } = make(true);
  expect(g.call('event_channel_op', EVTCHNOP.bind_pirq, g.poke(ARG, PIRQ, 0, 0))).toBe(0);
  const port = g.peek(ARG + 8);
  interrupts.message(0xfee0_0000, 0x41);
  expect(delivered).toMatchObject([{ dest: 0, vector: 0x41 }]);
  interrupts.message(0xfee0_0000 + (PIRQ << 12), 0x4000);
  expect(delivered).toHaveLength(1);
  expect(pending()).toBe(1 << port);
});

it('knows no pirqs where hvm_pirq is off', () => {
  const { delivered, interrupts, pending } = make(false);
  interrupts.message(0xfee0_0000 + (PIRQ << 12), 0x4000);
  expect(delivered).toMatchObject([{ dest: PIRQ, vector: 0 }]);
  expect(pending()).toBe(0);
});

it('raises a pin at its own GSI, and at the ISA line that its link is routed to', () => {
  const { interrupts, pins } = make(false);
  interrupts.route(3, 5);
  const line = interrupts.intx(3, 0);
  line.raise();
  line.raise();
  expect(pins).toEqual([
    [28, true],
    [5, true],
  ]);
  interrupts.route(3, 10);
  expect(pins.slice(2)).toEqual([
    [5, false],
    [10, true],
  ]);
  line.lower();
  expect(pins.slice(4)).toEqual([
    [28, false],
    [10, false],
  ]);
});
