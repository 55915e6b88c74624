// One function of a PCI device: its configuration space, its BARs, its INTx line, its way to memory. Section numbers are those of
// the PCI Local Bus Specification 3.0. A chip makes one and hands it to the board, which puts it on a PciBus.
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import { type InterruptLine, UNCONNECTED } from '../interrupt-line.ts';
import type { IoHandler, IoRange } from '../io-bus.ts';
import type { MemoryWindow } from '../memory-window.ts';
import { COMMAND, PCI, PCI_BARS, PCI_CONFIG_BYTES, STATUS } from './config-header.ts';
import { type MessageSink, Msi, type MsiOptions } from './msi.ts';

export interface PciIdentity {
  readonly vendorId: number;
  readonly deviceId: number;
  readonly revision?: number;
  /** Base class, subclass, programming interface: 24 bits, as `0x010180`. */
  readonly classCode: number;
  readonly subsystemVendorId?: number;
  readonly subsystemId?: number;
  /** 1..4 for INTA..INTD; 0, the default, for none. */
  readonly interruptPin?: number;
}

/** What a BAR leads to. `size` is a power of two: 4 bytes at least for ports, 4096 for memory. */
export type PciBar =
  | { readonly kind: 'io'; readonly size: number; readonly handler: IoHandler }
  | { readonly kind: 'memory'; readonly size: number; readonly prefetchable?: boolean; readonly handler: IoHandler }
  | { readonly kind: 'memory'; readonly size: number; readonly prefetchable?: boolean; readonly window: MemoryWindow };

/** A range that no BAR moves: of an IDE controller in compatibility mode, of a VGA. It answers while its command bit is set. */
export interface PciFixedRange {
  readonly kind: 'io' | 'memory';
  readonly range: IoRange;
  readonly handler: IoHandler;
}

export interface PciFunctionOptions {
  readonly name: string;
  readonly identity: PciIdentity;
  /** By number, 0..5. All BARs have 32 bits. */
  readonly bars?: Readonly<Partial<Record<number, PciBar>>>;
  readonly fixed?: readonly PciFixedRange[];
  /** An expansion ROM: a power of two of bytes, 2048 at least, in shared memory. */
  readonly rom?: MemoryWindow;
  /** Bits of the command register that can be set. Default: io, memory and master as the BARs suggest, and interrupt disable. */
  readonly commandBits?: number;
  /** Message signalled interrupts beside INTx. Default: none. */
  readonly msi?: MsiOptions;
  /** Further bytes of its own that the guest may write: offset to a mask of 8 bits. The rest of 0x40..0xff is read-only. */
  readonly writable?: ReadonlyMap<number, number>;
  /**
   * What `unplug` of the Xen platform device means to it, before the bus takes it off: a controller looks at which of its drives go.
   * The bits are Xen's: 1 disks, 2 network cards, 4 disks but the first, 8 NVMe.
   */
  readonly unplug?: (what: number) => void;
  /** Called after a write has changed bytes of the device's own part, 0x40..0xff. */
  readonly onWrite?: (offset: number, size: number) => void;
}

/** What a bus gives a function that is put on it. */
export interface PciSlot {
  /** Its INTx pin. */
  readonly interrupt: InterruptLine;
  readonly memory: DmaMemory;
  /** Takes its messages. */
  readonly message: MessageSink;
  /** What it decodes has changed. */
  remap(): void;
}

export class PciFunction {
  readonly name: string;
  readonly options: PciFunctionOptions;
  readonly config: Uint8Array = new Uint8Array(PCI_CONFIG_BYTES);
  /**
   * Drives INTx: the status bit always, the pin unless the command register disables it (6.2.2). Where the guest has turned MSI on, each rise
   * sends its first message instead.
   */
  readonly interrupt: InterruptLine = { raise: () => this.#setInterrupt(true), lower: () => this.#setInterrupt(false) };
  /** Memory for DMA: nothing is read (0xff) or written while the guest has not made the function a bus master. */
  readonly dma: DmaMemory = {
    read: (gpa: Gpa, into: Uint8Array): boolean => {
      if (this.#slot !== undefined && this.busMaster) return this.#slot.memory.read(gpa, into);
      into.fill(0xff);
      return false;
    },
    write: (gpa: Gpa, from: Uint8Array): boolean =>
      this.#slot !== undefined && this.busMaster && this.#slot.memory.write(gpa, from),
  };
  readonly #mask = new Uint8Array(PCI_CONFIG_BYTES);
  readonly #view: DataView;
  readonly #msi: Msi | undefined;
  #slot: PciSlot | undefined;
  #asserted = false;

  constructor(options: PciFunctionOptions) {
    this.options = options;
    this.name = options.name;
    this.#view = new DataView(this.config.buffer);
    this.#layOut();
    const { msi } = options;
    this.#msi = msi === undefined ? undefined : new Msi(msi, this.#view, new DataView(this.#mask.buffer));
    if (msi !== undefined) {
      this.config[PCI.capabilities] = msi.at;
      this.#view.setUint16(PCI.status, STATUS.capabilities, true);
    }
    this.reset();
  }

  get command(): number {
    return this.#view.getUint16(PCI.command, true);
  }

  get busMaster(): boolean {
    return (this.command & COMMAND.master) !== 0;
  }

  /** Sends message 0..31; nothing happens unless the guest has turned MSI on and made the function a bus master. */
  signal(vector: number): void {
    if (this.#msi?.enabled === true && this.busMaster)
      this.#msi.send(vector, (address, data) => this.#slot?.message(address, data));
  }

  /** As after power-up: no BAR has an address, nothing is decoded. What the chip itself keeps is the chip's to reset. */
  reset(): void {
    const { interruptPin = 0 } = this.options.identity;
    for (let at = 0; at < PCI_CONFIG_BYTES; at++) (this.config[at] as number) &= ~(this.#mask[at] as number);
    for (let bar = 0; bar < PCI_BARS; bar++) {
      const what = this.options.bars?.[bar];
      if (what === undefined) continue;
      const flags = what.kind === 'io' ? 1 : what.prefetchable === true ? 8 : 0;
      this.#view.setUint32(PCI.bar + bar * 4, flags, true);
    }
    this.config[PCI.interruptPin] = interruptPin;
    this.#setInterrupt(false);
    this.#slot?.remap();
  }

  /** Reads 1, 2 or 4 bytes within 0..0xff. */
  read(offset: number, size: number): number {
    let value = 0;
    for (let i = size - 1; i >= 0; i--) value = value * 256 + (this.config[(offset + i) & 0xff] as number);
    return value;
  }

  /** Writes 1, 2 or 4 bytes; bits that are read-only stay. */
  write(offset: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = (offset + i) & 0xff;
      const mask = this.#mask[at] as number;
      this.config[at] = ((this.config[at] as number) & ~mask) | ((value >>> (i * 8)) & mask);
    }
    const end = offset + size;
    if (offset < PCI.command + 2 && end > PCI.command) this.#drive();
    if (offset < PCI.rom + 4 && end > PCI.command) this.#slot?.remap();
    if (this.#msi !== undefined && end > 0x40) this.#drive();
    if (end > 0x40) this.options.onWrite?.(offset, size);
  }

  /** Sets 8 bits that only the chip may change. */
  set(offset: number, value: number): void {
    this.config[offset] = value;
  }

  /** Where BAR `bar` lies; undefined while it is not decoded, or was never given an address. */
  barRange(bar: number): IoRange | undefined {
    const what = this.options.bars?.[bar];
    if (what === undefined) return undefined;
    const enabled = (this.command & (what.kind === 'io' ? COMMAND.io : COMMAND.memory)) !== 0;
    const raw = this.#view.getUint32(PCI.bar + bar * 4, true);
    const at = (raw & (what.kind === 'io' ? ~3 : ~15)) >>> 0;
    return enabled && at !== 0 ? { at, size: what.size } : undefined;
  }

  /** Where the expansion ROM lies (6.2.5.2); undefined while it is not decoded. */
  romRange(): IoRange | undefined {
    const { rom } = this.options;
    const raw = this.#view.getUint32(PCI.rom, true);
    if (rom === undefined || (raw & 1) === 0 || (this.command & COMMAND.memory) === 0) return undefined;
    return { at: (raw & ~0x7ff) >>> 0, size: rom.bytes.length };
  }

  /** The bus's call when the function is put on it, and with undefined when it is taken off. */
  connect(slot: PciSlot | undefined): void {
    this.#slot?.interrupt.lower();
    this.#slot = slot;
    this.#drive();
  }

  #setInterrupt(level: boolean): void {
    if (level && !this.#asserted) this.signal(0);
    this.#asserted = level;
    const status = this.#view.getUint16(PCI.status, true);
    this.#view.setUint16(PCI.status, level ? status | STATUS.interrupt : status & ~STATUS.interrupt, true);
    this.#drive();
  }

  #drive(): void {
    const line = this.#slot?.interrupt ?? UNCONNECTED;
    const pin = (this.command & COMMAND.interruptDisable) === 0 && this.#msi?.enabled !== true;
    if (this.#asserted && pin) line.raise();
    else line.lower();
  }

  #layOut(): void {
    const { identity, bars = {}, fixed = [], rom, writable } = this.options;
    const view = this.#view;
    const mask = new DataView(this.#mask.buffer);
    view.setUint16(PCI.vendorId, identity.vendorId, true);
    view.setUint16(PCI.deviceId, identity.deviceId, true);
    view.setUint32(PCI.revision, identity.classCode * 256 + (identity.revision ?? 0), true);
    view.setUint16(PCI.subsystemVendorId, identity.subsystemVendorId ?? 0, true);
    view.setUint16(PCI.subsystemId, identity.subsystemId ?? 0, true);
    let command: number = COMMAND.master | COMMAND.serr | COMMAND.interruptDisable;
    for (let bar = 0; bar < PCI_BARS; bar++) {
      const what = bars[bar];
      if (what === undefined) continue;
      command |= what.kind === 'io' ? COMMAND.io : COMMAND.memory;
      mask.setUint32(PCI.bar + bar * 4, ~(what.size - 1) >>> 0, true);
    }
    for (const { kind } of fixed) command |= kind === 'io' ? COMMAND.io : COMMAND.memory;
    if (rom !== undefined) {
      command |= COMMAND.memory;
      mask.setUint32(PCI.rom, ((~(rom.bytes.length - 1) & ~0x7ff) | 1) >>> 0, true);
    }
    mask.setUint16(PCI.command, this.options.commandBits ?? command, true);
    mask.setUint8(PCI.cacheLine, 0xff);
    mask.setUint8(PCI.latency, 0xff);
    mask.setUint8(PCI.interruptLine, 0xff);
    for (const [at, bits] of writable ?? []) mask.setUint8(at, bits);
  }
}
