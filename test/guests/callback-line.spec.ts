// Upcalls by an interrupt line: HVM_PARAM_CALLBACK_IRQ of types GSI and PCI INTx, through the guest's own I/O APIC.
// xen/arch/x86/hvm/irq.c (hvm_set_callback_via, hvm_set_callback_irq_level, hvm_maybe_deassert_evtchn_irq), public/hvm/params.h.
import { beforeEach, describe, expect, it } from 'vitest';
import { EventCalls } from './event-calls.ts';
import type { Probe } from './probe.ts';
import { OP } from './probe-layout.ts';
import { latchWidth, SharedPage } from './shared-page.ts';
import { useProbe, WIDTHS } from './use-probe.ts';
import { callbackGsi, callbackIntx, callbackVector, DOMID, HVMOP, HYPERVISOR } from './xen-numbers.ts';

const IOAPIC = { select: 0xfec0_0000, window: 0xfec0_0010, version: 1, redirection: 0x10 } as const;
/** A redirection table entry: 82093AA, 3.2.4. */
const ENTRY = { activeLow: 1 << 13, remoteIrr: 1 << 14, level: 1 << 15, masked: 1 << 16 } as const;
const [VECTOR, OTHER_VECTOR, UPCALL_VECTOR] = [0x51, 0x61, 0xf3];
const [GSI, OTHER_GSI] = [9, 40];
/** The GSIs of PCI pins as the virtual chipset wires them: device * 4 + device / 8 + pin, modulo 32, from 16 on. */
const INTX = [
  { device: 3, pin: 0, gsi: 28 },
  { device: 8, pin: 0, gsi: 17 },
  { device: 31, pin: 3, gsi: 18 },
] as const;
/** Commands in between which a pending interrupt would have come. */
const PAUSE = 20;

describe.each(WIDTHS)('a callback by line in a %i-bit guest', (width) => {
  let shared: SharedPage;
  let events: EventCalls;
  let port: number;
  const prepare = (probe: Probe): void => {
    latchWidth(probe);
    shared = SharedPage.map(probe);
    events = new EventCalls(probe);
    port = events.bindIpi(0);
  };
  const guest = useProbe(width, prepare, { vcpus: 2, emulation: { pirq: true } });

  const readIoapic = (index: number): number => {
    guest.probe.command(OP.store32, IOAPIC.select, index);
    return Number(guest.probe.command(OP.load32, IOAPIC.window)[0]);
  };
  const writeIoapic = (index: number, value: number): void => {
    guest.probe.command(OP.store32, IOAPIC.select, index);
    guest.probe.command(OP.store32, IOAPIC.window, value);
  };
  const route = (pin: number, low: number): void => {
    writeIoapic(IOAPIC.redirection + pin * 2 + 1, 0); // APIC id 0, physical
    writeIoapic(IOAPIC.redirection + pin * 2, low);
  };
  const remoteIrr = (pin: number): boolean => (readIoapic(IOAPIC.redirection + pin * 2) & ENTRY.remoteIrr) !== 0;
  const setCallback = (value: bigint): number =>
    guest.probe.call(HYPERVISOR.hvm_op, HVMOP.set_param, guest.probe.make(16, [0, 2, DOMID.self], [8, 8, value]));
  const rest = (): void => {
    for (let i = 0; i < PAUSE; i++) guest.probe.command(OP.nop);
  };
  /** How often a vector comes while `act` happens and a little later. */
  const during = (vector: number, act: () => void): number => {
    const { probe } = guest;
    rest();
    const before = probe.count(vector);
    act();
    rest();
    return probe.count(vector) - before;
  };
  const send = (): void => void expect(events.send(port)).toBe(0);

  // Interrupts are on, the handler clears evtchn_upcall_pending before its EOI, nothing is pending, and no pin is routed.
  beforeEach(() => {
    const { probe } = guest;
    shared.settle();
    expect(setCallback(0n)).toBe(0);
    for (const pin of [GSI, OTHER_GSI, ...INTX.map(({ gsi }) => gsi)]) route(pin, ENTRY.masked);
    probe.vcpuInfo = shared.info();
    probe.interrupts(true);
  });

  it('the I/O APIC has 48 pins', () => {
    expect((readIoapic(IOAPIC.version) >>> 16) & 0xff).toBe(47);
  });

  it.each([
    ['active high', 0],
    ['active low', ENTRY.activeLow],
  ])('an event comes by its GSI, once: %s', (_, polarity) => {
    const { probe } = guest;
    route(GSI, VECTOR | ENTRY.level | polarity);
    expect(setCallback(callbackGsi(GSI))).toBe(0);
    probe.takeSelector();
    expect(during(VECTOR, send)).toBe(1);
    expect(shared.upcallPending).toBe(0);
    expect(probe.takeSelector()).toBe(shared.word(port));
    expect(remoteIrr(GSI)).toBe(false);
    shared.settle();
    expect(during(VECTOR, send)).toBe(1);
  });

  it('the line stays up until the guest clears evtchn_upcall_pending', async () => {
    const { probe } = guest;
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    probe.vcpuInfo = 0;
    const before = probe.count(VECTOR);
    send();
    await probe.until('the interrupt to come again after its EOI', () => probe.count(VECTOR) > before + 10);
    probe.vcpuInfo = shared.info();
    await probe.until('the handler to clear the flag', () => shared.upcallPending === 0);
    expect(during(VECTOR, () => {})).toBe(0);
  });

  it('the line waits for a masked pin, and is down when the guest has cleared the flag in between', () => {
    const { probe } = guest;
    setCallback(callbackGsi(GSI));
    expect(during(VECTOR, send)).toBe(0);
    expect(shared.upcallPending).toBe(1);
    expect(during(VECTOR, () => route(GSI, VECTOR | ENTRY.level))).toBe(1);
    route(GSI, ENTRY.masked);
    shared.settle();
    send();
    probe.command(OP.store32, shared.info(), 0);
    expect(during(VECTOR, () => route(GSI, VECTOR | ENTRY.level))).toBe(0);
  });

  it('an edge-triggered pin sees each rise', () => {
    route(GSI, VECTOR);
    setCallback(callbackGsi(GSI));
    for (let i = 0; i < 3; i++) {
      expect(during(VECTOR, send)).toBe(1);
      shared.settle();
    }
  });

  it('a guest that sets evtchn_upcall_pending itself raises nothing, and an event after that neither', () => {
    const { probe } = guest;
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    const set = (): void => {
      probe.command(OP.store32, shared.info(), 1);
      probe.call(HYPERVISOR.xen_version);
      send();
    };
    expect(during(VECTOR, set)).toBe(0);
    expect(shared.upcallPending).toBe(1);
  });

  it('a masked event raises nothing until it is unmasked', () => {
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    shared.mask(port);
    expect(during(VECTOR, send)).toBe(0);
    expect([shared.pending(port), shared.upcallPending]).toEqual([true, 0]);
    expect(during(VECTOR, () => expect(events.unmask(port)).toBe(0))).toBe(1);
  });

  it('events of another vCPU have no line', () => {
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    const other = events.bindIpi(1);
    expect(during(VECTOR, () => expect(events.send(other)).toBe(0))).toBe(0);
    expect(guest.probe.u8(shared.info(1))).toBe(1);
    expect(events.close(other)).toBe(0);
    guest.probe.put(shared.info(1), [0, 8, 0], [8, 8, 0]);
  });

  it('an event that is pending already comes when the callback is set', () => {
    route(GSI, VECTOR | ENTRY.level);
    send();
    expect(during(VECTOR, () => setCallback(callbackGsi(GSI)))).toBe(1);
  });

  it('moving the callback while the line is up takes the old one down', () => {
    setCallback(callbackGsi(GSI));
    send();
    setCallback(callbackGsi(OTHER_GSI));
    expect(during(VECTOR, () => route(GSI, VECTOR | ENTRY.level))).toBe(0);
    expect(during(OTHER_VECTOR, () => route(OTHER_GSI, OTHER_VECTOR | ENTRY.level))).toBe(1);
  });

  it.each([
    ['GSI 0', 0n],
    ['a GSI beyond the pins', callbackGsi(48)],
    ['a type that does not exist', 3n << 56n],
  ])('%s is no callback', (_, value) => {
    setCallback(callbackGsi(GSI));
    send();
    expect(setCallback(value)).toBe(0);
    expect(during(VECTOR, () => route(GSI, VECTOR | ENTRY.level))).toBe(0);
    shared.settle();
    expect(during(VECTOR, send)).toBe(0);
    expect(shared.upcallPending).toBe(1);
  });

  it.each(INTX)('device $device, pin $pin is GSI $gsi', ({ device, pin, gsi }) => {
    route(gsi, VECTOR | ENTRY.level | ENTRY.activeLow);
    expect(setCallback(callbackIntx(device, pin))).toBe(0);
    expect(during(VECTOR, send)).toBe(1);
    shared.settle();
    expect(during(VECTOR, send)).toBe(1);
    expect([shared.upcallPending, remoteIrr(gsi)]).toEqual([0, false]);
  });

  it("the function and the bus of a PCI callback do not matter, the pin's upper bits neither", () => {
    const { device, pin, gsi } = INTX[0];
    route(gsi, VECTOR | ENTRY.level);
    expect(setCallback(callbackIntx(device, pin) | (1n << 32n) | (5n << 16n) | (7n << 8n) | 4n)).toBe(0);
    expect(during(VECTOR, send)).toBe(1);
  });

  it('a vector for all takes over from the line, too', () => {
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    setCallback(callbackVector(UPCALL_VECTOR));
    let upcalls = 0;
    const both = (): void => {
      upcalls = during(UPCALL_VECTOR, send);
    };
    expect(during(VECTOR, both)).toBe(0);
    expect(upcalls).toBe(1);
  });

  // The last: nothing takes such a vector back.
  it('a vector of the vCPU takes over from the line', () => {
    route(GSI, VECTOR | ENTRY.level);
    setCallback(callbackGsi(GSI));
    // hvm_assert_evtchn_irq: with nothing pending, too.
    expect(during(UPCALL_VECTOR, () => events.upcallVector(UPCALL_VECTOR))).toBe(1);
    let upcalls = 0;
    const both = (): void => {
      upcalls = during(UPCALL_VECTOR, send);
    };
    expect(during(VECTOR, both)).toBe(0);
    expect(upcalls).toBe(1);
    // And guests write "GSI 1" after it, to say that they have drivers.
    shared.settle();
    setCallback(callbackGsi(1));
    route(1, VECTOR | ENTRY.level);
    expect(during(VECTOR, both)).toBe(0);
    expect(upcalls).toBe(1);
  });
});

describe.each(WIDTHS)('a callback by line in a %i-bit PVH guest', (width) => {
  let shared: SharedPage;
  let events: EventCalls;
  let port: number;
  const guest = useProbe(width, (probe) => {
    latchWidth(probe);
    shared = SharedPage.map(probe);
    events = new EventCalls(probe);
    port = events.bindIpi(0);
    probe.vcpuInfo = shared.info();
    probe.interrupts(true);
  });
  const VIAS = [
    ['GSI', callbackGsi(GSI), GSI],
    ['PCI INTx', callbackIntx(8, 0), 17],
    ['no type that there is', 3n << 56n, GSI],
  ] as const;
  const setCallback = (value: bigint): number =>
    guest.probe.call(HYPERVISOR.hvm_op, HVMOP.set_param, guest.probe.make(16, [0, 2, DOMID.self], [8, 8, value]));
  const rest = (): void => {
    for (let i = 0; i < PAUSE; i++) guest.probe.command(OP.nop);
  };

  it.each(VIAS)('%s is accepted and ignored', (_, value, pin) => {
    const { probe } = guest;
    shared.settle();
    for (const [index, word] of [
      [pin * 2 + 1, 0],
      [pin * 2, VECTOR | ENTRY.level],
    ] as const) {
      probe.command(OP.store32, IOAPIC.select, IOAPIC.redirection + index);
      probe.command(OP.store32, IOAPIC.window, word);
    }
    expect(setCallback(value)).toBe(0);
    expect(events.send(port)).toBe(0);
    rest();
    expect(shared.upcallPending).toBe(1);
    expect(probe.count(VECTOR)).toBe(0);
  });

  it.each(VIAS)('%s leaves a vector in force', (_, value) => {
    const { probe } = guest;
    shared.settle();
    for (const via of [callbackVector(UPCALL_VECTOR), value]) expect(setCallback(via)).toBe(0);
    const before = probe.count(UPCALL_VECTOR);
    expect(events.send(port)).toBe(0);
    rest();
    expect(probe.count(UPCALL_VECTOR)).toBe(before + 1);
    expect(probe.count(VECTOR)).toBe(0);
  });
});
