// One channel's half of the PIIX3's bus master: 82371SB datasheet 2.7, and SFF-8038i. It moves the bytes of a drive's DMA phase to and
// from the places that a table of physical region descriptors names.
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import type { DmaPhase } from './ide-drive.ts';

export const BUS_MASTER_BYTES = 8;
const PORT = { command: 0, status: 2, table: 4 } as const;
const COMMAND = { start: 1 << 0, toMemory: 1 << 3 } as const;
const STATUS = { active: 1 << 0, error: 1 << 1, interrupt: 1 << 2, capable: 0x60 } as const;
/** A descriptor: address, count (0 is 64 KiB), and the mark of the last. */
const PRD = { bytes: 8, count: 4, flags: 6, last: 0x8000 } as const;
/** A table does not cross a boundary of 64 KiB, so there are no more. */
const MOST_DESCRIPTORS = 0x1_0000 / PRD.bytes;

export class BusMaster {
  readonly #memory: DmaMemory;
  /** The drive that waits, if one does. */
  readonly #phase: () => DmaPhase | undefined;
  readonly #finish: () => void;
  #command = 0;
  #status = 0;
  #table = 0;
  /** Of the descriptor that is being used. */
  #at = 0;
  #left = 0;
  #last = false;
  #descriptors = 0;

  /** @param finish the phase is over: the drive goes on */
  constructor(memory: DmaMemory, phase: () => DmaPhase | undefined, finish: () => void) {
    this.#memory = memory;
    this.#phase = phase;
    this.#finish = finish;
  }

  reset(): void {
    this.#command = this.#status = this.#table = 0;
    this.#restart();
  }

  /** The drive's INTRQ rose. */
  interrupt(): void {
    this.#status |= STATUS.interrupt;
  }

  read(offset: number): number {
    if (offset === PORT.command) return this.#command;
    if (offset === PORT.status) return this.#status;
    return offset >= PORT.table ? (this.#table >>> ((offset - PORT.table) * 8)) & 0xff : 0;
  }

  write(offset: number, value: number): void {
    if (offset === PORT.command) this.#control(value);
    else if (offset === PORT.status)
      // Error and interrupt are cleared by ones; that a drive can do DMA is a note that firmware leaves.
      this.#status = (this.#status & ~STATUS.capable & ~(value & (STATUS.error | STATUS.interrupt))) | (value & STATUS.capable);
    else if (offset >= PORT.table) {
      const shift = (offset - PORT.table) * 8;
      this.#table = ((this.#table & ~(0xff << shift)) | (value << shift)) & ~3;
    }
  }

  /** Moves what can be moved. The drive calls when it is ready, the guest when it starts the bus master. */
  run(): void {
    if ((this.#status & STATUS.active) === 0) return;
    const phase = this.#phase();
    if (phase === undefined) return;
    while (phase.at < phase.bytes.length) {
      if (this.#left === 0 && !this.#nextDescriptor()) {
        // Regions that are smaller than the transfer: the drive waits, and the host will notice (SFF-8038i 3.1).
        this.#status &= ~STATUS.active;
        return;
      }
      const count = Math.min(this.#left, phase.bytes.length - phase.at);
      const part = phase.bytes.subarray(phase.at, phase.at + count);
      const moved =
        phase.toMemory === ((this.#command & COMMAND.toMemory) !== 0) &&
        (phase.toMemory ? this.#memory.write(this.#at as Gpa, part) : this.#memory.read(this.#at as Gpa, part));
      // An address without memory behind it: a PCI bus would end in a master abort.
      if (!moved) this.#status |= STATUS.error;
      phase.at += count;
      this.#at += count;
      this.#left -= count;
    }
    if (this.#left === 0 && this.#last) this.#status &= ~STATUS.active;
    this.#finish();
  }

  #control(value: number): void {
    const started = (this.#command & COMMAND.start) !== 0;
    this.#command = value & (COMMAND.start | COMMAND.toMemory);
    if ((value & COMMAND.start) === 0) {
      this.#status &= ~STATUS.active;
      return;
    }
    if (started) return;
    this.#restart();
    this.#status |= STATUS.active;
    this.run();
  }

  #restart(): void {
    this.#left = 0;
    this.#last = false;
    this.#descriptors = 0;
  }

  #nextDescriptor(): boolean {
    if (this.#last || this.#descriptors === MOST_DESCRIPTORS) return false;
    const bytes = new Uint8Array(PRD.bytes);
    const at = (this.#table >>> 0) + this.#descriptors++ * PRD.bytes;
    if (!this.#memory.read(at as Gpa, bytes)) {
      this.#status |= STATUS.error;
      return false;
    }
    const view = new DataView(bytes.buffer);
    this.#at = (view.getUint32(0, true) & ~1) >>> 0;
    this.#left = view.getUint16(PRD.count, true) & ~1 || 0x1_0000;
    this.#last = (view.getUint16(PRD.flags, true) & PRD.last) !== 0;
    return true;
  }
}
