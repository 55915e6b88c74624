// ICMP and ICMPv6 of a user mode network: echo, router and neighbour discovery.
import type { HostSockets } from '../../io/host-sockets.ts';
import { Deadline, type Deadlines } from '../deadlines.ts';
import { ETHERNET } from '../ethernet.ts';
import { ICMP, ICMP_HEADER_BYTES, ICMPV6, writeEchoReply } from '../icmp.ts';
import { type IpAddress, inPrefix, sameAddress } from '../ip-address.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import type { MacAddress } from '../mac-address.ts';
import { neighbourAdvertisement, parseNeighbour, routerAdvertisement } from '../ndp.ts';
import { destinationOf } from './destinations.ts';
import type { LinkOutput } from './link-output.ts';
import type { NetworkPlan } from './network-plan.ts';
import { sendUnreachable } from './packet-replies.ts';

const MAX_ECHOES = 16;
const ECHO_TIMEOUT_MS = 5000;
/** Between MinRtrAdvInterval and MaxRtrAdvInterval (RFC 4861, section 6.2.1). */
const ADVERTISE_EVERY_NS = 300e9;
const ALL_NODES = Uint8Array.of(0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
const LINK_LOCAL = Uint8Array.of(0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);

export class IcmpService {
  readonly #plan: NetworkPlan;
  readonly #output: LinkOutput;
  readonly #sockets: HostSockets;
  readonly #deadlines: Deadlines;
  readonly #advertising = new Deadline(() => this.advertise());
  #echoes = 0;
  /** Counts the guests; an answer is for the one that asked. */
  #guest = 0;

  constructor(plan: NetworkPlan, output: LinkOutput, sockets: HostSockets, deadlines: Deadlines) {
    this.#plan = plan;
    this.#output = output;
    this.#sockets = sockets;
    this.#deadlines = deadlines;
  }

  /** Nobody waits for the answers to what was asked any more. */
  forget(): void {
    this.#guest++;
  }

  /** A checked ICMP packet. */
  icmpArrived(packet: IpPacket): void {
    const message = packet.bytes.subarray(packet.payloadAt, packet.end);
    if (message.length >= ICMP_HEADER_BYTES && message[0] === ICMP.echo) this.#echo(packet, message);
  }

  /** A checked ICMPv6 packet. */
  icmpv6Arrived(packet: IpPacket, sourceMac: MacAddress): void {
    const message = packet.bytes.subarray(packet.payloadAt, packet.end);
    if (message.length < ICMP_HEADER_BYTES) return;
    if (message[0] === ICMPV6.echo) return this.#echo(packet, message);
    // Nothing of neighbour discovery comes through a router (RFC 4861, section 6.1 and 7.1).
    if (packet.hopLimit !== 255 || message[1] !== 0) return;
    if (message[0] === ICMPV6.routerSolicitation) {
      this.#learn(packet.source, sourceMac);
      this.advertise();
    } else if (message[0] === ICMPV6.neighbourSolicitation) this.#solicited(packet, message, sourceMac);
    else if (message[0] === ICMPV6.neighbourAdvertisement) {
      const neighbour = parseNeighbour(message);
      if (neighbour !== undefined) this.#learn(neighbour.target, neighbour.mac ?? sourceMac);
    }
  }

  /** Tells every node about prefix and router, now and every few minutes. */
  advertise(): void {
    const { ipv6, mac, mtu } = this.#plan;
    if (ipv6 === undefined) return;
    this.#sendIcmpv6(ipv6.linkLocal, ALL_NODES, routerAdvertisement({ mac, mtu, ...ipv6 }));
    this.#deadlines.arm(this.#advertising, this.#deadlines.nowNs() + ADVERTISE_EVERY_NS);
  }

  #solicited(packet: IpPacket, message: Uint8Array, sourceMac: MacAddress): void {
    const neighbour = parseNeighbour(message);
    if (neighbour === undefined) return;
    const detecting = packet.source.every((byte) => byte === 0); // a guest that tries an address (RFC 4862, section 5.4)
    const source = packet.source.slice();
    if (!detecting) this.#learn(source, neighbour.mac ?? sourceMac);
    if (!this.#output.isOurs(neighbour.target)) return;
    this.#sendIcmpv6(
      neighbour.target,
      detecting ? ALL_NODES : source,
      neighbourAdvertisement(neighbour.target, this.#plan.mac, !detecting),
    );
  }

  #learn(address: IpAddress, mac: MacAddress): void {
    const { ipv6 } = this.#plan;
    if (ipv6 === undefined || this.#output.isOurs(address)) return;
    const near = inPrefix(address, ipv6.prefix, ipv6.prefixBits) || inPrefix(address, LINK_LOCAL, 10);
    if (near) this.#output.learn(address, mac);
  }

  #sendIcmpv6(source: IpAddress, destination: IpAddress, message: Uint8Array): void {
    this.#output.bytes.set(message, this.#output.transportAt(6));
    this.#output.sendOrQueue({ source, destination, protocol: IP_PROTOCOL.icmpv6, length: message.length, hopLimit: 255 });
  }

  #echo(packet: IpPacket, message: Uint8Array): void {
    if (packet.destination[0] === 0xff || sameAddress(packet.destination, Uint8Array.of(255, 255, 255, 255))) return;
    if (this.#output.isOurs(packet.destination))
      return this.#reply(packet.version, packet.destination.slice(), packet.source.slice(), message);
    const destination = destinationOf(packet.destination, this.#plan);
    const gateway = (packet.version === 4 ? this.#plan.ipv4 : this.#plan.ipv6)?.gateway;
    if (gateway === undefined) return;
    if (destination.kind !== 'host' || this.#sockets.echo === undefined || this.#echoes >= MAX_ECHOES) {
      const why = destination.kind === 'unreachable' ? destination.why : 'prohibited';
      return sendUnreachable(this.#output, gateway, why, packet);
    }
    const [from, to, request] = [packet.destination.slice(), packet.source.slice(), message.slice()];
    const guest = this.#guest;
    this.#echoes++;
    this.#sockets
      .echo(destination.address, ECHO_TIMEOUT_MS)
      .catch(() => false)
      .then((answered) => {
        this.#echoes--;
        if (answered && guest === this.#guest) this.#reply(packet.version, from, to, request);
      });
  }

  #reply(version: 4 | 6, source: IpAddress, destination: IpAddress, request: Uint8Array): void {
    const at = this.#output.transportAt(version);
    if (at + request.length > this.#output.bytes.length - ETHERNET.payload) return;
    const length = writeEchoReply(this.#output.bytes, at, version, request);
    const protocol = version === 4 ? IP_PROTOCOL.icmp : IP_PROTOCOL.icmpv6;
    this.#output.sendOrQueue({ source, destination, protocol, length });
  }
}
