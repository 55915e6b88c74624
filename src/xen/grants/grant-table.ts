// A domain's grant table: where entries and status words lie in the version in force, and how the table grows.
import { PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EINVAL } from '../../abi/xen/errno.ts';
import { GRANT_STATUS_SIZE, GrantEntryV1, GrantEntryV2, GTF } from '../../abi/xen/grant-table.ts';
import { XENMAPIDX_grant_table_status } from '../../abi/xen/memory.ts';
import type { XenDomain } from '../domain.ts';
import { GRANTS_PER_FRAME, DomainHeader as Header, OVERLAY, statusFrames } from '../domain-layout.ts';
import { ActiveGrants } from './active-grants.ts';

const IN_USE = GTF.reading | GTF.writing;

/** The table as any thread sees it. Everything that changes its shape, or who uses an entry, needs the domain's lock. */
export class GrantTable {
  readonly domain: XenDomain;
  readonly active: ActiveGrants;

  constructor(domain: XenDomain) {
    this.domain = domain;
    this.active = new ActiveGrants(this);
  }

  /** 1 or 2. */
  get version(): number {
    return Header.grant_version.get(this.domain.memory.view, this.domain.at);
  }

  /** Grant frames there are. */
  get frames(): number {
    return Header.grant_frames.get(this.domain.memory.view, this.domain.at);
  }

  get framesMax(): number {
    return Header.grant_frames_max.get(this.domain.memory.view, this.domain.at);
  }

  /** Entries there are: references from here on are bad. */
  get entries(): number {
    return this.frames * (this.version === 1 ? GRANTS_PER_FRAME.v1 : GRANTS_PER_FRAME.v2);
  }

  /** Status frames there are: none in version 1. */
  get statusFrames(): number {
    return this.version === 1 ? 0 : statusFrames(this.frames);
  }

  /** Byte address of an entry, a multiple of 4. Both versions begin with flags and domid. */
  entryAt(ref: number): number {
    const { at, plan } = this.domain;
    return at + plan.grants + ref * (this.version === 1 ? GrantEntryV1.sizeof : GrantEntryV2.full_page.sizeof);
  }

  /** Flags in the low half, domid in the high one, read at once. */
  header(ref: number): number {
    return Atomics.load(this.domain.memory.i32, this.entryAt(ref) >>> 2) >>> 0;
  }

  /** The granted frame; up to 2^64 (rounded) in version 2. */
  frame(ref: number): number {
    const { view } = this.domain.memory;
    const at = this.entryAt(ref);
    return this.version === 1 ? GrantEntryV1.frame.get(view, at) : GrantEntryV2.full_page.frame.get(view, at);
  }

  /** GTF.reading and GTF.writing of an entry, which the guest looks at before it takes a grant back. */
  status(ref: number): number {
    return (Atomics.load(this.domain.memory.i32, this.#statusWord(ref)) >>> this.#statusShift(ref)) & IN_USE;
  }

  /** Sets GTF.reading or GTF.writing. In version 1 entries are marked by compare-exchange instead. */
  setStatus(ref: number, flags: number): void {
    Atomics.or(this.domain.memory.i32, this.#statusWord(ref), flags << this.#statusShift(ref));
  }

  clearStatus(ref: number, flags: number): void {
    Atomics.and(this.domain.memory.i32, this.#statusWord(ref), ~(flags << this.#statusShift(ref)));
  }

  /** Index of the word with the status: the entry's own first one in version 1, in a status frame in version 2. */
  #statusWord(ref: number): number {
    if (this.version === 1) return this.entryAt(ref) >>> 2;
    return (this.domain.at + this.domain.plan.grantStatus + ref * GRANT_STATUS_SIZE) >>> 2;
  }

  #statusShift(ref: number): number {
    return this.version === 2 && ref % 2 === 1 ? 16 : 0;
  }

  /** Makes the table have at least `frames` frames, and the status frames they need. False beyond the maximum. Locked. */
  grow(frames: number): boolean {
    const { memory, at } = this.domain;
    if (frames > this.framesMax) return false;
    if (frames > this.frames) Header.grant_frames.set(memory.view, at, frames);
    return true;
  }

  /**
   * The overlay that an index of XENMAPSPACE_grant_table names; what is missing is made. -EINVAL beyond the maximum, and
   * for a status frame in version 1. Locked.
   */
  overlay(idx: number): number {
    const wantsStatus = this.version === 2 && Math.floor(idx / XENMAPIDX_grant_table_status) % 2 === 1;
    if (!wantsStatus) return this.grow(idx + 1) ? OVERLAY.grant + idx : -EINVAL;
    const frame = idx - XENMAPIDX_grant_table_status;
    // The table grows until it needs that many status frames (Xen, gnttab_get_status_frame_mfn).
    const needed = Math.ceil(((frame + 1) * GRANTS_PER_FRAME.status) / GRANTS_PER_FRAME.v2);
    if (frame >= this.statusFrames && !this.grow(needed)) return -EINVAL;
    return OVERLAY.grant + this.framesMax + frame;
  }

  /** Grants `gfn` to domain 0 in a reserved entry, in the form of the version in force: what a toolstack does. */
  setReserved(ref: number, gfn: number): void {
    const { view, i32 } = this.domain.memory;
    const at = this.entryAt(ref);
    if (this.version === 1) GrantEntryV1.frame.set(view, at, gfn);
    else GrantEntryV2.full_page.frame.set(view, at, gfn);
    Atomics.store(i32, at >>> 2, GTF.permit_access | (DOMID_ZERO << 16));
  }

  /** Empties every frame and status frame there is. Locked. */
  clear(): void {
    const { memory, at, plan } = this.domain;
    memory.u8.fill(0, at + plan.grants, at + plan.grants + this.frames * PAGE_SIZE);
    const status = at + plan.grantStatus;
    memory.u8.fill(0, status, status + statusFrames(this.frames) * PAGE_SIZE);
  }
}
