// grant_table_op, as far as a frontend needs it: the table's size, version and frames.
import { INVALID_GFN } from '../../abi/xen/domid.ts';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  GNTST,
  GNTTABOP,
  GnttabGetVersion,
  GnttabQuerySize,
  GnttabSetupTable,
  GnttabSetVersion,
} from '../../abi/xen/grant-table.ts';
import type { HypercallContext } from '../calls/hypercall-context.ts';
import type { XenDomain } from '../domain.ts';
import { DomainHeader as Header, NOT_MAPPED, OVERLAY } from '../domain-layout.ts';

/** grant_table_op(cmd, array, count). Mapping and copying (ops 0, 1, 5, 11) are a backend's; a guest gets -ENOSYS. */
export function grantTableOp(c: HypercallContext): number {
  const count = c.args.low(2);
  if (count > 0x7fff_ffff) return -EINVAL;
  switch (c.args.low(0)) {
    case GNTTABOP.setup_table:
      return count === 1 ? setupTable(c) : -EINVAL;
    case GNTTABOP.query_size:
      return count === 1 ? querySize(c) : -EINVAL;
    case GNTTABOP.set_version:
      return setVersion(c);
    case GNTTABOP.get_version:
      return getVersion(c);
    default:
      return -ENOSYS;
  }
}

/** Makes the table have at least `frames` frames. False when that is more than its maximum. The domain's lock is held. */
export function growGrantTable(domain: XenDomain, frames: number): boolean {
  const { memory, at } = domain;
  if (frames > Header.grant_frames_max.get(memory.view, at)) return false;
  if (frames > Header.grant_frames.get(memory.view, at)) Header.grant_frames.set(memory.view, at, frames);
  return true;
}

/** GNTST_* for a domain argument: everything but the caller itself is refused. */
function domainStatus(c: HypercallContext, domid: number): number {
  const dom = c.domain.resolve(domid);
  if (dom === undefined) return GNTST.bad_domain;
  return dom === c.domain.domid ? GNTST.okay : GNTST.permission_denied;
}

function setupTable(c: HypercallContext): number {
  const S = c.caller.longMode ? GnttabSetupTable.wide : GnttabSetupTable.narrow;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const frames = S.nr_frames.get(view, 0);
  const list = S.frame_list.get(view, 0);
  let status = domainStatus(c, S.dom.get(view, 0));
  if (status === GNTST.okay) {
    c.domain.lock.acquire();
    const grown = growGrantTable(c.domain, frames);
    c.domain.lock.release();
    status = grown ? GNTST.okay : GNTST.general_error;
  }
  for (let frame = 0; status === GNTST.okay && frame < frames; frame++) {
    if (!writeFrame(c, list, frame)) status = GNTST.bad_virt_addr;
  }
  return writeStatus(c, S.status.offset, status);
}

/** Writes where a grant frame is mapped to the guest's list. */
function writeFrame(c: HypercallContext, list: bigint, frame: number): boolean {
  const gfn = c.domain.overlays.gfn(OVERLAY.grant + frame);
  const { longMode } = c.caller;
  const scratch = c.buffer;
  if (longMode) scratch.view.setBigUint64(0, gfn === NOT_MAPPED ? INVALID_GFN : BigInt(gfn), true);
  else scratch.view.setUint32(0, gfn, true);
  const size = longMode ? 8 : 4;
  return scratch.copyOut(c.caller, list + BigInt(frame * size), size);
}

/** Writes only the status member back. */
function writeStatus(c: HypercallContext, offset: number, status: number): number {
  c.buffer.view.setInt16(0, status, true);
  return c.buffer.copyOut(c.caller, c.args.pointer(1) + BigInt(offset), 2) ? 0 : -EFAULT;
}

function querySize(c: HypercallContext): number {
  const S = GnttabQuerySize;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const { view } = c.buffer;
  const status = domainStatus(c, S.dom.get(view, 0));
  if (status === GNTST.okay) {
    S.nr_frames.set(view, 0, Header.grant_frames.get(c.domain.memory.view, c.domain.at));
    S.max_nr_frames.set(view, 0, Header.grant_frames_max.get(c.domain.memory.view, c.domain.at));
  }
  view.setInt16(S.status.offset, status, true);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

/** Version 1 only, as under Xen's gnttab=max-ver:1. The version in force is written back either way. */
function setVersion(c: HypercallContext): number {
  const S = GnttabSetVersion;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const wanted = S.version.get(c.buffer.view, 0);
  const current = Header.grant_version.get(c.domain.memory.view, c.domain.at);
  S.version.set(c.buffer.view, 0, current);
  if (!c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  if (wanted === current) return 0;
  return wanted === 2 ? -ENOSYS : -EINVAL;
}

function getVersion(c: HypercallContext): number {
  const S = GnttabGetVersion;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const dom = c.domain.resolve(S.dom.get(c.buffer.view, 0));
  if (dom === undefined) return -ESRCH;
  if (dom !== c.domain.domid) return -EPERM;
  S.version.set(c.buffer.view, 0, Header.grant_version.get(c.domain.memory.view, c.domain.at));
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}
