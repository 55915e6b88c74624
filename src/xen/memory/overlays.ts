// Pages of the hypervisor that the guest maps where it likes: shared_info, grant frames and their status frames.
// An overlay has one place at a time. It hides what the p2m had there, and gives it back when it leaves.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { P2M, P2M_FRAMES } from '../../memory/guest-memory.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader, NOT_MAPPED, OVERLAY, OverlayEntry, overlayCount } from '../domain-layout.ts';

export class Overlays {
  readonly #domain: XenDomain;
  readonly #count: number;
  readonly #grantFrames: number;

  constructor(domain: XenDomain) {
    this.#domain = domain;
    this.#grantFrames = DomainHeader.grant_frames_max.get(domain.memory.view, domain.at);
    this.#count = overlayCount(this.#grantFrames);
  }

  /** Where a page is mapped, or NOT_MAPPED. */
  gfn(page: number): number {
    return OverlayEntry.gfn.get(this.#domain.memory.view, this.#entry(page));
  }

  /** Maps overlay `page` at `gfn` (below P2M_FRAMES), leaving its former place. The domain's lock is held. */
  map(page: number, gfn: Gfn): void {
    const { memory, trace } = this.#domain;
    if (this.gfn(page) === gfn) return;
    this.#remove(page);
    const there = this.at(gfn);
    const shadowed = there < 0 ? memory.entry(gfn) : OverlayEntry.shadowed.get(memory.view, this.#entry(there));
    if (there >= 0) OverlayEntry.gfn.set(memory.view, this.#entry(there), NOT_MAPPED);
    OverlayEntry.gfn.set(memory.view, this.#entry(page), gfn);
    OverlayEntry.shadowed.set(memory.view, this.#entry(page), shadowed);
    memory.map(gfn, this.#host(page));
    if (trace.overlay.on) trace.overlay(page, gfn);
  }

  /** The p2m entry that an overlay hides where it is mapped; 0 when nothing is beneath. */
  shadowed(page: number): number {
    return this.gfn(page) === NOT_MAPPED ? 0 : OverlayEntry.shadowed.get(this.#domain.memory.view, this.#entry(page));
  }

  /** Takes an overlay away from where it is mapped, if it is. The domain's lock is held. */
  unmap(page: number): void {
    this.#remove(page);
  }

  /** Takes whatever overlay is at `gfn` away. Returns false when there is none. The domain's lock is held. */
  unmapAt(gfn: Gfn): boolean {
    const page = this.at(gfn);
    if (page < 0) return false;
    this.#remove(page);
    return true;
  }

  /** The overlay mapped at `gfn`, or -1. */
  at(gfn: number): number {
    const { memory, at, plan } = this.#domain;
    const entry = gfn < P2M_FRAMES ? memory.entry(gfn as Gfn) : 0;
    // Most frames are RAM: the list is looked through for pages of the platform's own only.
    if (entry >>> 0 < at || entry >>> 0 >= at + plan.size) return -1;
    for (let page = 0; page < this.#count; page++) if (this.gfn(page) === gfn) return page;
    return -1;
  }

  #remove(page: number): void {
    const { memory } = this.#domain;
    const gfn = this.gfn(page);
    if (gfn === NOT_MAPPED) return;
    const shadowed = OverlayEntry.shadowed.get(memory.view, this.#entry(page));
    OverlayEntry.gfn.set(memory.view, this.#entry(page), NOT_MAPPED);
    memory.map(gfn as Gfn, ((shadowed & ~P2M.flags) >>> 0) as HostAddress, (shadowed & P2M.writable) !== 0);
  }

  #host(page: number): HostAddress {
    const { at, plan } = this.#domain;
    if (page < OVERLAY.grant) return (at + plan.sharedInfo) as HostAddress;
    const frame = page - OVERLAY.grant;
    const frames = frame < this.#grantFrames ? plan.grants : plan.grantStatus - this.#grantFrames * PAGE_SIZE;
    return (at + frames + frame * PAGE_SIZE) as HostAddress;
  }

  #entry(page: number): number {
    return this.#domain.at + this.#domain.plan.overlays + page * OverlayEntry.sizeof;
  }
}
