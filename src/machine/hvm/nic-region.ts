// What the two sides of an emulated network card share beside messages and mail: how far each of them is, so that neither is flooded.
import type { Region } from '../../memory/arena.ts';

/** What a card is, and where it shares memory with the I/O side. */
export interface NicConfig {
  readonly index: number;
  readonly mac: Uint8Array;
  readonly region: Region;
}

export const MOST_NICS = 4;

/** Offsets in a card's region, i32 each. */
export const NIC = {
  /** Frames that the card has taken, of those that were mailed. */
  taken: 0,
  /** Frames that the network has taken or lost, of those that the card has sent. */
  handled: 4,
  linkUp: 8,
  sizeof: 64,
} as const;

/** Frames that may be on their way to the card: 1518 bytes each, they must fit into the mailbox with room for other mail. */
export const FRAMES_IN = 16;
/** Frames that may be on their way from it; more are lost, as on a wire that is too slow. */
export const FRAMES_OUT = 256;

/** A frame that the card sends. Frames for the card are mail: its index, and the frame. */
export interface NicFrame {
  readonly type: 'frame';
  readonly index: number;
  readonly bytes: Uint8Array;
}
