// PCI bus 0: finds functions by number, and keeps what they decode on the I/O bus and in guest memory.
import type { DmaMemory } from '../dma-memory.ts';
import { type InterruptLine, UNCONNECTED } from '../interrupt-line.ts';
import type { IoBus } from '../io-bus.ts';
import type { WindowMapper } from '../memory-window.ts';
import { COMMAND, PCI, PCI_BARS } from './config-header.ts';
import type { MessageSink } from './msi.ts';
import type { PciFunction } from './pci-function.ts';

export interface PciBusOptions {
  readonly io: IoBus;
  readonly memory: DmaMemory;
  readonly windows: WindowMapper;
  /** A driver's end of what pin 0..3 (INTA..INTD) of device 0..31 is wired to. */
  readonly interrupt: (device: number, pin: number) => InterruptLine;
  /** Takes the messages of message signalled interrupts. Default: nobody does. */
  readonly message?: MessageSink;
}

const MULTIFUNCTION = 0x80;
const allOnes = (size: number): number => 2 ** (size * 8) - 1;

interface Slot {
  readonly function: PciFunction;
  /** Takes what the function decodes off the buses, by what it is. */
  readonly decoded: Map<string, { readonly at: number; readonly off: () => void }>;
}

export class PciBus {
  readonly #options: PciBusOptions;
  readonly #slots = new Map<number, Slot>();

  constructor(options: PciBusOptions) {
    this.#options = options;
  }

  /** Puts a function at device 0..31, function 0..7. @throws Error when the place is taken. */
  add(device: number, number: number, pci: PciFunction): void {
    const devfn = device * 8 + number;
    const other = this.#slots.get(devfn);
    if (other !== undefined) throw new Error(`${pci.name} at ${device}.${number}: ${other.function.name} is there`);
    const slot: Slot = { function: pci, decoded: new Map() };
    this.#slots.set(devfn, slot);
    const pin = pci.options.identity.interruptPin ?? 0;
    pci.connect({
      interrupt: pin === 0 ? UNCONNECTED : this.#options.interrupt(device, pin - 1),
      memory: this.#options.memory,
      message: this.#options.message ?? (() => {}),
      remap: () => this.#remapAll(),
    });
    if (number !== 0) this.#markMultifunction(device);
    this.#remapAll();
  }

  /** Takes a function off, as unplugging does. Nothing happens when it is not on the bus. */
  remove(pci: PciFunction): void {
    for (const [devfn, slot] of this.#slots) {
      if (slot.function !== pci) continue;
      this.#slots.delete(devfn);
      for (const { off } of slot.decoded.values()) off();
      pci.connect(undefined);
      this.#remapAll();
      return;
    }
  }

  /** The functions, by device and function number in one: device * 8 + function. */
  *functions(): IterableIterator<readonly [devfn: number, pci: PciFunction]> {
    for (const [devfn, slot] of [...this.#slots].sort(([a], [b]) => a - b)) yield [devfn, slot.function];
  }

  /** A configuration read; all ones where there is no function, which is how software finds that out. */
  readConfig(devfn: number, offset: number, size: number): number {
    return this.#slots.get(devfn)?.function.read(offset, size) ?? allOnes(size);
  }

  writeConfig(devfn: number, offset: number, size: number, value: number): void {
    this.#slots.get(devfn)?.function.write(offset, size, value);
  }

  /** Software looks for functions 1..7 only when function 0 says that there are some. */
  #markMultifunction(device: number): void {
    const first = this.#slots.get(device * 8)?.function;
    first?.set(PCI.headerType, (first.config[PCI.headerType] as number) | MULTIFUNCTION);
  }

  /**
   * Two ranges that the guest put over each other: who was there first answers. When it leaves, the other one comes, so all are
   * looked at after each change.
   */
  #remapAll(): void {
    for (const slot of this.#slots.values()) this.#remap(slot, false);
    for (const slot of this.#slots.values()) this.#remap(slot, true);
  }

  /** Takes away what has moved, or puts what is not there yet. */
  #remap({ function: pci, decoded }: Slot, put: boolean): void {
    const { io, windows } = this.#options;
    const update = (key: string, at: number | undefined, show: (at: number) => (() => void) | undefined): void => {
      const now = decoded.get(key);
      if (now !== undefined && now.at !== at) {
        now.off();
        decoded.delete(key);
      }
      if (!put || at === undefined || decoded.has(key)) return;
      const off = show(at);
      if (off !== undefined) decoded.set(key, { at, off });
    };
    for (let number = 0; number < PCI_BARS; number++) {
      const bar = pci.options.bars?.[number];
      if (bar === undefined) continue;
      const name = `${pci.name} BAR ${number}`;
      update(name, pci.barRange(number)?.at, (at) => {
        const range = { at, size: bar.size };
        if ('window' in bar) return windows.show(bar.window, 0, at, bar.size);
        return bar.kind === 'io' ? io.offerPorts(name, range, bar.handler) : io.offerMmio(name, range, bar.handler);
      });
    }
    const { fixed = [], rom } = pci.options;
    for (const { kind, range, handler } of fixed) {
      const on = (pci.command & (kind === 'io' ? COMMAND.io : COMMAND.memory)) !== 0;
      update(`${kind} ${range.at}`, on ? range.at : undefined, () =>
        kind === 'io' ? io.offerPorts(pci.name, range, handler) : io.offerMmio(pci.name, range, handler),
      );
    }
    if (rom !== undefined) update('rom', pci.romRange()?.at, (at) => windows.show(rom, 0, at, rom.bytes.length));
  }
}
