import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { DELIVERY } from '../apic/registers.ts';
import { IoBus, ioTrace } from '../io-bus.ts';
import { messageOf } from './msi.ts';
import { PciBus } from './pci-bus.ts';
import { PciFunction } from './pci-function.ts';

const AT = 0x50;
const DEVFN = 0x18;

function make(vectors: 1 | 4 = 4) {
  const messages: [number, number][] = [];
  const lines: boolean[] = [];
  const bus = new PciBus({
    io: new IoBus(ioTrace(() => {})),
    memory: { read: (_gpa: Gpa) => false, write: () => false },
    windows: { show: () => undefined },
    interrupt: () => ({ raise: () => lines.push(true), lower: () => lines.push(false) }),
    message: (address, data) => messages.push([address, data]),
  });
  const pci = new PciFunction({
    name: 'card',
    identity: { vendorId: 1, deviceId: 2, classCode: 0x010802, interruptPin: 1 },
    msi: { at: AT, vectors },
  });
  bus.add(3, 0, pci);
  const write = (offset: number, size: number, value: number): void => bus.writeConfig(DEVFN, offset, size, value);
  /** As a driver sets it up. */
  const enable = (data: number, count = 0, high = 0): void => {
    write(AT + 4, 4, 0xfee0_1003);
    write(AT + 8, 4, high);
    write(AT + 12, 2, data);
    write(AT + 2, 2, 1 | (count << 4));
  };
  write(4, 2, 4);
  return { bus, enable, lines, messages, pci, write };
}

describe('the capability (6.8.1)', () => {
  it('is in the list, says what it can, and has no reserved bits that stay', () => {
    const { bus, write } = make();
    expect(bus.readConfig(DEVFN, 6, 2) & 0x10).toBe(0x10);
    expect(bus.readConfig(DEVFN, 0x34, 1)).toBe(AT);
    expect(bus.readConfig(DEVFN, AT, 4)).toBe(0x0084_0005);
    for (let at = AT; at < AT + 16; at += 4) write(at, 4, 0xffff_ffff);
    expect(bus.readConfig(DEVFN, AT, 4)).toBe(0x00f5_0005);
    expect(bus.readConfig(DEVFN, AT + 4, 4)).toBe(0xffff_fffc);
    expect(bus.readConfig(DEVFN, AT + 8, 4)).toBe(0xffff_ffff);
    expect(bus.readConfig(DEVFN, AT + 12, 4)).toBe(0xffff);
  });

  it('is off again after a reset', () => {
    const { bus, enable, pci } = make();
    enable(0x41);
    pci.reset();
    expect(bus.readConfig(DEVFN, AT, 4)).toBe(0x0084_0005);
    expect(bus.readConfig(DEVFN, AT + 4, 4)).toBe(0);
    expect(bus.readConfig(DEVFN, 6, 2) & 0x10).toBe(0x10);
  });
});

describe('an interrupt', () => {
  it('is a message at each rise once MSI is on, and the pin is down', () => {
    const { enable, lines, messages, pci, write } = make();
    pci.interrupt.raise();
    expect(lines.at(-1)).toBe(true);
    expect(messages).toEqual([]);
    enable(0x4041);
    expect(lines.at(-1)).toBe(false);
    pci.interrupt.raise();
    expect(messages).toEqual([]);
    pci.interrupt.lower();
    pci.interrupt.raise();
    expect(messages).toEqual([[0xfee0_1000, 0x4041]]);
    expect(lines.at(-1)).toBe(false);
    write(AT + 2, 2, 0);
    expect(lines.at(-1)).toBe(true);
  });

  it.each([
    [0, [0x40, 0x40, 0x40]],
    [1, [0x40, 0x41, 0x41]],
    [2, [0x40, 0x41, 0x43]],
    [5, [0x40, 0x41, 0x43]],
  ])('has its vector in the low bits that the guest left it: %i', (count, data) => {
    const { enable, messages, pci } = make();
    enable(0x40, count, 0x100);
    for (const vector of [0, 1, 3]) pci.signal(vector);
    expect(messages).toEqual(data.map((low) => [0x100_fee0_1000, low]));
  });

  it('is not sent by a function that is no bus master', () => {
    const { enable, messages, pci, write } = make();
    enable(0x41);
    write(4, 2, 0);
    pci.signal(0);
    expect(messages).toEqual([]);
  });
});

describe('a message to local APICs (SDM vol. 3A, 11.11)', () => {
  it('says who gets what', () => {
    expect(messageOf(0xfee0_2000, 0x0041)).toMatchObject({
      dest: 2,
      logical: false,
      mode: DELIVERY.fixed,
      vector: 0x41,
      level: false,
    });
    expect(messageOf(0xfeef_f00c, 0x8141)).toMatchObject({
      dest: 0xff,
      logical: true,
      mode: DELIVERY.lowestPriority,
      vector: 0x41,
      level: true,
    });
  });

  it.each([
    ['elsewhere', 0xfed0_0000, 0x41],
    ['above 4 GiB', 0x1_fee0_0000, 0x41],
    ['in a mode that Xen does not deliver', 0xfee0_0000, 0x0441],
    ['that would start a processor', 0xfee0_0000, 0x0641],
  ])('%s is none', (_, address, data) => expect(messageOf(address, data)).toBeUndefined());
});
