// GNTTABOP_copy: bytes between a frame of the caller or a grant, and another. Each operation has a status of its own.
import { type Gfn, type HostAddress, PAGE_SIZE } from '../../abi/types.ts';
import { DOMID_SELF, DOMID_ZERO } from '../../abi/xen/domid.ts';
import { EFAULT } from '../../abi/xen/errno.ts';
import { GNTCOPY, GNTST, GnttabCopy } from '../../abi/xen/grant-table.ts';
import { P2M, pageOf } from '../../memory/guest-memory.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { ungranted } from './active-grants.ts';

/** Copies one by one; 0, or -EFAULT at the first argument that cannot be read or answered. */
export function copyGrants(c: HypercallContext, count: number): number {
  const S = c.caller.longMode ? GnttabCopy.wide : GnttabCopy.narrow;
  const { view } = c.buffer;
  for (let i = 0; i < count; i++) {
    const at = c.args.pointer(1) + BigInt(i * S.sizeof);
    if (!c.buffer.copyIn(c.caller, at, S.sizeof)) return -EFAULT;
    view.setInt16(0, copyOne(c), true);
    if (!c.buffer.copyOut(c.caller, at + BigInt(S.status.offset), 2)) return -EFAULT;
  }
  return 0;
}

/** Does the operation in the buffer. */
function copyOne(c: HypercallContext): number {
  const S = c.caller.longMode ? GnttabCopy.wide : GnttabCopy.narrow;
  const { domain } = c;
  const { view } = c.buffer;
  const length = S.len.get(view, 0);
  if (length === 0) return GNTST.okay;
  const flags = S.flags.get(view, 0);
  const sourceGrant = (flags & GNTCOPY.source_gref) !== 0;
  const destGrant = (flags & GNTCOPY.dest_gref) !== 0;
  const sourceDomid = S.source_domid.get(view, 0);
  const destDomid = S.dest_domid.get(view, 0);
  const named = nameable(domain, sourceDomid, sourceGrant) || nameable(domain, destDomid, destGrant);
  if (named !== GNTST.okay) return named;
  // The union's `ref` is the low word of its `gmfn`.
  const source = sourceGrant ? view.getUint32(S.source_frame.offset, true) : S.source_frame.get(view, 0);
  const dest = destGrant ? view.getUint32(S.dest_frame.offset, true) : S.dest_frame.get(view, 0);
  const sourceOffset = S.source_offset.get(view, 0);
  const destOffset = S.dest_offset.get(view, 0);
  const { lock, memory, grants } = domain;
  lock.acquire();
  try {
    let status = claim(domain, sourceDomid, source, sourceGrant, true);
    if (status !== GNTST.okay) return status;
    status = claim(domain, destDomid, dest, destGrant, false);
    if (status === GNTST.okay) {
      if (sourceOffset + length > PAGE_SIZE || destOffset + length > PAGE_SIZE) status = GNTST.bad_copy_arg;
      else if (sourceGrant && !grants.active.covers(source, sourceOffset, length)) status = GNTST.general_error;
      else if (destGrant && !grants.active.covers(dest, destOffset, length)) status = GNTST.general_error;
      else {
        const from = pageAt(domain, source, sourceGrant) + sourceOffset;
        memory.u8.copyWithin(pageAt(domain, dest, destGrant) + destOffset, from, from + length);
        memory.stored(destGrant ? grants.active.gfn(dest) : (dest as Gfn));
      }
      if (destGrant) grants.active.release(dest, false);
    }
    if (sourceGrant) grants.active.release(source, true);
    return status;
  } finally {
    lock.release();
  }
}

/** Whether a domain may be given for a side: only the caller as DOMID_SELF when the side is a frame. */
function nameable(domain: XenDomain, domid: number, grant: boolean): number {
  if (!grant && domid !== DOMID_SELF) return GNTST.permission_denied;
  return domain.resolve(domid) === undefined ? GNTST.bad_domain : GNTST.okay;
}

/** Begins the use of one side. */
function claim(domain: XenDomain, domid: number, which: number, grant: boolean, readonly: boolean): number {
  if (grant) {
    if (domain.resolve(domid) === DOMID_ZERO) return ungranted(which);
    return domain.grants.active.acquire(which, domain.domid, readonly, 'copy');
  }
  const entry = domain.memory.entry(which as Gfn);
  if (entry === 0) return GNTST.bad_page;
  return readonly || entry & P2M.writable ? GNTST.okay : GNTST.general_error;
}

const pageAt = (domain: XenDomain, which: number, grant: boolean): HostAddress =>
  grant ? domain.grants.active.page(which) : pageOf(domain.memory.entry(which as Gfn));
