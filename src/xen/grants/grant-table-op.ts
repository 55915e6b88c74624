// grant_table_op: the table's size, version and frames, and the exchange of two entries; maps and copies have their own files.
import { INVALID_GFN } from '../../abi/xen/domid.ts';
import { EFAULT, EINVAL, ENOSYS, EPERM, ESRCH } from '../../abi/xen/errno.ts';
import {
  GNTST,
  GNTTABOP,
  GnttabCopy,
  GnttabGetVersion,
  GnttabMapGrantRef,
  GnttabQuerySize,
  GnttabSetupTable,
  GnttabSetVersion,
  GnttabSwapGrantRef,
  GnttabUnmapGrantRef,
  GrantEntryV1,
  GrantEntryV2,
  GTF,
} from '../../abi/xen/grant-table.ts';
import { CONTINUE, type HypercallContext } from '../calls/hypercall-context.ts';
import { NOT_MAPPED, OVERLAY } from '../domain-layout.ts';
import { copyGrants } from './copy-op.ts';
import type { GrantTable } from './grant-table.ts';
import { mapGrantRefs, unmapGrantRefs } from './map-op.ts';
import { setGrantVersion } from './set-version.ts';

/** Operations done before the vCPU's thread may look at other things. */
const SLICE = 512;

/** grant_table_op(cmd, array, count). What an HVM domain may not ask for is -ENOSYS (hvm/hypercall.c, hvm_grant_table_op). */
export function grantTableOp(c: HypercallContext): number {
  const cmd = c.args.low(0);
  const count = c.args.low(2);
  switch (cmd) {
    case GNTTABOP.map_grant_ref:
      return inSlices(c, count, GnttabMapGrantRef.sizeof, mapGrantRefs);
    case GNTTABOP.unmap_grant_ref:
      return inSlices(c, count, GnttabUnmapGrantRef.sizeof, unmapGrantRefs);
    case GNTTABOP.copy:
      return inSlices(c, count, (c.caller.longMode ? GnttabCopy.wide : GnttabCopy.narrow).sizeof, copyGrants);
    case GNTTABOP.swap_grant_ref:
      return inSlices(c, count, GnttabSwapGrantRef.sizeof, swapGrantRefs);
    case GNTTABOP.setup_table:
      // The 32-bit entry does as many operations as it is told, and none is as many as any.
      if (count === 0 && !c.caller.longMode) return 0;
      return count === 1 ? setupTable(c) : -EINVAL;
    case GNTTABOP.query_size:
      return count === 1 ? querySize(c) : -EINVAL;
    case GNTTABOP.set_version:
      return count > 0x7fff_ffff ? -EINVAL : setVersion(c);
    case GNTTABOP.get_version:
      return count > 0x7fff_ffff ? -EINVAL : getVersion(c);
    default:
      return -ENOSYS;
  }
}

/** Does some operations of an array, and has the vCPU call again for the rest with what is left of the array. */
function inSlices(
  c: HypercallContext,
  count: number,
  size: number,
  operate: (c: HypercallContext, count: number) => number,
): number {
  if (count > 0x7fff_ffff) return -EINVAL;
  const result = operate(c, Math.min(count, SLICE));
  if (result !== 0 || count <= SLICE) return result;
  c.args.u64[1] = c.args.pointer(1) + BigInt(SLICE * size);
  c.args.u64[2] = BigInt(count - SLICE);
  return CONTINUE;
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
    const grown = c.domain.grants.grow(frames);
    c.domain.lock.release();
    status = grown ? GNTST.okay : GNTST.general_error;
  }
  // A frame that cannot be told does not keep the others from being told.
  const told = status === GNTST.okay ? frames : 0;
  for (let frame = 0; frame < told; frame++) if (!writeFrame(c, list, frame)) status = GNTST.bad_virt_addr;
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
    S.nr_frames.set(view, 0, c.domain.grants.frames);
    S.max_nr_frames.set(view, 0, c.domain.grants.framesMax);
  }
  view.setInt16(S.status.offset, status, true);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? 0 : -EFAULT;
}

/** The version in force is written back, whatever came of it. */
function setVersion(c: HypercallContext): number {
  const S = GnttabSetVersion;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const wanted = S.version.get(c.buffer.view, 0);
  const result = setGrantVersion(c.domain, wanted);
  if (c.domain.trace.grant_version.on) c.domain.trace.grant_version(wanted, result);
  S.version.set(c.buffer.view, 0, c.domain.grants.version);
  return c.buffer.copyOut(c.caller, c.args.pointer(1), S.sizeof) ? result : -EFAULT;
}

function getVersion(c: HypercallContext): number {
  const S = GnttabGetVersion;
  if (!c.buffer.copyIn(c.caller, c.args.pointer(1), S.sizeof)) return -EFAULT;
  const dom = c.domain.resolve(S.dom.get(c.buffer.view, 0));
  if (dom === undefined) return -ESRCH;
  if (dom !== c.domain.domid) return -EPERM;
  const { offset } = S.version;
  c.buffer.view.setUint32(0, c.domain.grants.version, true);
  return c.buffer.copyOut(c.caller, c.args.pointer(1) + BigInt(offset), 4) ? 0 : -EFAULT;
}

function swapGrantRefs(c: HypercallContext, count: number): number {
  const S = GnttabSwapGrantRef;
  const { view } = c.buffer;
  for (let i = 0; i < count; i++) {
    const at = c.args.pointer(1) + BigInt(i * S.sizeof);
    if (!c.buffer.copyIn(c.caller, at, S.sizeof)) return -EFAULT;
    c.domain.lock.acquire();
    const status = swap(c.domain.grants, S.ref_a.get(view, 0), S.ref_b.get(view, 0));
    c.domain.lock.release();
    view.setInt16(0, status, true);
    if (!c.buffer.copyOut(c.caller, at + BigInt(S.status.offset), 2)) return -EFAULT;
  }
  return 0;
}

/** Exchanges two entries that nobody uses, and their status. Locked. */
function swap(grants: GrantTable, a: number, b: number): number {
  if (a >= grants.entries || b >= grants.entries) return GNTST.bad_gntref;
  if (a === b) return GNTST.okay;
  if (grants.active.inUse(a) || grants.active.inUse(b)) return GNTST.eagain;
  const { u32 } = grants.domain.memory;
  const words = (grants.version === 1 ? GrantEntryV1.sizeof : GrantEntryV2.full_page.sizeof) / 4;
  const from = grants.entryAt(a) >>> 2;
  const to = grants.entryAt(b) >>> 2;
  for (let i = 0; i < words; i++) {
    const word = u32[from + i] as number;
    u32[from + i] = u32[to + i] as number;
    u32[to + i] = word;
  }
  if (grants.version === 2) {
    const [statusA, statusB] = [grants.status(a), grants.status(b)];
    setStatusTo(grants, a, statusB);
    setStatusTo(grants, b, statusA);
  }
  return GNTST.okay;
}

function setStatusTo(grants: GrantTable, ref: number, status: number): void {
  grants.clearStatus(ref, GTF.reading | GTF.writing);
  grants.setStatus(ref, status);
}
