// The xen-platform PCI device (5853:0001), by which drivers of an HVM guest know Xen: sixteen fixed ports for the unplug protocol
// and the log (docs/misc/hvm-emulated-unplug.pandoc), a BAR of ports, and a BAR of memory where guests put grant frames.

import type { IoHandler, IoRange } from '../devices/io-bus.ts';
import { bytePorts } from '../devices/pc/byte-ports.ts';
import { PciFunction } from '../devices/pci/pci-function.ts';

export const PLATFORM_PORTS: IoRange = { at: 0x10, size: 16 };

/** What a guest may have taken off before its PV drivers start: bits of the word that it writes to port 0x10. */
export const UNPLUG = { disks: 1 << 0, nics: 1 << 1, auxDisks: 1 << 2, nvme: 1 << 3 } as const;

/** Offsets among the fixed ports. */
const PORT = { unplug: 0, version: 2 } as const;
const MAGIC = 0x49d2;
const PROTOCOL = 1;
/** BAR 0, as SUSE's drivers know it: a write of 1 at 4, or of 1 or 2 at 8, unplugs. */
const BAR0 = { sizeof: 256, unplugAll: 4, unplugSome: 8 } as const;
const BAR1_BYTES = 16 << 20;

export interface PlatformDeviceOptions {
  /** The guest wants devices gone: UNPLUG bits. */
  readonly unplug: (what: number) => void;
  /** A byte for the host's log. */
  readonly log: (byte: number) => void;
}

export class PlatformDevice {
  readonly pci: PciFunction;
  readonly fixedPorts: IoHandler;
  readonly #options: PlatformDeviceOptions;

  constructor(options: PlatformDeviceOptions) {
    this.#options = options;
    this.pci = new PciFunction({
      name: 'xen platform',
      identity: {
        vendorId: 0x5853,
        deviceId: 0x0001,
        revision: 1,
        classCode: 0xff8000,
        subsystemVendorId: 0x5853,
        subsystemId: 0x0001,
        interruptPin: 1,
      },
      bars: {
        0: { kind: 'io', size: BAR0.sizeof, handler: this.#bar0() },
        // Nothing is there but what the guest maps itself, which comes before the bus.
        1: { kind: 'memory', size: BAR1_BYTES, prefetchable: true, handler: { read: ones, write: () => {} } },
      },
    });
    this.fixedPorts = {
      read: (offset, size) => this.#read(offset, size),
      write: (at, size, value) => this.#write(at, size, value),
    };
  }

  #read(offset: number, size: number): number {
    if (offset === PORT.unplug && size === 2) return MAGIC;
    if (offset === PORT.version && size === 1) return PROTOCOL;
    // State flags: no log throttling, BAR 1 not remapped.
    return offset === PORT.unplug && size === 1 ? 0 : ones(offset, size);
  }

  /** Product and build numbers are taken and not used: no driver is refused. */
  #write(offset: number, size: number, value: number): void {
    if (offset === PORT.unplug && size === 2) this.#options.unplug(value);
    else if (offset === PORT.version && size === 1) this.#options.log(value);
  }

  #bar0(): IoHandler {
    return bytePorts(
      () => 0xff,
      (offset, value) => {
        if (offset === BAR0.unplugAll && value === 1) this.#options.unplug(UNPLUG.disks | UNPLUG.nics);
        else if (offset === BAR0.unplugSome && value === 1) this.#options.unplug(UNPLUG.disks);
        else if (offset === BAR0.unplugSome && value === 2) this.#options.unplug(UNPLUG.nics);
      },
    );
  }
}

const ones = (_offset: number, size: number): number => 2 ** (size * 8) - 1;
