// The DNS server of a user mode network: the host's resolvers answer. A query that nobody answers is told so, not left to time out.
import type { HostSockets } from '../../io/host-sockets.ts';
import { isDnsQuery, serverFailure } from '../dns-message.ts';

/** Queries under way; more are dropped, and the guest asks again. */
const MAX_QUERIES = 256;

export class DnsRelay {
  readonly #sockets: HostSockets;
  #queries = 0;

  constructor(sockets: HostSockets) {
    this.#sockets = sockets;
  }

  /** `reply` is called later, at most once. */
  query(message: Uint8Array, reply: (answer: Uint8Array) => void): void {
    if (!isDnsQuery(message) || this.#queries >= MAX_QUERIES) return;
    const query = message.slice();
    this.#queries++;
    this.#sockets
      .resolve(query)
      .catch(() => serverFailure(query))
      .then((answer) => {
        this.#queries--;
        reply(answer);
      });
  }
}
