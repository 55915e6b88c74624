// The DNS server of a user mode network: the host's resolvers answer. A query that nobody answers is told so, not left to time out.
import type { HostSockets } from '../../io/host-sockets.ts';
import { isDnsQuery, serverFailure } from '../dns-message.ts';

/** Queries under way; more are dropped, and the guest asks again. */
const MAX_QUERIES = 256;

export class DnsRelay {
  readonly #sockets: HostSockets;
  #queries = 0;
  /** Counts the guests; an answer is for the one that asked. */
  #guest = 0;

  constructor(sockets: HostSockets) {
    this.#sockets = sockets;
  }

  /** `reply` is called later, at most once. */
  query(message: Uint8Array, reply: (answer: Uint8Array) => void): void {
    if (!isDnsQuery(message) || this.#queries >= MAX_QUERIES) return;
    const query = message.slice();
    const guest = this.#guest;
    this.#queries++;
    this.#sockets
      .resolve(query)
      .catch(() => serverFailure(query))
      .then((answer) => {
        this.#queries--;
        if (guest === this.#guest) reply(answer);
      });
  }

  /** Nobody waits for the answers to what was asked any more. */
  forget(): void {
    this.#guest++;
  }
}
