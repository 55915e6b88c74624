// Another process at a shared switch. Frames go as they are, large segments and partial checksums included: a frame on the stream
// is its virtio header and its bytes. Both sides may have connected at the same moment; then there are two streams, of which each
// side sends on its oldest.
import type { Socket } from 'node:net';
import {
  ALL_OFFLOADS,
  type Frame,
  type FrameFilter,
  type FrameReceiver,
  type FrameSink,
  MAX_FRAME_BYTES,
} from '../io/frame-sink.ts';
import { put32 } from '../net/big-endian.ts';
import { FRAME_PREFIX_BYTES, FrameStreamReader } from '../net/frame-stream.ts';
import { readVnetHeader, VNET_HEADER_BYTES, writeVnetHeader } from '../net/vnet-header.ts';

/** Bytes on the way to the other process before the switch begins to queue. */
const FULL_BYTES = 1024 * 1024;
export const MAX_MEMBER_FRAME = VNET_HEADER_BYTES + MAX_FRAME_BYTES;

export class SwitchMember implements FrameSink {
  readonly mtu: number;
  readonly offloads = ALL_OFFLOADS;
  readonly #streams: Socket[] = [];
  readonly #gone: () => void;
  #receiver: FrameReceiver | undefined;
  #full = false;

  /** @param gone called when the last stream has ended */
  constructor(mtu: number, gone: () => void) {
    this.mtu = mtu;
    this.#gone = gone;
  }

  get linkUp(): boolean {
    return this.#streams.length > 0;
  }

  /** @param reader what of the stream has been read is behind us */
  addStream(socket: Socket, reader = new FrameStreamReader(MAX_MEMBER_FRAME)): void {
    this.#streams.push(socket);
    socket.on('data', (chunk: Uint8Array) => {
      if (!reader.push(chunk, (bytes) => this.received(bytes))) socket.destroy();
    });
    socket.on('drain', () => {
      if (!this.#full) return;
      this.#full = false;
      this.#receiver?.writable();
    });
    socket.on('close', () => this.#ended(socket));
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#receiver = receiver;
  }

  send(frame: Frame): boolean {
    const [socket] = this.#streams;
    if (socket === undefined) return true;
    if (socket.writableLength >= FULL_BYTES) {
      this.#full = true;
      return false;
    }
    const length = VNET_HEADER_BYTES + frame.bytes.length;
    const packed = new Uint8Array(FRAME_PREFIX_BYTES + length);
    put32(packed, 0, length);
    writeVnetHeader(packed.subarray(FRAME_PREFIX_BYTES), frame);
    packed.set(frame.bytes, FRAME_PREFIX_BYTES + VNET_HEADER_BYTES);
    socket.write(packed);
    return true;
  }

  /** A header and a frame; too short ones are nothing. The switch takes everything, so there is nothing to hold back. */
  received(bytes: Uint8Array): void {
    if (bytes.length > VNET_HEADER_BYTES) this.#receiver?.receive(readVnetHeader(bytes));
  }

  resume(): void {}
  setFilter(_filter: FrameFilter): void {}

  async close(): Promise<void> {
    this.#receiver = undefined;
    for (const socket of [...this.#streams]) socket.destroy();
  }

  #ended(socket: Socket): void {
    this.#streams.splice(this.#streams.indexOf(socket), 1);
    this.#full = false;
    if (this.#streams.length === 0) this.#gone();
    else this.#receiver?.writable();
  }
}
