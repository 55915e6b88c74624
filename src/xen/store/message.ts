// One message of the wire protocol and its bytes: shared by every transport.
import { XENSTORE_PAYLOAD_MAX, XsdSockmsg } from '../../abi/xen/xenstore.ts';

export interface StoreMessage {
  /** XS.* */
  readonly type: number;
  readonly requestId: number;
  /** 0 for none. */
  readonly transactionId: number;
  /** At most XENSTORE_PAYLOAD_MAX bytes. */
  readonly payload: Uint8Array;
}

/** @throws RangeError when the payload is too long for the protocol. */
export function encodeMessage(message: StoreMessage): Uint8Array {
  const { payload } = message;
  if (payload.length > XENSTORE_PAYLOAD_MAX) throw new RangeError(`a payload of ${payload.length} bytes is too long`);
  const bytes = new Uint8Array(XsdSockmsg.sizeof + payload.length);
  const view = new DataView(bytes.buffer);
  XsdSockmsg.type.set(view, 0, message.type);
  XsdSockmsg.req_id.set(view, 0, message.requestId);
  XsdSockmsg.tx_id.set(view, 0, message.transactionId);
  XsdSockmsg.len.set(view, 0, payload.length);
  bytes.set(payload, XsdSockmsg.sizeof);
  return bytes;
}

/**
 * Puts messages together from bytes that arrive in any pieces. Holds at most one message; after a header that announces
 * too long a payload the stream cannot be followed any more, and `broken` stays set.
 */
export class MessageDecoder {
  readonly #header = new Uint8Array(XsdSockmsg.sizeof);
  readonly #headerView = new DataView(this.#header.buffer);
  #payload: Uint8Array | undefined;
  #used = 0;
  #broken = false;

  get broken(): boolean {
    return this.#broken;
  }

  /** How many bytes `push` can take until a message is complete or the header can be judged. Never 0 unless broken. */
  get wants(): number {
    if (this.#broken) return 0;
    return (this.#payload ?? this.#header).length - this.#used;
  }

  /** Takes at most `wants` bytes. Returns the message that they complete. */
  push(bytes: Uint8Array): StoreMessage | undefined {
    if (bytes.length > this.wants) throw new RangeError(`${bytes.length} bytes given, ${this.wants} wanted`);
    (this.#payload ?? this.#header).set(bytes, this.#used);
    this.#used += bytes.length;
    if (this.#payload === undefined && this.#used === this.#header.length) {
      const length = XsdSockmsg.len.get(this.#headerView, 0);
      if (length > XENSTORE_PAYLOAD_MAX) {
        this.#broken = true;
        return undefined;
      }
      this.#payload = new Uint8Array(length);
      this.#used = 0;
    }
    const payload = this.#payload;
    if (payload === undefined || this.#used < payload.length) return undefined;
    const view = this.#headerView;
    this.#payload = undefined;
    this.#used = 0;
    return {
      type: XsdSockmsg.type.get(view, 0),
      requestId: XsdSockmsg.req_id.get(view, 0),
      transactionId: XsdSockmsg.tx_id.get(view, 0),
      payload,
    };
  }

  /** Forgets what arrived so far. */
  reset(): void {
    this.#payload = undefined;
    this.#used = 0;
    this.#broken = false;
  }
}

/** The messages in a whole buffer, for a transport that has whole messages, and for specs. What is incomplete at its end is left out. */
export function decodeMessages(bytes: Uint8Array): StoreMessage[] {
  const decoder = new MessageDecoder();
  const messages: StoreMessage[] = [];
  for (let at = 0; at < bytes.length && !decoder.broken; ) {
    const count = Math.min(decoder.wants, bytes.length - at);
    const message = decoder.push(bytes.subarray(at, at + count));
    at += count;
    if (message !== undefined) messages.push(message);
  }
  return messages;
}
