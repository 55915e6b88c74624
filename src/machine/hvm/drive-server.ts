// The I/O side of the emulated drives: the stores of the disks that the PV backends have, too. What a drive asks for is read into the
// buffer that its board sees, and answered by mail.
import type { DiskDevice } from '../../backends/block/disk-device.ts';
import { type IoPace, REAL_PACE } from '../../io/io-pace.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { DRIVE, DRIVE_BUFFER_BYTES, type DriveConfig, type DriveRequest } from './drive-region.ts';

export interface ServedDrive {
  readonly config: DriveConfig;
  readonly device: DiskDevice;
}

export interface DriveServerOptions {
  readonly memory: GuestMemory;
  readonly drives: readonly ServedDrive[];
  /** Mails an answer to the board; false when there is no room just now. */
  readonly mail: (place: number, ok: boolean) => boolean;
  /** Default: real time. */
  readonly pace?: IoPace | undefined;
}

/** How long to wait for room in the mailbox, in ms. */
const RETRY_MS = 1;

export class DriveServer {
  readonly #options: DriveServerOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly #listeners: Disposable[];
  #closed = false;

  constructor(options: DriveServerOptions) {
    this.#options = options;
    for (const drive of options.drives) this.#publish(drive);
    this.#listeners = options.drives.map((drive) => drive.device.onMedium(() => this.#publish(drive)));
  }

  /** A message from the board. */
  request(request: DriveRequest): void {
    const drive = this.#options.drives.find(({ config }) => config.place === request.place);
    if (drive === undefined || this.#closed) return;
    const { pace = REAL_PACE } = this.#options;
    const work = pace
      .during(this.#perform(drive, request))
      .then(
        () => true,
        () => false,
      )
      .then((ok) => this.#answer(request.place, ok))
      .finally(() => this.#underWay.delete(work));
    this.#underWay.add(work);
  }

  /** Nothing is read into the domain's memory afterwards, and nothing that was taken is unwritten. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const listener of this.#listeners) listener[Symbol.dispose]();
    await Promise.all(this.#underWay);
  }

  async #perform({ config, device }: ServedDrive, { length, medium, offset, op }: DriveRequest): Promise<void> {
    const { memory } = this.#options;
    const { store } = device;
    const at = config.region.at;
    if (store === undefined || memory.i32[(at + DRIVE.medium) >>> 2] !== medium) throw new Error('there is another medium');
    if (op === 'flush') return store.flush();
    if (length > DRIVE_BUFFER_BYTES || offset + length > store.sizeBytes) throw new RangeError('beyond the end');
    const bytes = memory.u8.subarray(at + DRIVE.buffer, at + DRIVE.buffer + length);
    if (op === 'read') return store.read(offset, bytes);
    if (device.readOnly || store.readOnly) throw new Error('read-only');
    return store.write(offset, bytes);
  }

  async #answer(place: number, ok: boolean): Promise<void> {
    while (!this.#closed && !this.#options.mail(place, ok)) await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }

  #publish({ config, device }: ServedDrive): void {
    const { memory } = this.#options;
    const { at } = config.region;
    const { store } = device;
    memory.view.setFloat64(at + DRIVE.sizeBytes, store?.sizeBytes ?? 0, true);
    Atomics.store(memory.i32, (at + DRIVE.readOnly) >>> 2, device.readOnly || store?.readOnly !== false ? 1 : 0);
    Atomics.add(memory.i32, (at + DRIVE.medium) >>> 2, 1);
  }
}
