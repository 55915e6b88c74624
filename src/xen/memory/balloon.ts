// Pages that go back and forth between the guest and the host: XENMEM_decrease_reservation, XENMEM_populate_physmap and
// XENMEM_increase_reservation. They answer how many extents were done, 0 for a bad argument too. A page is zeroed before it
// is given. xen/common/memory.c.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { DOMU_MAX_ORDER, MEMOP_EXTENT_SHIFT, MemoryReservation, XENMEMF } from '../../abi/xen/memory.ts';
import { P2M, P2M_FRAMES, pageOf } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';
import { continueFrom } from './memory-continuation.ts';
import { noteMapped } from './memory-size.ts';

type Act = (domain: XenDomain, gfn: number, pages: number) => boolean;

/** Takes pages from the guest. Linux relies on it when it makes room for its grant frames. */
export const decreaseReservation = (c: HypercallContext, start: number): number => eachExtent(c, start, giveBack);

/** Gives the guest pages at frames of its choice. What was there is lost, as in Xen. */
export const populatePhysmap = (c: HypercallContext, start: number): number => eachExtent(c, start, populate);

/** Pages that the guest owns but that are at no frame: of no use to a translated guest, yet Xen hands them out. */
export const increaseReservation = (c: HypercallContext, start: number): number => eachExtent(c, start, own);

/** Pages moved before the vCPU's thread may look at other things. */
const SLICE = 4096;
/** Extents one call can ask for, so that their number fits above the sub-operation. */
const MAX_EXTENTS = 0xffff_ffff >>> MEMOP_EXTENT_SHIFT;

/** Does extents from `start` until one fails, or until other work may wait. */
function eachExtent(c: HypercallContext, start: number, act: Act): number {
  const S = c.caller.longMode ? MemoryReservation.wide : MemoryReservation.narrow;
  const { view } = c.buffer;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return start;
  const list = S.extent_start.get(view, 0);
  const count = S.nr_extents.get(view, 0);
  const order = S.extent_order.get(view, 0);
  const flags = S.mem_flags.get(view, 0);
  if (count > MAX_EXTENTS || start >= count) return start;
  if (c.domain.resolve(S.domid.get(view, 0)) !== c.domain.domid) return start;
  const addressBits = flags & XENMEMF.address_bits;
  if (addressBits !== 0 && addressBits <= 12) return start;
  if (order > DOMU_MAX_ORDER) return start;
  // A guest cannot have pages populated on demand for itself.
  if (act === populate && flags & XENMEMF.populate_on_demand) return start;
  const size = c.caller.longMode ? 8 : 4;
  const { lock } = c.domain;
  let work = 0;
  for (let extent = start; extent < count; extent++) {
    let gfn = 0;
    if (act !== own) {
      if (!c.buffer.copyIn(c.caller, list + BigInt(extent * size), size)) return extent;
      gfn = (size === 8 ? view.getUint32(4, true) * 0x1_0000_0000 : 0) + view.getUint32(0, true);
    }
    lock.acquire();
    const done = act(c.domain, gfn, 1 << order);
    lock.release();
    if (!done) return extent;
    work += 1 << order;
    if (work >= SLICE && extent + 1 < count) return continueFrom(c, extent + 1);
  }
  return count;
}

function giveBack(domain: XenDomain, gfn: number, pages: number): boolean {
  for (let i = 0; i < pages; i++) {
    if (domain.memory.entry((gfn + i) as Gfn) === 0 || !takePage(domain, gfn + i)) return false;
  }
  return true;
}

/**
 * Empties a frame: an overlay is unmapped, and RAM, that beneath an overlay too, goes back to the host. False where it may not:
 * a granted page, a ring, or more pages than can be remembered; nothing has changed then. The domain's lock is held.
 */
export function takePage(domain: XenDomain, gfn: number): boolean {
  const { memory, overlays, at, plan } = domain;
  const overlay = overlays.at(gfn);
  const entry = beneath(domain, gfn);
  const free = Header.free_pages.get(memory.view, at);
  if (!isTakeable(domain, entry)) return false;
  if (entry !== 0 && free >= Header.free_pages_max.get(memory.view, at)) return false;
  if (overlay >= 0) overlays.unmap(overlay);
  if (entry === 0) return true;
  memory.map(gfn as Gfn, 0 as HostAddress);
  memory.view.setUint32(at + plan.freePages + free * 4, pageOf(entry), true);
  Header.free_pages.set(memory.view, at, free + 1);
  // A guest that took pages without frames may have fewer than it gives.
  Header.tot_pages.set(memory.view, at, Math.max(0, Header.tot_pages.get(memory.view, at) - 1));
  return true;
}

/** The p2m entry of a frame, or what an overlay there hides. */
function beneath(domain: XenDomain, gfn: number): number {
  const overlay = domain.overlays.at(gfn);
  return overlay >= 0 ? domain.overlays.shadowed(overlay) : domain.memory.entry(gfn as Gfn);
}

/** Not a page granted by somebody, nor one of the rings: those are the hypervisor's own pages. */
function isTakeable({ at, plan }: XenDomain, entry: number): boolean {
  const host = pageOf(entry);
  return (entry & P2M.grant) === 0 && (host < at || host >= at + plan.size);
}

function populate(domain: XenDomain, gfn: number, pages: number): boolean {
  const { memory, at, plan } = domain;
  const total = Header.tot_pages.get(memory.view, at);
  if (total + pages > Header.max_pages.get(memory.view, at) || gfn + pages > P2M_FRAMES) return false;
  let free = Header.free_pages.get(memory.view, at);
  let regained = 0;
  for (let i = 0; i < pages; i++) {
    const entry = beneath(domain, gfn + i);
    if (!isTakeable(domain, entry)) return false;
    if (entry !== 0) regained++;
  }
  if (free + regained < pages) return false;
  for (let i = 0; i < pages; i++) if (!takePage(domain, gfn + i)) return false;
  free = Header.free_pages.get(memory.view, at);
  for (let i = 0; i < pages; i++) {
    free--;
    const host = memory.view.getUint32(at + plan.freePages + free * 4, true);
    memory.u8.fill(0, host, host + PAGE_SIZE);
    memory.map((gfn + i) as Gfn, host as HostAddress);
  }
  Header.free_pages.set(memory.view, at, free);
  Header.tot_pages.set(memory.view, at, Header.tot_pages.get(memory.view, at) + pages);
  noteMapped(domain, gfn + pages - 1);
  return true;
}

function own(domain: XenDomain, _gfn: number, pages: number): boolean {
  const { memory, at } = domain;
  const total = Header.tot_pages.get(memory.view, at) + pages;
  if (total > Header.max_pages.get(memory.view, at)) return false;
  Header.tot_pages.set(memory.view, at, total);
  return true;
}
