// Frames in a byte stream: four bytes of length, most significant first, then the frame. What QEMU's "-netdev stream" speaks too.
import { MAX_FRAME_BYTES } from '../io/frame-sink.ts';
import { put32, u32 } from './big-endian.ts';

export const FRAME_PREFIX_BYTES = 4;

/** A frame with its length in front. */
export function packFrame(frame: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(FRAME_PREFIX_BYTES + frame.length);
  put32(bytes, 0, frame.length);
  bytes.set(frame, FRAME_PREFIX_BYTES);
  return bytes;
}

export class FrameStreamReader {
  readonly #buffer: Uint8Array;
  readonly #maxBytes: number;
  #length = 0;

  /** @param maxBytes of a frame, with what its sender puts in front of it */
  constructor(maxBytes = MAX_FRAME_BYTES) {
    this.#buffer = new Uint8Array(FRAME_PREFIX_BYTES + maxBytes);
    this.#maxBytes = maxBytes;
  }

  /** Gives each frame that is complete; the bytes are valid during the call. False: the stream is broken and must be closed. */
  push(chunk: Uint8Array, frame: (bytes: Uint8Array) => void): boolean {
    for (let at = 0; at < chunk.length; ) {
      const want = this.#length < FRAME_PREFIX_BYTES ? FRAME_PREFIX_BYTES : FRAME_PREFIX_BYTES + u32(this.#buffer, 0);
      const part = chunk.subarray(at, at + want - this.#length);
      this.#buffer.set(part, this.#length);
      this.#length += part.length;
      at += part.length;
      if (this.#length === FRAME_PREFIX_BYTES) {
        if (u32(this.#buffer, 0) > this.#maxBytes) return false;
        if (u32(this.#buffer, 0) === 0) this.#length = 0;
      } else if (this.#length > FRAME_PREFIX_BYTES && this.#length === FRAME_PREFIX_BYTES + u32(this.#buffer, 0)) {
        this.#length = 0;
        frame(this.#buffer.subarray(FRAME_PREFIX_BYTES, FRAME_PREFIX_BYTES + u32(this.#buffer, 0)));
      }
    }
    return true;
  }
}
