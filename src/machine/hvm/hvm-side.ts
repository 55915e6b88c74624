// The board of an HVM domain among the parts of vCPU 0's thread: what it sends to the I/O side, and what it takes from there.
import type { InterruptLine } from '../../devices/interrupt-line.ts';
import { setLine } from '../../devices/interrupt-line.ts';
import { Board, type BoardOptions } from './board.ts';
import type { DriveRequest } from './drive-region.ts';
import { MAIL, Mailbox } from './mailbox.ts';
import type { NicFrame } from './nic-region.ts';

export interface HvmSideOptions extends Omit<BoardOptions, 'sinks'> {
  readonly post: (message: { readonly type: 'serial' | 'log'; readonly bytes: Uint8Array } | DriveRequest | NicFrame) => void;
}

export class HvmSide {
  readonly board: Board;
  readonly #mailbox: Mailbox;
  readonly #post: HvmSideOptions['post'];
  readonly #callback = new Map<string, InterruptLine>();
  #sent: number[] = [];

  constructor(options: HvmSideOptions) {
    const { config, memory, post } = options;
    this.#post = post;
    this.#mailbox = new Mailbox(memory, config.mailbox);
    this.board = new Board({
      ...options,
      sinks: { serial: (byte) => this.#sent.push(byte), log: (bytes) => post({ type: 'log', bytes }), drive: post, frame: post },
    });
  }

  /** Takes what the host has said, and sends what the guest has. Cheap when there is nothing. */
  service(): void {
    this.flush();
    this.#mailbox.take((kind, bytes) => this.#receive(kind, bytes));
  }

  /** Sends what the guest has said. */
  flush(): void {
    if (this.#sent.length === 0) return;
    this.#post({ type: 'serial', bytes: Uint8Array.from(this.#sent) });
    this.#sent = [];
  }

  /** The guest resets the machine in a `way` that none of its chips sees. */
  reset(way: string): void {
    this.board.reset(way);
  }

  get picInterrupt(): boolean {
    return this.board.picInterrupt;
  }

  acknowledgePic(): number {
    return this.board.pic.acknowledge();
  }

  /** Xen's callback holds a GSI. */
  setCallbackLine(gsi: number, level: boolean): void {
    setLine(
      this.#line(`gsi ${gsi}`, () => this.board.interrupts.gsi(gsi)),
      level,
    );
  }

  /** Xen's callback holds a PCI device's pin. */
  setCallbackIntx(device: number, pin: number, level: boolean): void {
    setLine(
      this.#line(`intx ${device} ${pin}`, () => this.board.interrupts.intx(device, pin)),
      level,
    );
  }

  #line(name: string, make: () => InterruptLine): InterruptLine {
    let line = this.#callback.get(name);
    if (line === undefined) {
      line = make();
      this.#callback.set(name, line);
    }
    return line;
  }

  #receive(kind: number, bytes: Uint8Array): void {
    const { mouse, power } = this.board;
    switch (kind) {
      case MAIL.serial:
        this.board.typeSerial(bytes);
        break;
      case MAIL.keys:
        this.board.typeKey([...bytes]);
        break;
      case MAIL.mouse: {
        const [dx = 0, dy = 0, buttons = 0, wheel = 0] = new Int32Array(bytes.buffer);
        mouse.move(dx, dy, buttons, wheel);
        break;
      }
      case MAIL.drive:
        this.board.driveAnswered(bytes[0] ?? 0, bytes[1] === 1);
        break;
      case MAIL.frame:
        this.board.frameArrived(bytes[0] ?? 0, bytes.subarray(1));
        break;
      case MAIL.power:
        power.pressPower();
        break;
      case MAIL.sleep:
        power.pressSleep();
        break;
    }
  }
}
