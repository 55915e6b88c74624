// What the transport layers see of a packet, of either version.
import type { IpAddress } from './ip-address.ts';

export const IP_PROTOCOL = {
  hopByHop: 0,
  icmp: 1,
  tcp: 6,
  udp: 17,
  routing: 43,
  fragment: 44,
  icmpv6: 58,
  none: 59,
  options: 60,
} as const;

export interface IpPacket {
  readonly version: 4 | 6;
  /** The bytes that the offsets are about; they may be those of a frame that its owner is going to use again. */
  readonly bytes: Uint8Array;
  /** Where the IP header begins. */
  readonly headerAt: number;
  /** Where the source address stands, with the destination after it: what a pseudo header is summed over. */
  readonly addressesAt: number;
  /** Views into `bytes`. */
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  readonly payloadAt: number;
  /** Behind the last byte of the payload; the frame may have padding after it. */
  readonly end: number;
  /** TTL or hop limit. NDP checks it. */
  readonly hopLimit: number;
  /** Undefined for a packet in one piece. */
  readonly fragment: IpFragment | undefined;
}

export interface IpFragment {
  readonly id: number;
  /** In bytes, a multiple of 8. */
  readonly offset: number;
  readonly more: boolean;
}
