// What an emulated network card is plugged into. The network is on another thread; both directions may lose frames, as a wire may.

/** The card's way out. */
export interface FramePort {
  /** Sends one Ethernet frame without its frame check sequence; the bytes are copied before the call returns. */
  send(frame: Uint8Array): void;
}

/** The card itself, as the network sees it. Called on the chip's thread. */
export interface FrameCard {
  /** A frame arrives; bytes are valid during the call. False: no room, the sender keeps it and tries again after `writable`. */
  receive(frame: Uint8Array): boolean;
  /** The card calls this when it has room again after a refused frame. Set by the network. */
  onWritable: () => void;
}
