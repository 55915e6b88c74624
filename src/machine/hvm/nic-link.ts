// The board's end of a network card's cable.
import type { FrameCard, FramePort } from '../../devices/frame-port.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import { FRAMES_OUT, NIC, type NicConfig, type NicFrame } from './nic-region.ts';

export class NicLink implements FramePort {
  readonly #config: NicConfig;
  readonly #i32: Int32Array;
  readonly #post: (frame: NicFrame) => void;
  #card: FrameCard | undefined;
  /** Mailed, and not taken yet: the I/O side sees to it that these are few. */
  #waiting: Uint8Array[] = [];
  #sent = 0;

  constructor(config: NicConfig, memory: GuestMemory, post: (frame: NicFrame) => void) {
    this.#config = config;
    this.#i32 = memory.i32;
    this.#post = post;
  }

  plug(card: FrameCard): void {
    this.#card = card;
    card.onWritable = () => this.#deliver();
  }

  get linkUp(): boolean {
    return Atomics.load(this.#i32, this.#word(NIC.linkUp)) !== 0;
  }

  send(frame: Uint8Array): void {
    if (((this.#sent - Atomics.load(this.#i32, this.#word(NIC.handled))) | 0) >= FRAMES_OUT) return;
    this.#sent = (this.#sent + 1) | 0;
    this.#post({ type: 'frame', index: this.#config.index, bytes: frame.slice() });
  }

  /** A frame has come by mail. */
  arrived(frame: Uint8Array): void {
    this.#waiting.push(frame);
    this.#deliver();
  }

  #deliver(): void {
    for (let frame = this.#waiting[0]; frame !== undefined; frame = this.#waiting[0]) {
      if (this.#card?.receive(frame) === false) return;
      this.#waiting.shift();
      Atomics.add(this.#i32, this.#word(NIC.taken), 1);
    }
  }

  #word(offset: number): number {
    return (this.#config.region.at + offset) >>> 2;
  }
}
