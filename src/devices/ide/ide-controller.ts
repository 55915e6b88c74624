// The IDE function of a PIIX3 (82371SB, function 1) in compatibility mode: two channels at the ports and ISA interrupts of a PC, and the bus
// master behind BAR 4. Timings can be written and mean nothing.
import type { InterruptLine } from '../interrupt-line.ts';
import { bytePorts } from '../pc/byte-ports.ts';
import { PciFunction } from '../pci/pci-function.ts';
import { BUS_MASTER_BYTES } from './bus-master.ts';
import { Cdrom } from './cdrom.ts';
import { IdeChannel } from './ide-channel.ts';
import type { DriveMaker } from './ide-drive.ts';

/** ISA interrupts of the two channels. */
export const IDE_IRQS = [14, 15] as const;
const PORTS = [
  { command: 0x1f0, control: 0x3f6 },
  { command: 0x170, control: 0x376 },
] as const;
/** IDETIM, SIDETIM: 2.5.9 and 2.5.10. Bit 15 of IDETIM says that the channel is decoded. */
const TIMING = { at: 0x40, slave: 0x44, enable: 0x80 } as const;

export interface IdeControllerOptions {
  /** Of the two channels. */
  readonly interrupts: readonly [InterruptLine, InterruptLine];
  /** By number: primary master, primary slave, secondary master, secondary slave. */
  readonly drives: readonly (DriveMaker | undefined)[];
  /** Bits of a request to unplug: all disks, and all but the first. */
  readonly unplugBits: { readonly disks: number; readonly auxDisks: number };
}

export class IdeController {
  readonly pci: PciFunction;
  readonly channels: readonly [IdeChannel, IdeChannel];

  constructor(options: IdeControllerOptions) {
    const { drives, interrupts, unplugBits } = options;
    const memory = {
      read: (...args: Parameters<PciFunction['dma']['read']>) => this.pci.dma.read(...args),
      write: (...args: Parameters<PciFunction['dma']['write']>) => this.pci.dma.write(...args),
    };
    const channel = (number: 0 | 1): IdeChannel =>
      new IdeChannel({ interrupt: interrupts[number], memory, drives: [drives[number * 2], drives[number * 2 + 1]] });
    this.channels = [channel(0), channel(1)];
    const busMaster = bytePorts(
      (offset) => this.#half(offset).read(offset % BUS_MASTER_BYTES),
      (offset, value) => this.#half(offset).write(offset % BUS_MASTER_BYTES, value),
    );
    this.pci = new PciFunction({
      name: 'ide',
      identity: {
        vendorId: 0x8086,
        deviceId: 0x7010,
        classCode: 0x010180,
        subsystemVendorId: 0x5853,
        subsystemId: 0x0001,
      },
      bars: { 4: { kind: 'io', size: 2 * BUS_MASTER_BYTES, handler: busMaster } },
      fixed: this.channels.flatMap(({ commandBlock, controlBlock }, number) => {
        const { command, control } = PORTS[number as 0 | 1];
        return [
          { kind: 'io' as const, range: { at: command, size: 8 }, handler: commandBlock },
          { kind: 'io' as const, range: { at: control, size: 1 }, handler: controlBlock },
        ];
      }),
      writable: new Map([0, 1, 2, 3].map((i) => [TIMING.at + i, 0xff] as const).concat([[TIMING.slave, 0xff]])),
      unplug: (what) => {
        if (what & (unplugBits.disks | unplugBits.auxDisks))
          // Only disks go: a CD-ROM drive has no PV driver that would take its place.
          for (const [number, each] of this.channels.entries())
            each.remove((place, drive) => !(drive instanceof Cdrom) && ((what & unplugBits.disks) !== 0 || number + place > 0));
      },
    });
    // As firmware leaves them: both channels on.
    for (const i of [1, 3]) this.pci.set(TIMING.at + i, TIMING.enable);
  }

  reset(): void {
    for (const each of this.channels) each.reset();
  }

  #half(offset: number): IdeChannel['busMaster'] {
    return this.channels[offset < BUS_MASTER_BYTES ? 0 : 1].busMaster;
  }
}
