// The AHCI controller of an ICH9: generic host control, six ports, one interrupt, by pin or by message. AHCI clause 3.1, and Intel's I/O
// Controller Hub 9 datasheet (316972), chapter 15. QEMU's `ahci`, which Xen attaches disks to when hdtype="ahci" asks for it, is this chip.
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import { AtaDisk } from '../ide/ata-disk.ts';
import type { DriveMaker } from '../ide/ide-drive.ts';
import { setLine } from '../interrupt-line.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { AhciPort } from './ahci-port.ts';
import { CAP, GHC, HBA, PORTS, SLOTS, VERSION_1_3_1 } from './registers.ts';
import { wordRegisters } from './word-registers.ts';

export const AHCI_PORTS = 6;
/** BAR 5, ABAR. */
export const ABAR = { bar: 5, bytes: 0x1000 } as const;
const MSI_AT = 0x80;
/** Address map register (MAP): all ports are AHCI's. */
const MAP = { at: 0x90, ahci: 0x40 } as const;

const CAPABILITIES =
  (CAP.addresses64 |
    CAP.commandListOverride |
    CAP.generation2 |
    CAP.ahciOnly |
    ((SLOTS - 1) << CAP.slotsShift) |
    (AHCI_PORTS - 1)) >>>
  0;

export interface AhciControllerOptions {
  /** By port. */
  readonly drives: readonly (DriveMaker | undefined)[];
  /** Bits of a request to unplug: all disks, and all but the first. */
  readonly unplugBits: { readonly disks: number; readonly auxDisks: number };
}

export class AhciController {
  readonly pci: PciFunction;
  readonly #ports: readonly AhciPort[];
  #ghc = 0;
  #is = 0;

  constructor({ drives, unplugBits }: AhciControllerOptions) {
    const handler = wordRegisters(
      (register) => this.#read(register),
      (register, value, mask) => this.#write(register, value, mask),
    );
    this.pci = new PciFunction({
      name: 'ahci',
      identity: {
        vendorId: 0x8086,
        deviceId: 0x2922,
        revision: 2,
        classCode: 0x010601,
        subsystemVendorId: 0x5853,
        subsystemId: 0x0001,
        interruptPin: 1,
      },
      bars: { [ABAR.bar]: { kind: 'memory', size: ABAR.bytes, handler } },
      msi: { at: MSI_AT },
      unplug: (what) => {
        const all = (what & unplugBits.disks) !== 0;
        if (!all && (what & unplugBits.auxDisks) === 0) return;
        for (const [number, port] of this.#ports.entries())
          if (all || number > 0) port.remove((drive) => drive instanceof AtaDisk);
      },
    });
    this.pci.set(MAP.at, MAP.ahci);
    const memory: DmaMemory = {
      read: (gpa: Gpa, into: Uint8Array) => this.pci.dma.read(gpa, into),
      write: (gpa: Gpa, from: Uint8Array) => this.pci.dma.write(gpa, from),
    };
    this.#ports = Array.from(
      { length: AHCI_PORTS },
      (_, number) => new AhciPort({ memory, drive: drives[number], changed: () => this.#update() }),
    );
  }

  /** Power-up, and GHC.HR. */
  reset(): void {
    this.#ghc = 0;
    for (const port of this.#ports) port.reset();
    this.#is = 0;
    this.#update();
  }

  #read(register: number): number {
    if (register >= PORTS.at) return this.#port(register)?.read(register % PORTS.bytes) ?? 0;
    switch (register) {
      case HBA.cap:
        return CAPABILITIES;
      case HBA.ghc:
        return (this.#ghc | GHC.ahci) >>> 0;
      case HBA.is:
        return this.#is;
      case HBA.pi:
        return 2 ** AHCI_PORTS - 1;
      case HBA.vs:
        return VERSION_1_3_1;
      default:
        return 0;
    }
  }

  #write(register: number, value: number, mask: number): void {
    if (register >= PORTS.at) this.#port(register)?.write(register % PORTS.bytes, value, mask);
    else if (register === HBA.ghc) {
      if (value & GHC.reset) this.reset();
      else if (mask & GHC.interrupts) {
        this.#ghc = value & GHC.interrupts;
        this.#update();
      }
    } else if (register === HBA.is) this.#acknowledge(value);
  }

  #port(register: number): AhciPort | undefined {
    return this.#ports[Math.floor((register - PORTS.at) / PORTS.bytes)];
  }

  /**
   * Bits of ports that still have something to tell come back. Where one of them, or a bit that was not cleared, remains, a host with a single
   * message is sent another: the line falls for a moment.
   */
  #acknowledge(value: number): void {
    if ((this.#is & value) !== 0) this.pci.interrupt.lower();
    this.#is &= ~value;
    this.#update();
  }

  #update(): void {
    for (const [number, port] of this.#ports.entries()) if (port.interrupting) this.#is |= 1 << number;
    setLine(this.pci.interrupt, (this.#ghc & GHC.interrupts) !== 0 && this.#is !== 0);
  }
}
