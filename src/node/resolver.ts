// DNS messages to and from the host's resolvers, unread: every record type goes through.
import { createSocket } from 'node:dgram';
import { getServers } from 'node:dns';
import { isIPv6 } from 'node:net';
import type { Endpoint } from '../io/host-sockets.ts';

/** How long one resolver may take before the next is asked; all of them are asked twice. */
const TIMEOUT_MS = 2000;
const ROUNDS = 2;

/** The host's resolvers as Node knows them: "192.0.2.1", "192.0.2.1:5353", "::1", "[::1]:5353". */
export function resolverEndpoints(servers: readonly string[] = getServers()): Endpoint[] {
  return servers.map((server) => {
    const bracketed = /^\[(.*)\]:(\d+)$/.exec(server);
    const match = bracketed ?? (isIPv6(server) ? null : /^(.*):(\d+)$/.exec(server));
    return match === null ? { address: server, port: 53 } : { address: match[1] as string, port: Number(match[2]) };
  });
}

/** The answer of the first resolver that gives one. Rejects when none does. */
export async function resolveByHost(query: Uint8Array, resolvers: readonly Endpoint[]): Promise<Uint8Array> {
  for (let round = 0; round < ROUNDS; round++) {
    for (const resolver of resolvers) {
      const answer = await ask(query, resolver);
      if (answer !== undefined) return answer;
    }
  }
  throw new Error(resolvers.length === 0 ? 'the host has no DNS resolver' : 'no DNS resolver answers');
}

/** Undefined when there is no answer in time. */
function ask(query: Uint8Array, resolver: Endpoint): Promise<Uint8Array | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket(isIPv6(resolver.address) ? 'udp6' : 'udp4');
    const timer = setTimeout(() => finish(undefined), TIMEOUT_MS);
    let finished = false;
    const finish = (answer: Uint8Array | undefined) => {
      if (finished) return;
      finished = true;
      clearTimeout(timer);
      socket.close();
      resolve(answer);
    };
    socket.on('error', () => finish(undefined));
    socket.on('message', (answer) => {
      // A connected socket hears only the resolver; the identifier must be ours, and QR set (RFC 5452, section 9.1).
      if (answer.length >= 12 && answer[0] === query[0] && answer[1] === query[1] && (answer[2] as number) & 0x80) finish(answer);
    });
    socket.connect(resolver.port, resolver.address, (error?: Error) => {
      if (error !== undefined && error !== null) finish(undefined);
      else if (!finished) socket.send(query, (failed) => failed && finish(undefined));
    });
  });
}
