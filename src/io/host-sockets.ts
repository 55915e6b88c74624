// The host's own sockets as a user mode network uses them. Node's are in src/node/node-sockets.ts; a page may bring others.
// Addresses are numeric text ("192.0.2.1", "2001:db8::1"); names are never resolved here.

export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Why a socket failed: what the guest is told depends on it. */
export type SocketFailure = 'refused' | 'unreachable' | 'timeout' | 'denied' | 'reset' | 'other';

/** What happens to a TCP socket. Nothing is called from inside a call into the socket, and nothing after `closed`. */
export interface TcpSocketHandler {
  connected(): void;
  /** Bytes from the peer; the handler may keep them. Not called while paused. */
  data(chunk: Uint8Array): void;
  /** The peer will send no more. */
  end(): void;
  /** `pendingBytes` became smaller. */
  drained(): void;
  /** The socket is gone; undefined after both directions ended in order. */
  closed(failure: SocketFailure | undefined): void;
}

export interface HostTcpSocket {
  /** Bytes written that the host's kernel has not taken yet. */
  readonly pendingBytes: number;
  /** The socket keeps `chunk`; the caller must not change it. */
  write(chunk: Uint8Array): void;
  /** No more will be written: FIN after what is pending. */
  end(): void;
  pause(): void;
  resume(): void;
  /** Ends both directions at once, with a reset where the host can. `closed` is not called. */
  reset(): void;
}

export interface UdpSocketHandler {
  /** A datagram; the handler may keep the bytes. */
  message(bytes: Uint8Array, from: Endpoint): void;
  /** A datagram to `to` could not be sent, or its port was reported unreachable. The socket stays usable. */
  failed(failure: SocketFailure, to: Endpoint | undefined): void;
}

export interface HostUdpSocket {
  /** The bytes are copied. A datagram that cannot be sent now is lost, as UDP may. */
  send(bytes: Uint8Array, to: Endpoint): void;
  close(): void;
}

export interface HostListener {
  /** The address and port in use: the port is the host's choice where 0 was asked for. */
  readonly local: Endpoint;
  close(): Promise<void>;
}

export interface BoundUdpSocket extends HostUdpSocket {
  readonly local: Endpoint;
}

export interface HostSockets {
  /** Connects; `connected` or `closed` follows. */
  connectTcp(to: Endpoint, handler: TcpSocketHandler): HostTcpSocket;
  /**
   * Listens. `accept` gets each connection, paused and connected already, and answers its handler (undefined refuses it).
   * Rejects with the host's error, for instance when the port is taken.
   */
  listenTcp(at: Endpoint, accept: (socket: HostTcpSocket, from: Endpoint) => TcpSocketHandler | undefined): Promise<HostListener>;
  /** An unconnected socket on a port of the host's choice. */
  openUdp(family: 4 | 6, handler: UdpSocketHandler): HostUdpSocket;
  /** A socket on a port of the caller's choice. Rejects with the host's error. */
  bindUdp(at: Endpoint, handler: UdpSocketHandler): Promise<BoundUdpSocket>;
  /** Gives a DNS message (RFC 1035, without the length prefix) to the host's resolvers. Rejects when none answers. */
  resolve(query: Uint8Array): Promise<Uint8Array>;
  /** Where the host's resolvers are reached over TCP, first choice first. */
  resolvers(): readonly Endpoint[];
  /** Whether `address` answers an ICMP echo request. Left out where the host does not let us ask. */
  readonly echo?: ((address: string, timeoutMs: number) => Promise<boolean>) | undefined;
}
