// One network for two cards of a guest that are the same to it: the emulated one that it boots with, and the PV one that takes its place. As
// with real Xen both have one address, and a guest uses the one or the other; here the PV card has the cable while it is connected.
import type { Frame, FrameFilter, FrameReceiver, FrameSink } from '../../io/frame-sink.ts';

export class SharedSink {
  readonly pv: FrameSink;
  readonly emulated: FrameSink;
  #pvCard: FrameReceiver | undefined;
  #emulatedCard: FrameReceiver | undefined;
  #emulatedFilter: FrameFilter = { promiscuous: false, multicast: 'all' };

  constructor(sink: FrameSink) {
    const plug = (): void => {
      sink.attach(this.#pvCard ?? this.#emulatedCard);
      if (this.#pvCard === undefined && this.#emulatedCard !== undefined) sink.setFilter(this.#emulatedFilter);
    };
    this.pv = new SinkEnd(sink, {
      attach: (card) => {
        this.#pvCard = card;
        plug();
      },
      active: () => true,
      filter: (filter) => sink.setFilter(filter),
    });
    this.emulated = new SinkEnd(sink, {
      attach: (card) => {
        this.#emulatedCard = card;
        if (this.#pvCard === undefined) plug();
      },
      active: () => this.#pvCard === undefined,
      filter: (filter) => {
        this.#emulatedFilter = filter;
        if (this.#pvCard === undefined) sink.setFilter(filter);
      },
    });
  }
}

interface EndOptions {
  readonly attach: (card: FrameReceiver | undefined) => void;
  /** Whether the end has the cable. */
  readonly active: () => boolean;
  readonly filter: (filter: FrameFilter) => void;
}

class SinkEnd implements FrameSink {
  readonly #sink: FrameSink;
  readonly #options: EndOptions;

  constructor(sink: FrameSink, options: EndOptions) {
    this.#sink = sink;
    this.#options = options;
  }

  get mtu(): number {
    return this.#sink.mtu;
  }

  get linkUp(): boolean {
    return this.#sink.linkUp;
  }

  get offloads(): FrameSink['offloads'] {
    return this.#sink.offloads;
  }

  attach(receiver: FrameReceiver | undefined): void {
    this.#options.attach(receiver);
  }

  send(frame: Frame): boolean {
    return !this.#options.active() || this.#sink.send(frame);
  }

  resume(): void {
    if (this.#options.active()) this.#sink.resume();
  }

  setFilter(filter: FrameFilter): void {
    this.#options.filter(filter);
  }

  forgetGuest(): void {
    this.#sink.forgetGuest?.();
  }

  close(): Promise<void> {
    return this.#sink.close();
  }
}
