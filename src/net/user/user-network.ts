// A network in user mode: the guest sees a router with DHCP, DNS and a way out; the host sees an ordinary process with sockets.
import { ALL_OFFLOADS, type Frame, type FrameFilter, type FrameReceiver, type FrameSink } from '../../io/frame-sink.ts';
import type { HostSockets } from '../../io/host-sockets.ts';
import type { Clock } from '../../time/clock.ts';
import { ARP, arpFrame, parseArp } from '../arp.ts';
import { u16 } from '../big-endian.ts';
import { Deadlines } from '../deadlines.ts';
import { DHCP_PORT, parseDhcp } from '../dhcp.ts';
import { DNS_PORT } from '../dns-message.ts';
import { ETHERNET, ETHERTYPE } from '../ethernet.ts';
import { type IpAddress, inPrefix, sameAddress } from '../ip-address.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import { IpReassembly } from '../ip-reassembly.ts';
import { parseIpv4Packet } from '../ipv4.ts';
import { parseIpv6Packet } from '../ipv6.ts';
import { isGroupMac, macKey } from '../mac-address.ts';
import { parseTcp } from '../tcp/segment.ts';
import { transportChecksumHolds } from '../transport-checksum.ts';
import { parseUdp } from '../udp.ts';
import { DhcpServer, type Lease } from './dhcp-server.ts';
import { DnsRelay } from './dns-relay.ts';
import { IcmpService } from './icmp-service.ts';
import { LinkOutput } from './link-output.ts';
import { type NetworkPlan, planNetwork, type UserNetworkOptions } from './network-plan.ts';
import { type TcpFlowReport, TcpRelay } from './tcp-relay.ts';
import { UdpRelay } from './udp-relay.ts';

/** What a user mode network needs of its host. */
export interface UserNetworkHost {
  readonly sockets: HostSockets;
  /** Guest time: a connection must not time out while its guest is paused. */
  readonly clock: Clock;
  /** 32 random bits, from the host's best source. */
  readonly random: () => number;
}

const BROADCAST = Uint8Array.of(255, 255, 255, 255);
const LINK_LOCAL = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

export class UserNetwork implements FrameSink {
  readonly mtu: number;
  readonly offloads = ALL_OFFLOADS;
  linkUp = true;
  readonly plan: NetworkPlan;
  readonly #deadlines: Deadlines;
  readonly #output: LinkOutput;
  readonly #icmp: IcmpService;
  readonly #dhcp: DhcpServer | undefined;
  readonly #dns: DnsRelay;
  readonly #udp: UdpRelay;
  readonly #tcp: TcpRelay;
  readonly #reassembly = new IpReassembly();
  readonly #listeners: { close(): unknown }[] = [];
  readonly #macKey: number;

  /** Forwarded ports are not open before `open`. @throws NetworkOptionError */
  constructor(host: UserNetworkHost, options: UserNetworkOptions = {}) {
    this.plan = planNetwork(options);
    this.mtu = this.plan.mtu;
    this.#macKey = macKey(this.plan.mac, 0);
    this.#deadlines = new Deadlines(host.clock, 'user-network');
    this.#output = new LinkOutput(this.plan, this.#deadlines);
    this.#icmp = new IcmpService(this.plan, this.#output, host.sockets, this.#deadlines);
    this.#dhcp = this.plan.ipv4 && new DhcpServer(this.plan, this.plan.ipv4);
    this.#dns = new DnsRelay(host.sockets);
    this.#udp = new UdpRelay(this.plan, this.#output, host.sockets, this.#deadlines);
    this.#tcp = new TcpRelay(this.plan, this.#output, host.sockets, this.#deadlines, host.random);
  }

  /** Makes a network and opens its forwarded ports. Rejects with the host's error for the first that cannot be opened. */
  static async open(host: UserNetworkHost, options: UserNetworkOptions = {}): Promise<UserNetwork> {
    const network = new UserNetwork(host, options);
    try {
      for (const forward of network.plan.forwards) {
        const relay = forward.protocol === 'tcp' ? network.#tcp : network.#udp;
        network.#listeners.push(await relay.forward(forward));
      }
    } catch (error) {
      await network.close();
      throw error;
    }
    return network;
  }

  attach(receiver: FrameReceiver | undefined): void {
    if (!this.linkUp) return;
    this.#output.receiver = receiver;
    if (receiver === undefined) return;
    this.resume();
    this.#icmp.advertise();
  }

  send(frame: Frame): boolean {
    const { bytes } = frame;
    if (!this.linkUp || bytes.length < ETHERNET.payload) return true;
    if (!isGroupMac(bytes, ETHERNET.destination) && macKey(bytes, ETHERNET.destination) !== this.#macKey) return true;
    const type = u16(bytes, ETHERNET.type);
    if (type === ETHERTYPE.arp) this.#arpArrived(bytes);
    else if (type === ETHERTYPE.ipv4 && this.plan.ipv4) this.#ipArrived(frame, parseIpv4Packet(bytes, ETHERNET.payload));
    else if (type === ETHERTYPE.ipv6 && this.plan.ipv6) this.#ipArrived(frame, parseIpv6Packet(bytes, ETHERNET.payload));
    return true;
  }

  resume(): void {
    if (this.#output.resume()) this.#tcp.resume();
  }

  setFilter(_filter: FrameFilter): void {
    // The only multicast frames there are, are router advertisements.
  }

  forgetGuest(): void {
    this.#tcp.close();
    this.#udp.close();
    this.#dns.forget();
    this.#icmp.forget();
    this.#dhcp?.forget();
    this.#reassembly.clear();
    this.#output.forget();
  }

  async close(): Promise<void> {
    this.linkUp = false;
    this.#tcp.close();
    this.#udp.close();
    this.#deadlines.close();
    this.#output.receiver?.linkChanged(false);
    this.#output.receiver = undefined;
    await Promise.all(this.#listeners.splice(0).map((listener) => listener.close()));
  }

  leases(): Lease[] {
    return this.#dhcp?.leases(this.#deadlines.nowNs()) ?? [];
  }

  /** What the network holds. Every number has a bound that the guest cannot move. */
  inspect(): NetworkReport {
    return {
      tcp: this.#tcp.inspect(),
      udp: this.#udp.inspect(),
      neighbours: this.#output.neighbours.size,
      queuedFrames: this.#output.queued,
      fragmented: this.#reassembly.size,
    };
  }

  #arpArrived(bytes: Uint8Array): void {
    const { ipv4, mac } = this.plan;
    const arp = parseArp(bytes);
    if (arp === undefined || ipv4 === undefined || isGroupMac(arp.senderMac, 0)) return;
    if (this.#output.isOurs(arp.senderIp)) return;
    if (inPrefix(arp.senderIp, ipv4.prefix, ipv4.prefixBits)) this.#output.learn(arp.senderIp, arp.senderMac);
    if (arp.operation !== ARP.request || !this.#output.isOurs(arp.targetIp)) return;
    const { senderMac: targetMac, senderIp: targetIp } = arp;
    this.#output.sendFrame(
      arpFrame(targetMac, { operation: ARP.reply, senderMac: mac, senderIp: arp.targetIp, targetMac, targetIp }),
    );
  }

  #ipArrived(frame: Frame, first: IpPacket | undefined): void {
    if (first === undefined) return;
    const packet = first.fragment === undefined ? first : this.#reassembly.add(first, this.#deadlines.nowNs());
    if (packet === undefined) return;
    const offloaded = packet === first && (frame.checksumStart !== 0 || frame.checksumValid);
    if (packet.protocol === IP_PROTOCOL.tcp) return this.#tcpArrived(packet, offloaded);
    if (packet.protocol === IP_PROTOCOL.udp) return this.#udpArrived(packet, offloaded);
    const icmp = packet.protocol === (packet.version === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6);
    if (!icmp || packet.end - packet.payloadAt < 4 || !(offloaded || transportChecksumHolds(packet))) return;
    if (packet.version === 6) this.#icmp.icmpv6Arrived(packet, frame.bytes.subarray(ETHERNET.source, ETHERNET.source + 6));
    else if (this.#isGuest(packet.source)) this.#icmp.icmpArrived(packet);
  }

  #tcpArrived(packet: IpPacket, offloaded: boolean): void {
    const segment = parseTcp(packet.bytes, packet.payloadAt, packet.end);
    if (segment === undefined || !this.#isGuest(packet.source) || isGroup(packet.destination)) return;
    if (offloaded || transportChecksumHolds(packet)) this.#tcp.arrived(packet, segment);
  }

  #udpArrived(packet: IpPacket, offloaded: boolean): void {
    const datagram = parseUdp(packet.bytes, packet.payloadAt, packet.end);
    if (datagram === undefined || !(offloaded || transportChecksumHolds(packet, datagram.end))) return;
    const { destinationPort, sourcePort, payload } = datagram;
    const { ipv4, ipv6 } = this.plan;
    if (packet.version === 4 && destinationPort === DHCP_PORT.server) {
      const toUs = sameAddress(packet.destination, BROADCAST) || this.#output.isOurs(packet.destination);
      if (toUs) return this.#dhcpArrived(payload);
    }
    if (!this.#isGuest(packet.source) || isGroup(packet.destination) || sourcePort === 0 || destinationPort === 0) return;
    const dns = packet.version === 4 ? ipv4?.dns : ipv6?.dns;
    if (destinationPort !== DNS_PORT || dns === undefined || !sameAddress(packet.destination, dns)) {
      return this.#udp.arrived(packet, datagram);
    }
    const guest = packet.source.slice();
    this.#dns.query(payload, (answer) => this.#udp.send(dns, DNS_PORT, guest, sourcePort, answer));
  }

  #dhcpArrived(payload: Uint8Array): void {
    const message = parseDhcp(payload);
    const answer = message && this.#dhcp?.answer(message, this.#deadlines.nowNs());
    if (message === undefined || answer === undefined || this.plan.ipv4 === undefined) return;
    // Not by ARP: the client has no address yet (RFC 2131, section 4.1).
    const mac = answer.to === undefined ? undefined : message.mac;
    this.#udp.send(this.plan.ipv4.gateway, DHCP_PORT.server, answer.to ?? BROADCAST, DHCP_PORT.client, answer.bytes, mac);
  }

  /** A packet may only come from the network's own addresses (RFC 2827). */
  #isGuest(address: IpAddress): boolean {
    const subnet = address.length === 4 ? this.plan.ipv4 : this.plan.ipv6;
    if (subnet === undefined || this.#output.isOurs(address)) return false;
    return inPrefix(address, subnet.prefix, subnet.prefixBits) || inPrefix(address, LINK_LOCAL, 10);
  }
}

export interface NetworkReport {
  readonly tcp: readonly TcpFlowReport[];
  readonly udp: readonly { readonly guest: string; readonly port: number; readonly peers: number }[];
  readonly neighbours: number;
  readonly queuedFrames: number;
  readonly fragmented: number;
}

/** Broadcast or multicast. */
const isGroup = (address: IpAddress): boolean => (address.length === 4 ? (address[0] as number) >= 224 : address[0] === 0xff);
