// Frames as no sane guest sends them: made from nothing, from protocols, and from what the network itself has sent.
import { ARP, arpFrame } from '../../src/net/arp.ts';
import { put16, u16 } from '../../src/net/big-endian.ts';
import { putChecksum } from '../../src/net/checksum.ts';
import { DHCP_OPTION } from '../../src/net/dhcp.ts';
import { GUEST, GUEST_MAC, GUEST6, ip, ipFrame, packetOf, ROUTER_MAC, udpBytes } from '../../src/net/fixtures/guest.ts';
import type { IpAddress } from '../../src/net/ip-address.ts';
import { IP_PROTOCOL } from '../../src/net/ip-packet.ts';
import { BROADCAST_MAC } from '../../src/net/mac-address.ts';
import { neighbourAdvertisement, neighbourSolicitation } from '../../src/net/ndp.ts';
import { parseTcp, TCP_FLAG, type TcpHeader, writeTcp } from '../../src/net/tcp/segment.ts';
import { checksumField, checksumStartSum } from '../../src/net/transport-checksum.ts';
import type { Random } from '../native/random.ts';

const V4 = [
  '10.0.2.2',
  '10.0.2.3',
  '10.0.2.15',
  '10.0.2.99',
  '198.51.100.7',
  '255.255.255.255',
  '224.0.0.1',
  '127.0.0.1',
  '0.0.0.0',
].map(ip);
const V6 = ['fec0::2', 'fec0::3', 'fe80::2', 'fec0::99', '2001:db8::1', 'ff02::1', 'ff02::2', '::', '::1'].map(ip);
/** Few, so that they meet. */
const PORTS = [0, 1, 22, 53, 67, 68, 80, 443, 40_000, 65_535];

export class GuestPackets {
  readonly #random: Random;
  /** What the network sent lately. */
  readonly #seen: Uint8Array[] = [];

  constructor(random: Random) {
    this.#random = random;
  }

  saw(frame: Uint8Array): void {
    if (this.#seen.length >= 32) this.#seen.splice(this.#random.below(32), 1);
    this.#seen.push(frame);
  }

  /** A frame; whatever it is. */
  next(): Uint8Array {
    const random = this.#random;
    const frame = this.#make();
    if (random.oneIn(3)) this.#damage(frame);
    return random.oneIn(12) ? frame.slice(0, random.below(frame.length + 1)) : frame;
  }

  /** Segments in order, in answer to the last one that came: as many bytes as a window has. */
  stream(): Uint8Array[] {
    const random = this.#random;
    const frames = [...this.#seen].reverse();
    for (const frame of frames) {
      const packet = packetOf(frame);
      if (packet?.protocol !== IP_PROTOCOL.tcp) continue;
      const segment = parseTcp(packet.bytes, packet.payloadAt, packet.end);
      if (segment === undefined || (segment.flags & TCP_FLAG.rst) !== 0) continue;
      const got = segment.payload.length + ((segment.flags & (TCP_FLAG.syn | TCP_FLAG.fin)) === 0 ? 0 : 1);
      const size = random.pick([1, 500, 1400]);
      return Array.from({ length: 1 + random.below(30) }, (_, i) => {
        const ports = { sourcePort: segment.destinationPort, destinationPort: segment.sourcePort };
        const numbers = { seq: (segment.ack + i * size) >>> 0, ack: (segment.seq + got) >>> 0 };
        const header = { ...ports, ...numbers, flags: TCP_FLAG.ack, window: 65_535 };
        return tcpFrame(packet.destination.slice(), packet.source.slice(), header, new Uint8Array(size));
      });
    }
    return [];
  }

  /** More questions than anybody answers at a time. */
  flood(): Uint8Array[] {
    const echo = ipFrame(GUEST, ip('10.0.2.2'), IP_PROTOCOL.icmp, Uint8Array.of(8, 0, 0, 0, 0, 0, 0, 0));
    return new Array<Uint8Array>(300).fill(echo);
  }

  bytes(most: number): Uint8Array {
    const bytes = new Uint8Array(this.#random.below(most + 1));
    const filled = this.#random.oneIn(3) ? 0 : bytes.length;
    for (let i = 0; i < filled; i++) bytes[i] = this.#random.u32();
    return bytes;
  }

  #make(): Uint8Array {
    const random = this.#random;
    switch (random.below(10)) {
      case 0:
        return this.bytes(random.oneIn(10) ? 65_549 : 200);
      case 1:
        return this.#tcp({ flags: TCP_FLAG.syn, mss: random.pick([0, 1, 536, 1460, 65_535]), windowScale: random.below(16) });
      case 2:
        return this.#tcp({ flags: random.below(64) });
      case 3:
      case 4:
      case 5:
        return this.#answer();
      case 6:
        return this.#udp();
      case 7:
        return this.#dhcpOrDns();
      case 8:
        return this.#neighbour();
      default:
        return this.#oddIp();
    }
  }

  #addresses(): [IpAddress, IpAddress] {
    const random = this.#random;
    const six = random.oneIn(3);
    const source = random.oneIn(6) ? random.pick(six ? V6 : V4) : six ? GUEST6 : GUEST;
    return [source, random.pick(six ? V6 : V4)];
  }

  #tcp(header: Partial<TcpHeader>): Uint8Array {
    const random = this.#random;
    const [source, destination] = this.#addresses();
    const fields = {
      sourcePort: random.pick(PORTS),
      destinationPort: random.pick(PORTS),
      seq: random.u32(),
      ack: random.u32(),
      flags: 0,
      window: random.below(65_536),
      ...header,
    };
    return tcpFrame(source, destination, fields, this.bytes(random.oneIn(8) ? 9000 : 100));
  }

  /** What a guest could say to a segment of the network's: right, or nearly so. */
  #answer(): Uint8Array {
    const random = this.#random;
    const seen = this.#seen.length === 0 ? undefined : random.pick(this.#seen);
    const packet = seen && packetOf(seen);
    const segment = packet?.protocol === IP_PROTOCOL.tcp ? parseTcp(packet.bytes, packet.payloadAt, packet.end) : undefined;
    if (packet === undefined || segment === undefined) return this.#reflected(seen);
    const near = () => (random.oneIn(3) ? random.pick([-1, 1, -1000, 1000, 0x7fff_ffff, random.u32()]) : 0);
    const got = segment.payload.length + ((segment.flags & (TCP_FLAG.syn | TCP_FLAG.fin)) === 0 ? 0 : 1);
    const flags = random.oneIn(4)
      ? random.below(64)
      : random.pick([TCP_FLAG.ack, TCP_FLAG.ack, TCP_FLAG.ack | TCP_FLAG.fin, TCP_FLAG.ack | TCP_FLAG.psh]);
    const opening = (segment.flags & TCP_FLAG.syn) !== 0 && (segment.flags & TCP_FLAG.ack) === 0;
    const header = {
      sourcePort: segment.destinationPort,
      destinationPort: segment.sourcePort,
      seq: (segment.ack + near()) >>> 0,
      ack: (segment.seq + got + near()) >>> 0,
      flags: opening && !random.oneIn(4) ? TCP_FLAG.syn | TCP_FLAG.ack : flags,
      window: random.pick([0, 1, 100, 5000, 65_535]),
    };
    return tcpFrame(
      packet.destination.slice(),
      packet.source.slice(),
      header,
      random.oneIn(2) ? new Uint8Array(0) : this.bytes(1400),
    );
  }

  /** A frame sent back with the addresses the other way round. */
  #reflected(frame: Uint8Array | undefined): Uint8Array {
    if (frame === undefined || frame.length < 34) return this.bytes(100);
    const back = frame.slice();
    back.set(frame.subarray(6, 12));
    back.set(frame.subarray(0, 6), 6);
    const bytes = u16(back, 12) === 0x800 ? 4 : 16;
    const at = bytes === 4 ? 26 : 22;
    if (back.length >= at + 2 * bytes) {
      back.set(frame.subarray(at, at + bytes), at + bytes);
      back.set(frame.subarray(at + bytes, at + 2 * bytes), at);
    }
    return back;
  }

  #udp(): Uint8Array {
    const random = this.#random;
    const [source, destination] = this.#addresses();
    const payload = this.bytes(random.oneIn(10) ? 9000 : 100);
    return ipFrame(source, destination, IP_PROTOCOL.udp, udpBytes(random.pick(PORTS), random.pick(PORTS), payload));
  }

  #dhcpOrDns(): Uint8Array {
    const random = this.#random;
    if (random.oneIn(2)) {
      const query = this.bytes(300);
      query.set([1, 2, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0].slice(0, query.length));
      const six = random.oneIn(2);
      return ipFrame(
        six ? GUEST6 : GUEST,
        ip(six ? 'fec0::3' : '10.0.2.3'),
        IP_PROTOCOL.udp,
        udpBytes(random.pick(PORTS), 53, query),
      );
    }
    const message = new Uint8Array(244 + random.below(200));
    for (let i = 240; i < message.length; i++) message[i] = random.u32();
    message.set([1, 1, 6, 0, 1, 2, 3, 4, 0, 0, random.below(2) << 7]);
    if (random.oneIn(4)) message.set([10, 0, 2, random.below(256)], 12);
    message.set([0, 0x16, 0x3e, 0, random.below(256), random.below(256)], 28);
    message.set([0x63, 0x82, 0x53, 0x63, DHCP_OPTION.messageType, 1, random.below(10)], 236);
    if (random.oneIn(2))
      message.set([DHCP_OPTION.requestedAddress, 4, 10, 0, 2, random.below(256)].slice(0, message.length - 243), 243);
    const frame = ipFrame(ip('0.0.0.0'), ip('255.255.255.255'), IP_PROTOCOL.udp, udpBytes(68, 67, message));
    frame.set(BROADCAST_MAC);
    return frame;
  }

  #neighbour(): Uint8Array {
    const random = this.#random;
    const mac = random.oneIn(4) ? Uint8Array.from({ length: 6 }, () => random.u32()) : GUEST_MAC;
    if (random.oneIn(2)) {
      const operation = random.pick([ARP.request, ARP.reply]);
      return arpFrame(BROADCAST_MAC, {
        operation,
        senderMac: mac,
        senderIp: random.pick(V4),
        targetMac: ROUTER_MAC,
        targetIp: random.pick(V4),
      });
    }
    const target = random.oneIn(2) ? random.pick(V6) : ip(`fec0::${random.below(65_536).toString(16)}`);
    const message = random.pick([
      neighbourSolicitation(target, mac),
      neighbourAdvertisement(target, mac, random.oneIn(2)),
      Uint8Array.of(133, 0, 0, 0, 0, 0, 0, 0),
      Uint8Array.of(134, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
    ]);
    return ipFrame(random.oneIn(3) ? target : GUEST6, random.pick(V6), IP_PROTOCOL.icmpv6, message, random.oneIn(5) ? 64 : 255);
  }

  /** Fragments, options, extension headers, echoes, protocols that nobody knows. */
  #oddIp(): Uint8Array {
    const random = this.#random;
    const [source, destination] = this.#addresses();
    const protocol = random.pick([0, 1, 6, 17, 43, 44, 50, 51, 58, 59, 60, 135, 255]);
    const frame = ipFrame(source, destination, protocol, this.bytes(random.oneIn(6) ? 3000 : 80), random.below(256));
    if (source.length === 16) return frame;
    if (random.oneIn(2)) put16(frame, 20, random.pick([0x2000, 0x2001, 0x0001, 0x00b9, 0x1fff, 0x3fff, 0x4000]));
    if (random.oneIn(2)) put16(frame, 18, random.below(4));
    if (random.oneIn(4)) frame[14] = 0x40 | random.below(16);
    putChecksum(frame, 24, 14, Math.min(frame.length, 14 + ((frame[14] as number) & 15) * 4));
    return frame;
  }

  /** Some bytes are others; its checksums are made right again, mostly, so that it gets further than those. */
  #damage(frame: Uint8Array): void {
    const random = this.#random;
    for (let i = random.below(5); i >= 0 && frame.length > 0; i--) frame[random.below(Math.min(frame.length, 90))] = random.u32();
    if (random.oneIn(4) || frame.length < 34 || u16(frame, 12) !== 0x800) return;
    putChecksum(frame, 24, 14, Math.min(frame.length, 14 + ((frame[14] as number) & 15) * 4));
    const packet = packetOf(frame);
    const field = packet === undefined ? undefined : checksumField(packet.protocol);
    if (packet === undefined || field === undefined || packet.payloadAt + field + 2 > packet.end) return;
    const start = checksumStartSum(frame, packet.addressesAt, 4, packet.protocol, packet.end - packet.payloadAt);
    putChecksum(frame, packet.payloadAt + field, packet.payloadAt, packet.end, start, packet.protocol === IP_PROTOCOL.udp);
  }
}

function tcpFrame(source: IpAddress, destination: IpAddress, header: TcpHeader, payload: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(60 + payload.length);
  const headerBytes = writeTcp(bytes, 0, header);
  bytes.set(payload, headerBytes);
  return ipFrame(source, destination, IP_PROTOCOL.tcp, bytes.subarray(0, headerBytes + payload.length));
}
