// Putting fragments together (RFC 791, section 3.2; RFC 8200, section 4.5). Overlapping fragments discard the whole packet, as RFC
// 5722 asks for IPv6; nobody honest sends them over IPv4 either.
import { formatIp } from './ip-address.ts';
import type { IpPacket } from './ip-packet.ts';

const MAX_PACKETS = 16;
const MAX_PIECES = 128;
const TIMEOUT_NS = 30e9;

interface Partial {
  readonly bytes: Uint8Array;
  readonly deadlineNs: number;
  /** [from, to) of what has come, by offset. */
  readonly pieces: (readonly [number, number])[];
  total: number | undefined;
}

export class IpReassembly {
  /** Oldest first. */
  readonly #partials = new Map<string, Partial>();

  /** Packets that wait for a part. */
  get size(): number {
    return this.#partials.size;
  }

  clear(): void {
    this.#partials.clear();
  }

  /** Takes a fragment; answers the whole packet when it was the last that was missing. */
  add(packet: IpPacket, nowNs: number): IpPacket | undefined {
    const { fragment } = packet;
    if (fragment === undefined) return packet;
    const from = fragment.offset;
    const to = from + packet.end - packet.payloadAt;
    const key = `${formatIp(packet.source)} ${formatIp(packet.destination)} ${packet.protocol} ${fragment.id}`;
    for (const [old, partial] of this.#partials) {
      if (partial.deadlineNs > nowNs && this.#partials.size <= MAX_PACKETS) break;
      this.#partials.delete(old);
    }
    if (to > 0xffff || to === from || (fragment.more && (to & 7) !== 0)) {
      this.#partials.delete(key);
      return undefined;
    }
    let partial = this.#partials.get(key);
    if (partial === undefined) {
      partial = { bytes: new Uint8Array(0xffff), deadlineNs: nowNs + TIMEOUT_NS, pieces: [], total: undefined };
      this.#partials.set(key, partial);
    }
    const same = partial.pieces.some((piece) => piece[0] === from && piece[1] === to);
    if (same) return undefined; // a duplicate
    const overlaps = partial.pieces.some((piece) => piece[0] < to && from < piece[1]);
    const beyond = partial.total !== undefined && (to > partial.total || !fragment.more);
    const tooShort = !fragment.more && partial.pieces.some((piece) => piece[1] > to);
    if (overlaps || beyond || tooShort || partial.pieces.length >= MAX_PIECES) {
      this.#partials.delete(key);
      return undefined;
    }
    partial.bytes.set(packet.bytes.subarray(packet.payloadAt, packet.end), from);
    partial.pieces.push([from, to]);
    if (!fragment.more) partial.total = to;
    const have = partial.pieces.reduce((sum, piece) => sum + piece[1] - piece[0], 0);
    if (have !== partial.total) return undefined;
    this.#partials.delete(key);
    return whole(packet, partial.bytes.subarray(0, partial.total));
  }
}

/** The packet with this payload: its header's addresses in front, so that a pseudo header can be summed. */
function whole(packet: IpPacket, payload: Uint8Array): IpPacket {
  const addressBytes = packet.source.length;
  const bytes = new Uint8Array(2 * addressBytes + payload.length);
  bytes.set(packet.source);
  bytes.set(packet.destination, addressBytes);
  bytes.set(payload, 2 * addressBytes);
  return {
    version: packet.version,
    bytes,
    headerAt: 0,
    addressesAt: 0,
    source: bytes.subarray(0, addressBytes),
    destination: bytes.subarray(addressBytes, 2 * addressBytes),
    protocol: packet.protocol,
    payloadAt: 2 * addressBytes,
    end: bytes.length,
    hopLimit: packet.hopLimit,
    fragment: undefined,
  };
}
