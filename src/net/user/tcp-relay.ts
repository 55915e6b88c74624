// TCP between guest and host: finds the connection of a segment, makes new ones in both directions, and lets those that found the
// link full go on.
import type { Endpoint, HostListener, HostSockets } from '../../io/host-sockets.ts';
import type { Deadlines } from '../deadlines.ts';
import { DNS_PORT } from '../dns-message.ts';
import { formatIp, type IpAddress, inPrefix, parseIp } from '../ip-address.ts';
import type { IpPacket } from '../ip-packet.ts';
import { parseIpv4Packet } from '../ipv4.ts';
import { parseIpv6Packet } from '../ipv6.ts';
import { TCP_FLAG, type TcpSegment } from '../tcp/segment.ts';
import { destinationOf } from './destinations.ts';
import { type FlowKey, FlowTable } from './flow-table.ts';
import type { Forward } from './forward.ts';
import type { LinkOutput } from './link-output.ts';
import type { NetworkPlan } from './network-plan.ts';
import { sendReset, sendUnreachable } from './packet-replies.ts';
import { TcpFlow } from './tcp-flow.ts';

export interface TcpFlowReport {
  readonly guest: string;
  readonly remote: string;
  readonly state: string;
  /** Bytes that the guest has not acknowledged, and that the host has not taken. */
  readonly toGuest: number;
  readonly toHost: number;
}

export class TcpRelay {
  readonly #plan: NetworkPlan;
  readonly #output: LinkOutput;
  readonly #sockets: HostSockets;
  readonly #deadlines: Deadlines;
  readonly #random: () => number;
  readonly #flows = new FlowTable<TcpFlow>();
  readonly #blocked = new Set<TcpFlow>();

  /** @param random 32 bits that a guest cannot foresee: initial sequence numbers (RFC 6528) */
  constructor(plan: NetworkPlan, output: LinkOutput, sockets: HostSockets, deadlines: Deadlines, random: () => number) {
    this.#plan = plan;
    this.#output = output;
    this.#sockets = sockets;
    this.#deadlines = deadlines;
    this.#random = random;
  }

  get size(): number {
    return this.#flows.size;
  }

  inspect(): TcpFlowReport[] {
    return [...this.#flows].map((flow) => ({
      guest: `${formatIp(flow.guest)} ${flow.guestPort}`,
      remote: `${formatIp(flow.remote)} ${flow.remotePort}`,
      state: flow.connection.state,
      toGuest: flow.connection.queuedBytes,
      toHost: flow.socket?.pendingBytes ?? 0,
    }));
  }

  /** A checked segment of the guest's. */
  arrived(packet: IpPacket, segment: TcpSegment): void {
    const flow = this.#flows.find(packet.source, segment.sourcePort, packet.destination, segment.destinationPort);
    const opens = (segment.flags & (TCP_FLAG.syn | TCP_FLAG.ack | TCP_FLAG.rst)) === TCP_FLAG.syn;
    if (flow !== undefined && !(opens && flow.connection.mayReopen(segment))) return flow.connection.segmentArrived(segment);
    flow?.connection.abort();
    if (opens) this.#open(packet, segment);
    else sendReset(this.#output, packet, segment);
  }

  /** The link has room: connections that found it full go on, until it is full again. */
  resume(): void {
    for (const flow of [...this.#blocked]) {
      this.#blocked.delete(flow);
      flow.connection.resume();
      if (this.#blocked.has(flow)) return;
    }
  }

  /** Listens on a forwarded port. Rejects with the host's error. */
  forward(forward: Forward): Promise<HostListener> {
    const { address: guest, port: guestPort } = forward.guest;
    return this.#sockets.listenTcp(forward.host, (socket, from) => {
      const remote = this.#peerAddress(guest, from);
      if (remote === undefined || this.#full()) return undefined;
      const remotePort = this.#freePort(guest, guestPort, remote, from.port);
      if (remotePort === undefined) return undefined;
      const flow = this.#newFlow({ guest, guestPort, remote, remotePort });
      flow.socket = socket;
      flow.connection.activeOpen();
      return flow;
    });
  }

  /** Ends what the guest has under way, with resets; forwarded ports stay open. */
  close(): void {
    for (const flow of [...this.#flows]) {
      flow.socket?.reset();
      flow.socket = undefined;
      flow.connection.abort();
    }
    this.#blocked.clear();
  }

  #open(packet: IpPacket, syn: TcpSegment): void {
    const to = this.#hostEndpoint(packet, syn);
    if (to === 'unreachable') return;
    if (to === undefined || syn.sourcePort === 0 || syn.destinationPort === 0 || this.#full()) {
      return sendReset(this.#output, packet, syn);
    }
    const [guest, remote] = [packet.source.slice(), packet.destination.slice()];
    const flow = this.#newFlow({ guest, guestPort: syn.sourcePort, remote, remotePort: syn.destinationPort });
    flow.syn = copyPacket(packet);
    flow.connection.passiveOpen(syn);
    flow.socket = this.#sockets.connectTcp(to, flow);
  }

  /** Undefined: refused. */
  #hostEndpoint(packet: IpPacket, syn: TcpSegment): Endpoint | 'unreachable' | undefined {
    const destination = destinationOf(packet.destination, this.#plan);
    if (destination.kind === 'host') return { address: destination.address, port: syn.destinationPort };
    if (destination.kind === 'dns') return syn.destinationPort === DNS_PORT ? this.#sockets.resolvers()[0] : undefined;
    if (destination.kind === 'closed') return undefined;
    const gateway = (packet.version === 4 ? this.#plan.ipv4 : this.#plan.ipv6)?.gateway;
    if (gateway !== undefined) sendUnreachable(this.#output, gateway, destination.why, packet);
    return 'unreachable';
  }

  #newFlow(key: FlowKey): TcpFlow {
    const { bufferBytes, mtu } = this.#plan;
    const flow = new TcpFlow({
      ...key,
      iss: this.#random() >>> 0,
      bufferBytes,
      mtu,
      output: this.#output,
      deadlines: this.#deadlines,
      blocked: (blocked) => this.#blocked.add(blocked),
      unreachable: (syn) => {
        const gateway = (syn.version === 4 ? this.#plan.ipv4 : this.#plan.ipv6)?.gateway;
        if (gateway !== undefined) sendUnreachable(this.#output, gateway, 'host', syn);
      },
      gone: (gone) => {
        this.#flows.delete(gone);
        this.#blocked.delete(gone);
      },
    });
    this.#flows.add(flow);
    return flow;
  }

  /** Whether there is no place for another; a connection in TIME-WAIT gives way. */
  #full(): boolean {
    if (this.#flows.size < this.#plan.maxFlows) return false;
    for (const flow of this.#flows) {
      if (flow.connection.phase !== 'time-wait') continue;
      flow.connection.abort();
      return false;
    }
    return true;
  }

  /** A client of a forwarded port as the guest sees it: itself, or the gateway if the guest could not answer to that. */
  #peerAddress(guest: IpAddress, from: Endpoint): IpAddress | undefined {
    const subnet = guest.length === 4 ? this.#plan.ipv4 : this.#plan.ipv6;
    const address = parseIp(from.address);
    if (subnet === undefined || address?.length !== guest.length || inPrefix(address, subnet.prefix, subnet.prefixBits)) {
      return subnet?.gateway;
    }
    return destinationOf(address, { ...this.#plan, allowLinkLocal: false }).kind === 'host' ? address : subnet.gateway;
  }

  #freePort(guest: IpAddress, guestPort: number, remote: IpAddress, wanted: number): number | undefined {
    for (let i = 0; i < 64; i++) {
      const port = ((wanted + i - 1) % 0xffff) + 1;
      if (this.#flows.find(guest, guestPort, remote, port) === undefined) return port;
    }
    return undefined;
  }
}

/** A packet that outlives its frame. */
function copyPacket(packet: IpPacket): IpPacket | undefined {
  const bytes = packet.bytes.slice(packet.headerAt, packet.end);
  return packet.version === 4 ? parseIpv4Packet(bytes, 0) : parseIpv6Packet(bytes, 0);
}
