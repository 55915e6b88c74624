// Where a guest's packet may go. What is not listed as refused goes to the host's network with the address the guest gave.

import type { Unreachable } from '../icmp.ts';
import { formatIp, type IpAddress, inPrefix, parseIp, sameAddress } from '../ip-address.ts';
import type { NetworkPlan } from './network-plan.ts';

export type Destination =
  /** To the host's network, or the host. */
  | { readonly kind: 'host'; readonly address: string }
  /** The DNS relay's address. */
  | { readonly kind: 'dns' }
  /** The gateway, with the host's loopback closed: every port is closed. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'unreachable'; readonly why: Unreachable };

type Prefix = readonly [IpAddress, number];
const prefix = (text: string): Prefix => {
  const [address, bits] = text.split('/') as [string, string];
  return [parseIp(address) as IpAddress, Number(bits)];
};

/**
 * Never forwarded. "This network" is the loopback to a Linux host, and IPv4 in IPv6 would go round the rules for IPv4
 * (RFC 6890, section 2.2).
 */
const NEVER = ['0.0.0.0/8', '127.0.0.0/8', '224.0.0.0/4', '240.0.0.0/4', '::/96', '::ffff:0:0/96', 'ff00::/8'].map(prefix);
const LINK_LOCAL = ['169.254.0.0/16', 'fe80::/10'].map(prefix);

const within = (address: IpAddress, list: readonly Prefix[]) => list.some(([start, bits]) => inPrefix(address, start, bits));

export function destinationOf(address: IpAddress, plan: NetworkPlan): Destination {
  const subnet = address.length === 4 ? plan.ipv4 : plan.ipv6;
  if (subnet === undefined) return { kind: 'unreachable', why: 'net' };
  const gateway = sameAddress(address, subnet.gateway) || (plan.ipv6 !== undefined && sameAddress(address, plan.ipv6.linkLocal));
  if (gateway)
    return plan.allowHostLoopback ? { kind: 'host', address: address.length === 4 ? '127.0.0.1' : '::1' } : { kind: 'closed' };
  if (sameAddress(address, subnet.dns)) return { kind: 'dns' };
  if (inPrefix(address, subnet.prefix, subnet.prefixBits)) return { kind: 'unreachable', why: 'host' };
  if (within(address, NEVER)) return { kind: 'unreachable', why: 'prohibited' };
  if (!plan.allowLinkLocal && within(address, LINK_LOCAL)) return { kind: 'unreachable', why: 'prohibited' };
  return { kind: 'host', address: formatIp(address) };
}
