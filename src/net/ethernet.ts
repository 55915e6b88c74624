// Ethernet II framing (IEEE 802.3, clause 3; RFC 894).
import { put16 } from './big-endian.ts';
import type { MacAddress } from './mac-address.ts';

export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, ipv6: 0x86dd } as const;
export const ETHERNET = { destination: 0, source: 6, type: 12, payload: 14 } as const;

export function writeEthernet(bytes: Uint8Array, destination: MacAddress, source: MacAddress, type: number): void {
  bytes.set(destination, ETHERNET.destination);
  bytes.set(source, ETHERNET.source);
  put16(bytes, ETHERNET.type, type);
}
