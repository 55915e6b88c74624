// Which multicast frames the guest asked for: multicast control of public/io/netif.h.
import { BROADCAST_MAC, isGroupMac, macKey } from '../../net/mac-address.ts';

/** Addresses a guest may name, as in Linux's netback. */
const MOST_ADDRESSES = 64;
const BROADCAST = macKey(BROADCAST_MAC, 0);

export class MulticastFilter {
  /** Otherwise the guest gets all of them, whatever it named. */
  enabled = false;
  readonly #wanted = new Map<number, Uint8Array>();

  /** False when there is no room for one more. */
  add(address: Uint8Array): boolean {
    const key = macKey(address, 0);
    if (this.#wanted.has(key)) return true;
    if (this.#wanted.size >= MOST_ADDRESSES) return false;
    this.#wanted.set(key, address.slice());
    return true;
  }

  delete(address: Uint8Array): void {
    this.#wanted.delete(macKey(address, 0));
  }

  /** Whether a frame is for the guest. Broadcasts always are. */
  passes(frame: Uint8Array): boolean {
    if (!this.enabled || !isGroupMac(frame, 0)) return true;
    const key = macKey(frame, 0);
    return key === BROADCAST || this.#wanted.has(key);
  }

  get addresses(): 'all' | readonly Uint8Array[] {
    return this.enabled ? [...this.#wanted.values()] : 'all';
  }
}
