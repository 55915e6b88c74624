// The command of one slot while its drive carries it out: the drive's PIO and DMA phases go to and from the places in memory that the command's
// table names (AHCI 4.2.3).
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import { STATUS } from '../ide/ata-registers.ts';
import type { IdeDrive, PioPhase } from '../ide/ide-drive.ts';
import { pioSetupFis } from './fis.ts';
import { PrdTable } from './prd-table.ts';
import { HEADER, HEADER_FLAGS, IS, RECEIVED, TABLE } from './registers.ts';

/** What a command tells its port. */
export interface CommandHost {
  /** A FIS has come from the drive, and leaves the task file so. */
  receive(at: number, fis: Uint8Array, taskFile: { readonly status: number; readonly error: number }): void;
  /** Bits of PxIS. */
  tell(interrupts: number): void;
  /** The command cannot go on, and no other may: bits of PxIS that say why. */
  fail(why: number): void;
}

export interface SlotCommandOptions {
  readonly slot: number;
  readonly drive: IdeDrive;
  readonly memory: DmaMemory;
  /** The first word of its header, and where that is. */
  readonly flags: number;
  readonly headerAt: number;
  readonly tableAt: number;
  readonly host: CommandHost;
}

export class SlotCommand {
  readonly slot: number;
  /** The host knows how it stands from the last PIO block: its end is not told again. */
  told = false;
  readonly #drive: IdeDrive;
  readonly #memory: DmaMemory;
  readonly #headerAt: number;
  readonly #prds: PrdTable;
  readonly #host: CommandHost;
  /** Where its packet is, until that has been sent. */
  #packetAt: number | undefined;

  constructor({ drive, flags, headerAt, host, memory, slot, tableAt }: SlotCommandOptions) {
    this.slot = slot;
    this.#drive = drive;
    this.#memory = memory;
    this.#headerAt = headerAt;
    this.#prds = new PrdTable(memory, tableAt + TABLE.prds, flags >>> HEADER_FLAGS.prdsShift);
    this.#host = host;
    this.#packetAt = flags & HEADER_FLAGS.atapi ? tableAt + TABLE.atapi : undefined;
  }

  /** Carries out the phase that the drive waits for. 'later': the drive is busy by itself, or waits in vain. */
  step(): 'more' | 'later' | 'over' {
    const { dma, pio, status } = this.#drive;
    if (dma !== undefined) {
      if (!this.#move(dma.toMemory, dma.bytes)) return 'later';
      this.told = false;
      this.#drive.dmaMoved();
      return 'more';
    }
    if (pio !== undefined) return this.#pioBlock(pio) ? 'more' : 'later';
    return status & (STATUS.bsy | STATUS.drq) ? 'later' : 'over';
  }

  /** Says in its header how many bytes were moved. */
  count(): void {
    const count = new Uint8Array(4);
    new DataView(count.buffer).setUint32(0, this.#prds.bytes, true);
    if (!this.#memory.write((this.#headerAt + HEADER.prdByteCount) as Gpa, count)) this.#host.fail(IS.hostBusFatal);
  }

  #pioBlock({ bytes: { length }, toHost }: PioPhase): boolean {
    const drive = this.#drive;
    const block = { interrupt: drive.intrq, toHost, count: length };
    const { status } = drive;
    const data = new Uint8Array(length);
    drive.setIntrq(false);
    if (toHost) {
      drive.readDataBlock(1, data);
      if (!this.#move(true, data)) return false;
    } else {
      if (!this.#fetch(data)) return false;
      drive.writeDataBlock(1, data);
    }
    // The next block has a FIS of its own: until then the drive is busy.
    const endStatus = drive.status & STATUS.drq ? STATUS.bsy : drive.status;
    this.told = toHost;
    if (block.interrupt) this.#host.tell(IS.pioSetup);
    const fis = pioSetupFis(drive, block, status, endStatus);
    this.#host.receive(RECEIVED.pioSetup, fis, { status: endStatus, error: drive.error });
    return true;
  }

  /** What goes to the drive: its packet first, if it has one. */
  #fetch(data: Uint8Array): boolean {
    const packetAt = this.#packetAt;
    this.#packetAt = undefined;
    if (packetAt === undefined) return this.#move(false, data);
    if (this.#memory.read(packetAt as Gpa, data)) return true;
    this.#host.fail(IS.hostBusFatal);
    return false;
  }

  /** False when the command cannot go on: it stays until software, which has an interrupt, resets the drive. */
  #move(toMemory: boolean, bytes: Uint8Array): boolean {
    const prds = this.#prds;
    const how = prds.move(toMemory, bytes);
    if (prds.interrupt) this.#host.tell(IS.descriptor);
    prds.interrupt = false;
    if (how === 'all') return true;
    if (how === 'fault') {
      this.#host.fail(IS.hostBusFatal);
      return false;
    }
    // What comes from a drive and has no place is dropped; what a drive waits for does not come.
    this.#host.tell(IS.overflow);
    return toMemory;
  }
}
