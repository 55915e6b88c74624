// Where each transport protocol keeps its checksum, and whether a packet's holds.

import { u16 } from './big-endian.ts';
import { checksumHolds, pseudoSum } from './checksum.ts';
import { IP_PROTOCOL, type IpPacket } from './ip-packet.ts';
import { TCP_CHECKSUM_AT } from './tcp/segment.ts';
import { UDP_CHECKSUM_AT } from './udp.ts';

/** Offset of the checksum field in the transport header; undefined for protocols we know nothing of. */
export function checksumField(protocol: number): number | undefined {
  if (protocol === IP_PROTOCOL.tcp) return TCP_CHECKSUM_AT;
  if (protocol === IP_PROTOCOL.udp) return UDP_CHECKSUM_AT;
  return protocol === IP_PROTOCOL.icmp || protocol === IP_PROTOCOL.icmpv6 ? 2 : undefined;
}

/** The running sum that the checksum begins with: ICMP for IPv4 has no pseudo header (RFC 792). */
export function checksumStartSum(
  bytes: Uint8Array,
  addressesAt: number,
  version: 4 | 6,
  protocol: number,
  length: number,
): number {
  return protocol === IP_PROTOCOL.icmp ? 0 : pseudoSum(bytes, addressesAt, version === 4 ? 4 : 16, protocol, length);
}

/** Whether an unfragmented packet's transport checksum holds; `end` is behind the transport's last byte. */
export function transportChecksumHolds(packet: IpPacket, end = packet.end): boolean {
  const { bytes, payloadAt, protocol, version } = packet;
  if (protocol === IP_PROTOCOL.udp && version === 4 && u16(bytes, payloadAt + UDP_CHECKSUM_AT) === 0) return true;
  const start = checksumStartSum(bytes, packet.addressesAt, version, protocol, end - payloadAt);
  return checksumHolds(bytes, payloadAt, end, start);
}
