// TCP connections by their addresses and ports, without a string for each packet.
import { type IpAddress, sameAddress } from '../ip-address.ts';

export interface FlowKey {
  readonly guest: IpAddress;
  readonly guestPort: number;
  readonly remote: IpAddress;
  readonly remotePort: number;
}

export class FlowTable<T extends FlowKey> {
  readonly #buckets = new Map<number, T[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(guest: IpAddress, guestPort: number, remote: IpAddress, remotePort: number): T | undefined {
    for (const flow of this.#buckets.get(hash(guest, guestPort, remote, remotePort)) ?? []) {
      if (flow.guestPort !== guestPort || flow.remotePort !== remotePort) continue;
      if (sameAddress(flow.guest, guest) && sameAddress(flow.remote, remote)) return flow;
    }
    return undefined;
  }

  add(flow: T): void {
    const key = hash(flow.guest, flow.guestPort, flow.remote, flow.remotePort);
    const bucket = this.#buckets.get(key);
    if (bucket === undefined) this.#buckets.set(key, [flow]);
    else bucket.push(flow);
    this.#size++;
  }

  delete(flow: T): void {
    const key = hash(flow.guest, flow.guestPort, flow.remote, flow.remotePort);
    const bucket = this.#buckets.get(key);
    const index = bucket?.indexOf(flow) ?? -1;
    if (bucket === undefined || index < 0) return;
    bucket.splice(index, 1);
    if (bucket.length === 0) this.#buckets.delete(key);
    this.#size--;
  }

  *[Symbol.iterator](): Generator<T> {
    for (const bucket of this.#buckets.values()) yield* bucket;
  }
}

function hash(guest: IpAddress, guestPort: number, remote: IpAddress, remotePort: number): number {
  let h = (guestPort << 16) ^ remotePort;
  for (const byte of guest) h = Math.imul(h ^ byte, 0x0100_0193);
  for (const byte of remote) h = Math.imul(h ^ byte, 0x0100_0193);
  return h;
}
