// Who uses which grant. A use is counted here and shown to the guest by GTF_reading and GTF_writing, so that it knows when it
// may take the grant back. The checks, their order and what they answer are those of Xen's common/grant_table.c.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { GNTST, GrantEntryV2, GTF } from '../../abi/xen/grant-table.ts';
import { P2M, P2M_FRAMES, pageOf } from '../../memory/guest-memory.ts';
import { ACTIVE_GRANT, ActiveGrant, GRANTS_PER_FRAME } from '../domain-layout.ts';
import type { GrantTable } from './grant-table.ts';

/** Uses of one kind that an entry counts; one more is refused. */
const MOST_USES = 128;
/** Compare-exchanges tried on an entry before it is taken for one that a guest keeps changing. */
const TRIES = 5;

/** What a grant is used for. A mapping needs a whole page; a copy may use part of one. */
export type GrantUse = 'map' | 'copy';

export class ActiveGrants {
  readonly #table: GrantTable;

  constructor(table: GrantTable) {
    this.#table = table;
  }

  /** True while somebody uses the entry. */
  inUse(ref: number): boolean {
    return this.#table.domain.memory.view.getUint16(this.at(ref), true) !== 0;
  }

  /** Byte address of the ActiveGrant of an entry. */
  at(ref: number): number {
    return this.#table.domain.at + this.#table.domain.plan.activeGrants + ref * ActiveGrant.sizeof;
  }

  readers(ref: number): number {
    return ActiveGrant.readers.get(this.#table.domain.memory.view, this.at(ref));
  }

  writers(ref: number): number {
    return ActiveGrant.writers.get(this.#table.domain.memory.view, this.at(ref));
  }

  /** The page of an entry in use. */
  page(ref: number): HostAddress {
    return pageOf(ActiveGrant.page.get(this.#table.domain.memory.view, this.at(ref)));
  }

  /** The frame it was found at. */
  gfn(ref: number): Gfn {
    return ActiveGrant.gfn.get(this.#table.domain.memory.view, this.at(ref)) as Gfn;
  }

  /** Whether `length` bytes from `offset` are within what an entry in use grants. */
  covers(ref: number, offset: number, length: number): boolean {
    const { view } = this.#table.domain.memory;
    const start = ActiveGrant.start.get(view, this.at(ref));
    return offset >= start && offset + length <= start + ActiveGrant.length.get(view, this.at(ref));
  }

  /**
   * Begins a use of a grant by domain `domid`. GNTST.okay, or why not: bad_gntref beyond the table, bad_page for a frame
   * without memory, general_error for everything else about the entry. The domain's lock is held.
   */
  acquire(ref: number, domid: number, readonly: boolean, use: GrantUse): number {
    const table = this.#table;
    if (ref >= table.entries) return GNTST.bad_gntref;
    const { view } = table.domain.memory;
    const at = this.at(ref);
    const counter = readonly ? ActiveGrant.readers : ActiveGrant.writers;
    const used = this.inUse(ref);
    if (used) {
      if (ActiveGrant.domid.get(view, at) !== domid || counter.get(view, at) >= MOST_USES) return GNTST.general_error;
    }
    if (use === 'copy' && table.version === 2 && (table.header(ref) & GTF.type_mask) === GTF.transitive)
      return this.#acquireTransitive(ref, domid, readonly);
    if (!used || (!readonly && this.writers(ref) === 0)) {
      let status = this.#mark(ref, domid, readonly, use);
      if (status !== GNTST.okay) return status;
      if (!used) status = this.#find(ref, domid);
      if (status === GNTST.okay && !readonly && (ActiveGrant.page.get(view, at) & ACTIVE_GRANT.writable) === 0)
        status = GNTST.general_error;
      if (status !== GNTST.okay) {
        this.#unmark(ref, readonly);
        return status;
      }
    }
    counter.set(view, at, counter.get(view, at) + 1);
    return GNTST.okay;
  }

  /** Ends a use. The domain's lock is held. */
  release(ref: number, readonly: boolean): void {
    const { view } = this.#table.domain.memory;
    const counter = readonly ? ActiveGrant.readers : ActiveGrant.writers;
    const count = counter.get(view, this.at(ref));
    if (count === 0) throw new Error(`grant ${ref} is released more often than it was used`);
    counter.set(view, this.at(ref), count - 1);
    this.#unmark(ref, readonly);
  }

  /** Forgets every use, as if nobody had begun one. The domain's lock is held. */
  forget(): void {
    const end = this.at(this.#table.framesMax * GRANTS_PER_FRAME.v1);
    this.#table.domain.memory.u8.fill(0, this.at(0), end);
  }

  /**
   * A grant of what a third domain granted to this one. It is marked and looked through, but nothing comes of it: the only
   * other domain there is has granted nothing, so its one frame of entries is free.
   */
  #acquireTransitive(ref: number, domid: number, readonly: boolean): number {
    const table = this.#table;
    if (!this.inUse(ref) || (!readonly && this.writers(ref) === 0)) {
      const status = this.#mark(ref, domid, readonly, 'copy');
      if (status !== GNTST.okay) return status;
    }
    const { view } = table.domain.memory;
    const other = GrantEntryV2.transitive.trans_domid.get(view, table.entryAt(ref));
    const gref = GrantEntryV2.transitive.gref.get(view, table.entryAt(ref));
    this.#unmark(ref, readonly);
    return other === DOMID_ZERO ? ungranted(gref) : GNTST.general_error;
  }

  /** Looks the granted page up and notes it. GNTST.bad_page when there is none. */
  #find(ref: number, domid: number): number {
    const table = this.#table;
    const { memory } = table.domain;
    const { view } = memory;
    const flags = table.header(ref) & 0xffff;
    const gfn = table.frame(ref);
    const entry = gfn < P2M_FRAMES ? memory.entry(gfn as Gfn) : 0;
    if (entry === 0) return GNTST.bad_page;
    const sub = table.version === 2 && (flags & GTF.sub_page) !== 0;
    const at = this.at(ref);
    const S = GrantEntryV2.sub_page;
    ActiveGrant.domid.set(view, at, domid);
    // Xen keeps 15 bits of the offset.
    ActiveGrant.start.set(view, at, sub ? S.page_off.get(view, table.entryAt(ref)) & 0x7fff : 0);
    ActiveGrant.length.set(view, at, sub ? S.length.get(view, table.entryAt(ref)) : PAGE_SIZE);
    const writable = (entry & P2M.writable) !== 0;
    ActiveGrant.page.set(view, at, (pageOf(entry) | (writable ? ACTIVE_GRANT.writable : 0)) >>> 0);
    ActiveGrant.gfn.set(view, at, gfn);
    return GNTST.okay;
  }

  /** Checks an entry against the guest's own changes and sets its GTF_reading, and GTF_writing for a writer. */
  #mark(ref: number, domid: number, readonly: boolean, use: GrantUse): number {
    return this.#table.version === 1 ? this.#mark1(ref, domid, readonly, use) : this.#mark2(ref, domid, readonly, use);
  }

  #mark1(ref: number, domid: number, readonly: boolean, use: GrantUse): number {
    const { i32 } = this.#table.domain.memory;
    const word = this.#table.entryAt(ref) >>> 2;
    let seen = Atomics.load(i32, word);
    for (let tries = 0; tries < TRIES; tries++) {
      if (!this.inUse(ref) && !permits(seen, domid, use, false)) return GNTST.general_error;
      if (!readonly && seen & GTF.readonly) return GNTST.general_error;
      const found = Atomics.compareExchange(i32, word, seen, seen | inUseFlags(readonly));
      if (found === seen) return GNTST.okay;
      seen = found;
    }
    return GNTST.general_error;
  }

  /** The status is not in the entry, so it is set first and the entry looked at once more. */
  #mark2(ref: number, domid: number, readonly: boolean, use: GrantUse): number {
    const table = this.#table;
    const used = this.inUse(ref);
    const before = table.header(ref);
    if (!used && !permits(before, domid, use, true)) return GNTST.general_error;
    if (!readonly && before & GTF.readonly) return GNTST.general_error;
    table.setStatus(ref, inUseFlags(readonly));
    const after = table.header(ref);
    if ((used || permits(after, domid, use, true)) && (readonly || (after & GTF.readonly) === 0)) return GNTST.okay;
    table.clearStatus(ref, used ? GTF.writing : GTF.reading | GTF.writing);
    return GNTST.general_error;
  }

  /** Clears what nobody's use calls for any more. */
  #unmark(ref: number, readonly: boolean): void {
    const flags = (this.inUse(ref) ? 0 : GTF.reading) | (!readonly && this.writers(ref) === 0 ? GTF.writing : 0);
    if (flags !== 0) this.#table.clearStatus(ref, flags);
  }
}

/** What the use of a reference of domain 0 comes to: it has one frame of entries and grants nothing. */
export const ungranted = (ref: number): number => (ref < GRANTS_PER_FRAME.v1 ? GNTST.general_error : GNTST.bad_gntref);

const inUseFlags = (readonly: boolean): number => (readonly ? GTF.reading : GTF.reading | GTF.writing);

/** Whether an entry's first word lets `domid` at it. */
function permits(header: number, domid: number, use: GrantUse, v2: boolean): boolean {
  if (header >>> 16 !== domid) return false;
  const type = header & (use === 'map' ? GTF.type_mask | GTF.sub_page : GTF.type_mask);
  return type === GTF.permit_access || (v2 && use === 'copy' && type === GTF.transitive);
}
