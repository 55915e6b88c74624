import { describe, expect, it } from 'vitest';
import type { Gpa } from '../../abi/types.ts';
import { IoBus, type IoHandler, ioTrace } from '../io-bus.ts';
import type { MemoryWindow } from '../memory-window.ts';
import { PciBus } from './pci-bus.ts';
import { PciFunction } from './pci-function.ts';

const answers = (value: number): IoHandler => ({ read: () => value, write: () => {} });

function make() {
  const io = new IoBus(ioTrace(() => {}));
  const ram = new Uint8Array(64);
  const shown = new Map<number, MemoryWindow>();
  const lines = new Set<string>();
  const bus = new PciBus({
    io,
    memory: {
      read: (gpa, into) => {
        into.set(ram.subarray(gpa, gpa + into.length));
        return true;
      },
      write: (gpa, from) => {
        ram.set(from, gpa);
        return true;
      },
    },
    windows: {
      show: (window, _offset, gpa) => {
        shown.set(gpa, window);
        return () => shown.delete(gpa);
      },
    },
    interrupt: (device, pin) => ({
      raise: () => lines.add(`${device}${'ABCD'[pin]}`),
      lower: () => lines.delete(`${device}${'ABCD'[pin]}`),
    }),
  });
  return { bus, io, lines, ram, shown };
}

const IDENTITY = { vendorId: 0x8086, deviceId: 0x100e, classCode: 0x020000, revision: 3, interruptPin: 1 } as const;
const card = (value: number) =>
  new PciFunction({
    name: `card ${value}`,
    identity: IDENTITY,
    bars: {
      0: { kind: 'memory', size: 0x2_0000, handler: answers(value) },
      1: { kind: 'io', size: 64, handler: answers(value) },
    },
  });

describe('configuration space (6.1)', () => {
  it('says who the function is, and that it has no other', () => {
    const { bus } = make();
    bus.add(3, 0, card(1));
    expect(bus.readConfig(0x18, 0, 4)).toBe(0x100e_8086);
    expect(bus.readConfig(0x18, 8, 4)).toBe(0x0200_0003);
    expect(bus.readConfig(0x18, 0x0e, 1)).toBe(0);
    expect(bus.readConfig(0x19, 0, 4)).toBe(0xffff_ffff);
    expect(bus.readConfig(0x20, 0, 2)).toBe(0xffff);
  });

  it('marks a device of several functions in function 0', () => {
    const { bus } = make();
    bus.add(1, 0, card(1));
    bus.add(1, 3, card(2));
    expect(bus.readConfig(8, 0x0e, 1)).toBe(0x80);
  });

  it('shows the size of a BAR when ones are written (6.2.5.1)', () => {
    const { bus } = make();
    bus.add(3, 0, card(1));
    for (const at of [0x10, 0x14, 0x18, 0x30]) bus.writeConfig(0x18, at, 4, 0xffff_ffff);
    expect(bus.readConfig(0x18, 0x10, 4)).toBe(0xfffe_0000);
    expect(bus.readConfig(0x18, 0x14, 4)).toBe(0xffff_ffc1);
    expect(bus.readConfig(0x18, 0x18, 4)).toBe(0);
    expect(bus.readConfig(0x18, 0x30, 4)).toBe(0);
  });

  it('keeps the identity whatever is written', () => {
    const { bus } = make();
    bus.add(3, 0, card(1));
    for (let at = 0; at < 16; at += 4) bus.writeConfig(0x18, at, 4, 0x5555_5555);
    expect(bus.readConfig(0x18, 0, 4)).toBe(0x100e_8086);
    expect(bus.readConfig(0x18, 8, 4)).toBe(0x0200_0003);
  });
});

describe('decoding', () => {
  it('follows the command register and the BAR', () => {
    const { bus, io } = make();
    bus.add(3, 0, card(7));
    bus.writeConfig(0x18, 0x14, 4, 0xc000);
    expect(io.readPort(0xc000, 1)).toBe(0xff);
    bus.writeConfig(0x18, 4, 2, 1);
    expect(io.readPort(0xc000, 1)).toBe(7);
    bus.writeConfig(0x18, 0x14, 4, 0xd000);
    expect([io.readPort(0xc000, 1), io.readPort(0xd000, 1)]).toEqual([0xff, 7]);
    bus.writeConfig(0x18, 4, 2, 2);
    bus.writeConfig(0x18, 0x10, 4, 0xf000_0000);
    expect([io.readPort(0xd000, 1), io.readMmio(0xf000_0004, 4)]).toEqual([0xff, 7]);
  });

  it('gives a range that two claim to the first, and to the other when that leaves', () => {
    const { bus, io } = make();
    const first = card(1);
    bus.add(3, 0, first);
    bus.add(4, 0, card(2));
    for (const devfn of [0x18, 0x20]) {
      bus.writeConfig(devfn, 0x14, 4, 0xc000);
      bus.writeConfig(devfn, 4, 2, 1);
    }
    expect(io.readPort(0xc000, 1)).toBe(1);
    bus.remove(first);
    expect(io.readPort(0xc000, 1)).toBe(2);
    expect(bus.readConfig(0x18, 0, 2)).toBe(0xffff);
  });

  it('survives addresses that nothing can have', () => {
    const { bus, io } = make();
    bus.add(3, 0, card(1));
    bus.writeConfig(0x18, 4, 2, 0xffff);
    bus.writeConfig(0x18, 0x14, 4, 0xffff_ffff);
    bus.writeConfig(0x18, 0x10, 4, 0xffff_ffff);
    expect(io.inspect().ports).toEqual([]);
    expect(io.readMmio(0xfffe_0000, 1)).toBe(1);
  });

  it('maps windows and expansion ROMs', () => {
    const { bus, shown } = make();
    const vram: MemoryWindow = { bytes: new Uint8Array(0x1000), writable: true };
    const rom: MemoryWindow = { bytes: new Uint8Array(0x1000), writable: false };
    const bars = { 0: { kind: 'memory', size: 0x1000, prefetchable: true, window: vram } } as const;
    bus.add(2, 0, new PciFunction({ name: 'vga', identity: { ...IDENTITY, interruptPin: 0 }, bars, rom }));
    bus.writeConfig(0x10, 0x10, 4, 0xf000_0000);
    bus.writeConfig(0x10, 0x30, 4, 0xf100_0001);
    expect(shown.size).toBe(0);
    bus.writeConfig(0x10, 4, 1, 2);
    expect([...shown]).toEqual([
      [0xf000_0000, vram],
      [0xf100_0000, rom],
    ]);
    bus.writeConfig(0x10, 4, 1, 0);
    expect(shown.size).toBe(0);
  });
});

describe('a bus master', () => {
  it('reaches memory only when the guest lets it', () => {
    const { bus, ram } = make();
    const pci = card(1);
    bus.add(3, 0, pci);
    const four = Uint8Array.of(1, 2, 3, 4);
    expect(pci.dma.write(8 as Gpa, four)).toBe(false);
    expect(ram[8]).toBe(0);
    bus.writeConfig(0x18, 4, 2, 4);
    expect(pci.dma.write(8 as Gpa, four)).toBe(true);
    const back = new Uint8Array(4);
    expect(pci.dma.read(8 as Gpa, back)).toBe(true);
    expect(back).toEqual(four);
  });
});

describe('INTx', () => {
  it('shows in the status register, and on the pin unless disabled (6.2.2)', () => {
    const { bus, lines } = make();
    const pci = card(1);
    bus.add(3, 0, pci);
    pci.interrupt.raise();
    expect([bus.readConfig(0x18, 6, 2) & 8, [...lines]]).toEqual([8, ['3A']]);
    bus.writeConfig(0x18, 4, 2, 0x400);
    expect([bus.readConfig(0x18, 6, 2) & 8, [...lines]]).toEqual([8, []]);
    bus.writeConfig(0x18, 4, 2, 0);
    expect([...lines]).toEqual(['3A']);
    bus.remove(pci);
    expect([...lines]).toEqual([]);
  });
});
