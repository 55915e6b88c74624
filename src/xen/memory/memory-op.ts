// memory_op: where the hypervisor's pages are mapped, and what memory the domain has.
import type { Gfn, HostAddress } from '../../abi/types.ts';
import { EFAULT, EINVAL, ENOENT, ENOSYS, EOPNOTSUPP, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  AcquireResourceHead,
  AddToPhysmap,
  DomidArgument,
  E820_MAX,
  E820Entry,
  ForeignMemoryMap,
  MEMOP_CMD_MASK,
  MemoryMap,
  RemoveFromPhysmap,
  XENMAPIDX_grant_table_status,
  XENMAPSPACE,
  XENMEM,
} from '../../abi/xen/memory.ts';
import { P2M_FRAMES } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import { DomainHeader as Header, OVERLAY } from '../domain-layout.ts';
import { growGrantTable } from '../grants/grant-table-op.ts';
import { decreaseReservation, populatePhysmap } from './balloon.ts';

/** memory_op(cmd, arg). increase_reservation, exchange and add_to_physmap_batch are not there yet: -ENOSYS. */
export function memoryOp(c: HypercallContext): number {
  switch (c.args.low(0) & MEMOP_CMD_MASK) {
    case XENMEM.add_to_physmap:
      return addToPhysmap(c);
    case XENMEM.remove_from_physmap:
      return removeFromPhysmap(c);
    case XENMEM.memory_map:
      return memoryMap(c);
    case XENMEM.set_memory_map:
      return setMemoryMap(c);
    case XENMEM.decrease_reservation:
      return decreaseReservation(c);
    case XENMEM.populate_physmap:
      return populatePhysmap(c);
    case XENMEM.current_reservation:
      return aboutDomain(c, () => Header.tot_pages.get(c.domain.memory.view, c.domain.at));
    case XENMEM.maximum_reservation:
      return aboutDomain(c, () => Header.max_pages.get(c.domain.memory.view, c.domain.at));
    case XENMEM.maximum_gpfn:
      return aboutDomain(c, () => maximumGfn(c));
    case XENMEM.maximum_ram_page:
      // The highest frame of the machine; to the guest, the machine ends where its own memory does.
      return maximumGfn(c);
    case XENMEM.machine_memory_map:
      return -EPERM;
    case XENMEM.get_vnumainfo:
      return -EOPNOTSUPP;
    case XENMEM.acquire_resource:
      return acquireResource(c);
    default:
      return -ENOSYS;
  }
}

/** 0 for the caller's own domain, else -ESRCH or -EPERM. */
function otherDomain(c: HypercallContext, domid: number): number {
  const dom = c.domain.resolve(domid);
  if (dom === undefined) return -ESRCH;
  return dom === c.domain.domid ? 0 : -EPERM;
}

function addToPhysmap(c: HypercallContext): number {
  const S = c.caller.longMode ? AddToPhysmap.wide : AddToPhysmap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const space = S.space.get(view, 0);
  const idx = S.idx.get(view, 0);
  const gfn = S.gpfn.get(view, 0);
  // A foreign page needs the batch form, which names the other domain.
  if (space === XENMAPSPACE.gmfn_foreign) return -ENOSYS;
  const foreign = otherDomain(c, S.domid.get(view, 0));
  if (foreign < 0) return foreign;
  const { lock, overlays } = c.domain;
  lock.acquire();
  try {
    const page = overlayPage(c, space, idx);
    if (page < 0) return page;
    if (gfn >= P2M_FRAMES) return -EINVAL;
    overlays.map(page, gfn as Gfn);
    return 0;
  } finally {
    lock.release();
  }
}

/** The overlay that a mapping space and index name; a grant frame not there yet is made. */
function overlayPage(c: HypercallContext, space: number, idx: number): number {
  switch (space) {
    case XENMAPSPACE.shared_info:
      return idx === 0 ? OVERLAY.shared_info : -EINVAL;
    case XENMAPSPACE.grant_table:
      // Status frames exist with version 2 only.
      if (idx >= XENMAPIDX_grant_table_status) return -EINVAL;
      return growGrantTable(c.domain, idx + 1) ? OVERLAY.grant + idx : -EINVAL;
    case XENMAPSPACE.gmfn:
    case XENMAPSPACE.gmfn_range:
      // Moving RAM is not there yet.
      return -ENOSYS;
    case XENMAPSPACE.dev_mmio:
      return -EPERM;
    default:
      return -EINVAL;
  }
}

function removeFromPhysmap(c: HypercallContext): number {
  const S = c.caller.longMode ? RemoveFromPhysmap.wide : RemoveFromPhysmap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const foreign = otherDomain(c, S.domid.get(c.buffer.view, 0));
  if (foreign < 0) return foreign;
  const gfn = S.gpfn.get(c.buffer.view, 0) as Gfn;
  const { memory, lock, overlays } = c.domain;
  lock.acquire();
  try {
    if (memory.entry(gfn) === 0) return -ENOENT;
    if (!overlays.unmapAt(gfn)) memory.map(gfn, 0 as HostAddress);
    return 0;
  } finally {
    lock.release();
  }
}

function memoryMap(c: HypercallContext): number {
  const { memory, at, plan } = c.domain;
  const count = Header.e820_entries.get(memory.view, at);
  if (count === 0) return -ENOSYS;
  const S = c.caller.longMode ? MemoryMap.wide : MemoryMap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const copied = Math.min(count, S.nr_entries.get(view, 0));
  const buffer = S.buffer.get(view, 0);
  const table = memory.u8.subarray(at + plan.e820, at + plan.e820 + copied * E820Entry.sizeof);
  if (copied > 0 && !c.caller.writeVirtual(buffer, table)) return -EFAULT;
  S.nr_entries.set(view, 0, copied);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

function setMemoryMap(c: HypercallContext): number {
  const S = c.caller.longMode ? ForeignMemoryMap.wide : ForeignMemoryMap.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const count = S.nr_entries.get(c.buffer.view, 0);
  if (count > E820_MAX) return -EINVAL;
  const foreign = otherDomain(c, S.domid.get(c.buffer.view, 0));
  if (foreign < 0) return foreign;
  const bytes = count * E820Entry.sizeof;
  if (count > 0 && !c.buffer.copyIn(c.caller, S.buffer.get(c.buffer.view, 0), bytes)) return -EFAULT;
  const { memory, at, plan } = c.domain;
  memory.u8.set(c.buffer.slice(bytes), at + plan.e820);
  Header.e820_entries.set(memory.view, at, count);
  return 0;
}

function aboutDomain(c: HypercallContext, answer: () => number): number {
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), DomidArgument.sizeof)) return -EFAULT;
  const foreign = otherDomain(c, DomidArgument.domid.get(c.buffer.view, 0));
  return foreign < 0 ? foreign : answer();
}

/** The highest frame with memory. The special pages near 4 GiB make this a short search. */
function maximumGfn(c: HypercallContext): number {
  for (let gfn = P2M_FRAMES - 1; gfn > 0; gfn--) if (c.domain.memory.isRam(gfn as Gfn)) return gfn;
  return 0;
}

function acquireResource(c: HypercallContext): number {
  const S = AcquireResourceHead;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  if (S.pad.get(c.buffer.view, 0) !== 0) return -EINVAL;
  // For another domain's resources only.
  return c.domain.resolve(S.domid.get(c.buffer.view, 0)) === undefined ? -ESRCH : -EPERM;
}
