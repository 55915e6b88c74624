// Neighbour discovery (RFC 4861) with the router's side of SLAAC (RFC 4862) and of RDNSS (RFC 8106).
import { put16, put32 } from './big-endian.ts';
import { ICMPV6 } from './icmp.ts';
import type { IpAddress } from './ip-address.ts';
import type { MacAddress } from './mac-address.ts';

const OPTION = { sourceLink: 1, targetLink: 2, prefix: 3, mtu: 5, rdnss: 25 } as const;
const NA_FLAG = { router: 0x80, solicited: 0x40, override: 0x20 } as const;
/** Offset of a solicitation's or advertisement's target, and of their options. */
const TARGET = 8;
const TARGET_OPTIONS = 24;

export interface NeighbourMessage {
  readonly target: IpAddress;
  /** The link-layer address option, when there is one. */
  readonly mac: MacAddress | undefined;
}

/** A neighbour solicitation or advertisement; undefined when cut short or with a bad option (RFC 4861, section 7.1). */
export function parseNeighbour(message: Uint8Array): NeighbourMessage | undefined {
  if (message.length < TARGET_OPTIONS) return undefined;
  const kind = message[0] === ICMPV6.neighbourSolicitation ? OPTION.sourceLink : OPTION.targetLink;
  const target = message.slice(TARGET, TARGET_OPTIONS);
  let mac: MacAddress | undefined;
  for (let at = TARGET_OPTIONS; at < message.length; ) {
    const length = 8 * (message[at + 1] ?? 0);
    if (length === 0 || at + length > message.length) return undefined;
    if (message[at] === kind && length === 8) mac = message.slice(at + 2, at + 8);
    at += length;
  }
  return { target, mac };
}

function linkOption(bytes: Uint8Array, at: number, kind: number, mac: MacAddress): void {
  bytes[at] = kind;
  bytes[at + 1] = 1;
  bytes.set(mac, at + 2);
}

/** An advertisement of a router's own address, with a checksum of 0. */
export function neighbourAdvertisement(target: IpAddress, mac: MacAddress, solicited: boolean): Uint8Array {
  const bytes = new Uint8Array(TARGET_OPTIONS + 8);
  bytes[0] = ICMPV6.neighbourAdvertisement;
  bytes[4] = NA_FLAG.router | NA_FLAG.override | (solicited ? NA_FLAG.solicited : 0);
  bytes.set(target, TARGET);
  linkOption(bytes, TARGET_OPTIONS, OPTION.targetLink, mac);
  return bytes;
}

export function neighbourSolicitation(target: IpAddress, mac: MacAddress): Uint8Array {
  const bytes = new Uint8Array(TARGET_OPTIONS + 8);
  bytes[0] = ICMPV6.neighbourSolicitation;
  bytes.set(target, TARGET);
  linkOption(bytes, TARGET_OPTIONS, OPTION.sourceLink, mac);
  return bytes;
}

export interface RouterInformation {
  readonly mac: MacAddress;
  readonly prefix: IpAddress;
  readonly prefixBits: number;
  readonly dns: IpAddress;
  readonly mtu: number;
}

/** Seconds; the defaults of RFC 4861, section 6.2.1. */
const ROUTER_LIFETIME = 1800;
const VALID_LIFETIME = 2_592_000;
const PREFERRED_LIFETIME = 604_800;

/** A router advertisement with source address, prefix, MTU and DNS server options, and a checksum of 0 (sections 4.2 and 4.6). */
export function routerAdvertisement(router: RouterInformation): Uint8Array {
  const bytes = new Uint8Array(16 + 8 + 32 + 8 + 24);
  bytes[0] = ICMPV6.routerAdvertisement;
  bytes[4] = 64; // current hop limit
  put16(bytes, 6, ROUTER_LIFETIME);
  linkOption(bytes, 16, OPTION.sourceLink, router.mac);
  const prefix = 24;
  bytes[prefix] = OPTION.prefix;
  bytes[prefix + 1] = 4;
  bytes[prefix + 2] = router.prefixBits;
  bytes[prefix + 3] = 0xc0; // on link, and for autonomous configuration
  put32(bytes, prefix + 4, VALID_LIFETIME);
  put32(bytes, prefix + 8, PREFERRED_LIFETIME);
  bytes.set(router.prefix, prefix + 16);
  const mtu = prefix + 32;
  bytes[mtu] = OPTION.mtu;
  bytes[mtu + 1] = 1;
  put32(bytes, mtu + 4, router.mtu);
  const rdnss = mtu + 8;
  bytes[rdnss] = OPTION.rdnss;
  bytes[rdnss + 1] = 3;
  put32(bytes, rdnss + 4, ROUTER_LIFETIME);
  bytes.set(router.dns, rdnss + 8);
  return bytes;
}

/** The multicast address that a node listens on for its own (RFC 4291, section 2.7.1). */
export function solicitedNode(address: IpAddress): IpAddress {
  const group = new Uint8Array(16);
  group.set([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff]);
  group.set(address.subarray(13), 13);
  return group;
}

/** The Ethernet address of an IPv6 multicast group (RFC 2464, section 7). */
export const multicastMac = (group: IpAddress): MacAddress => Uint8Array.of(0x33, 0x33, ...group.subarray(12, 16));
