// Which Ethernet address an IP address of the guest's side has: what ARP and NDP told us, and one frame that waits for an answer
// (RFC 1122, section 2.3.2.2).
import { formatIp, type IpAddress, sameAddress } from '../ip-address.ts';
import type { MacAddress } from '../mac-address.ts';

const MAX_ENTRIES = 256;
/** Between two questions for one address. */
const ASK_EVERY_NS = 1e9;

interface Entry {
  readonly address: IpAddress;
  mac: MacAddress | undefined;
  waiting: Uint8Array | undefined;
  askedNs: number;
}

export class Neighbours {
  /** Least recently learned first. */
  readonly #entries = new Map<string, Entry>();
  #last: Entry | undefined;

  get size(): number {
    return this.#entries.size;
  }

  lookup(address: IpAddress): MacAddress | undefined {
    if (this.#last === undefined || !sameAddress(this.#last.address, address)) {
      const entry = this.#entries.get(formatIp(address));
      if (entry?.mac === undefined) return undefined;
      this.#last = entry;
    }
    return this.#last.mac;
  }

  clear(): void {
    this.#entries.clear();
    this.#last = undefined;
  }

  /** Answers the frame that waited for this, if there is one; the caller writes the address into it. */
  learn(address: IpAddress, mac: MacAddress): Uint8Array | undefined {
    const key = formatIp(address);
    const entry = this.#entries.get(key) ?? { address: address.slice(), mac: undefined, waiting: undefined, askedNs: 0 };
    const { waiting } = entry;
    entry.mac = mac.slice();
    entry.waiting = undefined;
    this.#entries.delete(key);
    this.#insert(key, entry);
    return waiting;
  }

  /** Keeps a frame until the address is known, in place of one before it. True: it is time to ask. */
  wait(address: IpAddress, frame: Uint8Array, nowNs: number): boolean {
    const key = formatIp(address);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { address: address.slice(), mac: undefined, waiting: undefined, askedNs: Number.NEGATIVE_INFINITY };
      this.#insert(key, entry);
    }
    entry.waiting = frame;
    if (nowNs - entry.askedNs < ASK_EVERY_NS) return false;
    entry.askedNs = nowNs;
    return true;
  }

  #insert(key: string, entry: Entry): void {
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < MAX_ENTRIES) break;
      if (this.#last === this.#entries.get(oldest)) this.#last = undefined;
      this.#entries.delete(oldest);
    }
    this.#entries.set(key, entry);
  }
}
