// The monitor of one domain on a Unix socket, so that other processes can control it.
import { chmod, unlink } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { ConsoleHub } from '../control/console/console-hub.ts';
import { ConsoleHubs } from '../control/console/console-hubs.ts';
import type { MonitorHost } from '../control/monitor-host.ts';
import type { MonitorTarget } from '../control/monitor-target.ts';
import { ControlSession } from '../control/session.ts';
import { ControlConnectionError, nodeErrorCode } from './control-error.ts';
import { socketPath } from './domain-record.ts';
import { claimDomain, type DomainClaim, type RegistryOptions } from './domain-registry.ts';

export interface ServeOptions extends RegistryOptions {
  /** dom1's version, for the greeting. */
  readonly version: string;
  /** The id and the name that were claimed before the domain was built; default: claims them under the target's name. */
  readonly claim?: DomainClaim;
  /** What else its clients may ask for; default: the target's console. */
  readonly host?: Omit<MonitorHost, 'name' | 'rename'>;
}

/** A domain that others can find. Disposing ends all connections and takes it out of the runtime directory. */
export interface ServedControl extends AsyncDisposable {
  /** The domain's number on this host. */
  readonly id: number;
  readonly name: string;
  readonly socket: string;
}

/** Connections at a time. */
const MAX_CONNECTIONS = 32;
/** Bytes that may wait for a client that does not read; beyond them its connection is cut. */
const MAX_UNREAD = 16 * 2 ** 20;
/** How long the last replies may take when the domain has ended, in milliseconds. */
const LINGER = 1000;

/**
 * Registers the domain and serves its monitor until it is disposed of. The domain's end ends the connections, each after
 * its last replies and events.
 * @throws ControlConnectionError
 */
export async function serveControl(target: MonitorTarget, options: ServeOptions): Promise<ServedControl> {
  const claim = options.claim ?? (await claimDomain({ ...options, name: target.name }));
  const host = monitorHost(target, claim, options.host);
  const socket = socketPath(claim.directory, claim.record.id);
  const connections: Connections = new Map();
  // Half open: a client that has said all it wants to say still hears the replies.
  const server = createServer({ allowHalfOpen: true }, (connection) =>
    serveConnection(connection, connections, { target, claim, host, version: options.version }),
  );
  try {
    await listen(server, socket);
    await chmod(socket, 0o600);
  } catch (cause) {
    await claim[Symbol.asyncDispose]();
    throw new ControlConnectionError(
      'permission',
      `${socket}: cannot listen there (${nodeErrorCode(cause) ?? String(cause)})`,
      'set XDG_RUNTIME_DIR to a directory of your own on a local file system',
      { cause },
    );
  }
  // Serving does not keep the process alive: the domain does.
  server.unref();
  return {
    id: claim.record.id,
    get name() {
      return claim.record.name;
    },
    socket,
    async [Symbol.asyncDispose]() {
      server.ref();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      const deadline = setTimeout(() => {
        for (const connection of connections.keys()) connection.destroy();
      }, LINGER);
      for (const finish of connections.values()) finish();
      await closed;
      clearTimeout(deadline);
      await claim[Symbol.asyncDispose]();
    },
  };
}

/** What ends each connection after its last replies. */
type Connections = Map<Socket, () => void>;

function monitorHost(target: MonitorTarget, claim: DomainClaim, given: ServeOptions['host'] = {}): MonitorHost {
  const hub = given.console ?? (target.console === undefined ? undefined : new ConsoleHub(target.console));
  const consoles = given.consoles ?? new ConsoleHubs(() => target.consoles?.() ?? new Map());
  // A guest that was started anew has other consoles.
  target.on('state', () => consoles.look());
  return {
    startedMs: Date.parse(claim.record.started),
    ...given,
    ...(hub !== undefined && { console: hub }),
    consoles,
    name: () => claim.record.name,
    rename: (name) => claim.rename(name),
  };
}

interface Served {
  readonly target: MonitorTarget;
  readonly claim: DomainClaim;
  readonly host: MonitorHost;
  readonly version: string;
}

/** Bytes that may wait for a client before it is sent no more of the console. */
const CONSOLE_BACKLOG = 256 * 1024;

function serveConnection(connection: Socket, connections: Connections, { target, claim, host, version }: Served): void {
  connection.on('error', () => connection.destroy()); // the client has gone; 'close' follows
  connection.unref();
  if (connections.size >= MAX_CONNECTIONS) {
    const desc = `the domain has ${MAX_CONNECTIONS} connections already; close one first`;
    connection.end(`${JSON.stringify({ error: { class: 'TooManyConnections', desc } })}\n`);
    return;
  }
  const session = new ControlSession({
    target,
    version,
    hostId: claim.record.id,
    host,
    nowMs: () => performance.timeOrigin + performance.now(),
    peer: {
      send(line) {
        if (connection.writableEnded || connection.destroyed) return;
        connection.write(`${line}\n`);
        if (connection.writableLength > MAX_UNREAD) connection.destroy();
      },
      ready: () => connection.writableLength < CONSOLE_BACKLOG,
      hold: (on) => void (on ? connection.pause() : connection.resume()),
    },
  });
  connection.on('data', (chunk) => session.receive(chunk));
  connection.on('drain', () => session.drained());
  connection.on('close', () => {
    connections.delete(connection);
    session[Symbol.dispose]();
  });
  // What was asked before the end still has its reply, and the other side may have closed its half only.
  const finish = (): void => void session.idle.then(() => connection.end());
  connections.set(connection, finish);
  connection.on('end', finish);
  void session.ended.then(finish);
}

async function listen(server: Server, path: string): Promise<void> {
  // The id is ours, so what lies there is left from a process that is gone.
  await unlink(path).catch(() => {});
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
