// Section numbers are those of the 82093AA datasheet (Intel 290566).
import { describe, expect, it } from 'vitest';
import type { HostAddress } from '../../abi/types.ts';
import { nonsense } from '../fixtures/nonsense.ts';
import { IOAPIC_BYTES, IOAPIC_PINS, Ioapic, ioapicTrace } from './ioapic.ts';
import { type ApicMessage, BROADCAST, DELIVERY, SHORTHAND } from './registers.ts';

const LEVEL = 1 << 15;
const MASKED = 1 << 16;
const REMOTE_IRR = 1 << 14;

function make() {
  const sent: ApicMessage[] = [];
  const region = { at: 4096 as HostAddress, size: IOAPIC_BYTES };
  const ioapic = new Ioapic(
    new SharedArrayBuffer(8192),
    region,
    (m) => sent.push(m),
    ioapicTrace(() => {}),
  );
  ioapic.reset(1);
  const get = (index: number): number => {
    ioapic.write(0x00, 4, index);
    return ioapic.read(0x10, 4);
  };
  const set = (index: number, value: number): void => {
    ioapic.write(0x00, 4, index);
    ioapic.write(0x10, 4, value);
  };
  /** Programs a pin: destination first, as an operating system does. */
  const route = (pin: number, low: number, dest = 0): void => {
    set(0x11 + pin * 2, dest << 24);
    set(0x10 + pin * 2, low);
  };
  const low = (pin: number): number => get(0x10 + pin * 2);
  return { ioapic, sent, get, set, route, low };
}

describe('registers (3.2)', () => {
  it('gives id, version and arbitration id', () => {
    const { get, set } = make();
    expect(get(0)).toBe(0x0100_0000);
    expect(get(1)).toBe(((IOAPIC_PINS - 1) << 16) | 0x20);
    set(0, 0xffff_ffff);
    expect(get(0)).toBe(0x0f00_0000);
    expect(get(2)).toBe(0x0f00_0000);
  });

  it('masks every pin after reset (3.2.4)', () => {
    const { low, get } = make();
    for (let pin = 0; pin < IOAPIC_PINS; pin++) expect([low(pin), get(0x11 + pin * 2)]).toEqual([MASKED, 0]);
  });

  it('keeps the writable bits of a redirection entry: not delivery status, not remote IRR', () => {
    const { set, get } = make();
    set(0x10, 0xffff_ffff);
    set(0x11, 0xffff_ffff);
    expect(get(0x10)).toBe(0x0001_afff);
    expect(get(0x11)).toBe(0xff00_0000);
  });

  it('takes no narrow write to the window', () => {
    const { ioapic, get } = make();
    ioapic.write(0x00, 1, 0x11);
    ioapic.write(0x10, 1, 0xff);
    expect(get(0x11)).toBe(0);
  });

  it('reads 0 where there is no register', () => {
    const { ioapic, get } = make();
    expect(get(0x03)).toBe(0);
    expect(get(0x10 + IOAPIC_PINS * 2)).toBe(0);
    expect(ioapic.read(0x20, 4)).toBe(0);
  });
});

describe('edge-triggered pins', () => {
  it('send once a rise', () => {
    const { ioapic, sent, route } = make();
    route(4, 0x34, 2);
    ioapic.setLine(4, true);
    ioapic.setLine(4, true);
    ioapic.setLine(4, false);
    expect(sent).toEqual([
      { shorthand: SHORTHAND.none, dest: 2, logical: false, mode: DELIVERY.fixed, vector: 0x34, level: false },
    ]);
    ioapic.setLine(4, true);
    expect(sent.length).toBe(2);
  });

  it('lose a rise while masked', () => {
    const { ioapic, sent, route } = make();
    ioapic.setLine(4, true);
    route(4, 0x34);
    expect(sent).toEqual([]);
  });

  it('carry destination mode, delivery mode and broadcast', () => {
    const { ioapic, sent, route } = make();
    route(1, 0x0931, 0xff);
    ioapic.setLine(1, true);
    expect(sent[0]).toMatchObject({ dest: BROADCAST, logical: true, mode: DELIVERY.lowestPriority, vector: 0x31 });
  });
});

describe('level-triggered pins', () => {
  it('set remote IRR and wait for the EOI', () => {
    const { ioapic, sent, route, low } = make();
    route(9, LEVEL | 0x39);
    ioapic.setLine(9, true);
    expect(low(9)).toBe(LEVEL | REMOTE_IRR | 0x39);
    expect(sent[0]?.level).toBe(true);
    ioapic.setLine(9, false);
    ioapic.setLine(9, true);
    expect(sent.length).toBe(1);
  });

  it('send again at the EOI while the line is asserted, and not after', () => {
    const { ioapic, sent, route, low } = make();
    route(9, LEVEL | 0x39);
    ioapic.setLine(9, true);
    ioapic.eoi(0x39);
    expect(sent.length).toBe(2);
    ioapic.setLine(9, false);
    ioapic.eoi(0x39);
    expect(sent.length).toBe(2);
    expect(low(9)).toBe(LEVEL | 0x39);
  });

  it('send on unmasking when the line is asserted', () => {
    const { ioapic, sent, route } = make();
    route(9, MASKED | LEVEL | 0x39);
    ioapic.setLine(9, true);
    expect(sent).toEqual([]);
    route(9, LEVEL | 0x39);
    expect(sent.length).toBe(1);
  });

  it('are finished by the EOI register of version 0x20, and by nobody else’s vector', () => {
    const { ioapic, route, low } = make();
    route(9, LEVEL | 0x39);
    ioapic.setLine(9, true);
    ioapic.setLine(9, false);
    ioapic.write(0x40, 4, 0x38);
    expect(low(9) & REMOTE_IRR).toBe(REMOTE_IRR);
    ioapic.write(0x40, 4, 0x39);
    expect(low(9) & REMOTE_IRR).toBe(0);
  });

  it('lose remote IRR when switched to edge', () => {
    const { ioapic, route, low } = make();
    route(9, LEVEL | 0x39);
    ioapic.setLine(9, true);
    route(9, MASKED | 0x39);
    expect(low(9)).toBe(MASKED | 0x39);
  });

  it('wait for no EOI of an NMI', () => {
    const { ioapic, sent, route, low } = make();
    route(9, LEVEL | 0x439);
    ioapic.setLine(9, true);
    expect(low(9) & REMOTE_IRR).toBe(0);
    expect(sent[0]).toMatchObject({ mode: DELIVERY.nmi, level: false });
  });
});

it('refuses a pin it does not have', () => {
  expect(() => make().ioapic.setLine(24, true)).toThrow(/there are 24/);
});

it('saves and loads', () => {
  const first = make();
  first.route(9, LEVEL | 0x39, 3);
  first.ioapic.setLine(9, true);
  const state = structuredClone(first.ioapic.save());
  const second = make();
  second.ioapic.load(state);
  expect(second.ioapic.save()).toEqual(state);
  second.ioapic.eoi(0x39);
  expect(second.sent).toMatchObject([{ dest: 3, vector: 0x39, level: true }]);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return {
        chip: made,
        ranges: [
          { handler: made.ioapic, size: 0x1000 },
          { handler: made.ioapic, size: 0x20 },
        ],
      };
    },
    ({ ioapic, route, sent }) => {
      ioapic.reset(1);
      route(3, 0x41, 2);
      sent.length = 0;
      ioapic.setLine(3, true);
      expect(sent).toMatchObject([{ vector: 0x41, dest: 2 }]);
    },
  );
});
