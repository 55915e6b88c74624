// The backend's side of a ring of bytes (docs/misc/9pfs.pandoc). The frontend can write to all of it at any time: bytes are
// copied out before anything looks at them, our own indices are kept here, and the frontend's are believed only within bounds.
import { PAGE_SIZE } from '../../abi/types.ts';
import { XEN_9PFS_INTF as INTF, XEN_9PFS_MAX_RING_ORDER, XEN_9PFS_MIN_RING_ORDER, xen9pfsHalfBytes } from '../../abi/xen/9pfs.ts';
import { EINVAL, EIO } from '../../abi/xen/errno.ts';
import { GNTST } from '../../abi/xen/grant-table.ts';
import type { GuestMemory } from '../../memory/guest-memory.ts';
import type { BackendGrants, GrantMapping } from '../../xen/grants/backend-grants.ts';
import { Refusal } from '../xenbus/refusal.ts';

export class DataRing {
  /** Bytes of each half: a power of two. */
  readonly halfBytes: number;
  readonly #i32: Int32Array;
  readonly #intf: GrantMapping;
  readonly #data: GrantMapping;
  /** Where the page of indices begins, as an index of words. */
  readonly #words: number;
  /** u32. */
  #taken: number;
  #put: number;

  private constructor(memory: GuestMemory, intf: GrantMapping, data: GrantMapping) {
    this.#i32 = memory.i32;
    this.#intf = intf;
    this.#data = data;
    this.#words = intf.host(0) >>> 2;
    this.halfBytes = data.size / 2;
    // A backend that comes to a ring in use goes on where the one before it stopped.
    this.#taken = this.#load(INTF.out_cons);
    this.#put = this.#load(INTF.in_prod);
  }

  /** Maps the page of indices, and the pages that it names. */
  static map(backend: { readonly grants: BackendGrants; readonly memory: GuestMemory }, ref: number): DataRing | Refusal {
    const intf = backend.grants.map([ref]);
    if (typeof intf === 'number') return mapFailure(`ring-ref ${ref}`, intf);
    const page = new Uint8Array(PAGE_SIZE);
    intf.read(0, page);
    const view = new DataView(page.buffer);
    const order = view.getUint32(INTF.ring_order, true);
    if (order < XEN_9PFS_MIN_RING_ORDER || order > XEN_9PFS_MAX_RING_ORDER) {
      intf.unmap();
      return new Refusal(EINVAL, `a ring order of ${order}`);
    }
    const refs = Array.from({ length: 1 << order }, (_, i) => view.getUint32(INTF.ref + i * 4, true));
    const data = backend.grants.map(refs);
    if (typeof data === 'number') {
      intf.unmap();
      return mapFailure(`the ${refs.length} pages of ring-ref ${ref}`, data);
    }
    if (data.size / 2 !== xen9pfsHalfBytes(order)) throw new Error('the ring has another size than its order');
    return new DataRing(backend.memory, intf, data);
  }

  /** Bytes of requests to take, or -1 when the frontend's index is impossible: then the ring is not to be used any more. */
  get readable(): number {
    const count = (this.#load(INTF.out_prod) - this.#taken) >>> 0;
    return count > this.halfBytes ? -1 : count;
  }

  /** Bytes of answers there is room for, or -1 as for `readable`. */
  get room(): number {
    const unread = (this.#put - this.#load(INTF.in_cons)) >>> 0;
    return unread > this.halfBytes ? -1 : this.halfBytes - unread;
  }

  /** Copies the next bytes out; they must be `readable`. */
  take(into: Uint8Array): void {
    this.#each(this.#taken, into.length, (at, done, count) =>
      this.#data.read(this.halfBytes + at, into.subarray(done, done + count)),
    );
    this.#taken = (this.#taken + into.length) >>> 0;
    this.#store(INTF.out_cons, this.#taken);
  }

  /** Copies bytes in, and shows them to the frontend; there must be `room`. */
  put(from: Uint8Array): void {
    this.#each(this.#put, from.length, (at, done, count) => this.#data.write(at, from.subarray(done, done + count)));
    this.#put = (this.#put + from.length) >>> 0;
    this.#store(INTF.in_prod, this.#put);
  }

  /** Gives the pages back. The ring must not be used any more. */
  unmap(): void {
    this.#data.unmap();
    this.#intf.unmap();
  }

  /** The one or two pieces of a half that bytes from a free-running index on lie in. */
  #each(index: number, length: number, act: (at: number, done: number, count: number) => void): void {
    const at = index & (this.halfBytes - 1);
    const first = Math.min(length, this.halfBytes - at);
    act(at, 0, first);
    if (first < length) act(0, first, length - first);
  }

  #load(offset: number): number {
    return Atomics.load(this.#i32, this.#words + (offset >>> 2)) >>> 0;
  }

  #store(offset: number, value: number): void {
    Atomics.store(this.#i32, this.#words + (offset >>> 2), value | 0);
  }
}

const mapFailure = (what: string, status: number): Refusal =>
  new Refusal(status === GNTST.bad_gntref ? EINVAL : EIO, `mapping ${what}: grant status ${status}`);
