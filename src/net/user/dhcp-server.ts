// The DHCP server of a user mode network (RFC 2131, section 4.3): addresses from the first lease on, one for each client.
import { put16, put32 } from '../big-endian.ts';
import { DHCP, DHCP_OPTION, type DhcpMessage, dhcpReply } from '../dhcp.ts';
import { formatIp, type IpAddress, inPrefix, sameAddress } from '../ip-address.ts';
import { formatMac } from '../mac-address.ts';
import type { NetworkPlan } from './network-plan.ts';

const LEASE_SECONDS = 86_400;
/** An address that a client found in use stays out of the pool so long (it may be its own mistake). */
const DECLINED_NS = 600e9;
const MAX_LEASES = 4096;

export interface Lease {
  readonly address: string;
  readonly mac: string;
  /** The name the client gave, with what does not belong into a host name taken out. */
  readonly hostname: string;
  /** When it ends, on the network's clock. */
  readonly endNs: number;
}

interface Binding {
  readonly client: string;
  readonly address: IpAddress;
  mac: string;
  hostname: string;
  endNs: number;
  /** Offered, and not asked for yet: may be given to another when the pool is empty. */
  bound: boolean;
}

export interface DhcpAnswer {
  readonly bytes: Uint8Array;
  /** Undefined: to everybody. */
  readonly to: IpAddress | undefined;
}

export class DhcpServer {
  readonly #plan: NetworkPlan;
  readonly #subnet: NonNullable<NetworkPlan['ipv4']>;
  readonly #byClient = new Map<string, Binding>();
  readonly #byAddress = new Map<string, Binding>();

  constructor(plan: NetworkPlan, subnet: NonNullable<NetworkPlan['ipv4']>) {
    this.#plan = plan;
    this.#subnet = subnet;
  }

  leases(nowNs: number): Lease[] {
    return [...this.#byClient.values()]
      .filter((binding) => binding.bound && binding.endNs > nowNs)
      .map(({ address, mac, hostname, endNs }) => ({ address: formatIp(address), mac, hostname, endNs }));
  }

  /** Ends all leases. */
  forget(): void {
    this.#byClient.clear();
    this.#byAddress.clear();
  }

  /** Undefined when there is nothing to say. */
  answer(message: DhcpMessage, nowNs: number): DhcpAnswer | undefined {
    const clientId = message.options.get(DHCP_OPTION.clientId);
    const client = clientId === undefined ? formatMac(message.mac) : `id ${clientId.subarray(0, 64).join('.')}`;
    const server = message.options.get(DHCP_OPTION.server);
    const forUs = server === undefined || (server.length === 4 && sameAddress(server, this.#subnet.gateway));
    if (message.type === DHCP.discover) return this.#offer(message, client, nowNs);
    if (message.type === DHCP.request) return forUs ? this.#request(message, client, nowNs) : void this.#release(client, false);
    if (message.type === DHCP.inform) return this.#reply(message, DHCP.ack, undefined);
    if (message.type === DHCP.release && forUs) this.#release(client, true);
    if (message.type === DHCP.decline && forUs) this.#decline(client, nowNs);
    return undefined;
  }

  #offer(message: DhcpMessage, client: string, nowNs: number): DhcpAnswer | undefined {
    const wanted = message.options.get(DHCP_OPTION.requestedAddress);
    const binding = this.#bindingFor(client, message, wanted, nowNs);
    return binding === undefined ? undefined : this.#reply(message, DHCP.offer, binding.address);
  }

  #request(message: DhcpMessage, client: string, nowNs: number): DhcpAnswer {
    // Selecting and rebooting name the address in an option, renewing in ciaddr (section 4.3.2).
    const address = message.options.get(DHCP_OPTION.requestedAddress) ?? message.clientAddress;
    const binding = address.length === 4 ? this.#bindingFor(client, message, address, nowNs) : undefined;
    if (binding === undefined || !sameAddress(binding.address, address)) return this.#reply(message, DHCP.nak, undefined);
    binding.bound = true;
    binding.mac = formatMac(message.mac);
    binding.endNs = nowNs + LEASE_SECONDS * 1e9;
    const name = message.options.get(DHCP_OPTION.hostname);
    if (name !== undefined) binding.hostname = String.fromCharCode(...name.subarray(0, 63)).replace(/[^A-Za-z0-9.-]/g, '');
    return this.#reply(message, DHCP.ack, binding.address);
  }

  /** The client's binding, or a new one: at the address it wants if that is free. */
  #bindingFor(client: string, message: DhcpMessage, wanted: Uint8Array | undefined, nowNs: number): Binding | undefined {
    const before = this.#byClient.get(client);
    if (before !== undefined) return before;
    if (this.#byAddress.size >= MAX_LEASES) this.#forgetOld(nowNs);
    if (this.#byAddress.size >= MAX_LEASES) return undefined;
    const address = wanted !== undefined && this.#isFree(wanted, nowNs) ? wanted.slice() : this.#freeAddress(nowNs);
    if (address === undefined) return undefined;
    this.#forget(this.#byAddress.get(formatIp(address)));
    const binding = { client, address, mac: formatMac(message.mac), hostname: '', endNs: nowNs + 60e9, bound: false };
    this.#byClient.set(client, binding);
    this.#byAddress.set(formatIp(address), binding);
    return binding;
  }

  #isFree(address: Uint8Array, nowNs: number): boolean {
    if (address.length !== 4 || !inPrefix(address, this.#subnet.prefix, this.#subnet.prefixBits)) return false;
    const { prefixBits, gateway, dns } = this.#subnet;
    const hostMask = 2 ** (32 - prefixBits) - 1;
    const host = number(address) % (hostMask + 1);
    if (host === 0 || host === hostMask || sameAddress(address, gateway) || sameAddress(address, dns)) return false;
    const binding = this.#byAddress.get(formatIp(address));
    return binding === undefined || binding.endNs <= nowNs;
  }

  #freeAddress(nowNs: number): IpAddress | undefined {
    const first = number(this.#subnet.firstLease);
    for (let i = 0; i < MAX_LEASES; i++) {
      const address = new Uint8Array(4);
      put32(address, 0, first + i);
      if (!inPrefix(address, this.#subnet.prefix, this.#subnet.prefixBits)) return undefined;
      if (this.#isFree(address, nowNs)) return address;
    }
    return undefined;
  }

  /** The address stays the client's for when it returns, but others may have it. */
  #release(client: string, wasBound: boolean): void {
    const binding = this.#byClient.get(client);
    if (binding !== undefined && binding.bound === wasBound) this.#forget(binding);
  }

  #decline(client: string, nowNs: number): void {
    const binding = this.#byClient.get(client);
    if (binding === undefined) return;
    this.#byClient.delete(client);
    binding.bound = false;
    binding.endNs = nowNs + DECLINED_NS;
  }

  #forgetOld(nowNs: number): void {
    for (const binding of [...this.#byAddress.values()]) if (binding.endNs <= nowNs) this.#forget(binding);
  }

  #forget(binding: Binding | undefined): void {
    if (binding === undefined) return;
    if (this.#byClient.get(binding.client) === binding) this.#byClient.delete(binding.client);
    this.#byAddress.delete(formatIp(binding.address));
  }

  #reply(message: DhcpMessage, type: number, address: IpAddress | undefined): DhcpAnswer {
    const options: [number, Uint8Array][] = [
      [DHCP_OPTION.messageType, Uint8Array.of(type)],
      [DHCP_OPTION.server, this.#subnet.gateway],
    ];
    if (type !== DHCP.nak) {
      if (address !== undefined) {
        options.push([DHCP_OPTION.leaseSeconds, seconds(LEASE_SECONDS)]);
        options.push([DHCP_OPTION.renewSeconds, seconds(LEASE_SECONDS / 2)]);
        options.push([DHCP_OPTION.rebindSeconds, seconds((LEASE_SECONDS * 7) / 8)]);
      }
      options.push(...this.#parameters());
    }
    const bytes = dhcpReply(message, this.#subnet.gateway, address, options);
    const renewing = message.clientAddress.some((byte) => byte !== 0);
    if (renewing && type !== DHCP.nak) return { bytes, to: message.clientAddress };
    return { bytes, to: message.broadcast || type === DHCP.nak ? undefined : address };
  }

  /** Sent whether asked for or not: there are few of them. */
  #parameters(): [number, Uint8Array][] {
    const { prefix, prefixBits, gateway, dns } = this.#subnet;
    const mask = seconds(prefixBits === 0 ? 0 : (0xffff_ffff << (32 - prefixBits)) >>> 0);
    const broadcast = prefix.map((byte, i) => byte | (~(mask[i] as number) & 0xff));
    const list: [number, Uint8Array][] = [
      [DHCP_OPTION.subnetMask, mask],
      [DHCP_OPTION.broadcast, broadcast],
      [DHCP_OPTION.router, gateway],
      [DHCP_OPTION.dns, dns],
    ];
    const { hostname, domain, mtu } = this.#plan;
    if (hostname !== undefined) list.push([DHCP_OPTION.hostname, new TextEncoder().encode(hostname).subarray(0, 255)]);
    if (domain !== undefined) list.push([DHCP_OPTION.domain, new TextEncoder().encode(domain).subarray(0, 255)]);
    if (mtu !== 1500) {
      const value = new Uint8Array(2);
      put16(value, 0, mtu);
      list.push([DHCP_OPTION.mtu, value]);
    }
    return list;
  }
}

const number = (address: IpAddress): number => address.reduce((sum, byte) => sum * 256 + byte, 0);

function seconds(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  put32(bytes, 0, value);
  return bytes;
}
