// A CD-ROM drive: the PACKET feature set of ATA/ATAPI-6 (8.24, 9.9), and behind it the commands of MMC-4 that firmware, boot loaders and
// systems use to read a data disc.
import type { DiskPort } from '../disk-port.ts';
import { COMMAND, ERROR, FEATURE, STATUS } from './ata-registers.ts';
import { IdeDrive, type IdeHost } from './ide-drive.ts';
import { type Attachment, identifyCdrom, knowsMode, PARALLEL } from './identify.ts';
import {
  be16,
  be32,
  CD_SECTOR,
  configuration,
  modePages,
  OP,
  PACKET_BYTES,
  SENSE,
  type Sense,
  senseData,
  tableOfContents,
} from './scsi.ts';

/** Interrupt reason, in the count register (8.24.5). */
const REASON = { command: 1 << 0, toHost: 1 << 1 } as const;
const FEATURES_DMA = 1 << 0;
/** Without a limit of its own the host gets this much at a time. */
const MOST_AT_ONCE = 0xfffe;
const INQUIRY: readonly number[] = [
  // A CD-ROM, removable, response format 2; 31 bytes follow.
  ...[0x05, 0x80, 0x00, 0x21, 31, 0, 0, 0],
  ...[...'DOM1    DOM1 DVD-ROM    1.0 '].map((letter) => letter.charCodeAt(0)),
];

/** What may be done while the medium has changed and nobody was told. */
const REGARDLESS: ReadonlySet<number> = new Set([OP.inquiry, OP.requestSense, OP.getConfiguration, OP.getEventStatus]);

export class Cdrom extends IdeDrive {
  readonly #port: DiskPort;
  readonly #serial: string;
  readonly #attachment: Attachment;
  #sense: Sense = SENSE.none;
  #locked = false;
  /** The guest has ended the use of the medium with START STOP UNIT: it is out of reach until it is loaded again. */
  #ejected = false;
  #transferMode = 0x22;
  #dmaWanted = false;
  #limit = MOST_AT_ONCE;
  /** Of the medium that the guest knows. */
  #medium: number;
  /** For GET EVENT STATUS: a medium has come or gone since it was last asked. */
  #mediaEvent = false;

  constructor(host: IdeHost, port: DiskPort, serial: string, attachment: Attachment = PARALLEL) {
    super(host);
    this.#port = port;
    this.#serial = serial;
    this.#attachment = attachment;
    this.#medium = port.medium;
    this.reset();
  }

  /** A reset leaves the status alone, with BSY cleared (9.12.1): DRDY comes with the first packet. */
  protected signature(): void {
    this.lbaMid.value = 0x14;
    this.lbaHigh.value = 0xeb;
    this.status = 0;
  }

  protected settle(): void {
    this.#sense = SENSE.none;
    this.#locked = false;
  }

  protected interrupts(command: number): boolean {
    return command === COMMAND.deviceReset;
  }

  protected execute(command: number): void {
    switch (command) {
      case COMMAND.packet:
        this.#packet();
        return;
      case COMMAND.identifyPacket:
        this.pioIn(identifyCdrom(this.#serial, this.#transferMode, this.#attachment), () => {
          this.status = STATUS.drdy | STATUS.dsc;
        });
        return;
      case COMMAND.deviceReset:
        this.reset();
        return;
      case COMMAND.setFeatures:
        if (this.features.value === FEATURE.transferMode && knowsMode(this.count.value, this.#attachment)) {
          this.#transferMode = this.count.value;
          this.succeed();
        } else this.abort();
        return;
      case COMMAND.checkPower:
        this.count.value = 0xff;
        this.succeed();
        return;
      case COMMAND.standbyImmediate:
      case COMMAND.idleImmediate:
      case COMMAND.standby:
      case COMMAND.idle:
      case COMMAND.sleep:
        this.succeed();
        return;
      case COMMAND.identify:
      case COMMAND.readSectors:
        // What tells hosts that this is no disk (9.12.4).
        this.showSignature();
        this.status = STATUS.drdy;
        this.abort();
        return;
      default:
        this.abort();
    }
  }

  #packet(): void {
    const limit = this.lbaHigh.value * 256 + this.lbaMid.value;
    // An odd limit is rounded down, and 0 is none (8.24.4).
    this.#limit = limit === 0 || limit === 0xffff ? MOST_AT_ONCE : Math.max(2, limit & ~1);
    this.#dmaWanted = (this.features.value & FEATURES_DMA) !== 0;
    this.count.value = REASON.command;
    const packet = new Uint8Array(PACKET_BYTES);
    this.pioOut(packet, false, () => this.#perform(packet));
  }

  #perform(packet: Uint8Array): void {
    const op = packet[0] as number;
    this.#noticeMedium();
    if (this.#sense === SENSE.mediumChanged && !REGARDLESS.has(op)) {
      this.#refuse(SENSE.mediumChanged);
      // It is told once.
      this.#sense = SENSE.none;
      return;
    }
    if (op !== OP.requestSense && op !== OP.inquiry) this.#sense = this.#sense === SENSE.mediumChanged ? this.#sense : SENSE.none;
    const view = new DataView(packet.buffer);
    const sectors = this.#sectors;
    switch (op) {
      case OP.testUnitReady:
        this.#needMedium(() => this.#good());
        return;
      case OP.requestSense: {
        const data = senseData(this.#sense);
        this.#sense = SENSE.none;
        this.#answer(data, view.getUint8(4));
        return;
      }
      case OP.inquiry:
        if (view.getUint8(1) & 1) this.#refuse(SENSE.badField);
        else this.#answer(Uint8Array.from(INQUIRY), view.getUint16(3));
        return;
      case OP.readCapacity:
        this.#needMedium(() => this.#answer(Uint8Array.from([...be32(sectors - 1), ...be32(CD_SECTOR)]), 8));
        return;
      case OP.readFormatCapacities:
        this.#answer(
          Uint8Array.from([0, 0, 0, 8, ...be32(sectors), sectors > 0 ? 2 : 3, ...be32(CD_SECTOR).slice(1)]),
          view.getUint16(7),
        );
        return;
      case OP.read10:
        this.#needMedium(() => this.#read(view.getUint32(2), view.getUint16(7)));
        return;
      case OP.read12:
        this.#needMedium(() => this.#read(view.getUint32(2), view.getUint32(6)));
        return;
      case OP.readCd:
        this.#readCd(view);
        return;
      case OP.seek10:
        this.#needMedium(() => (view.getUint32(2) < sectors ? this.#good() : this.#refuse(SENSE.beyondEnd)));
        return;
      case OP.readToc: {
        // The format is in byte 2, or where older hosts put it, in byte 9.
        const format = view.getUint8(2) & 15 || view.getUint8(9) >> 6;
        const toc = tableOfContents(sectors, format, (view.getUint8(1) & 2) !== 0, view.getUint8(6));
        this.#needMedium(() => (toc === undefined ? this.#refuse(SENSE.badField) : this.#answer(toc, view.getUint16(7))));
        return;
      }
      case OP.readDiscInformation:
        // Complete, one session, one track: a stamped disc.
        this.#needMedium(() =>
          this.#answer(Uint8Array.from([0, 32, 0x0e, 1, 1, 1, 1, 0x20, ...new Array<number>(26).fill(0)]), view.getUint16(7)),
        );
        return;
      case OP.readSubchannel:
        // No audio is played.
        this.#needMedium(() => this.#answer(Uint8Array.of(0, 0x15, 0, 0), view.getUint16(7)));
        return;
      case OP.getConfiguration:
        this.#answer(configuration(sectors, view.getUint8(1) & 3, view.getUint16(2)), view.getUint16(7));
        return;
      case OP.getEventStatus:
        this.#eventStatus(view);
        return;
      case OP.modeSense6:
      case OP.modeSense10:
        this.#modeSense(view, op === OP.modeSense10);
        return;
      case OP.mechanismStatus:
        this.#answer(Uint8Array.from([0, 0, 0, 0, 0, 1, 0, 0]), view.getUint16(8));
        return;
      case OP.preventRemoval:
        this.#locked = (view.getUint8(4) & 1) !== 0;
        this.#good();
        return;
      case OP.startStopUnit:
        this.#startStop(view.getUint8(4));
        return;
      default:
        this.#refuse(SENSE.unknownPacket);
    }
  }

  get #sectors(): number {
    return this.#ejected ? 0 : this.#port.sectors;
  }

  #noticeMedium(): void {
    const { medium } = this.#port;
    if (medium === this.#medium) return;
    this.#medium = medium;
    this.#ejected = false;
    this.#mediaEvent = true;
    this.#sense = SENSE.mediumChanged;
  }

  #needMedium(then: () => void): void {
    if (this.#sectors === 0) this.#refuse(SENSE.noMedium);
    else then();
  }

  #read(sector: number, count: number): void {
    if (count === 0) this.#good();
    else if (sector + count > this.#sectors) this.#refuse(SENSE.beyondEnd);
    else this.#readOn(sector, count);
  }

  #readOn(sector: number, left: number): void {
    const count = Math.min(left, Math.floor(this.#port.maxBytes / CD_SECTOR));
    const got = (bytes: Uint8Array | undefined): void => {
      if (bytes === undefined) {
        this.#refuse(SENSE.unreadable);
        return;
      }
      this.#give(bytes.slice(), () => {
        if (left > count) {
          this.status = STATUS.bsy;
          this.#readOn(sector + count, left - count);
        } else this.#good();
      });
    };
    this.#port.read(sector, count, this.later(got));
  }

  /** READ CD (MMC-4 6.19), of user data only. */
  #readCd(view: DataView): void {
    const flags = view.getUint8(9) & 0xf8;
    const count = view.getUint32(5) & 0xff_ffff;
    if (flags === 0 || count === 0) this.#needMedium(() => this.#good());
    else if (flags !== 0x10) this.#refuse(SENSE.wrongMode);
    else this.#needMedium(() => this.#read(view.getUint32(2), count));
  }

  /** GET EVENT STATUS NOTIFICATION (MMC-4 6.7): of the medium only. */
  #eventStatus(view: DataView): void {
    const MEDIA = 4;
    if ((view.getUint8(1) & 1) === 0) {
      this.#refuse(SENSE.badField);
      return;
    }
    if ((view.getUint8(4) & (1 << MEDIA)) === 0) {
      this.#answer(Uint8Array.of(0, 2, 0x80, 1 << MEDIA), view.getUint16(7));
      return;
    }
    const present = this.#sectors > 0;
    const event = this.#mediaEvent ? (present ? 2 : 3) : 0;
    this.#mediaEvent = false;
    this.#answer(Uint8Array.of(0, 6, MEDIA, 1 << MEDIA, event, present ? 2 : 0, 0, 0), view.getUint16(7));
  }

  #modeSense(view: DataView, ten: boolean): void {
    const pages = modePages(view.getUint8(2) & 0x3f, this.#locked);
    // Saved values: there are none.
    if (pages === undefined || view.getUint8(2) >> 6 === 3) {
      this.#refuse(SENSE.badField);
      return;
    }
    const type = this.#sectors > 0 ? 0x01 : 0x70;
    const header = ten ? [...be16(pages.length + 6), type, 0, 0, 0, 0, 0] : [pages.length + 3, type, 0, 0];
    this.#answer(Uint8Array.from([...header, ...pages]), ten ? view.getUint16(7) : view.getUint8(4));
  }

  #startStop(what: number): void {
    const eject = (what & 2) !== 0;
    const start = (what & 1) !== 0;
    if (eject && !start && this.#locked) {
      this.#refuse(SENSE.removalPrevented);
      return;
    }
    if (eject) {
      if (this.#ejected === start) this.#mediaEvent = true;
      this.#ejected = !start;
    }
    this.#good();
  }

  /** Data for the host, as many as it has room for. */
  #answer(data: Uint8Array, most: number): void {
    const bytes = data.subarray(0, most);
    if (bytes.length === 0) this.#good();
    else this.#give(bytes, () => this.#good());
  }

  #give(bytes: Uint8Array, done: () => void): void {
    if (this.#dmaWanted) {
      this.count.value = REASON.toHost;
      this.dmaMove(true, bytes, done);
    } else this.#givePart(bytes, done);
  }

  #givePart(bytes: Uint8Array, done: () => void): void {
    const length = Math.min(bytes.length, this.#limit);
    this.count.value = REASON.toHost;
    this.lbaMid.value = length & 0xff;
    this.lbaHigh.value = length >> 8;
    this.pioIn(bytes.subarray(0, length), () => {
      if (length < bytes.length) this.#givePart(bytes.subarray(length), done);
      else done();
    });
  }

  #good(): void {
    this.count.value = REASON.command | REASON.toHost;
    this.succeed();
  }

  #refuse(sense: Sense): void {
    this.#sense = sense;
    this.count.value = REASON.command | REASON.toHost;
    this.fail((sense.key << 4) | ERROR.abrt);
  }
}
