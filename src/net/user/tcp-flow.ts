// One TCP connection of the guest's joined to one socket of the host's. Neither side is read faster than the other takes: the
// guest's window is the room in front of the socket, and the socket is paused while the guest has not acknowledged.
import type { HostTcpSocket, SocketFailure, TcpSocketHandler } from '../../io/host-sockets.ts';
import type { Deadlines } from '../deadlines.ts';
import type { IpAddress } from '../ip-address.ts';
import { IP_PROTOCOL, type IpPacket } from '../ip-packet.ts';
import { TcpConnection, type TcpEnd, type TcpOutput, type TcpUser } from '../tcp/connection.ts';
import { TCP_HEADER_BYTES, type TcpHeader, tcpHeaderBytes, writeTcp } from '../tcp/segment.ts';
import type { SendQueue } from '../tcp/send-queue.ts';
import type { FlowKey } from './flow-table.ts';
import type { LinkOutput } from './link-output.ts';

export interface TcpFlowOptions extends FlowKey {
  readonly iss: number;
  readonly bufferBytes: number;
  readonly mtu: number;
  readonly output: LinkOutput;
  readonly deadlines: Deadlines;
  /** The link is full: call `connection.resume` when it is not. */
  readonly blocked: (flow: TcpFlow) => void;
  /** The host could not connect. The packet is the guest's SYN. */
  readonly unreachable: (syn: IpPacket) => void;
  readonly gone: (flow: TcpFlow) => void;
}

export class TcpFlow implements FlowKey, TcpUser, TcpSocketHandler, TcpOutput {
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly remote: IpAddress;
  readonly remotePort: number;
  readonly connection: TcpConnection;
  readonly mss: number;
  /** Set by whoever made the flow, before anything else happens. */
  socket: HostTcpSocket | undefined;
  /** The guest's SYN, until the host is connected. */
  syn: IpPacket | undefined;
  readonly #options: TcpFlowOptions;
  readonly #version: 4 | 6;
  #paused = true;

  constructor(options: TcpFlowOptions) {
    this.guest = options.guest;
    this.guestPort = options.guestPort;
    this.remote = options.remote;
    this.remotePort = options.remotePort;
    this.#options = options;
    this.#version = options.guest.length === 4 ? 4 : 6;
    this.mss = options.mtu - (this.#version === 4 ? 20 : 40) - TCP_HEADER_BYTES;
    this.connection = new TcpConnection({
      ports: { sourcePort: options.remotePort, destinationPort: options.guestPort },
      iss: options.iss,
      receiveBytes: options.bufferBytes,
      output: this,
      user: this,
      deadlines: options.deadlines,
      gone: () => options.gone(this),
    });
  }

  // What the guest does.

  established(): void {
    this.#paused = false;
    this.socket?.resume();
  }

  room(): number {
    return Math.max(0, this.#options.bufferBytes - (this.socket?.pendingBytes ?? 0));
  }

  deliver(bytes: Uint8Array): void {
    this.socket?.write(bytes.slice());
  }

  ended(): void {
    this.socket?.end();
  }

  sent(): void {
    if (!this.#paused || this.connection.queuedBytes > this.#options.bufferBytes >> 1) return;
    this.#paused = false;
    this.socket?.resume();
  }

  /** A TcpUser's and a TcpSocketHandler's: one says how the guest ended, the other how the host did. */
  closed(how: TcpEnd | SocketFailure | undefined): void {
    if (this.connection.phase === 'closed' || this.connection.phase === 'time-wait') return this.#guestClosed(how);
    this.#hostClosed(how);
  }

  #guestClosed(how: TcpEnd | SocketFailure | undefined): void {
    if (how !== 'done') this.socket?.reset();
    this.socket = undefined;
  }

  // What the host does.

  connected(): void {
    this.syn = undefined;
    this.connection.accept();
  }

  data(chunk: Uint8Array): void {
    this.connection.write(chunk);
    if (this.#paused || this.connection.queuedBytes < this.#options.bufferBytes) return;
    this.#paused = true;
    this.socket?.pause();
  }

  end(): void {
    this.connection.end();
  }

  drained(): void {
    this.connection.roomChanged();
  }

  #hostClosed(how: TcpEnd | SocketFailure | undefined): void {
    this.socket = undefined;
    if (how === undefined) return; // both directions ended in order; what is queued is still on its way
    const { syn } = this;
    if (syn !== undefined && how !== 'refused' && how !== 'reset') {
      this.#options.unreachable(syn);
      this.syn = undefined;
      this.#options.gone(this);
    } else this.connection.abort();
  }

  // The way to the link.

  send(header: TcpHeader, queue: SendQueue | undefined, offset: number, length: number, mss: number): boolean {
    const { output } = this.#options;
    const at = output.transportAt(this.#version);
    const headerBytes = tcpHeaderBytes(header);
    writeTcp(output.bytes, at, header);
    queue?.copy(offset, length, output.bytes, at + headerBytes);
    const gsoSize = length > mss ? mss : 0;
    const { remote: source, guest: destination } = this;
    if (output.send({ source, destination, protocol: IP_PROTOCOL.tcp, length: headerBytes + length, gsoSize })) return true;
    this.#options.blocked(this);
    return false;
  }

  maxPayload(mss: number): number {
    const large = (this.#options.output.maxLargeTransport(this.#version) ?? 0) - TCP_HEADER_BYTES;
    return large > mss ? large - (large % mss) : mss;
  }
}
