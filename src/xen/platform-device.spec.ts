// docs/misc/hvm-emulated-unplug.pandoc of Xen.
import { expect, it } from 'vitest';
import { nonsense } from '../devices/fixtures/nonsense.ts';
import { PlatformDevice } from './platform-device.ts';

function make() {
  const unplugged: number[] = [];
  const logged: number[] = [];
  const device = new PlatformDevice({ unplug: (what) => unplugged.push(what), log: (byte) => logged.push(byte) });
  return { device, logged, ports: device.fixedPorts, unplugged };
}

it('is known by its identity, its magic and its protocol', () => {
  const { device, ports } = make();
  expect([device.pci.read(0, 4), device.pci.read(8, 4)]).toEqual([0x0001_5853, 0xff80_0001]);
  expect([ports.read(0, 2), ports.read(2, 1), ports.read(0, 1), ports.read(4, 4)]).toEqual([0x49d2, 1, 0, 0xffff_ffff]);
});

it('unplugs what a driver asks for, once it has said who it is', () => {
  const { ports, unplugged } = make();
  ports.write(2, 2, 3);
  ports.write(0, 4, 0x1234);
  expect(unplugged).toEqual([]);
  ports.write(0, 2, 0x0003);
  expect(unplugged).toEqual([3]);
});

it('unplugs by the BAR of ports, too, and logs', () => {
  const { device, logged, ports, unplugged } = make();
  const bar = device.pci.options.bars?.[0];
  if (bar === undefined || !('handler' in bar)) throw new Error('there is no BAR 0');
  bar.handler.write(4, 1, 1);
  bar.handler.write(8, 1, 2);
  ports.write(2, 1, 0x41);
  expect([unplugged, logged]).toEqual([[3, 2], [0x41]]);
});

it('survives nonsense', () => {
  nonsense(
    () => {
      const made = make();
      return { chip: made.ports, ranges: [{ handler: made.ports, size: 16 }] };
    },
    (ports) => expect(ports.read(0, 2)).toBe(0x49d2),
  );
});
