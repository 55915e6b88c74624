// One IDE channel: the cable with up to two drives, of which one is selected, the ports of command and control block, and the bus master's
// half. ATA/ATAPI-6 clause 7.
import type { DmaMemory } from '../dma-memory.ts';
import { type InterruptLine, setLine } from '../interrupt-line.ts';
import type { IoHandler } from '../io-bus.ts';
import { bytePorts } from '../pc/byte-ports.ts';
import { COMMAND, CONTROL, DEVICE, REG, STATUS } from './ata-registers.ts';
import { BusMaster } from './bus-master.ts';
import type { DriveMaker, IdeDrive, IdeHost } from './ide-drive.ts';

export interface IdeChannelOptions {
  readonly interrupt: InterruptLine;
  readonly memory: DmaMemory;
  /** Device 0 and device 1. */
  readonly drives: readonly [DriveMaker | undefined, DriveMaker | undefined];
}

export class IdeChannel {
  /** Eight ports from 0x1f0 or 0x170 on. */
  readonly commandBlock: IoHandler;
  /** One port, 0x3f6 or 0x376: alternate status and device control. */
  readonly controlBlock: IoHandler;
  readonly busMaster: BusMaster;
  readonly #line: InterruptLine;
  readonly #drives: [IdeDrive | undefined, IdeDrive | undefined];
  #second = false;
  #control = 0;
  #lineUp = false;

  constructor(options: IdeChannelOptions) {
    this.#line = options.interrupt;
    this.busMaster = new BusMaster(
      options.memory,
      () => this.#selected?.dma,
      () => this.#selected?.dmaMoved(),
    );
    this.#drives = [undefined, undefined];
    for (const [place, make] of options.drives.entries()) {
      const host: IdeHost = {
        interrupt: () => this.#drive(),
        dmaRequest: () => {
          if (this.#selected === this.#drives[place]) this.busMaster.run();
        },
      };
      this.#drives[place] = make?.(host);
    }
    this.commandBlock = this.#makeCommandBlock();
    this.controlBlock = bytePorts(
      () => this.#status,
      (_, value) => this.#setControl(value),
    );
  }

  /** Takes drives off the cable, as unplugging does. */
  remove(which: (place: number, drive: IdeDrive) => boolean): void {
    for (const [place, drive] of this.#drives.entries()) {
      if (drive === undefined || !which(place, drive)) continue;
      drive.abandon();
      this.#drives[place] = undefined;
    }
    this.#drive();
  }

  reset(): void {
    this.#second = false;
    this.#control = 0;
    this.busMaster.reset();
    for (const drive of this.#drives) drive?.reset();
    this.#drive();
  }

  get #selected(): IdeDrive | undefined {
    return this.#drives[this.#second ? 1 : 0];
  }

  /** Device 0 answers for a device 1 that is not there: with 0. */
  get #status(): number {
    return this.#selected?.status ?? 0;
  }

  #makeCommandBlock(): IoHandler {
    const bytes = bytePorts(
      (offset) => this.#read(offset),
      (offset, value) => this.#write(offset, value),
    );
    return {
      read: (offset, size) =>
        offset === REG.data && size > 1 ? (this.#selected?.readData(size) ?? 0) : bytes.read(offset, size),
      write: (offset, size, value) => {
        if (offset === REG.data && size > 1) this.#selected?.writeData(size, value);
        else bytes.write(offset, size, value);
      },
      readBlock: (offset, size, into) => (offset === REG.data ? (this.#selected?.readDataBlock(size, into) ?? 0) : 0),
      writeBlock: (offset, size, from) => (offset === REG.data ? (this.#selected?.writeDataBlock(size, from) ?? 0) : 0),
    };
  }

  #read(offset: number): number {
    const drive = this.#selected;
    if (drive === undefined) return 0;
    if (offset === REG.data) return drive.readData(1);
    const value = drive.readRegister(offset, (this.#control & CONTROL.hob) !== 0);
    // Reading it acknowledges the interrupt (7.15.4).
    if (offset === REG.status && drive.intrq) drive.setIntrq(false);
    return value;
  }

  #write(offset: number, value: number): void {
    if (offset === REG.data) {
      this.#selected?.writeData(1, value);
      return;
    }
    // Any write but of device control ends the look at the previous contents (7.8).
    this.#control &= ~CONTROL.hob;
    if (offset === REG.status) {
      this.#command(value);
      return;
    }
    for (const drive of this.#drives) drive?.writeRegister(offset, value);
    if (offset !== REG.device) return;
    this.#second = (value & DEVICE.second) !== 0;
    this.#drive();
    this.busMaster.run();
  }

  #command(command: number): void {
    if (command !== COMMAND.diagnostic) {
      this.#selected?.command(command);
      return;
    }
    // Both drives carry it out, and device 0 answers (8.9).
    if (this.#drives.some((drive) => drive !== undefined && drive.status & STATUS.bsy)) return;
    for (const drive of this.#drives) drive?.showSignature();
    this.#second = false;
    for (const drive of this.#drives) if (drive !== undefined) drive.device &= ~DEVICE.second;
    this.#selected?.setIntrq(true);
  }

  #setControl(value: number): void {
    const before = this.#control;
    this.#control = value;
    if (value & CONTROL.srst && !(before & CONTROL.srst)) for (const drive of this.#drives) drive?.hold();
    if (!(value & CONTROL.srst) && before & CONTROL.srst) {
      this.#second = false;
      for (const drive of this.#drives) {
        if (drive === undefined) continue;
        drive.device = 0;
        drive.reset();
      }
    }
    this.#drive();
  }

  /** The selected drive's INTRQ, unless the host does not want it. */
  #drive(): void {
    const up = this.#selected?.intrq === true && (this.#control & CONTROL.nien) === 0;
    if (up && !this.#lineUp) this.busMaster.interrupt();
    this.#lineUp = up;
    setLine(this.#line, up);
  }
}
