// A hard disk: the general feature set of ATA/ATAPI-6 with 28- and 48-bit addresses, PIO and DMA. Sectors have 512 bytes.
import { DISK_SECTOR, type DiskPort } from '../disk-port.ts';
import { COMMAND, DEVICE, ERROR, FEATURE, STATUS } from './ata-registers.ts';
import { IdeDrive, type IdeHost } from './ide-drive.ts';
import {
  type Attachment,
  DEFAULT_HEADS,
  DEFAULT_TRACK,
  geometryOf,
  identifyDisk,
  knowsMode,
  MAX_MULTIPLE,
  PARALLEL,
} from './identify.ts';

const SECTOR = DISK_SECTOR;
/** Check power mode: active or idle. */
const POWER_ACTIVE = 0xff;

/** How a read or write command goes about it. */
interface Way {
  readonly write: boolean;
  readonly ext: boolean;
  readonly by: 'sector' | 'multiple' | 'dma' | 'nothing';
}

const way = (write: boolean, ext: boolean, by: Way['by']): Way => ({ write, ext, by });
const TRANSFERS: ReadonlyMap<number, Way> = new Map([
  [COMMAND.readSectors, way(false, false, 'sector')],
  [COMMAND.readSectorsNoRetry, way(false, false, 'sector')],
  [COMMAND.readSectorsExt, way(false, true, 'sector')],
  [COMMAND.readMultiple, way(false, false, 'multiple')],
  [COMMAND.readMultipleExt, way(false, true, 'multiple')],
  [COMMAND.readDma, way(false, false, 'dma')],
  [COMMAND.readDmaNoRetry, way(false, false, 'dma')],
  [COMMAND.readDmaExt, way(false, true, 'dma')],
  [COMMAND.readVerify, way(false, false, 'nothing')],
  [COMMAND.readVerifyNoRetry, way(false, false, 'nothing')],
  [COMMAND.readVerifyExt, way(false, true, 'nothing')],
  [COMMAND.writeSectors, way(true, false, 'sector')],
  [COMMAND.writeSectorsNoRetry, way(true, false, 'sector')],
  [COMMAND.writeSectorsExt, way(true, true, 'sector')],
  [COMMAND.writeMultiple, way(true, false, 'multiple')],
  [COMMAND.writeMultipleExt, way(true, true, 'multiple')],
  [COMMAND.writeDma, way(true, false, 'dma')],
  [COMMAND.writeDmaNoRetry, way(true, false, 'dma')],
  [COMMAND.writeDmaExt, way(true, true, 'dma')],
]);

/** What is left of a transfer. */
interface Job extends Way {
  sector: number;
  left: number;
  /** Sectors in a block of PIO. */
  readonly block: number;
  /** Nothing has been asked of the host yet. */
  first: boolean;
}

export class AtaDisk extends IdeDrive {
  readonly #port: DiskPort;
  readonly #serial: string;
  readonly #attachment: Attachment;
  /** As INITIALIZE DEVICE PARAMETERS left them. */
  #heads: number = DEFAULT_HEADS;
  #track: number = DEFAULT_TRACK;
  #multiple = MAX_MULTIPLE;
  #transferMode = 0x22;
  #writeCache = true;

  /** @param serial at most 20 characters */
  constructor(host: IdeHost, port: DiskPort, serial: string, attachment: Attachment = PARALLEL) {
    super(host);
    this.#port = port;
    this.#serial = serial;
    this.#attachment = attachment;
    this.reset();
  }

  protected signature(): void {
    this.lbaMid.value = 0;
    this.lbaHigh.value = 0;
    this.status = STATUS.drdy | STATUS.dsc;
  }

  protected settle(): void {
    this.#heads = DEFAULT_HEADS;
    this.#track = DEFAULT_TRACK;
    this.#multiple = MAX_MULTIPLE;
    this.#writeCache = true;
  }

  protected interrupts(): boolean {
    return false;
  }

  protected execute(command: number): void {
    const transfer = TRANSFERS.get(command);
    if (transfer !== undefined) {
      this.#transfer(transfer);
      return;
    }
    const { count } = this;
    switch (command) {
      case COMMAND.identify:
        this.pioIn(this.#identify(), () => this.#finished());
        return;
      case COMMAND.flush:
      case COMMAND.flushExt:
        this.#flush(() => this.succeed());
        return;
      case COMMAND.setFeatures:
        this.#setFeatures();
        return;
      case COMMAND.setMultiple: {
        const { value } = count;
        if (value > MAX_MULTIPLE || (value & (value - 1)) !== 0) this.abort();
        else {
          this.#multiple = value;
          this.succeed();
        }
        return;
      }
      case COMMAND.initializeParameters:
        if (count.value === 0) this.abort();
        else {
          this.#heads = (this.device & DEVICE.head) + 1;
          this.#track = count.value;
          this.succeed();
        }
        return;
      case COMMAND.readNativeMax:
        this.#setAddress(Math.min(this.#port.sectors, 0x0fff_ffff) - 1, false);
        this.succeed();
        return;
      case COMMAND.readNativeMaxExt:
        this.#setAddress(this.#port.sectors - 1, true);
        this.succeed();
        return;
      case COMMAND.checkPower:
        count.value = POWER_ACTIVE;
        this.succeed();
        return;
      case COMMAND.seek:
      case COMMAND.standbyImmediate:
      case COMMAND.idleImmediate:
      case COMMAND.standby:
      case COMMAND.idle:
      case COMMAND.sleep:
        this.succeed();
        return;
      default:
        // Obsolete, and as many codes for it: RECALIBRATE.
        if ((command & 0xf0) === COMMAND.recalibrate) this.succeed();
        else this.abort();
    }
  }

  #identify(): Uint8Array {
    const { sectors } = this.#port;
    const settings = { transferMode: this.#transferMode, multiple: this.#multiple, writeCache: this.#writeCache };
    const current = geometryOf(sectors, this.#heads, this.#track);
    return identifyDisk(this.#serial, sectors, geometryOf(sectors), current, settings, this.#attachment);
  }

  #setFeatures(): void {
    switch (this.features.value) {
      case FEATURE.transferMode:
        if (!knowsMode(this.count.value, this.#attachment)) {
          this.abort();
          return;
        }
        this.#transferMode = this.count.value;
        break;
      case FEATURE.enableCache:
        this.#writeCache = true;
        break;
      case FEATURE.disableCache:
        // What was written so far is to be stable first.
        this.#flush(() => {
          this.#writeCache = false;
          this.succeed();
        });
        return;
      case FEATURE.lookAhead:
      case FEATURE.noLookAhead:
        break;
      default:
        this.abort();
        return;
    }
    this.succeed();
  }

  #flush(then: () => void): void {
    this.#port.flush(
      this.later((ok) => {
        if (ok) then();
        else this.abort();
      }),
    );
  }

  #transfer(how: Way): void {
    const { ext } = how;
    const count = ext ? this.count.before * 256 + this.count.value || 65536 : this.count.value || 256;
    const sector = this.#address(ext);
    const { readOnly, sectors } = this.#port;
    if ((how.by === 'multiple' && this.#multiple === 0) || (how.write && readOnly)) {
      this.abort();
      return;
    }
    if (sector === undefined || sector + count > sectors) {
      this.fail(ERROR.idnf);
      return;
    }
    const job: Job = { ...how, sector, left: count, block: how.by === 'multiple' ? this.#multiple : 1, first: true };
    if (how.write) this.#take(job);
    else this.#give(job);
  }

  /** Reads the next part and gives it to the host, until nothing is left. */
  #give(job: Job): void {
    if (job.left === 0) {
      // The last block of PIO was the end of it; DMA ends with an interrupt.
      if (job.by === 'dma' || job.by === 'nothing') this.#end(job);
      else this.#finished();
      return;
    }
    const count = Math.min(job.left, Math.floor(this.#port.maxBytes / SECTOR));
    const got = (bytes: Uint8Array | undefined): void => {
      if (bytes === undefined) {
        this.#setAddress(job.sector, job.ext);
        this.fail(ERROR.unc);
        return;
      }
      job.sector += count;
      job.left -= count;
      if (job.by === 'nothing') this.#give(job);
      else if (job.by === 'dma') this.dmaMove(true, bytes.slice(), () => this.#give(job));
      else this.#giveBlocks(job, bytes.slice(), 0);
    };
    this.#port.read(job.sector, count, this.later(got));
  }

  #giveBlocks(job: Job, bytes: Uint8Array, at: number): void {
    if (at === bytes.length) {
      this.#give(job);
      return;
    }
    const end = Math.min(bytes.length, at + job.block * SECTOR);
    this.pioIn(bytes.subarray(at, end), () => this.#giveBlocks(job, bytes, end));
  }

  /** Takes the next part from the host and writes it, until nothing is left. */
  #take(job: Job): void {
    if (job.left === 0) {
      this.#end(job);
      return;
    }
    // Blocks are not cut by what the store takes at once.
    const most = Math.max(job.block, Math.floor(this.#port.maxBytes / SECTOR / job.block) * job.block);
    const count = Math.min(job.left, most);
    const bytes = new Uint8Array(count * SECTOR);
    if (job.by === 'dma') this.dmaMove(false, bytes, () => this.#store(job, bytes));
    else this.#takeBlocks(job, bytes, 0);
  }

  #takeBlocks(job: Job, bytes: Uint8Array, at: number): void {
    if (at === bytes.length) {
      this.#store(job, bytes);
      return;
    }
    const end = Math.min(bytes.length, at + job.block * SECTOR);
    const interrupt = !job.first;
    job.first = false;
    this.pioOut(bytes.subarray(at, end), interrupt, () => this.#takeBlocks(job, bytes, end));
  }

  #store(job: Job, bytes: Uint8Array): void {
    this.status = STATUS.bsy;
    const stored = (ok: boolean): void => {
      if (!ok) {
        this.#setAddress(job.sector, job.ext);
        this.abort();
        return;
      }
      job.sector += bytes.length / SECTOR;
      job.left -= bytes.length / SECTOR;
      this.#take(job);
    };
    this.#port.write(job.sector, bytes, this.later(stored));
  }

  /** Without a write cache what was written is stable before the command ends. */
  #end(job: Job): void {
    const end = (): void => {
      this.#setAddress(job.sector - 1, job.ext);
      this.succeed();
    };
    if (job.write && !this.#writeCache) this.#flush(end);
    else end();
  }

  /** The end of a PIO read: the host has had its interrupt with the last block. */
  #finished(): void {
    this.status = STATUS.drdy | STATUS.dsc;
  }

  /** Undefined when there is no such cylinder, head or sector. */
  #address(ext: boolean): number | undefined {
    const { device, lbaHigh: high, lbaLow: low, lbaMid: mid } = this;
    const bits24 = high.value * 0x1_0000 + mid.value * 0x100 + low.value;
    if (ext) return (high.before * 0x1_0000 + mid.before * 0x100 + low.before) * 0x100_0000 + bits24;
    if (device & DEVICE.lba) return (device & DEVICE.head) * 0x100_0000 + bits24;
    const head = device & DEVICE.head;
    if (low.value === 0 || low.value > this.#track || head >= this.#heads) return undefined;
    return ((high.value * 0x100 + mid.value) * this.#heads + head) * this.#track + low.value - 1;
  }

  /** Which sector it was, in the registers. */
  #setAddress(sector: number, ext: boolean): void {
    const at = Math.max(0, sector);
    const set = (low: number, mid: number, high: number): void => {
      this.lbaLow.value = low & 0xff;
      this.lbaMid.value = mid & 0xff;
      this.lbaHigh.value = high & 0xff;
    };
    if (!ext && (this.device & DEVICE.lba) === 0) {
      const cylinder = Math.floor(at / (this.#heads * this.#track));
      set((at % this.#track) + 1, cylinder, cylinder >> 8);
      this.device = (this.device & ~DEVICE.head) | (Math.floor(at / this.#track) % this.#heads);
      return;
    }
    set(at, at >>> 8, at >>> 16);
    const rest = Math.floor(at / 0x100_0000);
    if (ext) {
      this.lbaLow.before = rest & 0xff;
      this.lbaMid.before = (rest >>> 8) & 0xff;
      this.lbaHigh.before = (rest >>> 16) & 0xff;
    } else this.device = (this.device & ~DEVICE.head) | (rest & DEVICE.head);
  }
}
