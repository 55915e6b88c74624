// The board's end of a drive: sectors asked of the I/O side by message, moved through the buffer that both see.
import { DISK_SECTOR, type DiskPort } from '../../devices/disk-port.ts';
import { CD_SECTOR } from '../../devices/ide/scsi.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DRIVE, DRIVE_BUFFER_BYTES, type DriveConfig, type DriveRequest } from './drive-region.ts';

type Answer = (ok: boolean) => void;

export class DrivePort implements DiskPort {
  readonly sectorBytes: number;
  readonly maxBytes: number = DRIVE_BUFFER_BYTES;
  readonly #config: DriveConfig;
  readonly #memory: GuestMemory;
  readonly #post: (request: DriveRequest) => void;
  readonly #buffer: Uint8Array;
  /** Who waits for the request that is under way. */
  #answer: Answer | undefined;
  /** The drive was reset with a request under way, and has asked again: this goes out when the buffer is free. */
  #next: (() => void) | undefined;

  constructor(config: DriveConfig, memory: GuestMemory, post: (request: DriveRequest) => void) {
    this.#config = config;
    this.#memory = memory;
    this.#post = post;
    this.sectorBytes = config.cdrom ? CD_SECTOR : DISK_SECTOR;
    const at = config.region.at + DRIVE.buffer;
    this.#buffer = memory.u8.subarray(at, at + DRIVE_BUFFER_BYTES);
  }

  get sectors(): number {
    return Math.floor(this.#memory.view.getFloat64(this.#config.region.at + DRIVE.sizeBytes, true) / this.sectorBytes);
  }

  get medium(): number {
    return this.#word(DRIVE.medium);
  }

  get readOnly(): boolean {
    return this.#word(DRIVE.readOnly) !== 0;
  }

  read(sector: number, count: number, done: (bytes: Uint8Array | undefined) => void): void {
    const length = count * this.sectorBytes;
    this.#ask('read', sector, length, undefined, (ok) => done(ok ? this.#buffer.subarray(0, length) : undefined));
  }

  write(sector: number, bytes: Uint8Array, done: (ok: boolean) => void): void {
    this.#ask('write', sector, bytes.length, bytes, done);
  }

  flush(done: (ok: boolean) => void): void {
    this.#ask('flush', 0, 0, undefined, done);
  }

  /** The I/O side has answered. */
  answered(ok: boolean): void {
    const answer = this.#answer;
    this.#answer = undefined;
    answer?.(ok);
    const next = this.#next;
    this.#next = undefined;
    next?.();
  }

  #ask(op: DriveRequest['op'], sector: number, length: number, bytes: Uint8Array | undefined, answer: Answer): void {
    if (length > DRIVE_BUFFER_BYTES) throw new RangeError(`${length} bytes at once are more than ${DRIVE_BUFFER_BYTES}`);
    const kept = this.#answer === undefined ? bytes : bytes?.slice();
    const send = (): void => {
      if (kept !== undefined) this.#buffer.set(kept);
      this.#answer = answer;
      const { medium } = this;
      this.#post({ type: 'drive', place: this.#config.place, op, offset: sector * this.sectorBytes, length, medium });
    };
    if (this.#answer === undefined) send();
    else this.#next = send;
  }

  #word(offset: number): number {
    return Atomics.load(this.#memory.i32, (this.#config.region.at + offset) >>> 2);
  }
}
