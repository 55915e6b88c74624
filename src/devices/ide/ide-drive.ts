// What disks and CD-ROM drives share: the command block, PIO data phases, INTRQ, resets. ATA/ATAPI-6, clause 9 has the protocols. A drive is
// either idle, busy, or in one data phase; what it does when a phase is over is its command's business. What it hangs on is its host's: an
// IDE channel, or a port of an AHCI controller.
import { DEVICE, ERROR, REG, STATUS } from './ata-registers.ts';

/** What a drive wants of its channel, or of its port. */
export interface IdeHost {
  /** INTRQ of this drive may have changed, or a PIO phase has begun. */
  interrupt(): void;
  /** The drive waits for the bus master: `drive.dma` is set. */
  dmaRequest(): void;
}

/** A transfer that waits for the bus master, or is being made by it. */
export interface DmaPhase {
  readonly toMemory: boolean;
  readonly bytes: Uint8Array;
  /** How many of them are done. */
  at: number;
  /** All of them are. */
  readonly done: () => void;
}

/** Makes a drive that talks to its host. */
export type DriveMaker = (host: IdeHost) => IdeDrive;

/** A block that goes through the data register. */
export interface PioPhase {
  readonly toHost: boolean;
  readonly bytes: Uint8Array;
  at: number;
  readonly done: () => void;
}

/** The command block's registers that a command reads, with what was in them before: 48-bit commands take both. */
interface Written {
  value: number;
  before: number;
}

export abstract class IdeDrive {
  readonly #host: IdeHost;
  readonly features: Written = { value: 0, before: 0 };
  readonly count: Written = { value: 0, before: 0 };
  readonly lbaLow: Written = { value: 0, before: 0 };
  readonly lbaMid: Written = { value: 0, before: 0 };
  readonly lbaHigh: Written = { value: 0, before: 0 };
  device = 0;
  status = 0;
  error = 0;
  /** Raised once for each end of a phase, lowered by a read of the status register. */
  intrq = false;
  dma: DmaPhase | undefined;
  #pio: PioPhase | undefined;
  /** Counts what makes answers that are under way come too late. */
  #generation = 0;

  constructor(host: IdeHost) {
    this.#host = host;
  }

  /** Carries out a command: BSY is set, and it ends with `succeed`, `fail` or a data phase, now or later. */
  protected abstract execute(command: number): void;
  /** Whether a command may be written while the drive is busy or not ready: DEVICE RESET. */
  protected abstract interrupts(command: number): boolean;
  /** Registers and status as after a reset (9.12). */
  protected abstract signature(): void;
  /** Back to the settings of power-up. */
  protected abstract settle(): void;

  /** Power-up, SRST, DEVICE RESET: what is under way is forgotten. */
  reset(): void {
    this.abandon();
    this.settle();
    this.showSignature();
  }

  /** As EXECUTE DEVICE DIAGNOSTIC and resets leave the registers. */
  showSignature(): void {
    this.abandon();
    this.error = 0x01;
    this.count.value = 1;
    this.lbaLow.value = 1;
    this.device &= DEVICE.second;
    this.signature();
  }

  /** The guest holds SRST. */
  hold(): void {
    this.abandon();
    this.status = STATUS.bsy;
  }

  /** What is under way is forgotten; the status stays as it is. */
  abandon(): void {
    this.#generation++;
    this.#pio = undefined;
    this.dma = undefined;
    this.setIntrq(false);
  }

  readRegister(offset: number, hob: boolean): number {
    const { device, error, status } = this;
    const of = ({ before, value }: Written): number => (hob ? before : value);
    switch (offset) {
      case REG.error:
        return error;
      case REG.count:
        return of(this.count);
      case REG.lbaLow:
        return of(this.lbaLow);
      case REG.lbaMid:
        return of(this.lbaMid);
      case REG.lbaHigh:
        return of(this.lbaHigh);
      case REG.device:
        return device | DEVICE.obsolete;
      default:
        return status;
    }
  }

  /** Any register but data and command. A busy drive does not look (7.2 and following: "BSY and DRQ zero"). */
  writeRegister(offset: number, value: number): void {
    if (this.status & (STATUS.bsy | STATUS.drq)) {
      // Which drive is selected is the channel's.
      if (offset === REG.device) this.device = (this.device & ~DEVICE.second) | (value & DEVICE.second);
      return;
    }
    const push = (register: Written): void => {
      register.before = register.value;
      register.value = value;
    };
    if (offset === REG.error) push(this.features);
    else if (offset === REG.count) push(this.count);
    else if (offset === REG.lbaLow) push(this.lbaLow);
    else if (offset === REG.lbaMid) push(this.lbaMid);
    else if (offset === REG.lbaHigh) push(this.lbaHigh);
    else if (offset === REG.device) this.device = value & ~DEVICE.obsolete;
  }

  command(command: number): void {
    if (this.status & (STATUS.bsy | STATUS.drq) && !this.interrupts(command)) return;
    this.abandon();
    this.error = 0;
    this.status = STATUS.bsy;
    this.execute(command);
  }

  /** The block that waits for the host, if one does. */
  get pio(): Readonly<PioPhase> | undefined {
    return this.#pio;
  }

  /** The bus master has moved all bytes of the DMA phase: the command goes on. */
  dmaMoved(): void {
    const phase = this.dma;
    if (phase === undefined) return;
    this.dma = undefined;
    this.status = STATUS.bsy;
    phase.done();
  }

  /** The data register: 1, 2 or 4 bytes. */
  readData(size: number): number {
    const pio = this.#pio;
    if (pio?.toHost !== true) return 0;
    let value = 0;
    for (let i = 0; i < size && pio.at < pio.bytes.length; i++) value += (pio.bytes[pio.at++] as number) * 2 ** (i * 8);
    this.#advance(pio);
    return value;
  }

  writeData(size: number, value: number): void {
    const pio = this.#pio;
    if (pio === undefined || pio.toHost) return;
    for (let i = 0; i < size && pio.at < pio.bytes.length; i++) pio.bytes[pio.at++] = (value >>> (i * 8)) & 0xff;
    this.#advance(pio);
  }

  /** Whole elements of `size` bytes from the data register, at most those of this block of the command. Gives their number. */
  readDataBlock(size: number, into: Uint8Array): number {
    return this.#moveBlock(true, size, into);
  }

  writeDataBlock(size: number, from: Uint8Array): number {
    return this.#moveBlock(false, size, from);
  }

  #moveBlock(toHost: boolean, size: number, data: Uint8Array): number {
    const pio = this.#pio;
    if (pio?.toHost !== toHost) return 0;
    const count = Math.floor(Math.min(data.length, pio.bytes.length - pio.at) / size);
    const end = pio.at + count * size;
    if (toHost) data.set(pio.bytes.subarray(pio.at, end));
    else pio.bytes.set(data.subarray(0, count * size), pio.at);
    pio.at = end;
    this.#advance(pio);
    return count;
  }

  #advance(pio: PioPhase): void {
    if (pio.at < pio.bytes.length) return;
    this.#pio = undefined;
    this.status = STATUS.bsy;
    pio.done();
  }

  /** The host is to read these bytes. */
  protected pioIn(bytes: Uint8Array, done: () => void): void {
    this.#pio = { toHost: true, bytes, at: 0, done };
    this.status = STATUS.drdy | STATUS.dsc | STATUS.drq;
    this.setIntrq(true);
  }

  /** The host is to write as many bytes. The first block of a command is asked for without an interrupt. */
  protected pioOut(bytes: Uint8Array, interrupt: boolean, done: () => void): void {
    this.#pio = { toHost: false, bytes, at: 0, done };
    this.status = STATUS.drdy | STATUS.dsc | STATUS.drq;
    this.setIntrq(interrupt);
  }

  /** The bus master is to move these bytes. DRQ is up, BSY too: a host that reads the data register meanwhile finds nothing. */
  protected dmaMove(toMemory: boolean, bytes: Uint8Array, done: () => void): void {
    this.dma = { toMemory, bytes, at: 0, done };
    this.status = STATUS.drdy | STATUS.dsc | STATUS.drq;
    this.#host.dmaRequest();
  }

  /** A callback of a request to the store that does nothing when the drive has been reset meanwhile. */
  protected later<T>(then: (result: T) => void): (result: T) => void {
    const generation = this.#generation;
    return (result) => {
      if (generation === this.#generation) then(result);
    };
  }

  protected succeed(): void {
    this.status = STATUS.drdy | STATUS.dsc;
    this.setIntrq(true);
  }

  protected fail(error: number): void {
    this.error = error;
    this.status = STATUS.drdy | STATUS.dsc | STATUS.err;
    this.setIntrq(true);
  }

  protected abort(): void {
    this.fail(ERROR.abrt);
  }

  setIntrq(level: boolean): void {
    this.intrq = level;
    this.#host.interrupt();
  }
}
