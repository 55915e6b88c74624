// What the I/O side says to the board of an HVM domain, whose thread never returns to its event loop: messages in a ring in the shared
// memory. One thread writes, one reads; each message is a word of kind and length, and its bytes, padded to words.
import type { Region } from '../../memory/arena.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';

export const MAILBOX_BYTES = 64 << 10;

/** What a message is about. */
export const MAIL = {
  /** Bytes for COM1. */
  serial: 1,
  /** Scan codes of set 2 from the keyboard. */
  keys: 2,
  /** Of the mouse: i32 dx, dy, buttons, wheel. */
  mouse: 3,
  /** The power button, and the sleep button. */
  power: 4,
  sleep: 5,
  /** A drive's request is done: its place, and whether it went well. */
  drive: 6,
  /** A frame for a network card, behind the card's index. */
  frame: 7,
} as const;

/** Offsets: bytes written and read so far, modulo 2^32; the ring follows. */
const WRITTEN = 0;
const READ = 4;
const RING = 8;
const LENGTH_BITS = 16;

export class Mailbox {
  readonly #i32: Int32Array;
  readonly #u8: Uint8Array;
  readonly #at: number;
  readonly #size: number;

  /** A view of the mailbox in `region`, which is all 0 at the start. */
  constructor(memory: GuestMemory, region: Region) {
    this.#i32 = memory.i32;
    this.#u8 = memory.u8;
    this.#at = region.at;
    // A power of two, so that positions may wrap around 2^32.
    this.#size = 2 ** Math.floor(Math.log2(region.size - RING));
  }

  /** Posts a message of up to 4096 bytes. False when there is no room: the board has not taken what came before. */
  post(kind: number, bytes: Uint8Array): boolean {
    const written = this.#load(WRITTEN);
    const need = 4 + padded(bytes.length);
    if (bytes.length > 4096 || need > this.#size - ((written - this.#load(READ)) >>> 0)) return false;
    this.#i32[this.#ring(written) >>> 2] = (kind << LENGTH_BITS) | bytes.length;
    for (let i = 0; i < bytes.length; i++) this.#u8[this.#ring(written + 4 + i)] = bytes[i] as number;
    Atomics.store(this.#i32, (this.#at + WRITTEN) >>> 2, (written + need) | 0);
    return true;
  }

  /** Takes all messages that are there. */
  take(handle: (kind: number, bytes: Uint8Array) => void): void {
    let read = this.#load(READ);
    while (read !== this.#load(WRITTEN)) {
      const word = this.#i32[this.#ring(read) >>> 2] as number;
      const bytes = new Uint8Array(word & (2 ** LENGTH_BITS - 1));
      for (let i = 0; i < bytes.length; i++) bytes[i] = this.#u8[this.#ring(read + 4 + i)] as number;
      read = (read + 4 + padded(bytes.length)) >>> 0;
      Atomics.store(this.#i32, (this.#at + READ) >>> 2, read | 0);
      handle(word >>> LENGTH_BITS, bytes);
    }
  }

  #load(word: number): number {
    return Atomics.load(this.#i32, (this.#at + word) >>> 2) >>> 0;
  }

  #ring(position: number): number {
    return this.#at + RING + (position % this.#size);
  }
}

const padded = (length: number): number => Math.ceil(length / 4) * 4;
