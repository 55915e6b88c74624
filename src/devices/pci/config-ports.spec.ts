// PCI Local Bus Specification 3.0, 3.2.2.3.2; 82371SB, 2.3.6 and 2.5.4.4.
import { expect, it } from 'vitest';
import { nonsense } from '../fixtures/nonsense.ts';
import { IoBus, ioTrace } from '../io-bus.ts';
import { PciConfigPorts } from './config-ports.ts';
import { hostBridge, isaBridge, powerManagement } from './isa-bridge.ts';
import { PciBus } from './pci-bus.ts';

function make() {
  let resets = 0;
  const routes: (number | undefined)[] = [];
  const bus = new PciBus({
    io: new IoBus(ioTrace(() => {})),
    memory: { read: () => false, write: () => false },
    windows: { show: () => undefined },
    interrupt: () => ({ raise: () => {}, lower: () => {} }),
  });
  bus.add(0, 0, hostBridge());
  bus.add(
    1,
    0,
    isaBridge((link, irq) => {
      routes[link] = irq;
    }),
  );
  bus.add(1, 3, powerManagement());
  const ports = new PciConfigPorts(bus, () => resets++);
  const config = (devfn: number, at: number) => ports.write(0, 4, 0x8000_0000 + devfn * 256 + at);
  return { config, ports, resets: () => resets, routes };
}

it('reads and writes what the address port names', () => {
  const { config, ports } = make();
  config(0, 0);
  expect([ports.read(0, 4), ports.read(4, 4), ports.read(6, 2)]).toEqual([0x8000_0000, 0x1237_8086, 0x1237]);
  config(8, 0);
  expect(ports.read(4, 4)).toBe(0x7000_8086);
  config(0x10, 0);
  expect(ports.read(4, 4)).toBe(0xffff_ffff);
  ports.write(0, 4, 0);
  expect(ports.read(4, 4)).toBe(0xffff_ffff);
  ports.write(0, 4, 0x8001_0000);
  expect(ports.read(4, 2)).toBe(0xffff);
});

it('routes links to ISA interrupts, not to those of the board', () => {
  const { config, ports, routes } = make();
  config(8, 0x60);
  ports.write(4, 4, 0x8a02_0b0a);
  expect(routes).toEqual([10, 11, undefined, undefined]);
});

it('resets through port 0xcf9', () => {
  const { ports, resets } = make();
  ports.write(1, 1, 0x02);
  expect([resets(), ports.read(1, 1)]).toEqual([0, 2]);
  ports.write(1, 1, 0x06);
  expect(resets()).toBe(1);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made, ranges: [{ handler: made.ports, size: 8 }] };
    },
    ({ config, ports }) => {
      config(8, 0);
      expect(ports.read(4, 4)).toBe(0x7000_8086);
    },
  );
});
