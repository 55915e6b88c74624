// GNTTABOP_map_grant_ref and unmap_grant_ref: a guest as the one who is granted something. It can map only what it granted to
// itself, since domain 0 grants nothing. As in Xen, the mapping is a p2m entry at the frame of `host_addr`; a page of one's
// own thereby moves there from where it was, and unmapping leaves a hole (hvm/grant_table.c, p2m_add_page).
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_SELF, DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EFAULT } from '../../abi/xen/errno.ts';
import { GNTMAP, GNTST, GnttabMapGrantRef, GnttabUnmapGrantRef } from '../../abi/xen/grant-table.ts';
import { P2M, P2M_FRAMES, pageOf } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { MaptrackEntry } from '../domain-layout.ts';
import { noteMapped } from '../memory/memory-size.ts';
import { ungranted } from './active-grants.ts';
import { freeHandle, handleLeft, mapping, takeHandle } from './maptrack.ts';

/** What a translated domain cannot have: its own page tables are not the hypervisor's, and devices see guest frames. */
const NOT_FOR_HVM = GNTMAP.device_map | GNTMAP.application_map | GNTMAP.contains_pte;

/** Maps grants one by one; 0, or -EFAULT at the first argument that cannot be read or answered. */
export function mapGrantRefs(c: HypercallContext, count: number): number {
  const S = GnttabMapGrantRef;
  const { view } = c.buffer;
  try {
    for (let i = 0; i < count; i++) {
      const at = c.args.pointer(1) + BigInt(i * S.sizeof);
      if (!c.buffer.copyIn(c.caller, at, S.sizeof)) return -EFAULT;
      const flags = S.flags.get(view, 0);
      const ref = S.ref.get(view, 0);
      const gfn = Math.floor(S.host_addr.get(view, 0) / PAGE_SIZE);
      const handle = mapGrant(c.domain, S.dom.get(view, 0), ref, flags, gfn);
      if (handle >= 0) {
        S.handle.set(view, 0, handle);
        // Machine addresses are those in the arena.
        S.dev_bus_addr.set(view, 0, c.domain.grants.active.page(ref));
      }
      S.status.set(view, 0, Math.min(handle, GNTST.okay));
      if (!c.buffer.copyOut(c.caller, at, S.sizeof)) return -EFAULT;
    }
    return 0;
  } finally {
    c.hooks.flushTlbs();
  }
}

/** Maps one grant at `gfn`; its handle, or a negative GNTST. */
function mapGrant(domain: XenDomain, domid: number, ref: number, flags: number, gfn: number): number {
  if ((flags & (GNTMAP.device_map | GNTMAP.host_map)) === 0) return GNTST.bad_gntref;
  if ((flags & NOT_FOR_HVM) !== 0) return GNTST.general_error;
  // DOMID_SELF is not understood here.
  if (domid === DOMID_SELF || domain.resolve(domid) === undefined) return GNTST.bad_domain;
  const { grants, lock } = domain;
  lock.acquire();
  try {
    if (!handleLeft(domain)) return GNTST.no_space;
    if (domid === DOMID_ZERO) return ungranted(ref);
    const readonly = (flags & GNTMAP.readonly) !== 0;
    const status = grants.active.acquire(ref, domain.domid, readonly, 'map');
    if (status !== GNTST.okay) return status;
    if ((flags & ~GNTMAP.readonly) !== GNTMAP.host_map || !place(domain, ref, gfn, readonly)) {
      grants.active.release(ref, readonly);
      return GNTST.general_error;
    }
    return takeHandle(domain, domid, ref, flags);
  } finally {
    lock.release();
  }
}

/** Puts the page of a grant in use at `gfn`. False for a frame that cannot be mapped, and for a page of the hypervisor. */
function place(domain: XenDomain, ref: number, gfn: number, readonly: boolean): boolean {
  const { memory, grants, overlays, at, plan } = domain;
  const page = grants.active.page(ref);
  if (gfn >= P2M_FRAMES || (page >= at && page < at + plan.size)) return false;
  // Xen ends a domain that maps something over a mapped grant.
  if (memory.entry(gfn as Gfn) & P2M.grant) return false;
  const from = grants.active.gfn(ref);
  const entry = memory.entry(from);
  overlays.unmapAt(gfn as Gfn);
  if (pageOf(entry) === page && (entry & P2M.grant) === 0) memory.map(from, 0 as HostAddress);
  memory.map(gfn as Gfn, page, !readonly);
  memory.flag(gfn as Gfn, P2M.grant, 0);
  noteMapped(domain, gfn);
  return true;
}

/** Unmaps grants one by one; 0, or -EFAULT at the first argument that cannot be read or answered. */
export function unmapGrantRefs(c: HypercallContext, count: number): number {
  const S = GnttabUnmapGrantRef;
  const { view } = c.buffer;
  try {
    for (let i = 0; i < count; i++) {
      const at = c.args.pointer(1) + BigInt(i * S.sizeof);
      if (!c.buffer.copyIn(c.caller, at, S.sizeof)) return -EFAULT;
      const status = unmapGrant(c.domain, S.handle.get(view, 0), S.host_addr.get(view, 0));
      view.setInt16(0, status, true);
      if (!c.buffer.copyOut(c.caller, at + BigInt(S.status.offset), 2)) return -EFAULT;
    }
    return 0;
  } finally {
    c.hooks.flushTlbs();
  }
}

/** Ends one mapping. Address 0 leaves it as it is. */
function unmapGrant(domain: XenDomain, handle: number, address: number): number {
  const { memory, grants, lock } = domain;
  lock.acquire();
  try {
    const entry = mapping(domain, handle);
    if (entry === 0) return GNTST.bad_handle;
    if (address === 0) return GNTST.okay;
    const ref = MaptrackEntry.ref.get(memory.view, entry);
    const gfn = Math.floor(address / PAGE_SIZE) as Gfn;
    const there = memory.entry(gfn);
    if ((there & P2M.grant) === 0 || pageOf(there) !== grants.active.page(ref)) return GNTST.general_error;
    const readonly = (MaptrackEntry.flags.get(memory.view, entry) & GNTMAP.readonly) !== 0;
    memory.map(gfn, 0 as HostAddress);
    freeHandle(domain, handle);
    grants.active.release(ref, readonly);
    return GNTST.okay;
  } finally {
    lock.release();
  }
}
