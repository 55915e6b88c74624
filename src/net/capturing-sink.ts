// A network with a tap on its cable: every frame that is taken, in either direction, is written down. Large segments and partial
// checksums are written as they are, as tcpdump on Linux shows them.
import type { Frame, FrameFilter, FrameOffloads, FrameReceiver, FrameSink } from '../io/frame-sink.ts';
import { pcapFileHeader, pcapRecord } from './pcap.ts';

export class CapturingSink implements FrameSink {
  readonly #inner: FrameSink;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #epochMs: () => number;

  /** @param write gets the file's header at once, then each record; it keeps the bytes and does not throw */
  constructor(inner: FrameSink, write: (bytes: Uint8Array) => void, epochMs = () => performance.timeOrigin + performance.now()) {
    this.#inner = inner;
    this.#write = write;
    this.#epochMs = epochMs;
    write(pcapFileHeader());
  }

  get mtu(): number {
    return this.#inner.mtu;
  }

  get linkUp(): boolean {
    return this.#inner.linkUp;
  }

  get offloads(): FrameOffloads {
    return this.#inner.offloads;
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#inner.attach(receiver && this.#tap(receiver));
  }

  send(frame: Frame): boolean {
    // Before the network answers, so that the answer stands behind the question.
    const record = pcapRecord(frame.bytes, this.#epochMs());
    const mark = this.#pending.push(record);
    const taken = this.#inner.send(frame);
    if (!taken) this.#pending.splice(mark - 1, 1);
    this.#flush();
    return taken;
  }

  resume(): void {
    this.#inner.resume();
  }

  setFilter(filter: FrameFilter): void {
    this.#inner.setFilter(filter);
  }

  forgetGuest(): void {
    this.#inner.forgetGuest?.();
  }

  close(): Promise<void> {
    return this.#inner.close();
  }

  /** Records of one call, in order. */
  readonly #pending: Uint8Array[] = [];

  #flush(): void {
    for (const record of this.#pending.splice(0)) this.#write(record);
  }

  #tap(receiver: FrameReceiver): FrameReceiver {
    const sink = this;
    return {
      get offloads() {
        return receiver.offloads;
      },
      receive(frame) {
        const record = pcapRecord(frame.bytes, sink.#epochMs());
        if (!receiver.receive(frame)) return false;
        if (sink.#pending.length > 0) sink.#pending.push(record);
        else sink.#write(record);
        return true;
      },
      writable: () => receiver.writable(),
      linkChanged: (up) => receiver.linkChanged(up),
    };
  }
}
