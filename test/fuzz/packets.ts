// A network in user mode between a guest and a host that both send nonsense, on virtual time. After every step: nothing was
// thrown, what the network keeps has its bounds, and what it sent is what the card understands, with right checksums.
import { ALL_OFFLOADS, type Frame, type FrameOffloads, GSO, NO_OFFLOADS } from '../../src/io/frame-sink.ts';
import { parseArp } from '../../src/net/arp.ts';
import { parseDhcp } from '../../src/net/dhcp.ts';
import { packetOf } from '../../src/net/fixtures/guest.ts';
import { type VirtualNetwork, virtualNetwork } from '../../src/net/fixtures/virtual-network.ts';
import { FrameStreamReader } from '../../src/net/frame-stream.ts';
import { IP_PROTOCOL } from '../../src/net/ip-packet.ts';
import { parseNeighbour } from '../../src/net/ndp.ts';
import { prepareFrame } from '../../src/net/prepare-frame.ts';
import { transportChecksumHolds } from '../../src/net/transport-checksum.ts';
import { readVnetHeader, VNET_HEADER_BYTES } from '../../src/net/vnet-header.ts';
import type { Random } from '../native/random.ts';
import { GuestPackets } from './guest-packets.ts';

const MAX_FLOWS = 16;
const BUFFER_BYTES = 16 * 1024;
/** The most that a chunk of the host's has, beyond which a buffer may be full. */
const CHUNK_BYTES = 20_000;
/** Processor time that one step may take: it does nothing that a few thousand operations would not do. */
const STEP_MS = 1000;
const PLAIN = { checksumStart: 0, checksumOffset: 0, checksumValid: false, gsoType: GSO.none, gsoSize: 0 } as const;
const SMALL_OFFLOADS: FrameOffloads = { ...NO_OFFLOADS, checksumIpv4: true };

export class PacketFuzz {
  steps = 0;
  framesIn = 0;
  framesOut = 0;
  slowestMs = 0;
  readonly #random: Random;
  readonly #packets: GuestPackets;
  readonly #net: VirtualNetwork;
  readonly #mtu: number;

  private constructor(random: Random, net: VirtualNetwork, mtu: number) {
    this.#random = random;
    this.#packets = new GuestPackets(random);
    this.#net = net;
    this.#mtu = mtu;
  }

  static async create(random: Random): Promise<PacketFuzz> {
    const mtu = random.pick([576, 1280, 1500, 9000]);
    const net = await virtualNetwork(
      {
        mtu,
        maxFlows: MAX_FLOWS,
        bufferBytes: BUFFER_BYTES,
        allowHostLoopback: random.oneIn(2),
        forwards: ['tcp:127.0.0.1:2222-:22', 'udp:127.0.0.1:5353-:53'],
      },
      { offloads: random.pick([NO_OFFLOADS, SMALL_OFFLOADS, ALL_OFFLOADS]), knowsGuest: random.oneIn(2) },
    );
    return new PacketFuzz(random, net, mtu);
  }

  /** Rejects with what is wrong. */
  async run(steps: number): Promise<void> {
    for (let i = 0; i < steps; i++) {
      const before = process.cpuUsage();
      this.#step();
      if (this.#random.oneIn(50)) await Promise.resolve(); // answers of the resolver
      this.#check();
      const { user, system } = process.cpuUsage(before);
      const took = (user + system) / 1000;
      this.slowestMs = Math.max(this.slowestMs, took);
      if (took > STEP_MS) throw new Error(`step ${i} took ${took.toFixed(0)} ms`);
      this.steps++;
    }
    await this.#finish();
  }

  #step(): void {
    const random = this.#random;
    const { network, guest, sockets } = this.#net;
    switch (random.below(16)) {
      case 0:
        return this.#host();
      case 1:
        return this.#datagrams();
      case 2:
        return this.#net.run(random.oneIn(20) ? 200_000 : random.below(3000));
      case 3:
        if (random.oneIn(2)) guest.room = random.below(4);
        else guest.makeRoom(random.oneIn(3) ? random.below(10) : Number.POSITIVE_INFINITY);
        return;
      case 4:
        return this.#codecs();
      case 5:
        if (!random.oneIn(10)) return;
        network.attach(random.oneIn(2) ? undefined : guest);
        if (random.oneIn(4)) network.forgetGuest();
        return;
      case 6:
        sockets.outcome = random.pick([
          'connected',
          'connected',
          'connected',
          'refused',
          'unreachable',
          'timeout',
          'never',
        ] as const);
        sockets.answer = (query) =>
          random.oneIn(3)
            ? Promise.reject(new Error('none'))
            : Promise.resolve(random.oneIn(2) ? query : this.#packets.bytes(5000));
        sockets.echo = random.oneIn(3) ? undefined : () => Promise.resolve(random.oneIn(2));
        return;
      case 7: {
        const many = random.oneIn(20) ? this.#packets.flood() : this.#packets.stream();
        for (const bytes of many) this.#send({ bytes, ...PLAIN });
        return;
      }
      default:
        this.#send(this.#offloaded(this.#packets.next()));
        if (random.oneIn(4)) this.#net.run(random.below(4));
    }
  }

  #send(frame: Frame): void {
    this.framesIn++;
    this.#net.network.send(frame);
  }

  /** The host's end of connections. */
  #host(): void {
    const random = this.#random;
    const { sockets } = this.#net;
    if (random.oneIn(6))
      return void sockets.connectTo(0, {
        address: random.pick(['127.0.0.1', '192.0.2.9', '::1', 'x']),
        port: random.below(65_536),
      });
    const alive = sockets.tcp.slice(-MAX_FLOWS);
    if (alive.length === 0) return;
    const socket = random.pick(alive);
    if (socket.wasReset) return;
    switch (random.below(8)) {
      case 0:
        return socket.finish();
      case 1:
        return socket.fail(random.pick(['refused', 'reset', 'timeout', 'unreachable', 'denied', 'other'] as const));
      case 2:
        return socket.drainAt(random.pick([0, 1, 1000, Number.POSITIVE_INFINITY]));
      default:
        return socket.feed(this.#packets.bytes(CHUNK_BYTES));
    }
  }

  #datagrams(): void {
    const random = this.#random;
    const { udp } = this.#net.sockets;
    if (udp.length === 0) return;
    const address = random.pick(['127.0.0.1', '198.51.100.7', '::1', '2001:db8::1', 'fe80::1%eth0']);
    const most = random.oneIn(10) ? 65_507 : 2000;
    const socket = random.pick([udp[0]!, ...udp.slice(-4)]);
    if (!socket.closed) socket.handler.message(this.#packets.bytes(most), { address, port: random.below(65_536) });
  }

  /** Offload fields that are consistent, and lie. */
  #offloaded(bytes: Uint8Array): Frame {
    const random = this.#random;
    const checksumValid = random.oneIn(3);
    const plain = { bytes, ...PLAIN, checksumValid };
    if (bytes.length < 40 || !random.oneIn(5)) return plain;
    const checksumStart = random.oneIn(2) ? 34 : random.below(bytes.length - 18);
    const checksumOffset = Math.min(random.pick([6, 16, random.below(64)]), bytes.length - checksumStart - 2);
    const gsoType = random.pick([GSO.none, GSO.tcpv4, GSO.tcpv6]);
    return { ...plain, checksumStart, checksumOffset, gsoType, gsoSize: gsoType === GSO.none ? 0 : random.below(65_536) };
  }

  /** Everything that reads bytes, by itself. */
  #codecs(): void {
    const random = this.#random;
    const frame = this.#packets.next();
    const noise = this.#packets.bytes(400);
    parseArp(frame);
    parseDhcp(noise);
    parseNeighbour(noise);
    packetOf(frame.length < 14 ? new Uint8Array(14) : frame);
    if (noise.length > VNET_HEADER_BYTES) readVnetHeader(noise);
    let pieces = 0;
    prepareFrame(this.#offloaded(frame), random.pick([NO_OFFLOADS, SMALL_OFFLOADS, ALL_OFFLOADS]), (piece) => {
      if (++pieces > 1100 || piece.bytes.length > 65_549) throw new Error(`${pieces} pieces of a frame of ${frame.length} bytes`);
    });
    const reader = new FrameStreamReader();
    for (let at = 0; at < noise.length; ) {
      const end = at + 1 + random.below(noise.length - at);
      if (!reader.push(noise.subarray(at, end), () => {})) break;
      at = end;
    }
  }

  #check(): void {
    const { network, guest, sockets } = this.#net;
    const { tcp, udp, neighbours, queuedFrames, fragmented } = network.inspect();
    const bounded: readonly (readonly [string, number, number])[] = [
      ['connections', tcp.length, MAX_FLOWS],
      ['associations', udp.length, MAX_FLOWS],
      ['neighbours', neighbours, 256],
      ['queued frames', queuedFrames, 256],
      ['fragmented packets', fragmented, 17],
      ['leases', network.leases().length, 4096],
      ['bytes to the guest', Math.max(0, ...tcp.map(({ toGuest }) => toGuest)), BUFFER_BYTES + CHUNK_BYTES],
      ['bytes to the host', Math.max(0, ...tcp.map(({ toHost }) => toHost)), BUFFER_BYTES],
      ['open sockets', sockets.udp.filter(({ closed }) => !closed).length, MAX_FLOWS + 1],
    ];
    for (const [what, is, most] of bounded) if (is > most) throw new Error(`${is} ${what}, ${most} at most`);
    for (const frame of guest.frames.splice(0)) this.#checkSent(frame);
  }

  #checkSent(frame: Frame): void {
    this.framesOut++;
    const { bytes, checksumStart, gsoType } = frame;
    const { offloads } = this.#net.guest;
    const packet = packetOf(bytes);
    const six = packet?.version === 6;
    if (gsoType === GSO.none && bytes.length > 14 + this.#mtu)
      throw new Error(`a frame of ${bytes.length} bytes, with an MTU of ${this.#mtu}`);
    if (gsoType !== GSO.none && !(six ? offloads.gsoIpv6 : offloads.gsoIpv4))
      throw new Error('a large segment for a card that takes none');
    if (checksumStart !== 0 && !(six ? offloads.checksumIpv6 : offloads.checksumIpv4))
      throw new Error('a partial checksum for a card that takes none');
    if (packet === undefined) {
      if (parseArp(bytes) === undefined) throw new Error(`a frame that is nothing: ${Buffer.from(bytes).toString('hex')}`);
      return;
    }
    const summed: readonly number[] = [IP_PROTOCOL.tcp, IP_PROTOCOL.udp, IP_PROTOCOL.icmp, IP_PROTOCOL.icmpv6];
    if (
      checksumStart === 0 &&
      packet.fragment === undefined &&
      summed.includes(packet.protocol) &&
      !transportChecksumHolds(packet)
    )
      throw new Error(`a wrong checksum: ${Buffer.from(bytes).toString('hex')}`);
    this.#packets.saw(bytes);
  }

  /** With the guest gone nothing is kept, and after the end nothing happens any more. */
  async #finish(): Promise<void> {
    const { network, sockets } = this.#net;
    network.attach(undefined);
    network.forgetGuest();
    const { tcp, udp, neighbours, queuedFrames, fragmented } = network.inspect();
    const left = [tcp.length, udp.length, neighbours, queuedFrames, fragmented, network.leases().length];
    if (left.some((count) => count > 0)) throw new Error(`left after the guest: ${left.join(', ')}`);
    await network.close();
    const before = sockets.tcp.length + sockets.udp.length;
    network.send(this.#offloaded(this.#packets.next()));
    this.#net.run(300_000);
    if (sockets.tcp.length + sockets.udp.length !== before) throw new Error('a socket after the end');
  }
}
