// The backend's side of a console's page (public/io/console.h): two rings of bytes. The guest can write to all of it at any time:
// each of its indices is read once, and believed only within bounds.
import type { HostAddress } from '../../abi/types.ts';
import { XENCONS } from '../../abi/xen/console.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { ByteQueue } from './byte-queue.ts';

export class ConsoleRing {
  readonly #memory: GuestMemory;
  readonly #at: HostAddress;
  #errors = 0;

  /** @param at where the page lies in the views of `memory` */
  constructor(memory: GuestMemory, at: HostAddress) {
    this.#memory = memory;
    this.#at = at;
  }

  /** How often indices were impossible (more bytes than the ring holds); such a ring is left alone until they are possible again. */
  get errors(): number {
    return this.#errors;
  }

  /** Takes what the guest printed, `max` bytes at most. undefined: nothing. */
  take(max = Number.POSITIVE_INFINITY): Uint8Array | undefined {
    const cons = this.#index(XENCONS.out_cons);
    const printed = (this.#index(XENCONS.out_prod) - cons) >>> 0;
    if (!this.#plausible(printed, XENCONS.out_size)) return undefined;
    const count = Math.min(printed, max);
    if (count <= 0) return undefined;
    const { u8 } = this.#memory;
    const bytes = new Uint8Array(count);
    const start = cons & (XENCONS.out_size - 1);
    const first = Math.min(count, XENCONS.out_size - start);
    const ring = this.#at + XENCONS.out;
    bytes.set(u8.subarray(ring + start, ring + start + first));
    bytes.set(u8.subarray(ring, ring + count - first), first);
    this.#setIndex(XENCONS.out_cons, cons + count);
    return bytes;
  }

  /** Gives the guest as much of what was typed as fits; returns how many bytes. */
  put(input: ByteQueue): number {
    if (input.length === 0) return 0;
    const prod = this.#index(XENCONS.in_prod);
    const used = (prod - this.#index(XENCONS.in_cons)) >>> 0;
    if (!this.#plausible(used, XENCONS.in_size)) return 0;
    const { u8 } = this.#memory;
    const start = prod & (XENCONS.in_size - 1);
    const room = XENCONS.in_size - used;
    const first = Math.min(room, XENCONS.in_size - start);
    const ring = this.#at + XENCONS.in;
    let done = input.take(u8.subarray(ring + start, ring + start + first));
    done += input.take(u8.subarray(ring, ring + room - first));
    if (done > 0) this.#setIndex(XENCONS.in_prod, prod + done);
    return done;
  }

  #plausible(used: number, size: number): boolean {
    if (used <= size) return true;
    this.#errors++;
    return false;
  }

  #index(offset: number): number {
    return Atomics.load(this.#memory.u32, (this.#at + offset) >>> 2);
  }

  #setIndex(offset: number, value: number): void {
    Atomics.store(this.#memory.u32, (this.#at + offset) >>> 2, value >>> 0);
  }
}
