// What lies at which guest frame: XENMEM_add_to_physmap, its batch form, XENMEM_remove_from_physmap.
// xen/common/memory.c, xen/arch/x86/mm/p2m.c.
import type { Gfn } from '../../abi/types.ts';
import {
  EACCES,
  EDOM,
  EFAULT,
  EILSEQ,
  EINVAL,
  ENOENT,
  ENOMEM,
  ENOSYS,
  EOPNOTSUPP,
  EOVERFLOW,
  EPERM,
} from '../../abi/xen/errno.ts';
import { AddToPhysmap, AddToPhysmapBatch, RemoveFromPhysmap, XENMAPSPACE } from '../../abi/xen/memory.ts';
import { P2M, P2M_FRAMES, pageOf } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { OVERLAY } from '../domain-layout.ts';
import { takePage } from './balloon.ts';
import { ownDomain, remoteDomain } from './domain-argument.ts';
import { continueFrom } from './memory-continuation.ts';
import { noteMapped } from './memory-size.ts';

const MAX_SIZE = 0xffff;
/** Frames mapped before the vCPU's thread may look at other things. */
const SLICE = 4096;

/** `start`: where a continued XENMAPSPACE_gmfn_range goes on. */
export function addToPhysmap(c: HypercallContext, start: number): number {
  if (start > MAX_SIZE) return -EDOM;
  const S = c.caller.longMode ? AddToPhysmap.wide : AddToPhysmap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const space = S.space.get(view, 0);
  // A foreign page needs the batch form, which names the other domain.
  if (space === XENMAPSPACE.gmfn_foreign) return -ENOSYS;
  const refused = permission(c.domain, S.domid.get(view, 0), space);
  if (refused < 0) return refused;
  const size = S.size.get(view, 0);
  const idx = S.idx.get(view, 0);
  const gfn = S.gpfn.get(view, 0);
  const { longMode } = c.caller;
  if (longMode && isInvalidGfn(view, S.gpfn.offset)) return -EINVAL;
  if (space !== XENMAPSPACE.gmfn_range) return mapOne(c.domain, space, idx, gfn, 0);
  if (size < start) return -EILSEQ;
  if (longMode && (wraps(view, S.gpfn.offset, size) || wraps(view, S.idx.offset, size))) return -EOVERFLOW;
  for (let done = start; done < size; done++) {
    const result = mapOne(c.domain, XENMAPSPACE.gmfn, idx + done, gfn + done, 0);
    if (result < 0) return result;
    if (done + 1 < size && done + 1 - start >= SLICE) return continueFrom(c, done + 1);
  }
  return 0;
}

/** The errors of single entries go to `errs`; the call itself fails only where the lists cannot be read or written. */
export function addToPhysmapBatch(c: HypercallContext, start: number): number {
  if (start > MAX_SIZE) return -EDOM;
  const S = c.caller.longMode ? AddToPhysmapBatch.wide : AddToPhysmapBatch.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const space = S.space.get(view, 0);
  if (space === XENMAPSPACE.gmfn_range) return -EOPNOTSUPP;
  const refused = permission(c.domain, S.domid.get(view, 0), space);
  if (refused < 0) return refused;
  const size = S.size.get(view, 0);
  if (size < start) return -EILSEQ;
  if (size === start) return start === 0 ? 0 : -EILSEQ;
  const foreign = S.foreign_domid.get(view, 0);
  const idxs = S.idxs.get(view, 0);
  const gpfns = S.gpfns.get(view, 0);
  const errs = S.errs.get(view, 0);
  for (let entry = start; entry < size; entry++) {
    const idx = readFrame(c, idxs, entry);
    if (idx < 0) return -EFAULT;
    const gfn = readFrame(c, gpfns, entry);
    if (gfn < 0) return -EFAULT;
    if (c.caller.longMode && isInvalidGfn(view, 0)) return -EINVAL;
    view.setInt32(0, mapOne(c.domain, space, idx, gfn, foreign), true);
    if (!c.buffer.copyOut(c.caller, errs + BigInt(entry * 4), 4)) return -EFAULT;
    if (entry + 1 < size && entry + 1 - start >= SLICE) return continueFrom(c, entry + 1);
  }
  return 0;
}

export function removeFromPhysmap(c: HypercallContext): number {
  const S = c.caller.longMode ? RemoveFromPhysmap.wide : RemoveFromPhysmap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const foreign = ownDomain(c.domain, S.domid.get(c.buffer.view, 0));
  if (foreign < 0) return foreign;
  const gfn = S.gpfn.get(c.buffer.view, 0) as Gfn;
  const { memory, lock, overlays } = c.domain;
  lock.acquire();
  try {
    if (memory.entry(gfn) === 0) return -ENOENT;
    // RAM stays the domain's: it is at no frame any more, and counted all the same.
    if (!overlays.unmapAt(gfn)) memory.map(gfn, 0 as never);
    return 0;
  } finally {
    lock.release();
  }
}

/** Whom the operation is for, and whether the space is one for such a guest. */
function permission(domain: XenDomain, domid: number, space: number): number {
  if (domain.resolve(domid) !== undefined && space === XENMAPSPACE.dev_mmio) return -EACCES;
  return ownDomain(domain, domid);
}

/** Puts the page that `space` and `idx` name at `gfn`. */
function mapOne(domain: XenDomain, space: number, idx: number, gfn: number, foreignDomid: number): number {
  const { memory, lock, overlays } = domain;
  if (space === XENMAPSPACE.gmfn_foreign) return remoteDomain(domain, foreignDomid);
  lock.acquire();
  try {
    if (space === XENMAPSPACE.gmfn) return movePage(domain, idx, gfn);
    const page = overlayPage(domain, space, idx);
    if (page < 0) return page;
    if (gfn >= P2M_FRAMES) return -EINVAL;
    if (memory.entry(gfn as Gfn) & P2M.grant) return -EPERM;
    overlays.map(page, gfn as Gfn);
    noteMapped(domain, gfn);
    return 0;
  } finally {
    lock.release();
  }
}

/** The overlay that a mapping space and index name; a grant frame not there yet is made. */
function overlayPage(domain: XenDomain, space: number, idx: number): number {
  switch (space) {
    case XENMAPSPACE.shared_info:
      return idx === 0 ? OVERLAY.shared_info : -EINVAL;
    case XENMAPSPACE.grant_table:
      return domain.grants.overlay(idx);
    default:
      return -EINVAL;
  }
}

/** Moves the page at frame `from` to frame `to`. What was there goes: an overlay is unmapped, RAM becomes the host's. */
function movePage(domain: XenDomain, from: number, to: number): number {
  const { memory, overlays } = domain;
  const entry = memory.entry(from as Gfn);
  if (entry === 0 || entry & P2M.grant || to >= P2M_FRAMES) return -EINVAL;
  if (from === to) return 0;
  if (memory.entry(to as Gfn) & P2M.grant) return -EPERM;
  const overlay = overlays.at(from);
  // A ring there just loses its frame.
  const ring = overlays.at(to) < 0 && isOwnPage(domain, memory.entry(to as Gfn));
  if (!ring && !takePage(domain, to)) return -ENOMEM;
  if (overlay >= 0) overlays.map(overlay, to as Gfn);
  else {
    memory.map(from as Gfn, 0 as never);
    memory.map(to as Gfn, pageOf(entry), (entry & P2M.writable) !== 0);
  }
  noteMapped(domain, to);
  return 0;
}

/** Whether an entry leads to a page of the platform's own. */
function isOwnPage({ at, plan }: XenDomain, entry: number): boolean {
  const host = pageOf(entry);
  return host >= at && host < at + plan.size;
}

/** Entry `index` of a list of frames, which stays at the buffer's start, or -1 when it cannot be read. */
function readFrame(c: HypercallContext, list: bigint, index: number): number {
  const size = c.caller.longMode ? 8 : 4;
  if (!c.buffer.copyIn(c.caller, list + BigInt(index * size), size)) return -1;
  const high = size === 8 ? c.buffer.view.getUint32(4, true) : 0;
  return high * 0x1_0000_0000 + c.buffer.view.getUint32(0, true);
}

/** All ones: exact, which a Number of 64 bits is not. */
const isInvalidGfn = (view: DataView, at: number): boolean =>
  view.getUint32(at, true) === 0xffff_ffff && view.getUint32(at + 4, true) === 0xffff_ffff;

/** Whether a 64-bit frame number exceeds 2^64 - 1 within `size` steps. */
const wraps = (view: DataView, at: number, size: number): boolean =>
  view.getUint32(at + 4, true) === 0xffff_ffff && view.getUint32(at, true) + size > 0xffff_ffff;
