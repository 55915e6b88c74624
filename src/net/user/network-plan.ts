// What a user mode network looks like from inside: by default the addresses of QEMU's.
import { type IpAddress, inPrefix, parseIp, sameAddress } from '../ip-address.ts';
import { type MacAddress, parseMac } from '../mac-address.ts';
import { type Forward, parseForward } from './forward.ts';

export interface UserNetworkOptions {
  /** Network as "address/bits", "10.0.2.0/24"; false: no IPv4. */
  readonly ipv4?: string | false;
  /** The guest's gateway, which stands for the host: ".2" of the network. */
  readonly gateway?: string;
  /** The DNS relay: ".3". */
  readonly dns?: string;
  /** The first address that DHCP gives away: ".15". */
  readonly firstLease?: string;
  /** Prefix of 64 bits, "fec0::/64"; the gateway is ::2 in it, the DNS relay ::3. False: no IPv6. */
  readonly ipv6?: string | false;
  /** The gateway's Ethernet address. */
  readonly mac?: string;
  /** The host name that DHCP tells the guest. */
  readonly hostname?: string;
  /** The domain that DHCP tells the guest. */
  readonly domain?: string;
  /** 576..65535; 1500 unless given. */
  readonly mtu?: number;
  /** Ports of the host that lead to the guest, as QEMU writes them: "tcp:127.0.0.1:2222-:22". */
  readonly forwards?: readonly string[];
  /** Connections to the gateway reach the host's loopback. Off: they are refused. */
  readonly allowHostLoopback?: boolean;
  /** 169.254.0.0/16 and fe80::/10 of the host's networks, where cloud metadata lives. Off: unreachable. */
  readonly allowLinkLocal?: boolean;
  /** TCP connections and UDP associations at a time, each; 1024 unless given. */
  readonly maxFlows?: number;
  /** Bytes between guest and host socket in each direction of a TCP connection; 1 MiB unless given. */
  readonly bufferBytes?: number;
}

export interface Subnet {
  readonly prefix: IpAddress;
  readonly prefixBits: number;
  readonly gateway: IpAddress;
  readonly dns: IpAddress;
}

export interface NetworkPlan {
  readonly mac: MacAddress;
  readonly mtu: number;
  readonly ipv4: (Subnet & { readonly firstLease: IpAddress }) | undefined;
  readonly ipv6: (Subnet & { readonly linkLocal: IpAddress }) | undefined;
  readonly hostname: string | undefined;
  readonly domain: string | undefined;
  readonly forwards: readonly Forward[];
  readonly allowHostLoopback: boolean;
  readonly allowLinkLocal: boolean;
  readonly maxFlows: number;
  readonly bufferBytes: number;
}

/** An option that makes no sense; the message names it. */
export class NetworkOptionError extends Error {
  override readonly name = 'NetworkOptionError';
  readonly option: string;
  constructor(option: string, problem: string) {
    super(`${option}: ${problem}`);
    this.option = option;
  }
}

/** Checks the options. @throws NetworkOptionError */
export function planNetwork(options: UserNetworkOptions = {}): NetworkPlan {
  const mac = parseMac(options.mac ?? '52:55:0a:00:02:02');
  if (mac === undefined || ((mac[0] as number) & 1) !== 0) throw new NetworkOptionError('mac', 'not a unicast Ethernet address');
  const ipv4 = options.ipv4 === false ? undefined : planIpv4(options);
  const forwards = (options.forwards ?? []).map((text) => {
    const forward = parseForward(text, ipv4?.firstLease);
    if (typeof forward === 'string') throw new NetworkOptionError('forwards', forward);
    return forward;
  });
  return {
    mac,
    mtu: integer('mtu', options.mtu ?? 1500, 576, 0xffff),
    ipv4,
    ipv6: options.ipv6 === false || (options.mtu ?? 1500) < 1280 ? undefined : planIpv6(options.ipv6 ?? 'fec0::/64'),
    hostname: options.hostname,
    domain: options.domain,
    forwards,
    allowHostLoopback: options.allowHostLoopback ?? false,
    allowLinkLocal: options.allowLinkLocal ?? false,
    maxFlows: integer('maxFlows', options.maxFlows ?? 1024, 1, 65_536),
    bufferBytes: integer('bufferBytes', options.bufferBytes ?? 1024 * 1024, 4096, 0xffff << 5),
  };
}

function integer(option: string, value: number, min: number, max: number): number {
  if (!Number.isInteger(value) || value < min || value > max)
    throw new NetworkOptionError(option, `${value} is not in ${min}..${max}`);
  return value;
}

function network(option: string, text: string, bytes: number, minBits: number, maxBits: number): [IpAddress, number] {
  const [address, bits] = text.split('/');
  const prefix = parseIp(address ?? '');
  if (prefix?.length !== bytes || !/^\d+$/.test(bits ?? ''))
    throw new NetworkOptionError(option, `'${text}' is not address/bits`);
  integer(option, Number(bits), minBits, maxBits);
  const masked = prefix.map((byte, i) => byte & (0xff00 >> Math.max(0, Math.min(8, Number(bits) - 8 * i))));
  if (!sameAddress(masked, prefix)) throw new NetworkOptionError(option, `'${text}' has bits set outside the prefix`);
  return [prefix, Number(bits)];
}

/** The address `n` of a network. */
function host(prefix: IpAddress, n: number): IpAddress {
  const address = prefix.slice();
  address[address.length - 1] = (address.at(-1) as number) + n;
  return address;
}

function planIpv4(options: UserNetworkOptions): NetworkPlan['ipv4'] {
  const [prefix, prefixBits] = network('ipv4', options.ipv4 || '10.0.2.0/24', 4, 8, 29);
  const small = prefixBits > 27;
  const pick = (option: 'gateway' | 'dns' | 'firstLease', n: number) => {
    const text = options[option];
    const address = text === undefined ? host(prefix, n) : parseIp(text);
    if (address === undefined || !inPrefix(address, prefix, prefixBits)) {
      throw new NetworkOptionError(option, `'${text}' is not in ${options.ipv4 || '10.0.2.0/24'}`);
    }
    return address;
  };
  return { prefix, prefixBits, gateway: pick('gateway', 2), dns: pick('dns', 3), firstLease: pick('firstLease', small ? 4 : 15) };
}

function planIpv6(text: string): NetworkPlan['ipv6'] {
  const [prefix, prefixBits] = network('ipv6', text, 16, 64, 64);
  const linkLocal = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2);
  return { prefix, prefixBits, gateway: host(prefix, 2), dns: host(prefix, 3), linkLocal };
}
