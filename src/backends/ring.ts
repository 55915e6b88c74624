// The backend's side of a shared ring (public/io/ring.h). The frontend can write to all of it at any time: a request is copied
// out before anything looks at it, our own indices are kept here, and the frontend's are believed only within bounds.
import { PAGE_SIZE } from '../abi/types.ts';
import { EINVAL, EIO } from '../abi/xen/errno.ts';
import { GNTST } from '../abi/xen/grant-table.ts';
import { MAX_RING_PAGES, ringEntries, SRING } from '../abi/xen/ring.ts';
import type { GuestMemory } from '../memory/guest-memory.ts';
import type { BackendGrants, GrantMapping } from '../xen/grants/backend-grants.ts';
import { Refusal } from './xenbus/refusal.ts';

export class BackRing {
  /** Requests and responses that fit: a power of two. */
  readonly entries: number;
  readonly #words: Uint32Array;
  readonly #i32: Int32Array;
  readonly #mapping: GrantMapping;
  /** Where each page begins, as an index of words. */
  readonly #pages: readonly number[];
  readonly #entryWords: number;
  readonly #mask: number;
  /** req_cons and rsp_prod_pvt of ring.h, and rsp_prod as last published. u32. */
  #requests: number;
  #responses: number;
  #published: number;

  private constructor(memory: GuestMemory, mapping: GrantMapping, entryBytes: number) {
    this.#words = memory.u32;
    this.#i32 = memory.i32;
    this.#mapping = mapping;
    this.#pages = mapping.hosts.map((host) => host >>> 2);
    this.entries = ringEntries(mapping.size, entryBytes);
    this.#entryWords = entryBytes / 4;
    this.#mask = this.entries - 1;
    // A backend that comes to a ring in use goes on behind the last response.
    this.#published = this.#load(SRING.rsp_prod);
    this.#responses = this.#published;
    this.#requests = this.#published;
  }

  /**
   * Maps a ring of 1, 2, 4, 8 or 16 granted pages whose entries have `entryBytes` (a multiple of 4, the larger of a request and
   * a response).
   */
  static map(
    backend: { readonly grants: BackendGrants; readonly memory: GuestMemory },
    refs: readonly number[],
    entryBytes: number,
  ): BackRing | Refusal {
    const pages = refs.length;
    if (pages < 1 || pages > MAX_RING_PAGES || (pages & (pages - 1)) !== 0)
      return new Refusal(EINVAL, `a ring of ${pages} pages`);
    const mapping = backend.grants.map(refs);
    if (typeof mapping === 'number')
      return new Refusal(
        mapping === GNTST.bad_gntref ? EINVAL : EIO,
        `mapping ring-ref ${refs.join(' ')}: grant status ${mapping}`,
      );
    const ring = new BackRing(backend.memory, mapping, entryBytes);
    if (ring.pending >= 0) return ring;
    ring.unmap();
    return new Refusal(EIO, 'the ring holds more requests than it has entries');
  }

  /** Requests to take now, or -1 when the frontend's index is impossible: then the ring is not to be used any more. */
  get pending(): number {
    const count = (this.#load(SRING.req_prod) - this.#requests) >>> 0;
    return count > this.entries - this.unanswered ? -1 : count;
  }

  /** Taken and not answered. */
  get unanswered(): number {
    return (this.#requests - this.#responses) >>> 0;
  }

  /** Copies the next request out; there must be one `pending`. `into` has at least an entry's words. */
  take(into: Uint32Array): void {
    const at = SRING.ring + (this.#requests & this.#mask) * this.#entryWords * 4;
    for (let i = 0; i < this.#entryWords; i++) into[i] = this.#words[this.#wordAt(at + i * 4)] as number;
    this.#requests = (this.#requests + 1) >>> 0;
  }

  /** Puts a response where the next one belongs; `push` shows it to the frontend. Only as many as were taken. */
  respond(words: Uint32Array): void {
    if (this.unanswered === 0) throw new Error('a response without a request');
    const at = SRING.ring + (this.#responses & this.#mask) * this.#entryWords * 4;
    for (let i = 0; i < words.length; i++) this.#words[this.#wordAt(at + i * 4)] = words[i] as number;
    this.#responses = (this.#responses + 1) >>> 0;
  }

  /** Publishes the responses. True when the frontend wants to be notified (RING_PUSH_RESPONSES_AND_CHECK_NOTIFY). */
  push(): boolean {
    const old = this.#published;
    if (old === this.#responses) return false;
    this.#published = this.#responses;
    this.#store(SRING.rsp_prod, this.#responses);
    return (this.#responses - this.#load(SRING.rsp_event)) >>> 0 < (this.#responses - old) >>> 0;
  }

  /**
   * Asks for an event with the next request, and says whether there are requests that came in between
   * (RING_FINAL_CHECK_FOR_REQUESTS). Also true when the index is impossible.
   */
  finalCheck(): boolean {
    if (this.pending !== 0) return true;
    this.#store(SRING.req_event, (this.#requests + 1) >>> 0);
    return this.pending !== 0;
  }

  /** Gives the pages back. The ring must not be used any more. */
  unmap(): void {
    this.#mapping.unmap();
  }

  /** The index of the word at a byte offset of the ring. An entry may lie across pages that are not neighbours. */
  #wordAt(offset: number): number {
    return (this.#pages[offset >>> 12] as number) + ((offset & (PAGE_SIZE - 1)) >>> 2);
  }

  #load(offset: number): number {
    return Atomics.load(this.#i32, (this.#pages[0] as number) + (offset >>> 2)) >>> 0;
  }

  #store(offset: number, value: number): void {
    Atomics.store(this.#i32, (this.#pages[0] as number) + (offset >>> 2), value | 0);
  }
}
