// A client of the store over a stream of bytes, such as xenstored's Unix socket. Knows no socket: bytes in, bytes out.
import { MessageDecoder } from './message.ts';
import type { XenStore } from './store.ts';
import type { StoreConnection } from './store-connection.ts';

export interface StoreStreamOptions {
  readonly store: XenStore;
  /** Default 0, as for xenstored's socket. */
  readonly domid?: number;
  /** Bytes for the client. Called from a microtask. */
  readonly send: (bytes: Uint8Array) => void;
  /** The client cannot be followed any more: its header announced too long a payload. Close the stream. */
  readonly onBroken: () => void;
}

export class StoreStream {
  readonly connection: StoreConnection;
  readonly #decoder = new MessageDecoder();
  readonly #options: StoreStreamOptions;
  #scheduled = false;

  constructor(options: StoreStreamOptions) {
    this.#options = options;
    this.connection = options.store.connect(options.domid ?? 0, { onOutput: () => this.#soon() });
  }

  /** Bytes from the client, in any pieces. */
  receive(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#decoder.broken; ) {
      const count = Math.min(this.#decoder.wants, bytes.length - at);
      const request = this.#decoder.push(bytes.subarray(at, at + count));
      at += count;
      if (request !== undefined) this.connection.handle(request);
    }
    if (!this.#decoder.broken) return;
    this.connection.close();
    this.#options.onBroken();
  }

  /** The stream has ended. */
  close(): void {
    this.connection.close();
  }

  #soon(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      for (const bytes of this.connection.take()) this.#options.send(bytes);
    });
  }
}
