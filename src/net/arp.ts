// ARP for IPv4 over Ethernet (RFC 826).
import { put16, u16 } from './big-endian.ts';
import { ETHERNET, ETHERTYPE, writeEthernet } from './ethernet.ts';
import type { IpAddress } from './ip-address.ts';
import type { MacAddress } from './mac-address.ts';

export const ARP = { request: 1, reply: 2 } as const;
const AT = {
  hardware: 0,
  protocol: 2,
  lengths: 4,
  operation: 6,
  senderMac: 8,
  senderIp: 14,
  targetMac: 18,
  targetIp: 24,
} as const;
const ARP_BYTES = 28;

export interface ArpPacket {
  readonly operation: number;
  readonly senderMac: MacAddress;
  readonly senderIp: IpAddress;
  readonly targetMac: MacAddress;
  readonly targetIp: IpAddress;
}

/** The packet of a frame; undefined for one that is cut short or not about IPv4 over Ethernet. */
export function parseArp(frame: Uint8Array): ArpPacket | undefined {
  const at = ETHERNET.payload;
  if (frame.length < at + ARP_BYTES) return undefined;
  if (u16(frame, at + AT.hardware) !== 1 || u16(frame, at + AT.protocol) !== ETHERTYPE.ipv4) return undefined;
  if (u16(frame, at + AT.lengths) !== 0x0604) return undefined;
  const part = (from: number, length: number) => frame.slice(at + from, at + from + length);
  return {
    operation: u16(frame, at + AT.operation),
    senderMac: part(AT.senderMac, 6),
    senderIp: part(AT.senderIp, 4),
    targetMac: part(AT.targetMac, 6),
    targetIp: part(AT.targetIp, 4),
  };
}

/** A whole frame, without padding. */
export function arpFrame(destination: MacAddress, packet: ArpPacket): Uint8Array {
  const at = ETHERNET.payload;
  const frame = new Uint8Array(at + ARP_BYTES);
  writeEthernet(frame, destination, packet.senderMac, ETHERTYPE.arp);
  put16(frame, at + AT.hardware, 1);
  put16(frame, at + AT.protocol, ETHERTYPE.ipv4);
  put16(frame, at + AT.lengths, 0x0604);
  put16(frame, at + AT.operation, packet.operation);
  frame.set(packet.senderMac, at + AT.senderMac);
  frame.set(packet.senderIp, at + AT.senderIp);
  frame.set(packet.targetMac, at + AT.targetMac);
  frame.set(packet.targetIp, at + AT.targetIp);
  return frame;
}
