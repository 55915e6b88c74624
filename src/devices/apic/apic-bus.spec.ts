// Section numbers are those of the SDM, vol. 3A.
import { describe, expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { VirtualClock } from '../../time/clock.ts';
import { ApicBus } from './apic-bus.ts';
import { APIC_PAGE_BYTES, ApicPage } from './apic-page.ts';
import { LocalApic, lapicTrace } from './lapic.ts';
import { APIC_MSR, type ApicMessage, BROADCAST, DELIVERY, REG, SHORTHAND, widenDest } from './registers.ts';

/** `count` APICs with Xen's ids 0, 2, 4, … that send to each other. */
function machine(count: number) {
  const buffer = new SharedArrayBuffer((count + 1) * APIC_PAGE_BYTES);
  const woken: number[] = [];
  const region = (i: number) => ({ at: ((i + 1) * APIC_PAGE_BYTES) as HostAddress, size: APIC_PAGE_BYTES });
  const clock = new VirtualClock();
  const apics: LocalApic[] = Array.from({ length: count }, (_, i) => {
    const options = { clock, tscKHz: 1_000_000, id: i * 2, bootstrap: i === 0 };
    const sinks = { send: (m: ApicMessage) => void bus.deliver(m, apics[i]?.page), eoi: () => {}, wake: () => woken.push(i) };
    return new LocalApic(
      buffer,
      region(i),
      options,
      sinks,
      lapicTrace(() => {}),
    );
  });
  // Views of the bus's own, as another thread has them.
  const bus: ApicBus = new ApicBus(apics.map((_, i) => ({ page: new ApicPage(buffer, region(i)), wake: () => woken.push(i) })));
  for (const apic of apics) apic.write(REG.svr, 0x1ff);
  const pending = () => apics.map((apic) => apic.hasInterrupt());
  const at = (i: number): LocalApic => apics[i] as LocalApic;
  return { apics, at, bus, woken, pending, buffer, region };
}

const fixed = (dest: number, logical = false, vector = 0x40): ApicMessage => ({
  shorthand: SHORTHAND.none,
  dest: widenDest(dest),
  logical,
  mode: DELIVERY.fixed,
  vector,
  level: false,
});

describe('destinations', () => {
  it('physical: one id, or all (11.6.2.1)', () => {
    const { bus, pending, woken } = machine(3);
    expect(bus.deliver(fixed(2))).toBe(true);
    expect(pending()).toEqual([-1, 0x40, -1]);
    expect(woken).toEqual([1]);
    expect(bus.deliver(fixed(1))).toBe(false);
    bus.deliver(fixed(0xff, false, 0x41));
    expect(pending()).toEqual([0x41, 0x41, 0x41]);
  });

  it('logical flat: by bit (11.6.2.2)', () => {
    const { at, bus, pending } = machine(3);
    for (const i of [0, 1, 2]) at(i).write(REG.ldr, (1 << i) << 24);
    bus.deliver(fixed(0b101, true));
    expect(pending()).toEqual([0x40, -1, 0x40]);
  });

  it('logical cluster: by cluster and bit (11.6.2.2)', () => {
    const { at, bus, pending } = machine(3);
    for (const [i, ldr] of [0x11, 0x12, 0x21].entries()) {
      at(i).write(REG.dfr, 0);
      at(i).write(REG.ldr, ldr << 24);
    }
    bus.deliver(fixed(0x13, true));
    expect(pending()).toEqual([0x40, 0x40, -1]);
  });

  it('logical x2APIC: cluster in the upper half (11.12.10.2)', () => {
    const { at, bus, pending } = machine(10);
    for (let i = 0; i < 10; i++) at(i).writeMsr(APIC_MSR.base, 0xfee0_0c00, 0);
    // Ids 16 and 18 are bits 0 and 2 of cluster 1.
    bus.deliver(fixed(0x0001_0005, true));
    expect(pending().map((v) => v === 0x40)).toEqual([...Array(8).fill(false), true, true]);
  });

  it('shorthands: all, and all but the sender (11.6.1)', () => {
    const { at, pending } = machine(3);
    at(1).write(REG.icrLow, 0xc_0041);
    expect(pending()).toEqual([0x41, -1, 0x41]);
    at(1).write(REG.icrLow, 0x8_0042);
    expect(pending()).toEqual([0x42, 0x42, 0x42]);
  });

  it('an APIC disabled in IA32_APIC_BASE hears nothing (11.4.3)', () => {
    const { at, bus, pending } = machine(2);
    at(1).writeMsr(APIC_MSR.base, 0xfee0_0000, 0);
    bus.deliver({ ...fixed(0xff), mode: DELIVERY.init });
    expect(at(1).takeInit()).toBe(false);
    expect(at(0).takeInit()).toBe(true);
    expect(bus.deliver(fixed(2))).toBe(false);
    expect(pending()).toEqual([-1, -1]);
  });
});

describe('lowest priority (11.6.2.4)', () => {
  it('goes to the one that does the least important work', () => {
    const { at, bus, pending } = machine(3);
    at(0).write(REG.tpr, 0x30);
    at(1).write(REG.tpr, 0x10);
    at(2).write(REG.tpr, 0x20);
    bus.deliver({ ...fixed(BROADCAST), mode: DELIVERY.lowestPriority });
    expect(pending()).toEqual([-1, 0x40, -1]);
  });

  it('goes round among equals, past APICs that are disabled', () => {
    const { at, bus, pending } = machine(3);
    at(1).write(REG.svr, 0xff);
    for (const vector of [0x40, 0x50]) bus.deliver({ ...fixed(BROADCAST, false, vector), mode: DELIVERY.lowestPriority });
    expect(pending()).toEqual([0x40, -1, 0x50]);
  });

  it('finds nobody when all are disabled', () => {
    const { at, bus } = machine(1);
    at(0).write(REG.svr, 0xff);
    expect(bus.deliver({ ...fixed(BROADCAST), mode: DELIVERY.lowestPriority })).toBe(false);
  });
});

describe('starting a processor (9.4.4)', () => {
  it('takes INIT and STARTUP to every other APIC, enabled by SVR or not', () => {
    const { at, woken } = machine(2);
    at(1).write(REG.svr, 0xff);
    at(0).write(REG.icrLow, 0xc_4500);
    at(0).write(REG.icrLow, 0xc_4612);
    expect(at(1).takeInit()).toBe(true);
    expect(at(1).takeStartup()).toBe(0x12);
    expect(at(0).takeInit()).toBe(false);
    expect(woken).toEqual([1, 1]);
  });
});

it('another thread posts through its own view of the page', () => {
  const { at, buffer, region } = machine(1);
  const view = new ApicPage(buffer, region(0));
  expect(view.post(0x55, false)).toBe(true);
  expect(view.post(0x55, false)).toBe(false);
  expect(at(0).hasInterrupt()).toBe(0x55);
});
