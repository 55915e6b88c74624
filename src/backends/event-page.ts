// A page that two ends share for events of a fixed size in two rings: vfb and vkbd (public/io/fbif.h, kbdif.h). The guest may
// write to it at any time: its indices are believed only within bounds, and events are copied out before they are looked at.
import { type Gfn, gfnToGpa, type HostAddress, PAGE_SIZE } from '../abi/types.ts';
import { EFAULT, EINVAL } from '../abi/xen/errno.ts';
import { type GuestMemory, P2M } from '../memory/guest-memory.ts';
import type { BackendGrants } from '../xen/grants/backend-grants.ts';
import { Refusal } from './xenbus/refusal.ts';

/** Where the four indices are: the same in both interfaces. */
const INDEX = { in_cons: 0, in_prod: 4, out_cons: 8, out_prod: 12 } as const;

/** One of the rings. Indices run free; an event's place is its index modulo `events`. */
export interface EventRing {
  readonly at: number;
  readonly events: number;
}

type Place = (write: boolean) => HostAddress | 0;

export class EventPage {
  readonly #memory: GuestMemory;
  /** Where the page lies now, or 0 when the guest has none there that may be written to. */
  readonly #place: Place;
  readonly #stored: () => void;
  readonly #unmap: () => void;

  private constructor(memory: GuestMemory, place: Place, stored: () => void, unmap: () => void) {
    this.#memory = memory;
    this.#place = place;
    this.#stored = stored;
    this.#unmap = unmap;
  }

  /** A page that the guest granted. */
  static granted(grants: BackendGrants, memory: GuestMemory, ref: number): EventPage | Refusal {
    const mapping = grants.map([ref]);
    if (typeof mapping === 'number') return new Refusal(EINVAL, `mapping page-gref ${ref}: grant status ${mapping}`);
    const [host] = mapping.hosts;
    return new EventPage(
      memory,
      () => host as HostAddress,
      () => mapping.stored(),
      () => mapping.unmap(),
    );
  }

  /**
   * A page that the guest named by its frame. Real backends have the privilege to map any; here it is looked up at each access,
   * because nothing keeps the guest from giving it back to the balloon.
   */
  static named(memory: GuestMemory, gfn: number): EventPage | Refusal {
    const place: Place = (write) => {
      const entry = memory.entry(gfn as Gfn);
      return entry === 0 || (write && (entry & P2M.writable) === 0) ? 0 : memory.host(gfnToGpa(gfn as Gfn));
    };
    const host = place(true);
    if (host === 0) return new Refusal(EINVAL, `page-ref ${gfn} is no page of RAM`);
    memory.sharing?.share(host);
    return new EventPage(
      memory,
      place,
      () => memory.stored(gfn as Gfn),
      () => {},
    );
  }

  /** A copy of the whole page; undefined when it is gone. */
  copy(): Uint8Array | undefined {
    const host = this.#place(false);
    return host === 0 ? undefined : this.#memory.u8.slice(host, host + PAGE_SIZE);
  }

  /** Both of a ring's indices as they are now, u32; undefined when the page is gone. */
  indices(direction: 'in' | 'out'): { readonly cons: number; readonly prod: number } | undefined {
    const host = this.#place(false);
    if (host === 0) return undefined;
    const load = (offset: number): number => Atomics.load(this.#memory.i32, (host + offset) >>> 2) >>> 0;
    return { cons: load(INDEX[`${direction}_cons`]), prod: load(INDEX[`${direction}_prod`]) };
  }

  /** Moves an index of ours. A Refusal when the page is gone. */
  setIndex(index: 'in_prod' | 'out_cons', value: number): Refusal | undefined {
    const host = this.#place(true);
    if (host === 0) return gone();
    Atomics.store(this.#memory.i32, (host + INDEX[index]) >>> 2, value | 0);
    this.#stored();
    return undefined;
  }

  /** Copies an event out. A Refusal when the page is gone. */
  read({ at, events }: EventRing, index: number, into: Uint8Array): Refusal | undefined {
    const host = this.#place(false);
    if (host === 0) return gone();
    const from = host + at + (index % events) * into.length;
    into.set(this.#memory.u8.subarray(from, from + into.length));
    return undefined;
  }

  /** Copies an event in. A Refusal when the page is gone. */
  write({ at, events }: EventRing, index: number, event: Uint8Array): Refusal | undefined {
    const host = this.#place(true);
    if (host === 0) return gone();
    this.#memory.u8.set(event, host + at + (index % events) * event.length);
    return undefined;
  }

  /** Gives the page back. It must not be used any more. */
  unmap(): void {
    this.#unmap();
  }
}

const gone = (): Refusal => new Refusal(EFAULT, 'the shared page is gone');
