// ICMP (RFC 792) and ICMPv6 (RFC 4443): echo and unreachable.
import { put16, put32 } from './big-endian.ts';
import type { IpPacket } from './ip-packet.ts';

export const ICMP = { echoReply: 0, unreachable: 3, echo: 8 } as const;
export const ICMPV6 = {
  unreachable: 1,
  echo: 128,
  echoReply: 129,
  routerSolicitation: 133,
  routerAdvertisement: 134,
  neighbourSolicitation: 135,
  neighbourAdvertisement: 136,
} as const;
export const ICMP_HEADER_BYTES = 8;

/** Why something did not arrive, with its code in each version (RFC 792 and RFC 1122, section 3.2.2.1; RFC 4443, section 3.1). */
export const UNREACHABLE = {
  net: { v4: 0, v6: 0 },
  host: { v4: 1, v6: 3 },
  port: { v4: 3, v6: 4 },
  prohibited: { v4: 13, v6: 1 },
} as const;
export type Unreachable = keyof typeof UNREACHABLE;

/** Most bytes of the packet that is quoted: RFC 1812, section 4.3.2.3, and RFC 4443, section 2.4 (c), less headers. */
const QUOTE = { v4: 548, v6: 1232 } as const;

/** Writes a "destination unreachable" about `about` with a checksum of 0; returns its length. */
export function writeUnreachable(bytes: Uint8Array, at: number, why: Unreachable, about: IpPacket): number {
  const v = about.version === 4 ? 'v4' : 'v6';
  bytes[at] = v === 'v4' ? ICMP.unreachable : ICMPV6.unreachable;
  bytes[at + 1] = UNREACHABLE[why][v];
  put16(bytes, at + 2, 0);
  put32(bytes, at + 4, 0);
  const quote = about.bytes.subarray(about.headerAt, Math.min(about.end, about.headerAt + QUOTE[v]));
  bytes.set(quote, at + ICMP_HEADER_BYTES);
  return ICMP_HEADER_BYTES + quote.length;
}

/** Writes the reply to an echo request, with a checksum of 0: identifier, sequence number and data come back; returns its length. */
export function writeEchoReply(bytes: Uint8Array, at: number, version: 4 | 6, request: Uint8Array): number {
  bytes.set(request, at);
  bytes[at] = version === 4 ? ICMP.echoReply : ICMPV6.echoReply;
  bytes[at + 1] = 0;
  put16(bytes, at + 2, 0);
  return request.length;
}
