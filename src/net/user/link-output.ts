// The way of packets to the guest: headers around a transport payload, checksums or the promise of them, fragments where they are
// needed, the Ethernet address, and a short queue for what has no sender that could wait.
import {
  ALL_OFFLOADS,
  type Frame,
  type FrameReceiver,
  GSO,
  type GsoType,
  MAX_FRAME_BYTES,
  NO_OFFLOADS,
} from '../../io/frame-sink.ts';
import { ARP, arpFrame } from '../arp.ts';
import { put16 } from '../big-endian.ts';
import { fold, putChecksum } from '../checksum.ts';
import type { Deadlines } from '../deadlines.ts';
import { ETHERNET, ETHERTYPE, writeEthernet } from '../ethernet.ts';
import { type IpAddress, sameAddress } from '../ip-address.ts';
import { IP_PROTOCOL } from '../ip-packet.ts';
import { IPV4_HEADER_BYTES, writeIpv4 } from '../ipv4.ts';
import { IPV6_FRAGMENT_HEADER_BYTES, IPV6_HEADER_BYTES, writeIpv6, writeIpv6Fragment } from '../ipv6.ts';
import { BROADCAST_MAC, type MacAddress } from '../mac-address.ts';
import { multicastMac, neighbourSolicitation, solicitedNode } from '../ndp.ts';
import { checksumField, checksumStartSum } from '../transport-checksum.ts';
import { Neighbours } from './neighbours.ts';
import type { NetworkPlan } from './network-plan.ts';

const QUEUE_FRAMES = 256;

export interface Outgoing {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly protocol: number;
  /** Transport header and payload; they stand at `transportAt` of `bytes`. */
  readonly length: number;
  /** 64 unless given. */
  readonly hopLimit?: number;
  /** Where to, when it is known without asking: broadcast, or the client of DHCP. */
  readonly mac?: MacAddress;
  /** Payload of each TCP segment when this is several of them. */
  readonly gsoSize?: number;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class LinkOutput {
  /** The frame under construction. */
  readonly bytes = new Uint8Array(MAX_FRAME_BYTES);
  readonly neighbours = new Neighbours();
  receiver: FrameReceiver | undefined;
  readonly #plan: NetworkPlan;
  readonly #deadlines: Deadlines;
  readonly #frame: Mutable<Frame>;
  readonly #queue: Uint8Array[] = [];
  #nextId = 1;

  constructor(plan: NetworkPlan, deadlines: Deadlines) {
    this.#plan = plan;
    this.#deadlines = deadlines;
    this.#frame = { bytes: this.bytes, checksumStart: 0, checksumOffset: 0, checksumValid: true, gsoType: GSO.none, gsoSize: 0 };
  }

  /** Frames that wait for room. */
  get queued(): number {
    return this.#queue.length;
  }

  /** Where the transport header of a packet of this version goes. */
  transportAt(version: 4 | 6): number {
    return ETHERNET.payload + (version === 4 ? IPV4_HEADER_BYTES : IPV6_HEADER_BYTES);
  }

  /** The most bytes behind the IP header of a large TCP segment; undefined when the card takes none. */
  maxLargeTransport(version: 4 | 6): number | undefined {
    const offloads = this.receiver?.offloads ?? NO_OFFLOADS;
    if (!(version === 4 ? offloads.gsoIpv4 : offloads.gsoIpv6)) return undefined;
    return Math.min(offloads.maxFrameBytes, ALL_OFFLOADS.maxFrameBytes) - this.transportAt(version);
  }

  /**
   * Sends what stands in `bytes`. False when the link is full: for TCP, which will try again; everything else goes through
   * `sendOrQueue`.
   */
  send(packet: Outgoing): boolean {
    if (this.receiver === undefined || this.#queue.length > 0) return false;
    const frame = this.#build(packet);
    return frame === undefined || this.#emit(packet, frame);
  }

  /** Sends, in pieces if it has to be, or keeps a copy until there is room, or loses it. */
  sendOrQueue(packet: Outgoing): void {
    if (this.receiver === undefined) return;
    const version = packet.source.length === 4 ? 4 : 6;
    if (packet.length > this.#plan.mtu - (this.transportAt(version) - ETHERNET.payload)) return this.#sendFragments(packet);
    const frame = this.#build(packet);
    if (frame === undefined || (this.#queue.length === 0 && this.#emit(packet, frame))) return;
    this.#finishChecksum(frame);
    this.#keep(frame.bytes.slice());
  }

  /** A frame that is ready: ARP. */
  sendFrame(bytes: Uint8Array): void {
    if (this.receiver === undefined) return;
    if (this.#queue.length > 0 || !this.receiver.receive(this.#plain(bytes))) this.#keep(bytes);
  }

  /** There is room: sends what waits. True when nothing waits any more. */
  resume(): boolean {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (this.receiver === undefined || !this.receiver.receive(this.#plain(first))) return false;
      this.#queue.shift();
    }
    return true;
  }

  /** An address is known: sends what waited for it. */
  learn(address: IpAddress, mac: MacAddress): void {
    const waiting = this.neighbours.learn(address, mac);
    if (waiting === undefined) return;
    waiting.set(mac, ETHERNET.destination);
    this.sendFrame(waiting);
  }

  /** Loses what waits, and where addresses are. */
  forget(): void {
    this.#queue.length = 0;
    this.neighbours.clear();
  }

  #keep(bytes: Uint8Array): void {
    if (this.#queue.length < QUEUE_FRAMES) this.#queue.push(bytes);
  }

  #plain(bytes: Uint8Array): Frame {
    const frame = this.#frame;
    frame.bytes = bytes;
    frame.checksumStart = frame.checksumOffset = frame.gsoSize = 0;
    frame.gsoType = GSO.none;
    return frame;
  }

  /** Headers and checksum around the transport part. Undefined for a protocol we do not send. */
  #build(packet: Outgoing): Mutable<Frame> | undefined {
    const { bytes } = this;
    const version = packet.source.length === 4 ? 4 : 6;
    const at = this.transportAt(version);
    this.#writeHeaders(packet, version, packet.length);
    const offset = checksumField(packet.protocol);
    if (offset === undefined) return undefined;
    const frame = this.#frame;
    frame.bytes = bytes.subarray(0, at + packet.length);
    frame.gsoSize = packet.gsoSize ?? 0;
    frame.gsoType = (frame.gsoSize === 0 ? GSO.none : version === 4 ? GSO.tcpv4 : GSO.tcpv6) as GsoType;
    const addressesAt = at - 2 * packet.source.length;
    const start = checksumStartSum(bytes, addressesAt, version, packet.protocol, packet.length);
    const offloads = this.receiver?.offloads ?? NO_OFFLOADS;
    const partial = version === 4 ? offloads.checksumIpv4 : offloads.checksumIpv6;
    const tcpOrUdp = packet.protocol === IP_PROTOCOL.tcp || packet.protocol === IP_PROTOCOL.udp;
    if (tcpOrUdp && (partial || frame.gsoSize > 0)) {
      put16(bytes, at + offset, fold(start));
      frame.checksumStart = at;
      frame.checksumOffset = offset;
    } else {
      putChecksum(bytes, at + offset, at, at + packet.length, start, packet.protocol === IP_PROTOCOL.udp);
      frame.checksumStart = frame.checksumOffset = 0;
    }
    return frame;
  }

  #writeHeaders(packet: Outgoing, version: 4 | 6, payloadBytes: number): void {
    const { source, destination, protocol } = packet;
    const type = version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6;
    writeEthernet(this.bytes, packet.mac ?? BROADCAST_MAC, this.#plan.mac, type);
    const hopLimit = packet.hopLimit ?? 64;
    if (version === 4) writeIpv4(this.bytes, ETHERNET.payload, { source, destination, protocol, payloadBytes, id: this.#id() });
    else writeIpv6(this.bytes, ETHERNET.payload, { source, destination, protocol, payloadBytes, hopLimit });
  }

  #id(): number {
    this.#nextId = (this.#nextId + 1) & 0xffff;
    return this.#nextId;
  }

  #emit(packet: Outgoing, frame: Mutable<Frame>): boolean {
    const mac = packet.mac ?? this.#macOf(packet.destination);
    if (mac !== undefined) {
      frame.bytes.set(mac, ETHERNET.destination);
      return (this.receiver as FrameReceiver).receive(frame);
    }
    // A large segment is not worth keeping; TCP sends it again.
    if (frame.gsoType === GSO.none) {
      this.#finishChecksum(frame);
      const waiting = frame.bytes.slice();
      if (this.neighbours.wait(packet.destination, waiting, this.#deadlines.nowNs())) this.#ask(packet.destination);
    }
    return true;
  }

  #macOf(destination: IpAddress): MacAddress | undefined {
    if (destination.length === 16 && destination[0] === 0xff) return multicastMac(destination);
    if (destination.length === 4 && destination.every((byte) => byte === 0xff)) return BROADCAST_MAC;
    return this.neighbours.lookup(destination);
  }

  /** The question for an address. It overwrites `bytes`. */
  #ask(address: IpAddress): void {
    const { ipv4, ipv6, mac } = this.#plan;
    if (address.length === 4 && ipv4 !== undefined) {
      const targetMac = new Uint8Array(6);
      this.sendFrame(
        arpFrame(BROADCAST_MAC, { operation: ARP.request, senderMac: mac, senderIp: ipv4.gateway, targetMac, targetIp: address }),
      );
    } else if (address.length === 16 && ipv6 !== undefined) {
      const message = neighbourSolicitation(address, mac);
      this.bytes.set(message, this.transportAt(6));
      const linkLocal = address[0] === 0xfe && ((address[1] as number) & 0xc0) === 0x80;
      this.sendOrQueue({
        source: linkLocal ? ipv6.linkLocal : ipv6.gateway,
        destination: solicitedNode(address),
        protocol: IP_PROTOCOL.icmpv6,
        length: message.length,
        hopLimit: 255,
      });
    }
  }

  /** Fills in a checksum that was left to the card, for a frame that will be sent without offloads. */
  #finishChecksum(frame: Mutable<Frame>): void {
    if (frame.checksumStart === 0) return;
    const { bytes, checksumStart, checksumOffset } = frame;
    const field = checksumStart + checksumOffset;
    const pseudo = ((bytes[field] as number) << 8) | (bytes[field + 1] as number);
    putChecksum(bytes, field, checksumStart, bytes.length, pseudo, checksumOffset === 6);
    frame.checksumStart = frame.checksumOffset = 0;
  }

  /** A datagram larger than the MTU (RFC 791, section 3.2; RFC 8200, section 4.5). */
  #sendFragments(packet: Outgoing): void {
    const { bytes } = this;
    const version = packet.source.length === 4 ? 4 : 6;
    const at = this.transportAt(version);
    const offsetOfChecksum = checksumField(packet.protocol);
    if (offsetOfChecksum === undefined || at + packet.length > bytes.length || packet.length > 0xffff - IPV4_HEADER_BYTES) return;
    this.#writeHeaders(packet, version, packet.length);
    const start = checksumStartSum(bytes, at - 2 * packet.source.length, version, packet.protocol, packet.length);
    putChecksum(bytes, at + offsetOfChecksum, at, at + packet.length, start, packet.protocol === IP_PROTOCOL.udp);
    const payload = bytes.slice(at, at + packet.length);
    const extra = version === 4 ? 0 : IPV6_FRAGMENT_HEADER_BYTES;
    const most = (this.#plan.mtu - (at - ETHERNET.payload) - extra) & ~7;
    const id = this.#id();
    const mac = packet.mac ?? this.#macOf(packet.destination);
    // Nobody to send it to yet: the first piece asks, the others are lost.
    for (let offset = 0; offset < payload.length; offset += most) {
      const part = payload.subarray(offset, offset + most);
      const fragment = { id, offset, more: offset + most < payload.length };
      const { source, destination, protocol } = packet;
      const frame = new Uint8Array(at + extra + part.length);
      writeEthernet(frame, mac ?? BROADCAST_MAC, this.#plan.mac, version === 4 ? ETHERTYPE.ipv4 : ETHERTYPE.ipv6);
      if (version === 4) {
        writeIpv4(frame, ETHERNET.payload, { source, destination, protocol, payloadBytes: part.length, id, fragment });
      } else {
        const payloadBytes = extra + part.length;
        writeIpv6(frame, ETHERNET.payload, { source, destination, protocol: IP_PROTOCOL.fragment, payloadBytes });
        writeIpv6Fragment(frame, at, protocol, fragment);
      }
      frame.set(part, at + extra);
      if (mac !== undefined) this.sendFrame(frame);
      else if (offset === 0 && this.neighbours.wait(destination, frame, this.#deadlines.nowNs())) this.#ask(destination);
    }
  }

  /** Whether the address is one of our own. */
  isOurs(address: IpAddress): boolean {
    const { ipv4, ipv6 } = this.#plan;
    const ours = address.length === 4 ? [ipv4?.gateway, ipv4?.dns] : [ipv6?.gateway, ipv6?.dns, ipv6?.linkLocal];
    return ours.some((own) => own !== undefined && sameAddress(own, address));
  }
}
