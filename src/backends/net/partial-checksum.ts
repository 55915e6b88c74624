// The checksum that a guest left to us. NETTXF_csum_blank says only that it is not complete (netif.h: "blank"), so where it is
// and what the pseudo header adds up to is found in the headers; some frontends leave the pseudo header's sum out.
import { put16, u16 } from '../../net/big-endian.ts';
import { fold, pseudoSum } from '../../net/checksum.ts';
import { ETHERNET, ETHERTYPE } from '../../net/ethernet.ts';
import { IP_PROTOCOL } from '../../net/ip-packet.ts';
import { TCP_CHECKSUM_AT, TCP_HEADER_BYTES } from '../../net/tcp/segment.ts';
import { UDP_CHECKSUM_AT } from '../../net/udp.ts';

const UDP_HEADER_BYTES = 8;
const IPV6_HEADER_BYTES = 40;
/** Headers of options before the transport's; more of them make no frame of ours. */
const MOST_EXTENSIONS = 8;

/** Where a frame's transport is. `transport` 0: nothing we could complete a checksum in. */
export interface Transport {
  version: number;
  protocol: number;
  /** Of the transport header, and behind its last byte. */
  transport: number;
  end: number;
}

/** Finds the header of an unfragmented TCP or UDP packet; false when there is none that is whole. */
export function findTransport(bytes: Uint8Array, into: Transport): boolean {
  into.transport = 0;
  if (bytes.length < ETHERNET.payload + 20) return false;
  const type = u16(bytes, ETHERNET.type);
  const found = type === ETHERTYPE.ipv4 ? inIpv4(bytes, into) : type === ETHERTYPE.ipv6 ? inIpv6(bytes, into) : 0;
  const header = into.protocol === IP_PROTOCOL.tcp ? TCP_HEADER_BYTES : UDP_HEADER_BYTES;
  if (found === 0 || found + header > into.end || into.end > bytes.length) return false;
  into.transport = found;
  return true;
}

/** Puts the folded sum of the pseudo header into the checksum field, and returns the field's offset in the transport header. */
export function putPseudoSum(bytes: Uint8Array, { version, protocol, transport, end }: Transport): number {
  const offset = protocol === IP_PROTOCOL.tcp ? TCP_CHECKSUM_AT : UDP_CHECKSUM_AT;
  const [addresses, size] = version === 4 ? [ETHERNET.payload + 12, 4] : [ETHERNET.payload + 8, 16];
  put16(bytes, transport + offset, fold(pseudoSum(bytes, addresses, size, protocol, end - transport)));
  return offset;
}

function inIpv4(bytes: Uint8Array, into: Transport): number {
  const ip = ETHERNET.payload;
  const header = ((bytes[ip] as number) & 0xf) * 4;
  into.version = 4;
  into.protocol = bytes[ip + 9] as number;
  into.end = ip + u16(bytes, ip + 2);
  const fragment = (u16(bytes, ip + 6) & 0x3fff) !== 0;
  if ((bytes[ip] as number) >> 4 !== 4 || header < 20 || fragment || !isTransport(into.protocol)) return 0;
  return ip + header;
}

function inIpv6(bytes: Uint8Array, into: Transport): number {
  const ip = ETHERNET.payload;
  if (bytes.length < ip + IPV6_HEADER_BYTES || (bytes[ip] as number) >> 4 !== 6) return 0;
  into.version = 6;
  into.end = ip + IPV6_HEADER_BYTES + u16(bytes, ip + 4);
  let next = bytes[ip + 6] as number;
  let at = ip + IPV6_HEADER_BYTES;
  for (let i = 0; i < MOST_EXTENSIONS && !isTransport(next); i++) {
    const skips = next === IP_PROTOCOL.hopByHop || next === IP_PROTOCOL.routing || next === IP_PROTOCOL.options;
    if (!skips || at + 8 > bytes.length) return 0;
    next = bytes[at] as number;
    at += ((bytes[at + 1] as number) + 1) * 8;
  }
  into.protocol = next;
  return isTransport(next) ? at : 0;
}

const isTransport = (protocol: number): boolean => protocol === IP_PROTOCOL.tcp || protocol === IP_PROTOCOL.udp;
