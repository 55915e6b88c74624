// The host's sockets by way of Node, for a user mode network.
import { execFile } from 'node:child_process';
import { createSocket, type Socket as DgramSocket } from 'node:dgram';
import { connect, createServer, isIPv6 } from 'node:net';
import type {
  BoundUdpSocket,
  Endpoint,
  HostListener,
  HostSockets,
  HostTcpSocket,
  HostUdpSocket,
  TcpSocketHandler,
  UdpSocketHandler,
} from '../io/host-sockets.ts';
import { NodeTcpSocket, socketFailure } from './node-tcp-socket.ts';
import { resolveByHost, resolverEndpoints } from './resolver.ts';

export interface NodeSocketsOptions {
  /** In place of the host's resolvers. */
  readonly resolvers?: readonly Endpoint[];
}

export class NodeSockets implements HostSockets {
  readonly #options: NodeSocketsOptions;

  constructor(options: NodeSocketsOptions = {}) {
    this.#options = options;
  }

  connectTcp(to: Endpoint, handler: TcpSocketHandler): HostTcpSocket {
    const socket = connect({ host: to.address, port: to.port, allowHalfOpen: true, noDelay: true });
    socket.pause();
    socket.on('connect', () => handler.connected());
    return new NodeTcpSocket(socket, handler);
  }

  listenTcp(
    at: Endpoint,
    accept: (socket: HostTcpSocket, from: Endpoint) => TcpSocketHandler | undefined,
  ): Promise<HostListener> {
    const open = new Set<NodeTcpSocket>();
    const server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (socket) => {
      const from = { address: unmapped(socket.remoteAddress ?? ''), port: socket.remotePort ?? 0 };
      const wrapped = new NodeTcpSocket(socket, undefined);
      const handler = accept(wrapped, from);
      if (handler === undefined) return wrapped.reset();
      wrapped.handler = handler;
      open.add(wrapped);
      socket.once('close', () => open.delete(wrapped));
    });
    return new Promise((resolve, reject) => {
      server.once('error', reject);
      server.listen({ host: at.address, port: at.port }, () => {
        server.off('error', reject);
        server.on('error', () => {}); // of a connection that could not be accepted; its client sees it
        const bound = server.address();
        const local = typeof bound === 'object' && bound !== null ? { address: bound.address, port: bound.port } : at;
        const close = () =>
          new Promise<void>((done) => {
            for (const socket of open) socket.reset();
            server.close(() => done());
          });
        resolve({ local, close });
      });
    });
  }

  openUdp(family: 4 | 6, handler: UdpSocketHandler): HostUdpSocket {
    return wrapUdp(udpSocket(family), handler);
  }

  bindUdp(at: Endpoint, handler: UdpSocketHandler): Promise<BoundUdpSocket> {
    const socket = udpSocket(isIPv6(at.address) ? 6 : 4);
    return new Promise((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address: at.address, port: at.port }, () => {
        socket.off('error', reject);
        const { address, port } = socket.address();
        resolve({ ...wrapUdp(socket, handler), local: { address, port } });
      });
    });
  }

  resolve(query: Uint8Array): Promise<Uint8Array> {
    return resolveByHost(query, this.resolvers());
  }

  resolvers(): readonly Endpoint[] {
    return this.#options.resolvers ?? resolverEndpoints();
  }

  /** Asks the host's `ping`: a process without privileges has no other way on every system. */
  echo(address: string, timeoutMs: number): Promise<boolean> {
    const wait = process.platform === 'darwin' ? [] : ['-W', String(Math.ceil(timeoutMs / 1000))];
    return new Promise((resolve) => {
      execFile('ping', ['-n', '-c', '1', ...wait, address], { timeout: timeoutMs + 1000 }, (error) => resolve(error === null));
    });
  }
}

function udpSocket(family: 4 | 6): DgramSocket {
  return createSocket(family === 6 ? { type: 'udp6', ipv6Only: true } : { type: 'udp4' });
}

function wrapUdp(socket: DgramSocket, handler: UdpSocketHandler): HostUdpSocket {
  let closed = false;
  socket.on('message', (bytes, from) => !closed && handler.message(bytes, { address: from.address, port: from.port }));
  socket.on('error', (error) => !closed && handler.failed(socketFailure(error), undefined));
  return {
    send(bytes, to) {
      if (closed) return;
      socket.send(bytes.slice(), to.port, to.address, (error) => {
        if (error !== null && error !== undefined && !closed) handler.failed(socketFailure(error), to);
      });
    },
    close() {
      if (closed) return;
      closed = true;
      socket.close();
    },
  };
}

/** A client over IPv4 of a listener for both: ::ffff:192.0.2.1. */
const unmapped = (address: string): string => address.replace(/^::ffff:(?=\d+\.)/, '');
