// Pages that go back and forth between the guest and the host: XENMEM_decrease_reservation and XENMEM_populate_physmap.
// Both answer how many extents were done, 0 for a bad argument too. A page given back is zeroed before it is given again.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { PAGE_SIZE } from '../../abi/types.ts';
import { DOMU_MAX_ORDER, MemoryReservation } from '../../abi/xen/memory.ts';
import { P2M, P2M_FRAMES } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header } from '../domain-layout.ts';

/** Takes pages from the guest. Linux relies on it when it makes room for its grant frames. */
export const decreaseReservation = (c: HypercallContext): number => eachExtent(c, giveBack);
/** Gives the guest pages it gave back before, at frames where nothing is. */
export const populatePhysmap = (c: HypercallContext): number => eachExtent(c, populate);

/** Does extents until one fails. Each one done moves pages, so a guest cannot make this long. */
function eachExtent(c: HypercallContext, act: (domain: XenDomain, gfn: number, pages: number) => boolean): number {
  const S = c.caller.longMode ? MemoryReservation.wide : MemoryReservation.narrow;
  const { view } = c.buffer;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return 0;
  const list = S.extent_start.get(view, 0);
  const count = S.nr_extents.get(view, 0);
  const order = S.extent_order.get(view, 0);
  if (c.domain.resolve(S.domid.get(view, 0)) !== c.domain.domid || order > DOMU_MAX_ORDER) return 0;
  const size = c.caller.longMode ? 8 : 4;
  let done = 0;
  c.domain.lock.acquire();
  try {
    for (; done < count; done++) {
      if (!c.buffer.copyIn(c.caller, list + BigInt(done * size), size)) break;
      const high = size === 8 ? view.getUint32(4, true) : 0;
      if (!act(c.domain, high * 0x1_0000_0000 + view.getUint32(0, true), 1 << order)) break;
    }
  } finally {
    c.domain.lock.release();
  }
  return done;
}

function giveBack(domain: XenDomain, gfn: number, pages: number): boolean {
  const { memory, at, plan } = domain;
  for (let i = 0; i < pages; i++) {
    const entry = memory.entry((gfn + i) as Gfn);
    const free = Header.free_pages.get(memory.view, at);
    const host = (entry & ~P2M.flags) >>> 0;
    // The hypervisor's own pages are not the guest's to give.
    if (entry === 0 || (host >= at && host < at + plan.size)) return false;
    if (free >= Header.free_pages_max.get(memory.view, at)) return false;
    memory.map((gfn + i) as Gfn, 0 as HostAddress);
    memory.view.setUint32(at + plan.freePages + free * 4, host, true);
    Header.free_pages.set(memory.view, at, free + 1);
    Header.tot_pages.set(memory.view, at, Header.tot_pages.get(memory.view, at) - 1);
  }
  return true;
}

function populate(domain: XenDomain, gfn: number, pages: number): boolean {
  const { memory, at, plan } = domain;
  const total = Header.tot_pages.get(memory.view, at);
  let free = Header.free_pages.get(memory.view, at);
  if (free < pages || total + pages > Header.max_pages.get(memory.view, at) || gfn + pages > P2M_FRAMES) return false;
  for (let i = 0; i < pages; i++) if (memory.isRam((gfn + i) as Gfn)) return false;
  for (let i = 0; i < pages; i++) {
    free--;
    const host = memory.view.getUint32(at + plan.freePages + free * 4, true);
    memory.u8.fill(0, host, host + PAGE_SIZE);
    memory.map((gfn + i) as Gfn, host as HostAddress);
  }
  Header.free_pages.set(memory.view, at, free);
  Header.tot_pages.set(memory.view, at, total + pages);
  return true;
}
