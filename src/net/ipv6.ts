// The IPv6 header and the extension headers a host steps over (RFC 8200, sections 3 and 4).
import { put16, put32, u16, u32 } from './big-endian.ts';
import type { IpAddress } from './ip-address.ts';
import { IP_PROTOCOL, type IpFragment, type IpPacket } from './ip-packet.ts';

const AT = { version: 0, length: 4, next: 6, hopLimit: 7, source: 8, destination: 24 } as const;
export const IPV6_HEADER_BYTES = 40;
export const IPV6_FRAGMENT_HEADER_BYTES = 8;
/** More extension headers than this in one packet are an attack. */
const MAX_EXTENSIONS = 8;

/** Undefined for anything malformed, jumbograms included. */
export function parseIpv6Packet(bytes: Uint8Array, at: number): IpPacket | undefined {
  if (bytes.length < at + IPV6_HEADER_BYTES || (bytes[at] as number) >> 4 !== 6) return undefined;
  const end = at + IPV6_HEADER_BYTES + u16(bytes, at + AT.length);
  if (bytes.length < end) return undefined;
  let protocol = bytes[at + AT.next] as number;
  let payloadAt = at + IPV6_HEADER_BYTES;
  let fragment: IpFragment | undefined;
  for (let i = 0; i < MAX_EXTENSIONS; i++) {
    if (protocol === IP_PROTOCOL.fragment && fragment === undefined) {
      if (payloadAt + IPV6_FRAGMENT_HEADER_BYTES > end) return undefined;
      const place = u16(bytes, payloadAt + 2);
      protocol = bytes[payloadAt] as number;
      // An atomic fragment (RFC 6946) is a whole packet.
      const offset = place & 0xfff8;
      if (offset !== 0 || (place & 1) !== 0) fragment = { id: u32(bytes, payloadAt + 4), offset, more: (place & 1) !== 0 };
      payloadAt += IPV6_FRAGMENT_HEADER_BYTES;
      if (fragment !== undefined) break;
    } else if (protocol === IP_PROTOCOL.hopByHop || protocol === IP_PROTOCOL.routing || protocol === IP_PROTOCOL.options) {
      if (payloadAt + 8 > end) return undefined;
      protocol = bytes[payloadAt] as number;
      payloadAt += 8 * ((bytes[payloadAt + 1] as number) + 1);
      if (payloadAt > end) return undefined;
    } else break;
  }
  return {
    version: 6,
    bytes,
    headerAt: at,
    addressesAt: at + AT.source,
    source: bytes.subarray(at + AT.source, at + AT.source + 16),
    destination: bytes.subarray(at + AT.destination, at + AT.destination + 16),
    protocol,
    payloadAt,
    end,
    hopLimit: bytes[at + AT.hopLimit] as number,
    fragment,
  };
}

export interface Ipv6Fields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  readonly payloadBytes: number;
  /** 64 unless given; NDP needs 255. */
  readonly hopLimit?: number;
}

export function writeIpv6(bytes: Uint8Array, at: number, fields: Ipv6Fields): void {
  put32(bytes, at + AT.version, 0x6000_0000);
  put16(bytes, at + AT.length, fields.payloadBytes);
  bytes[at + AT.next] = fields.protocol;
  bytes[at + AT.hopLimit] = fields.hopLimit ?? 64;
  bytes.set(fields.source, at + AT.source);
  bytes.set(fields.destination, at + AT.destination);
}

/** The fragment header that stands behind the IPv6 header (RFC 8200, section 4.5). */
export function writeIpv6Fragment(bytes: Uint8Array, at: number, protocol: number, fragment: IpFragment): void {
  bytes[at] = protocol;
  bytes[at + 1] = 0;
  put16(bytes, at + 2, fragment.offset | (fragment.more ? 1 : 0));
  put32(bytes, at + 4, fragment.id);
}

/** Changes the length of a header that is there. */
export const resizeIpv6 = (bytes: Uint8Array, at: number, payloadBytes: number): void =>
  put16(bytes, at + AT.length, payloadBytes);
