// UDP between guest and host: one host socket for each port of the guest, with endpoint-independent mapping and address-dependent
// filtering (RFC 4787, REQ-1 and REQ-8), and forwarded ports.
import type { BoundUdpSocket, Endpoint, HostSockets, HostUdpSocket } from '../../io/host-sockets.ts';
import { Deadline, type Deadlines } from '../deadlines.ts';
import { formatIp, type IpAddress } from '../ip-address.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import { UDP_HEADER_BYTES, type UdpDatagram, writeUdp } from '../udp.ts';
import { destinationOf } from './destinations.ts';
import { FlowTable } from './flow-table.ts';
import type { Forward } from './forward.ts';
import type { LinkOutput } from './link-output.ts';
import type { NetworkPlan } from './network-plan.ts';
import { sendUnreachable } from './packet-replies.ts';

/** RFC 4787, REQ-5: not less than two minutes. */
const IDLE_NS = 120e9;
const SWEEP_NS = 10e9;
/** Hosts that one port of the guest may hear from. */
const MAX_PEERS = 256;
const NOBODY = new Uint8Array(0);

/** One port of the guest. The remote part of the key is empty. */
interface Association {
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly remote: IpAddress;
  readonly remotePort: number;
  readonly socket: HostUdpSocket;
  /** The host's name of each peer, and the guest's. */
  readonly peers: Map<string, IpAddress>;
  usedNs: number;
}

/** One client of a forwarded port, under the address the guest sees it at. */
interface ForwardedPeer {
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly remote: IpAddress;
  readonly remotePort: number;
  readonly socket: HostUdpSocket;
  readonly peer: Endpoint;
  usedNs: number;
}

export class UdpRelay {
  readonly #plan: NetworkPlan;
  readonly #output: LinkOutput;
  readonly #sockets: HostSockets;
  readonly #deadlines: Deadlines;
  readonly #associations = new FlowTable<Association>();
  readonly #forwarded = new FlowTable<ForwardedPeer>();
  readonly #sweeping = new Deadline(() => this.#sweep());

  constructor(plan: NetworkPlan, output: LinkOutput, sockets: HostSockets, deadlines: Deadlines) {
    this.#plan = plan;
    this.#output = output;
    this.#sockets = sockets;
    this.#deadlines = deadlines;
  }

  get size(): number {
    return this.#associations.size + this.#forwarded.size;
  }

  /** A checked datagram of the guest's that is for nobody in the network itself. */
  arrived(packet: IpPacket, datagram: UdpDatagram): void {
    const { sourcePort, destinationPort, payload } = datagram;
    const nowNs = this.#deadlines.nowNs();
    const forwarded = this.#forwarded.find(packet.source, sourcePort, packet.destination, destinationPort);
    if (forwarded !== undefined) {
      forwarded.usedNs = nowNs;
      return forwarded.socket.send(payload, forwarded.peer);
    }
    const destination = destinationOf(packet.destination, this.#plan);
    if (destination.kind !== 'host') {
      const gateway = (packet.version === 4 ? this.#plan.ipv4 : this.#plan.ipv6)?.gateway;
      const why = destination.kind === 'unreachable' ? destination.why : 'port';
      return gateway && sendUnreachable(this.#output, gateway, why, packet);
    }
    const association = this.#associations.find(packet.source, sourcePort, NOBODY, 0) ?? this.#open(packet, sourcePort);
    association.usedNs = nowNs;
    if (!association.peers.has(destination.address)) {
      const [oldest] = association.peers.keys();
      if (association.peers.size >= MAX_PEERS && oldest !== undefined) association.peers.delete(oldest);
      association.peers.set(destination.address, packet.destination.slice());
    }
    association.socket.send(payload, { address: destination.address, port: destinationPort });
  }

  /** Sends a datagram to the guest. */
  send(source: IpAddress, sourcePort: number, destination: IpAddress, port: number, payload: Uint8Array, mac?: Uint8Array): void {
    const at = this.#output.transportAt(source.length === 4 ? 4 : 6);
    if (at + UDP_HEADER_BYTES + payload.length > this.#output.bytes.length) return;
    writeUdp(this.#output.bytes, at, sourcePort, port, payload.length);
    this.#output.bytes.set(payload, at + UDP_HEADER_BYTES);
    const length = UDP_HEADER_BYTES + payload.length;
    this.#output.sendOrQueue({ source, destination, protocol: IP_PROTOCOL.udp, length, ...(mac !== undefined && { mac }) });
  }

  /** Listens on a forwarded port. Rejects with the host's error. */
  async forward(forward: Forward): Promise<BoundUdpSocket> {
    const { guest } = forward;
    const socket: BoundUdpSocket = await this.#sockets.bindUdp(forward.host, {
      message: (bytes, from) => {
        const peer = this.#forwardedPeer(forward, socket, from);
        if (peer === undefined) return;
        peer.usedNs = this.#deadlines.nowNs();
        this.send(peer.remote, peer.remotePort, guest.address, guest.port, bytes);
      },
      failed: () => {},
    });
    return socket;
  }

  /** Ends what the guest has under way; forwarded ports stay open. */
  close(): void {
    for (const association of [...this.#associations]) this.#drop(association);
    for (const peer of [...this.#forwarded]) this.#forwarded.delete(peer);
    this.#deadlines.cancel(this.#sweeping);
  }

  #open(packet: IpPacket, guestPort: number): Association {
    if (this.#associations.size >= this.#plan.maxFlows) this.#dropOldest();
    const guest = packet.source.slice();
    const socket = this.#sockets.openUdp(packet.version, {
      message: (bytes, from) => {
        const source = association.peers.get(from.address);
        if (source === undefined) return; // nobody the guest has spoken to
        association.usedNs = this.#deadlines.nowNs();
        this.send(source, from.port, guest, guestPort, bytes);
      },
      failed: () => {},
    });
    const association: Association = { guest, guestPort, remote: NOBODY, remotePort: 0, socket, peers: new Map(), usedNs: 0 };
    this.#associations.add(association);
    this.#expectSweep();
    return association;
  }

  /** The peer as the guest knows it: at the gateway, with its own port if that is not taken. */
  #forwardedPeer(forward: Forward, socket: HostUdpSocket, from: Endpoint): ForwardedPeer | undefined {
    const { address: guest, port: guestPort } = forward.guest;
    const remote = (guest.length === 4 ? this.#plan.ipv4 : this.#plan.ipv6)?.gateway;
    if (remote === undefined) return undefined;
    for (let i = 0; i < 64; i++) {
      const remotePort = ((from.port + i - 1) % 0xffff) + 1;
      const taken = this.#forwarded.find(guest, guestPort, remote, remotePort);
      if (taken === undefined) {
        if (this.#forwarded.size >= this.#plan.maxFlows) return undefined;
        const peer: ForwardedPeer = { guest, guestPort, remote, remotePort, socket, peer: from, usedNs: 0 };
        this.#forwarded.add(peer);
        this.#expectSweep();
        return peer;
      }
      if (taken.socket === socket && taken.peer.address === from.address && taken.peer.port === from.port) return taken;
    }
    return undefined;
  }

  #expectSweep(): void {
    if (this.#sweeping.index < 0) this.#deadlines.arm(this.#sweeping, this.#deadlines.nowNs() + SWEEP_NS);
  }

  #sweep(): void {
    const before = this.#deadlines.nowNs() - IDLE_NS;
    for (const association of [...this.#associations]) if (association.usedNs <= before) this.#drop(association);
    for (const peer of [...this.#forwarded]) if (peer.usedNs <= before) this.#forwarded.delete(peer);
    if (this.size > 0) this.#expectSweep();
  }

  #dropOldest(): void {
    let oldest: Association | undefined;
    for (const association of this.#associations)
      if (oldest === undefined || association.usedNs < oldest.usedNs) oldest = association;
    if (oldest !== undefined) this.#drop(oldest);
  }

  #drop(association: Association): void {
    association.socket.close();
    this.#associations.delete(association);
  }

  /** What there is, for people. */
  inspect(): { readonly guest: string; readonly port: number; readonly peers: number }[] {
    return [...this.#associations].map(({ guest, guestPort, peers }) => ({
      guest: formatIp(guest),
      port: guestPort,
      peers: peers.size,
    }));
  }
}
