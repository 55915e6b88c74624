// One port of an AHCI controller: its registers, the slots of its command list, and the drive at the other end of the link (AHCI clauses 3.3, 5
// and 6). Without native command queueing: one command is under way at a time.
import type { Gpa } from '../../abi/types.ts';
import type { DmaMemory } from '../dma-memory.ts';
import { COMMAND, CONTROL, DEVICE, REG, STATUS } from '../ide/ata-registers.ts';
import type { DriveMaker, IdeDrive } from '../ide/ide-drive.ts';
import { d2hFis, FIS_BYTES, type HostFis, readHostFis, signatureOf } from './fis.ts';
import {
  CMD,
  DETECT,
  HEADER,
  HEADER_FLAGS,
  INTERRUPTS,
  IS,
  LINK_ACTIVE,
  NOBODY,
  PORT,
  RECEIVED,
  SERR,
  SLOTS,
  SPEED_SHIFT,
  TABLE,
} from './registers.ts';
import { type CommandHost, SlotCommand } from './slot-command.ts';

const BUSY = STATUS.bsy | STATUS.drq;

export interface AhciPortOptions {
  readonly memory: DmaMemory;
  readonly drive: DriveMaker | undefined;
  /** `interrupting` may have changed. */
  readonly changed: () => void;
}

export class AhciPort implements CommandHost {
  readonly #memory: DmaMemory;
  readonly #changed: () => void;
  #drive: IdeDrive | undefined;
  #commandList = { low: 0, high: 0 };
  #fisArea = { low: 0, high: 0 };
  #is = 0;
  #ie = 0;
  #cmd = 0;
  /** The task file as the last FIS left it: the drive itself may be further. */
  #status: number = NOBODY.status;
  #error = 0;
  #signature: number = NOBODY.signature;
  #sctl = 0;
  #serr = 0;
  #ci = 0;
  /** The slot that was taken last. */
  #slot = 0;
  #command: SlotCommand | undefined;
  /** An error has stopped the list, until software stops and starts it (6.2.2). */
  #stopped = false;
  /** The drive has come up, and its first FIS waits for a host that receives it. */
  #signatureDue = false;
  /** Software holds SRST. */
  #resetting = false;
  #running = false;
  #issuing = false;

  constructor({ changed, drive, memory }: AhciPortOptions) {
    this.#memory = memory;
    this.#changed = changed;
    this.#drive = drive?.({ interrupt: () => this.#run(), dmaRequest: () => this.#run() });
    this.#linkUp();
  }

  /** Whether its bit in the controller's IS is to be set (3.1.3). */
  get interrupting(): boolean {
    return (this.#pending & this.#ie) !== 0;
  }

  /** GHC.HR: all but the places of its lists (10.4.3). */
  reset(): void {
    this.#is = this.#ie = this.#cmd = this.#sctl = this.#serr = this.#slot = 0;
    this.#stopList();
    this.#linkUp();
  }

  /** Takes the drive off, as unplugging does. */
  remove(which: (drive: IdeDrive) => boolean): void {
    if (this.#drive === undefined || !which(this.#drive)) return;
    this.#drop();
    this.#drive.abandon();
    this.#drive = undefined;
    this.#linkUp();
    this.#serr |= SERR.phyReady;
    this.#changed();
  }

  read(register: number): number {
    const { high, low } = register >= PORT.fis ? this.#fisArea : this.#commandList;
    switch (register) {
      case PORT.commandList:
      case PORT.fis:
        return low;
      case PORT.commandListHigh:
      case PORT.fisHigh:
        return high;
      case PORT.is:
        return this.#pending;
      case PORT.ie:
        return this.#ie;
      case PORT.cmd:
        return this.#commandAndStatus;
      case PORT.tfd:
        return (this.#error << 8) | this.#status;
      case PORT.sig:
        return this.#signature;
      case PORT.ssts:
        return this.#link;
      case PORT.sctl:
        return this.#sctl;
      case PORT.serr:
        return this.#serr;
      case PORT.ci:
        return this.#ci;
      default:
        return 0;
    }
  }

  /** Writes the bytes of a register that `mask` names; what is cleared or set by ones is so by `value`, which has no others. */
  write(register: number, value: number, mask: number): void {
    const merged = (old: number): number => ((old & ~mask) | value) >>> 0;
    switch (register) {
      case PORT.commandList:
        this.#commandList.low = (merged(this.#commandList.low) & ~0x3ff) >>> 0;
        return;
      case PORT.commandListHigh:
        this.#commandList.high = merged(this.#commandList.high);
        return;
      case PORT.fis:
        this.#fisArea.low = (merged(this.#fisArea.low) & ~0xff) >>> 0;
        return;
      case PORT.fisHigh:
        this.#fisArea.high = merged(this.#fisArea.high);
        return;
      case PORT.is:
        this.#is &= ~value;
        break;
      case PORT.ie:
        this.#ie = merged(this.#ie) & INTERRUPTS;
        break;
      case PORT.cmd:
        this.#setCommand(merged(this.#cmd));
        break;
      case PORT.sctl:
        this.#setControl(merged(this.#sctl) & 0xfff);
        break;
      case PORT.serr:
        this.#serr &= ~value;
        break;
      case PORT.ci:
        if (this.#cmd & CMD.start) this.#ci = (this.#ci | value) >>> 0;
        this.#issue();
        break;
      default:
        return;
    }
    this.#changed();
  }

  /** Two of the bits are PxSERR's (3.3.5). */
  get #pending(): number {
    const { phyReady, exchanged } = SERR;
    return this.#is | (this.#serr & exchanged ? IS.connectChange : 0) | (this.#serr & phyReady ? IS.phyReady : 0);
  }

  get #commandAndStatus(): number {
    const { fisReceive, fisRunning, powerOn, running, slotShift, spinUp, start } = CMD;
    const on = (this.#cmd & start ? running : 0) | (this.#cmd & fisReceive ? fisRunning : 0);
    return this.#cmd | spinUp | powerOn | on | (this.#slot << slotShift);
  }

  get #link(): number {
    const detect = this.#sctl & DETECT.mask;
    if (detect === DETECT.offline) return DETECT.offline;
    if (this.#drive === undefined || detect !== 0) return 0;
    // Generation 2, unless software allows no more than 1.
    const speed = ((this.#sctl >> SPEED_SHIFT) & 15) === 1 ? 1 : 2;
    return DETECT.present | (speed << SPEED_SHIFT) | LINK_ACTIVE;
  }

  #setCommand(value: number): void {
    const before = this.#cmd;
    this.#cmd = value & (CMD.start | CMD.fisReceive | CMD.atapi);
    if (before & CMD.start && !(value & CMD.start)) this.#stopList();
    if (value & CMD.override && !(before & CMD.start)) this.#status &= ~BUSY;
    if (this.#signatureDue && value & CMD.fisReceive) this.#sendSignature();
    this.#issue();
  }

  /** PxSCTL.DET: 1 holds COMRESET, 4 turns the PHY off; back at 0 the link comes up (10.4.2). */
  #setControl(value: number): void {
    const before = this.#sctl & DETECT.mask;
    this.#sctl = value;
    const now = value & DETECT.mask;
    if (now === before) return;
    if (now === 0) this.#linkUp();
    else {
      this.#drop();
      this.#drive?.hold();
      this.#status = NOBODY.status;
    }
  }

  #linkUp(): void {
    this.#resetting = false;
    this.#signatureDue = this.#drive !== undefined;
    this.#signature = NOBODY.signature;
    this.#status = NOBODY.status;
    this.#error = 0;
    if (this.#drive === undefined) return;
    this.#drive.device = 0;
    this.#drive.reset();
    this.#status = STATUS.bsy;
    this.#serr |= SERR.exchanged | SERR.phyReady;
    if (this.#cmd & CMD.fisReceive) this.#sendSignature();
  }

  #sendSignature(): void {
    const drive = this.#drive as IdeDrive;
    this.#signatureDue = false;
    this.#signature = signatureOf(drive);
    this.#sendRegisters(drive, false);
  }

  /** The drive's registers come by a FIS. */
  #sendRegisters(drive: IdeDrive, interrupt: boolean): void {
    if (interrupt) this.#is |= IS.d2h;
    this.receive(RECEIVED.d2h, d2hFis(drive, interrupt), drive);
  }

  receive(at: number, fis: Uint8Array, { error, status }: { readonly status: number; readonly error: number }): void {
    const { high, low } = this.#fisArea;
    this.#status = status;
    this.#error = error;
    if (this.#cmd & CMD.fisReceive && !this.#memory.write((high * 0x1_0000_0000 + low + at) as Gpa, fis))
      this.fail(IS.hostBusFatal);
  }

  tell(interrupts: number): void {
    this.#is |= interrupts;
  }

  /** Software has stopped the list: what it was asked is forgotten (3.3.14). */
  #stopList(): void {
    this.#ci = 0;
    this.#stopped = false;
    this.#drop();
  }

  /** Nobody waits for the command that is under way. The drive stays as it is, which a reset ends. */
  #drop(): void {
    if (this.#command === undefined) return;
    this.#command = undefined;
    this.#drive?.abandon();
  }

  /** An error after which the list stands still (6.1). */
  fail(why: number): void {
    this.#is |= why;
    this.#stopped = true;
    this.#drop();
  }

  get #ready(): boolean {
    const free = this.#command === undefined && !this.#stopped && (this.#status & BUSY) === 0;
    return free && this.#drive !== undefined && this.#ci !== 0 && (this.#cmd & CMD.start) !== 0;
  }

  /** Takes slots in turn, until a command takes its time. Each one that ends at once has its bit cleared, or stops the list. */
  #issue(): void {
    if (this.#issuing) return;
    this.#issuing = true;
    while (this.#ready) {
      do this.#slot = (this.#slot + 1) % SLOTS;
      while ((this.#ci & (1 << this.#slot)) === 0);
      this.#take(this.#slot);
    }
    this.#issuing = false;
  }

  #take(slot: number): void {
    const { high, low } = this.#commandList;
    const headerAt = high * 0x1_0000_0000 + low + slot * HEADER.bytes;
    const header = this.#fetch(headerAt, HEADER.bytes);
    if (header === undefined) return;
    const flags = header.getUint32(0, true);
    const table = (header.getUint32(HEADER.table, true) & -TABLE.align) >>> 0;
    const tableAt = header.getUint32(HEADER.tableHigh, true) * 0x1_0000_0000 + table;
    const words = flags & HEADER_FLAGS.fisWords;
    const sent = this.#fetch(tableAt + TABLE.fis, FIS_BYTES);
    if (sent === undefined) return;
    const fis = words * 4 < FIS_BYTES ? undefined : readHostFis(new Uint8Array(sent.buffer));
    if (fis === undefined) {
      // No device takes it.
      this.fail(IS.interfaceFatal);
      return;
    }
    if (fis.command === undefined) {
      this.#control(slot, fis.control, (flags & HEADER_FLAGS.clearBusy) !== 0);
      return;
    }
    const [drive, memory] = [this.#drive as IdeDrive, this.#memory];
    this.#command = new SlotCommand({ slot, drive, memory, flags, headerAt, tableAt, host: this });
    this.#begin(drive, fis.command, fis.registers);
  }

  #fetch(at: number, bytes: number): DataView | undefined {
    const data = new Uint8Array(bytes);
    if (this.#memory.read(at as Gpa, data)) return new DataView(data.buffer);
    this.fail(IS.hostBusFatal);
    return undefined;
  }

  /** The device control register: the only bit that means something to a device on a link of its own is SRST. */
  #control(slot: number, control: number, clearBusy: boolean): void {
    const drive = this.#drive as IdeDrive;
    this.#ci = (this.#ci & ~(1 << slot)) >>> 0;
    const srst = (control & CONTROL.srst) !== 0;
    if (srst && !this.#resetting) {
      drive.hold();
      if (!clearBusy) this.#status |= STATUS.bsy;
    }
    if (!srst && this.#resetting) {
      drive.device = 0;
      drive.reset();
      this.#sendSignature();
    }
    this.#resetting = srst;
  }

  #begin(drive: IdeDrive, code: number, registers: HostFis['registers']): void {
    this.#status = STATUS.bsy;
    // The drive is looked at when it has the whole command.
    this.#running = true;
    for (const [register, value] of registers)
      drive.writeRegister(register, register === REG.device ? value & ~DEVICE.second : value);
    if (code === COMMAND.diagnostic) {
      drive.showSignature();
      drive.setIntrq(true);
    } else drive.command(code);
    this.#running = false;
    this.#run();
  }

  /** Carries out what the drive waits for, one phase after the other, until it is busy by itself or through. */
  #run(): void {
    if (this.#running || this.#command === undefined) return;
    this.#running = true;
    let how: ReturnType<SlotCommand['step']> = 'more';
    while (how === 'more' && this.#command !== undefined) {
      const command: SlotCommand = this.#command;
      how = command.step();
      if (how === 'over') this.#end(this.#drive as IdeDrive, command);
    }
    this.#running = false;
    this.#issue();
    this.#changed();
  }

  #end(drive: IdeDrive, command: SlotCommand): void {
    const interrupt = drive.intrq;
    this.#command = undefined;
    drive.setIntrq(false);
    command.count();
    if (interrupt || !command.told) this.#sendRegisters(drive, interrupt);
    if (drive.status & (STATUS.err | STATUS.df)) {
      // The slot keeps its bit, and nothing else is taken (6.2.2.1).
      this.#is |= IS.taskFile;
      this.#stopped = true;
    } else this.#ci = (this.#ci & ~(1 << command.slot)) >>> 0;
  }
}
