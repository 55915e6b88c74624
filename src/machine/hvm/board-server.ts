// The I/O side of an HVM domain's board: what serves its drives and network cards, and the mail to its chips.
import type { IoPace } from '../../io/io-pace.ts';
import { kickVcpu } from '../kick.ts';
import type { MachineImage } from '../machine-image.ts';
import { BoardInput } from './board-input.ts';
import type { DriveRequest } from './drive-region.ts';
import { DriveServer } from './drive-server.ts';
import { MAIL, Mailbox } from './mailbox.ts';
import { NicServer } from './nic-server.ts';

export class BoardServer {
  /** The keyboard and the mouse of its 8042. */
  readonly input = new BoardInput((kind, bytes) => this.#mail(kind, bytes));
  readonly #image: MachineImage;
  readonly #drives: DriveServer;
  readonly #nics: readonly NicServer[];

  constructor(image: MachineImage, pace: IoPace) {
    this.#image = image;
    const { drives, memory, nics } = image;
    this.#drives = new DriveServer({
      memory,
      drives,
      pace,
      mail: (place, ok) => this.#mail(MAIL.drive, Uint8Array.of(place, ok ? 1 : 0)),
    });
    this.#nics = nics.map((nic) => new NicServer({ ...nic, memory, mail: (bytes) => this.#mail(MAIL.frame, bytes) }));
  }

  /** A drive asks for something. */
  drive(request: DriveRequest): void {
    this.#drives.request(request);
  }

  /** A network card sends a frame. */
  frame(index: number, bytes: Uint8Array): void {
    this.#nics[index]?.send(bytes);
  }

  /** Types at COM1. False when there is no room: nothing was taken. */
  type(bytes: Uint8Array): boolean {
    return this.#mail(MAIL.serial, bytes);
  }

  pressPower(): void {
    this.#mail(MAIL.power, new Uint8Array());
  }

  /** What is under way is over afterwards. */
  async close(): Promise<void> {
    for (const nic of this.#nics) nic.close();
    await this.#drives.close();
  }

  /** False when there is no room: the board has not taken what came before. */
  #mail(kind: number, bytes: Uint8Array): boolean {
    const { memory, plan } = this.#image;
    if (!new Mailbox(memory, plan.mailbox).post(kind, bytes)) return false;
    kickVcpu(memory, plan, 0);
    return true;
  }
}
