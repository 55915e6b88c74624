// The IPv4 header (RFC 791, section 3.1).
import { put16, u16 } from './big-endian.ts';
import { checksumHolds, putChecksum } from './checksum.ts';
import type { IpAddress } from './ip-address.ts';
import type { IpPacket } from './ip-packet.ts';

const AT = { version: 0, length: 2, id: 4, fragment: 6, ttl: 8, protocol: 9, checksum: 10, source: 12, destination: 16 } as const;
const MORE_FRAGMENTS = 0x2000;
const DO_NOT_FRAGMENT = 0x4000;
export const IPV4_HEADER_BYTES = 20;

/** Undefined for anything malformed, a wrong header checksum included (RFC 1122, section 3.2.1.2). Options are stepped over. */
export function parseIpv4Packet(bytes: Uint8Array, at: number): IpPacket | undefined {
  if (bytes.length < at + IPV4_HEADER_BYTES) return undefined;
  const first = bytes[at] as number;
  const headerBytes = (first & 0xf) * 4;
  const totalBytes = u16(bytes, at + AT.length);
  if (first >> 4 !== 4 || headerBytes < IPV4_HEADER_BYTES || totalBytes < headerBytes || bytes.length < at + totalBytes)
    return undefined;
  if (!checksumHolds(bytes, at, at + headerBytes)) return undefined;
  const fragment = u16(bytes, at + AT.fragment);
  const offset = (fragment & 0x1fff) * 8;
  const more = (fragment & MORE_FRAGMENTS) !== 0;
  return {
    version: 4,
    bytes,
    headerAt: at,
    addressesAt: at + AT.source,
    source: bytes.subarray(at + AT.source, at + AT.source + 4),
    destination: bytes.subarray(at + AT.destination, at + AT.destination + 4),
    protocol: bytes[at + AT.protocol] as number,
    payloadAt: at + headerBytes,
    end: at + totalBytes,
    hopLimit: bytes[at + AT.ttl] as number,
    fragment: offset !== 0 || more ? { id: u16(bytes, at + AT.id), offset, more } : undefined,
  };
}

export interface Ipv4Fields {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  readonly payloadBytes: number;
  readonly id?: number;
  /** Left out: the packet is whole and must not be cut. */
  readonly fragment?: { readonly offset: number; readonly more: boolean };
}

/** A header without options, TTL 64, checksum filled in. */
export function writeIpv4(bytes: Uint8Array, at: number, fields: Ipv4Fields): void {
  bytes[at] = 0x45;
  bytes[at + 1] = 0;
  put16(bytes, at + AT.length, IPV4_HEADER_BYTES + fields.payloadBytes);
  put16(bytes, at + AT.id, fields.id ?? 0);
  const { fragment } = fields;
  put16(bytes, at + AT.fragment, fragment ? (fragment.offset >> 3) | (fragment.more ? MORE_FRAGMENTS : 0) : DO_NOT_FRAGMENT);
  bytes[at + AT.ttl] = 64;
  bytes[at + AT.protocol] = fields.protocol;
  bytes.set(fields.source, at + AT.source);
  bytes.set(fields.destination, at + AT.destination);
  putChecksum(bytes, at + AT.checksum, at, at + IPV4_HEADER_BYTES);
}

/** Changes the length of a header that is there, for cutting a large segment; `id` makes the pieces differ (RFC 6864). */
export function resizeIpv4(bytes: Uint8Array, at: number, payloadBytes: number, id: number): void {
  const headerBytes = ((bytes[at] as number) & 0xf) * 4;
  put16(bytes, at + AT.length, headerBytes + payloadBytes);
  put16(bytes, at + AT.id, id);
  putChecksum(bytes, at + AT.checksum, at, at + headerBytes);
}
