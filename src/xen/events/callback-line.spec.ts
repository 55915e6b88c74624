// Upcalls by GSI and PCI INTx: HVM_PARAM_CALLBACK_IRQ of an HVM domain.
import { describe, expect, it } from 'vitest';
import { EVTCHNOP } from '../../abi/xen/event-channel.ts';
import { HVM_PARAM, HVMOP } from '../../abi/xen/hvm.ts';
import { TestGuest } from '../fixtures/test-guest.ts';
import type { XenVcpu } from '../vcpu.ts';
import type { VcpuState } from '../vcpu-state.ts';
import { CallbackLine, intxGsi, intxLink } from './callback-line.ts';

const ARG = 0x2000;
const SELF = 0x7ff0;

function guest(pic = true) {
  const g = new TestGuest({ vcpus: 2, config: { emulation: { pic } } });
  const shared = g.mapSharedInfo(0x10);
  g.domain.bringUp(1);
  const op = (cmd: number, ...words: number[]) => g.call('event_channel_op', cmd, g.poke(ARG, ...words));
  /** Sets CALLBACK_IRQ: a type and what goes with it. */
  const via = (type: number, low: number) =>
    g.call('hvm_op', HVMOP.set_param, g.poke(ARG, SELF, HVM_PARAM.CALLBACK_IRQ, low, type << 24));
  const service = () => {
    for (const vcpu of g.vcpus) (vcpu as XenVcpu).service();
    return g.lines.splice(0);
  };
  op(EVTCHNOP.bind_ipi, 0, 0);
  op(EVTCHNOP.bind_ipi, 1, 0);
  /** The guest looks at everything: clears upcall_pending, selector and pending bits of both vCPUs. */
  const look = () => {
    for (const vcpu of [0, 1]) {
      g.poke(shared + vcpu * 64, 0);
      g.poke(shared + vcpu * 64 + 8, 0, 0);
    }
    g.poke(shared + 0x800, 0);
  };
  return { g, shared, op, via, service, look };
}

describe('a callback by GSI', () => {
  it('holds the line from the event until the guest has cleared upcall_pending', () => {
    const { op, via, service, look } = guest();
    via(0, 9);
    expect(service()).toEqual([]);
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([[9, true]]);
    expect(service()).toEqual([]);
    look();
    expect(service()).toEqual([[9, false]]);
    expect(service()).toEqual([]);
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([[9, true]]);
  });

  it('is not raised by a guest that sets its own flag', () => {
    const { g, shared, via, service } = guest();
    via(0, 9);
    service();
    g.poke(shared, 1);
    expect(service()).toEqual([]);
  });

  it('is for events of vCPU 0 only', () => {
    const { op, via, service } = guest();
    via(0, 9);
    op(EVTCHNOP.send, 2);
    expect(service()).toEqual([]);
  });

  it('asserts a pending event at once when it is set, and moves with the line up', () => {
    const { op, via, service } = guest();
    op(EVTCHNOP.send, 1);
    service();
    via(0, 9);
    expect(service()).toEqual([[9, true]]);
    via(0, 10);
    expect(service()).toEqual([
      [9, false],
      [10, true],
    ]);
  });

  it.each([
    ['type GSI, value 0', 0, 0],
    ['a GSI the IOAPIC does not have', 0, 48],
    ['an unknown type', 3, 9],
  ])('is off after %s, and the line falls', (_, type, low) => {
    const { op, via, service, look } = guest();
    via(0, 9);
    op(EVTCHNOP.send, 1);
    service();
    expect(via(type, low)).toBe(0);
    expect(service()).toEqual([[9, false]]);
    look();
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([]);
  });

  it('gives way to the vector of set_evtchn_upcall_vector, once the line has fallen', () => {
    const { g, op, via, service, look } = guest();
    via(0, 9);
    op(EVTCHNOP.send, 1);
    service();
    g.call('hvm_op', HVMOP.set_evtchn_upcall_vector, g.poke(ARG, 0, 0xf3));
    expect(service()).toEqual([]);
    look();
    expect(service()).toEqual([[9, false]]);
    g.vectors.length = 0;
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([]);
    expect(g.vectors).toEqual([[0, 0xf3]]);
  });

  it('can be released early, before an EOI', () => {
    const { g, op, via, service, look } = guest();
    via(0, 9);
    op(EVTCHNOP.send, 1);
    service();
    g.vcpus[0]?.releaseCallbackLine();
    expect(g.lines).toEqual([]);
    look();
    g.vcpus[0]?.releaseCallbackLine();
    expect(g.lines).toEqual([[9, false]]);
  });

  it('becomes a vector callback without a line', () => {
    const { g, op, via, service } = guest();
    via(0, 9);
    op(EVTCHNOP.send, 1);
    service();
    via(2, 0xf3);
    expect(service()).toEqual([[9, false]]);
    expect(g.vcpus.map((vcpu) => vcpu.callbackVector())).toEqual([0xf3, -1]);
  });

  it('is ignored in a domain without an IOAPIC', () => {
    const { op, via, service } = guest(false);
    expect(via(0, 9)).toBe(0);
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([]);
  });
});

describe('a callback by PCI INTx', () => {
  it("holds the pin's GSI", () => {
    const { op, via, service, look } = guest();
    via(1, (3 << 11) | 0); // the platform device: 00:03.0, INTA
    op(EVTCHNOP.send, 1);
    expect(service()).toEqual([[28, true]]);
    look();
    expect(service()).toEqual([[28, false]]);
  });

  it('goes to the bridge where there is one', () => {
    const { g, op, via } = guest();
    const wires: [number, number, boolean][] = [];
    const state = g.domain.vcpus[0] as VcpuState;
    const line = new CallbackLine(g.domain, state, {
      setGsi: () => wires.push([-1, -1, false]),
      setIntx: (device, pin, level) => wires.push([device, pin, level]),
    });
    via(1, (31 << 11) | 3);
    op(EVTCHNOP.send, 1);
    line.raise();
    via(1, 2);
    line.release();
    line.raise();
    expect(wires).toEqual([
      [31, 3, true],
      [31, 3, false],
      [0, 2, true],
    ]);
  });

  it('maps pins to GSIs and links as the virtual chipset does', () => {
    expect([intxGsi(0, 0), intxGsi(3, 0), intxGsi(8, 0), intxGsi(31, 3)]).toEqual([16, 28, 17, 18]);
    expect([intxLink(3, 0), intxLink(3, 1), intxLink(4, 2)]).toEqual([3, 0, 2]);
    for (let device = 0; device < 32; device++)
      for (let pin = 0; pin < 4; pin++) {
        expect(intxGsi(device, pin)).toBeGreaterThanOrEqual(16);
        expect(intxGsi(device, pin)).toBeLessThan(48);
      }
  });
});
