// Domain 0's end of the grant table: how a backend reaches the pages that a frontend granted to it. On the I/O thread.
// What the guest granted wrongly is a GNTST status, to be answered on the ring; nothing here throws for it.
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { GNTST } from '../../abi/xen/grant-table.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';

export class BackendGrants {
  readonly #domain: XenDomain;

  constructor(domain: XenDomain) {
    this.#domain = domain;
  }

  /**
   * Maps the pages of several grants, all or none. A negative GNTST (bad_gntref, bad_page, general_error) when one of them is
   * not a whole page of RAM granted to domain 0, or is read-only and `readonly` is not asked for. A reference may occur twice.
   */
  map(refs: readonly number[], options: { readonly readonly?: boolean } = {}): GrantMapping | number {
    const { readonly = false } = options;
    const { grants, lock, memory, at, trace } = this.#domain;
    lock.acquire();
    try {
      for (const [done, ref] of refs.entries()) {
        const status = grants.active.acquire(ref, DOMID_ZERO, readonly, 'map');
        if (trace.grant_map.on) trace.grant_map(ref, readonly ? 1 : 0, status);
        if (status === GNTST.okay) continue;
        for (let i = 0; i < done; i++) grants.active.release(refs[i] as number, readonly);
        return status;
      }
      for (const ref of refs) memory.sharing?.share(grants.active.page(ref));
      return new GrantMapping(this.#domain, refs.slice(), readonly, Header.grant_generation.get(memory.view, at));
    } finally {
      lock.release();
    }
  }

  /** Copies `into.length` bytes (at most a page) out of a grant, which may be of a part of a page. A GNTST. */
  copyFrom(ref: number, offset: number, into: Uint8Array): number {
    return this.#copy(ref, offset, into, true);
  }

  /** Copies bytes into a grant. A GNTST; general_error also for a grant that is read-only. */
  copyTo(ref: number, offset: number, from: Uint8Array): number {
    return this.#copy(ref, offset, from, false);
  }

  #copy(ref: number, offset: number, bytes: Uint8Array, readonly: boolean): number {
    if (bytes.length === 0) return GNTST.okay;
    const { grants, lock, memory, trace } = this.#domain;
    lock.acquire();
    try {
      let status = grants.active.acquire(ref, DOMID_ZERO, readonly, 'copy');
      if (status === GNTST.okay) {
        if (offset < 0 || offset + bytes.length > PAGE_SIZE) status = GNTST.bad_copy_arg;
        else if (!grants.active.covers(ref, offset, bytes.length)) status = GNTST.general_error;
        else {
          const page = grants.active.page(ref);
          memory.sharing?.share(page);
          const at = page + offset;
          if (readonly) bytes.set(memory.u8.subarray(at, at + bytes.length));
          else {
            memory.u8.set(bytes, at);
            memory.stored(grants.active.gfn(ref));
          }
          memory.sharing?.unshare(page);
        }
        grants.active.release(ref, readonly);
      }
      if (trace.grant_copy.on) trace.grant_copy(ref, readonly ? 1 : 0, bytes.length, status);
      return status;
    } finally {
      lock.release();
    }
  }
}

/** Granted pages that a backend holds. They stay what they were when mapped, whatever the guest does to entries and p2m. */
export class GrantMapping {
  /** A view of each page, in the order of the references. */
  readonly pages: readonly Uint8Array[];
  /** Where each page lies in `GuestMemory`'s views. */
  readonly hosts: readonly HostAddress[];
  readonly readonly: boolean;
  readonly #domain: XenDomain;
  readonly #refs: readonly number[];
  readonly #gfns: readonly Gfn[];
  readonly #generation: number;
  #mapped = true;

  /** The uses have begun, and the domain's lock is held. */
  constructor(domain: XenDomain, refs: readonly number[], readonly: boolean, generation: number) {
    const { memory, grants } = domain;
    this.#domain = domain;
    this.#refs = refs;
    this.#generation = generation;
    this.readonly = readonly;
    this.hosts = refs.map((ref) => grants.active.page(ref));
    this.#gfns = refs.map((ref) => grants.active.gfn(ref));
    this.pages = this.hosts.map((host) => memory.u8.subarray(host, host + PAGE_SIZE));
  }

  /** Bytes in all. */
  get size(): number {
    return this.hosts.length * PAGE_SIZE;
  }

  /** Where a byte of the pages, taken as one area, lies. The bytes after it are contiguous to the end of its page only. */
  host(offset: number): HostAddress {
    const page = this.hosts[Math.floor(offset / PAGE_SIZE)];
    if (page === undefined) throw new RangeError(`offset ${offset} of ${this.size} mapped bytes`);
    return (page + (offset % PAGE_SIZE)) as HostAddress;
  }

  /** Copies out of the area from `offset`, across pages. */
  read(offset: number, into: Uint8Array): void {
    this.#eachPiece(offset, into.length, (at, done, count) => into.set(this.#domain.memory.u8.subarray(at, at + count), done));
  }

  /** Copies into the area from `offset`, across pages. */
  write(offset: number, from: Uint8Array): void {
    if (this.readonly) throw new Error('these pages were mapped for reading');
    this.#eachPiece(offset, from.length, (at, done, count) => this.#domain.memory.u8.set(from.subarray(done, done + count), at));
  }

  /**
   * Says that the pages were written to, before the guest is told: what it executes from them is decoded anew. `unmap` does
   * so too; it matters for pages kept over many requests.
   */
  stored(): void {
    if (!this.readonly) for (const gfn of this.#gfns) this.#domain.memory.stored(gfn);
  }

  /** Gives the pages back. The views must not be used any more. Void when the table was reset in between. */
  unmap(): void {
    if (!this.#mapped) throw new Error('the grants are unmapped already');
    this.#mapped = false;
    const { grants, lock, memory, at, trace } = this.#domain;
    this.stored();
    for (const host of this.hosts) memory.sharing?.unshare(host);
    lock.acquire();
    try {
      if (Header.grant_generation.get(memory.view, at) !== this.#generation) return;
      for (const ref of this.#refs) {
        grants.active.release(ref, this.readonly);
        if (trace.grant_unmap.on) trace.grant_unmap(ref);
      }
    } finally {
      lock.release();
    }
  }

  #eachPiece(offset: number, length: number, act: (at: number, done: number, count: number) => void): void {
    for (let done = 0; done < length; ) {
      const count = Math.min(length - done, PAGE_SIZE - ((offset + done) % PAGE_SIZE));
      act(this.host(offset + done), done, count);
      done += count;
    }
  }
}
