// The PCI side of a 440FX with a PIIX3: the host bridge (82441FX), the PCI-ISA bridge (82371SB) with its interrupt links, and the
// PIIX4's function 3, which is where a guest looks for power management. What these bridges really do is elsewhere, or not at all.
import { PciFunction } from './pci-function.ts';

/** PIRQRC[A:D], 82371SB 2.3.6: which ISA interrupt a link leads to, or bit 7: none. */
export const ISA_BRIDGE_LINKS = 0x60;
const LINKS = 4;
const LINK_OFF = 0x80;
/** Interrupts that a link may lead to: not 0, 1, 2, 8 and 13. */
const ROUTABLE = 0xdef8;

const SUBSYSTEM = { subsystemVendorId: 0x5853, subsystemId: 0x0001 } as const;

/** 82441FX. Its PAM registers can be written and shadow nothing: everything below 1 MiB is RAM. */
export function hostBridge(): PciFunction {
  const writable = new Map<number, number>([[0x59, 0xf0]]);
  for (let at = 0x5a; at <= 0x5f; at++) writable.set(at, 0xff);
  writable.set(0x72, 0x7f);
  return new PciFunction({
    name: 'host bridge',
    identity: { vendorId: 0x8086, deviceId: 0x1237, revision: 2, classCode: 0x060000, ...SUBSYSTEM },
    writable,
  });
}

/** 82371SB, function 0. `route` is told where a link leads when that changes. */
export function isaBridge(route: (link: number, irq: number | undefined) => void): PciFunction {
  const writable = new Map<number, number>([
    [0x4c, 0xff],
    [0x4e, 0xff],
    [0x4f, 0x01],
    [0x69, 0xfe],
    [0x82, 0xff],
  ]);
  for (let link = 0; link < LINKS; link++) writable.set(ISA_BRIDGE_LINKS + link, 0x8f);
  const bridge = new PciFunction({
    name: 'isa bridge',
    identity: { vendorId: 0x8086, deviceId: 0x7000, classCode: 0x060100, ...SUBSYSTEM },
    writable,
    onWrite: (offset, size) => {
      if (offset + size <= ISA_BRIDGE_LINKS || offset >= ISA_BRIDGE_LINKS + LINKS) return;
      for (let link = 0; link < LINKS; link++) {
        const value = bridge.config[ISA_BRIDGE_LINKS + link] as number;
        const irq = value & 0x0f;
        route(link, (value & LINK_OFF) === 0 && ROUTABLE & (1 << irq) ? irq : undefined);
      }
    },
  });
  for (let link = 0; link < LINKS; link++) bridge.set(ISA_BRIDGE_LINKS + link, LINK_OFF);
  return bridge;
}

/** 82371AB, function 3. Its I/O ranges are where the ACPI tables say, whatever its registers hold. */
export function powerManagement(): PciFunction {
  const writable = new Map<number, number>();
  for (const at of [0x40, 0x41, 0x80, 0x90, 0x91, 0xd2]) writable.set(at, 0xff);
  return new PciFunction({
    name: 'power management',
    identity: { vendorId: 0x8086, deviceId: 0x7113, revision: 3, classCode: 0x068000, interruptPin: 1, ...SUBSYSTEM },
    commandBits: 0x0005,
    writable,
  });
}
