// A Node TCP socket with the contract of HostTcpSocket.
import type { Socket } from 'node:net';
import type { HostTcpSocket, SocketFailure, TcpSocketHandler } from '../io/host-sockets.ts';

export class NodeTcpSocket implements HostTcpSocket {
  /** Undefined until an accepted connection has found its owner. */
  handler: TcpSocketHandler | undefined;
  readonly #socket: Socket;
  readonly #written = () => this.handler?.drained();
  #failure: SocketFailure | undefined;

  /** @param socket paused, with allowHalfOpen */
  constructor(socket: Socket, handler: TcpSocketHandler | undefined) {
    this.#socket = socket;
    this.handler = handler;
    socket.on('data', (chunk: Uint8Array) => this.handler?.data(chunk));
    socket.pause(); // a data listener sets it going
    socket.on('end', () => this.handler?.end());
    socket.on('error', (error) => {
      this.#failure = socketFailure(error);
    });
    socket.on('close', () => {
      const { handler: last } = this;
      this.handler = undefined;
      last?.closed(this.#failure);
    });
  }

  get pendingBytes(): number {
    return this.#socket.writableLength;
  }

  write(chunk: Uint8Array): void {
    this.#socket.write(chunk, this.#written);
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  reset(): void {
    this.handler = undefined;
    this.#socket.resetAndDestroy();
  }
}

/** What a host's error means for whoever wanted to connect. */
export function socketFailure(error: NodeJS.ErrnoException): SocketFailure {
  switch (error.code) {
    case 'ECONNREFUSED':
      return 'refused';
    case 'ECONNRESET':
    case 'EPIPE':
      return 'reset';
    case 'ETIMEDOUT':
      return 'timeout';
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
    case 'EINVAL':
      return 'unreachable';
    case 'EACCES':
    case 'EPERM':
      return 'denied';
    default:
      return 'other';
  }
}
